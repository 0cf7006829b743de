"""The outcome of training: runs with verdict and curves, the models of an index, rollback, and drift."""

from collections.abc import Callable, Sequence

import altair as alt
import streamlit as st

from quarry.app.ui.shared.data_folders import allowed_roots
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.jobs import Job, board
from quarry.app.ui.shared.session import Session, feedback_path
from quarry.app.ui.shared.shown_text import Row
from quarry.app.ui.training import job as training_job
from quarry.app.ui.training import presenter as shown
from quarry.app.ui.training import runs as training_runs
from quarry.app.ui.training.job import MeasuredDrift, TrainingOptions, TrainingState
from quarry.app.ui.training.words import stage_words
from quarry.indexer.errors import SearchError
from quarry.training.tuning.history import Step, history
from quarry.training.tuning.run import FOLDER, TuningRun

_ROLLBACK, _DRIFT = "rollback", "drift"


def runs(session: Session, newest: str, start: Callable[[TrainingOptions], None], *, running: bool) -> None:
    """Draw the runs, and one of them in detail.

    Args:
        session: The visitor's session.
        newest: Name of the last run that the app started, empty for none; it is shown until another one is selected.
        start: Continues a run.
        running: Whether it is in progress.
    """
    say = session.say
    st.subheader(say("Runs", "运行记录"), anchor=False)
    views = training_runs.run_views(session.index, newest if running else "")
    if not views:
        st.caption(
            say("The first run is in progress.", "第一次运行正在进行。") if running else say("None yet.", "还没有。")
        )
        return
    st.dataframe(training_runs.run_rows(views, say, session.clock), hide_index=True)
    st.caption(training_runs.column_words(say))
    by_name = {view.name: view for view in views}
    if newest in by_name and st.session_state.get("training.followed") != newest:
        st.session_state["training.followed"] = st.session_state["training.run"] = newest
    name = st.selectbox(say("Show the run", "查看运行"), list(by_name), key="training.run")
    run = by_name.get(name) or views[0]
    if run.state == "running":
        return  # drawn with its progress
    with st.container(border=True):
        for sentence in training_runs.verdict_words(run, say):
            st.text(sentence)
        st.text(training_runs.source_words(run, say))
        if run.state == "unfinished":
            _continue(session, run, start, running=running)
        curves(session, run.name)
        if run.loading:
            st.text(say("Load the tuned model in Python:", "在 Python 中载入微调后的模型："))
            st.code("\n".join(run.loading), language="python", wrap_lines=True)
        if run.counts:
            with st.expander(say("Examples and what was left out", "样本及未采用的内容")):
                st.dataframe(shown.count_rows(run.counts, say), hide_index=True, width="content")
        if mined := training_runs.mining_text(TuningRun(session.index / FOLDER / run.name), say):
            with st.expander(say("Mining report", "负例挖掘报告")):
                st.code(mined, language=None, wrap_lines=True, height=400)


def _continue(
    session: Session, run: training_runs.RunView, start: Callable[[TrainingOptions], None], *, running: bool
) -> None:
    say = session.say
    if st.button(say("Continue this run", "继续该运行"), key="training.continue", disabled=running):
        try:
            promote = bool(st.session_state.get("training.promote", True))
            start(training_job.order_of(run.name, run.facts, promote, allowed_roots(), session.device))
        except SearchError as err:
            show_fault(say("It cannot be continued here.", "无法在此继续。"), err, say)


def curves(session: Session, name: str) -> None:
    """Draw loss and dev score of a run so far."""
    say = session.say
    loss, dev = training_runs.curve_rows(TuningRun(session.index / FOLDER / name))
    if not (loss or dev):
        return
    left, right = st.columns(2)
    step = say("step", "步")
    with left:
        _curve(loss, say("Loss (lower is better)", "损失（越低越好）"), step)
    with right:
        _curve(dev, say("nDCG@10 on the dev questions (higher is better)", "开发集 nDCG@10（越高越好）"), step)


