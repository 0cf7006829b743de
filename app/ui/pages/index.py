"""The page of index and models: which generation answers, is it sound, what it takes, and going back."""

import json

import streamlit as st

from quarry.app.doctor import CheckResult, examine
from quarry.app.ui.index import presenter as shown
from quarry.app.ui.index.words import ROLLED_BACK, SWITCHED
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.jobs import Job, board
from quarry.app.ui.shared.session import Session, current
from quarry.indexer.errors import SearchError
from quarry.indexer.storage.generations import Generations, writer_lock

_CHECKS = "checks"


def page() -> None:
    """Draw the page."""
    session = current()
    say = session.say
    st.title(say("Index and models", "索引与模型"), anchor=False)
    st.text(str(session.index))
    try:
        views = shown.generation_views(session.index)
    except SearchError as err:
        show_fault(say("This folder cannot be used as an index.", "该文件夹不能作为索引使用。"), err, say)
        _checks(session)
        return
    _facts(session, next(view for view in views if view.live))
    tabs = st.tabs([
        say("Generations", "各代"), say("Checks", "检查"), say("Disk", "磁盘"), say("Models", "模型"),
    ])  # fmt: skip
    with tabs[0]:
        _generations(session, views)
    with tabs[1]:
        _checks(session)
    with tabs[2]:
        st.dataframe(shown.disk_rows(session.index, say), hide_index=True, width="content")
    with tabs[3]:
        _models(session)


def _facts(session: Session, live: shown.GenerationView) -> None:
    say = session.say
    if live.manifest is None:
        st.error(
            say(
                "The live generation is damaged. Roll back to an older one below, or run the command it names.",
                "使用中的一代已损坏。请在下方回退到较早的一代，或运行提示的命令。",
            ),
            icon=":material/error:",
        )
        st.code(live.fault, language=None, wrap_lines=True)
        return
    numbers = (
        (say("Live generation", "使用中的一代"), live.name),
        (say("Documents", "文档"), f"{live.manifest.documents:,}"),
        (say("Passages", "段落"), f"{live.manifest.chunks:,}"),
        (say("Size of this generation", "本代大小"), shown.megabytes(live.size)),
    )
    for column, (label, value) in zip(st.columns(len(numbers)), numbers, strict=True):
        column.metric(label, value, border=True)
    if not live.model:
        st.info(
            say(
                "This index has no vectors: it searches by words (BM25) only. Questions in other words than the "
                "document's are missed. To add vectors, index again with a model:",
                "该索引没有向量，只能按词检索（BM25），换一种说法的提问会找不到。要加入向量，请用模型重新建立索引：",
            ),
            icon=":material/info:",
        )
        st.code(f"quarry index PATH --into {session.index} --model auto --rebuild", language=None, wrap_lines=True)
    for sentence in shown.notes(live.manifest, say):
        st.text(sentence)


def _generations(session: Session, views: tuple[shown.GenerationView, ...]) -> None:
    say = session.say
    st.dataframe(shown.generation_rows(views, say), hide_index=True)
    st.caption(
        say(
            "A switch replaces one small file. Answers on screen stay as they are; the next search of every visitor "
            "uses the new generation. The models of the last two generations stay in memory, so going back is quick.",
            "切换只替换一个小文件。已显示的结果保持不变；每位访客的下一次搜索使用新的一代。"
            "最近两代的模型都留在内存中，因此回退很快。",
        )
    )
    _switching(session, views)
    with st.expander(say("History of switches", "切换历史")):
        st.dataframe(shown.history_rows(session.index, say), hide_index=True)
    with st.expander(say("Manifest", "清单")):
        readable = [view for view in views if view.manifest is not None]
        name = st.selectbox(say("Of generation", "哪一代"), [view.name for view in readable], key="index.manifest")
        for view in readable:
            if view.name == name and view.manifest is not None:
                st.code(json.dumps(view.manifest.model_dump(), ensure_ascii=False, indent=1), "json", height=360)