def _curve(points: Sequence[Row], value: str, step: str) -> None:
    if len(points) < 2:  # a line needs two
        return
    st.caption(value)
    chart = (
        alt.Chart(alt.InlineData(values=list(points)))
        .mark_line(point=len(points) < 30)
        .encode(
            x=alt.X("step:Q", title=step, axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            tooltip=[alt.Tooltip("step:Q", title=step), alt.Tooltip("value:Q", title=value, format=".4f")],
        )
        .properties(height=220)
    )
    st.altair_chart(chart)


def models(session: Session) -> None:
    """Draw the models that the index has had, the rollback, and what the last promotion changed."""
    say = session.say
    st.subheader(say("Models of this index", "该索引的模型"), anchor=False)
    try:
        steps = history(session.index)
        parent = training_job.drift_parent(session.index)
    except SearchError as err:
        show_fault(say("The history cannot be read.", "无法读取历史。"), err, say)
        return
    if steps:
        st.dataframe(shown.history_rows(steps, say, session.clock), hide_index=True)
        if verdict := shown.verdict_words(steps[-1], say):
            st.text(verdict)
        _rollback(session, steps[-1])
    if steps and steps[-1].lineage is not None:
        _drift(session, parent, steps[-1])


def _rollback(session: Session, live: Step) -> None:
    say, state = session.say, st.session_state
    job = board(session.index).latest(_ROLLBACK)
    if job is not None:
        st.fragment(_rolling, run_every=1.0 if job.state == "running" else None)(session, job)
    words = shown.rollback_words(live, say)
    if not words or (job is not None and job.state == "running"):
        state.pop("training.back", None)
        return
    if state.get("training.back") != live.generation:
        if st.button(say("Roll back the model", "回滚模型"), key="training.rollback"):
            state["training.back"] = live.generation
            st.rerun()
        return
    with st.container(border=True):
        for sentence in words:
            st.text(sentence)
        yes, no = st.columns(2)
        if no.button(say("Cancel", "取消"), key="training.no", width="stretch"):
            del state["training.back"]
            st.rerun()
        if yes.button(
            say("Roll back for everyone", "确认为所有人回滚"), key="training.yes", type="primary", width="stretch"
        ):
            del state["training.back"]
            _begin(session, _ROLLBACK, lambda job: training_job.run_rollback(job, session.index, session.device))


def _rolling(session: Session, job: Job) -> None:
    say = session.say
    if job.state == "running":
        st.progress(job.progress.share)
        stages = job.detail.stages if isinstance(job.detail, TrainingState) else ()
        doing = stage_words(stages[-1], say) if stages else job.progress.doing
        st.text(say("Rolling back", "正在回滚") + f"  {doing}")
    elif _just_ended(job):
        st.rerun()
    elif job.state == "failed" and job.error:
        show_fault(say("The rollback failed; nothing was switched.", "回滚失败，未作切换。"), job.error, say)
    elif job.state == "done":
        st.success(say(f"Rolled back: generation {job.result} is live.", f"已回滚：当前为版本 {job.result}。"))


def _drift(session: Session, parent: str, live: Step) -> None:
    say = session.say
    st.subheader(say("What the promotion changed", "上线带来的变化"), anchor=False)
    if not parent:
        st.caption(
            say("The previous generation was removed, so the two cannot be compared.", "上一版已删除，无法比较。")
        )
        return
    if not feedback_path(session.index).is_file():
        st.caption(say("The log has no questions to compare them on yet.", "日志中还没有可供比较的问题。"))
        return
    job = board(session.index).latest(_DRIFT)
    running = job is not None and job.state == "running"
    if st.button(
        say("Compare both on the logged questions", "用日志中的问题比较两个版本"),
        key="training.drift",
        disabled=running,
    ):
        try:
            searcher, log = session.searcher(), session.feedback()
        except SearchError as err:
            show_fault(say("The index cannot be opened.", "无法打开索引。"), err, say)
            return
        _begin(
            session, _DRIFT, lambda _job: training_job.run_drift(session.index, searcher, parent, log, session.device)
        )
    if job is not None:
        st.fragment(_drifting, run_every=1.0 if running else None)(session, job, live.generation)


def _drifting(session: Session, job: Job, live: str) -> None:
    say, found = session.say, job.result
    if job.state == "running":
        st.text(say("Comparing", "正在比较") + f"  {job.progress.seconds:.0f} s")
    elif _just_ended(job):
        st.rerun()
    elif job.state == "failed" and job.error:
        show_fault(say("They could not be compared.", "无法比较。"), job.error, say)
    elif isinstance(found, MeasuredDrift) and found.after >= live:  # not one of an earlier promotion
        for sentence in shown.drift_words(found, say):
            st.text(sentence)
        if rows := shown.drift_rows(found, say):
            st.dataframe(rows, hide_index=True)


def _begin(session: Session, kind: str, work: Callable[[Job], object]) -> None:
    try:
        board(session.index).start(kind, work)
    except SearchError as err:
        show_fault(session.say("It cannot start.", "无法开始。"), err, session.say)
        return
    st.rerun()


def _just_ended(job: Job) -> bool:
    """Whether this visitor sees the end for the first time; the page is then redrawn."""
    key = f"training.seen.{job.kind}"
    before = st.session_state.get(key)
    st.session_state[key] = job.number
    return bool(before != job.number)