def _switching(session: Session, views: tuple[shown.GenerationView, ...]) -> None:
    say, state = session.say, st.session_state
    if told := state.pop("index.told", ""):
        st.success(told, icon=":material/check:")
    others = [view.name for view in views if not view.live and view.manifest is not None]
    older = [name for name in others if name < next(view.name for view in views if view.live)]
    choice, switch, back, reload = st.columns([2, 1, 1, 1], vertical_alignment="bottom")
    target = choice.selectbox(
        say("Another generation", "另一代"), others, key="index.target", disabled=not others,
        placeholder=say("there is no other", "没有其他代"),
    )  # fmt: skip
    if switch.button(say("Switch to it", "切换到它"), key="index.switch", disabled=not others, width="stretch"):
        state["index.wanted"] = (target, SWITCHED)
    if back.button(say("Roll back", "回退一代"), key="index.rollback", disabled=not older, width="stretch"):
        state["index.wanted"] = (older[0], ROLLED_BACK)
    if reload.button(
        say("Reload", "重新载入"), key="index.reload", width="stretch",
        help=say("Forget opened indexes and models; the next search loads them anew.",
                 "丢弃已打开的索引和模型，下一次搜索时重新载入。"),
    ):  # fmt: skip
        st.cache_resource.clear()
        state["index.told"] = say("Reloaded.", "已重新载入。")
        st.rerun()
    if "index.wanted" in state:
        _confirm(session, views)


def _confirm(session: Session, views: tuple[shown.GenerationView, ...]) -> None:
    say, state = session.say, st.session_state
    name, reason = state["index.wanted"]
    target = next((view for view in views if view.name == name), None)
    if target is None or target.live:  # removed or switched by somebody else meanwhile
        del state["index.wanted"]
        return
    with st.container(border=True):
        st.subheader(say("Switch for everybody?", "为所有人切换？"), anchor=False)
        for sentence in shown.switch_words(next(view for view in views if view.live), target, say):
            st.text(sentence)
        yes, no = st.columns(2)
        if no.button(say("No, leave it", "不切换"), key="index.no", width="stretch"):
            del state["index.wanted"]
            st.rerun()
        if yes.button(say("Yes, switch", "确认切换"), key="index.yes", type="primary", width="stretch"):
            del state["index.wanted"]
            _switch(session, name, reason)


def _switch(session: Session, name: str, reason: str) -> None:
    try:
        with writer_lock(session.index):
            Generations(session.index).switch(name, reason)
    except SearchError as err:
        show_fault(session.say("The generation was not switched.", "未能切换。"), err, session.say)
        return
    st.session_state["index.told"] = session.say(f"Generation {name} is live.", f"第 {name} 代已启用。")
    st.rerun()


def _checks(session: Session) -> None:
    say, jobs = session.say, board(session.index)
    st.caption(
        say(
            "Compares every file with its digest, the texts with the vectors, and the model with the index. "
            "With a model this takes some seconds; nothing is changed.",
            "核对每个文件的摘要、文本与向量是否一致、模型与索引是否相符。有模型时需要数秒；不做任何修改。",
        )
    )
    job = jobs.latest(_CHECKS)
    running = job is not None and job.state == "running"
    if st.button(say("Run the checks", "运行检查"), key="index.check", disabled=running):
        jobs.start(_CHECKS, lambda job: _examine(session, job))
        st.rerun()
    if job is not None:
        st.fragment(_outcome, run_every=1.0 if running else None)(session, job)


def _examine(session: Session, job: Job) -> list[CheckResult]:
    found: list[CheckResult] = []
    for result in examine(session.index):
        found.append(result)
        job.report(len(found), 0, result.name)
    return found


def _outcome(session: Session, job: Job) -> None:
    say = session.say
    if job.state == "running":
        at = f"{job.progress.seconds:.0f} s, {job.progress.done}"
        st.info(say(f"Checking: {at} checks done", f"正在检查：{at} 项已完成"), icon=":material/hourglass_top:")
        return
    if st.session_state.get("index.seen") != job.number:  # once, so that the button above comes back to life
        st.session_state["index.seen"] = job.number
        st.rerun()
    if job.state == "failed":
        if job.error:
            show_fault(say("The checks could not be run.", "检查未能完成。"), job.error, say)
        return
    st.dataframe(shown.check_rows(job.result, say), hide_index=True)
    commands = shown.remedies(job.result)
    if commands:
        st.text(say("Commands that mend it, most urgent first:", "修复命令，最紧要的在前："))
    for command in commands:
        st.code(command, "bash", wrap_lines=True)


def _models(session: Session) -> None:
    from quarry.indexer.models.source import hub_cache, list_models

    say = session.say
    wide = {say("Here", "本机"): st.column_config.TextColumn(width=120)}
    st.dataframe(shown.model_rows(list_models(), say), hide_index=True, height=430, column_config=wide)
    st.caption(
        say("Models are looked for in the cache folder below; a model anywhere else can be given by its folder.",
            "模型在下面的缓存文件夹中查找；位于别处的模型可以用文件夹路径指定。")
    )  # fmt: skip
    st.code(f"{hub_cache()}\nquarry index PATH --into {session.index} --model FOLDER --rebuild", language=None)


page()
