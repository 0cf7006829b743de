"""The Evaluate page: start an evaluation, watch it, open and compare saved ones."""

from pathlib import Path

import streamlit as st

from quarry.app.ui.evaluate.benchmarks import show_benchmarks
from quarry.app.ui.evaluate.job import EvaluationOptions, run_evaluation
from quarry.app.ui.evaluate.one_question import ASKED, one_question
from quarry.app.ui.evaluate.own_judgements import own_judgements
from quarry.app.ui.evaluate.panel import remembered, show_runs
from quarry.app.ui.evaluate.presenter import judged_documents, named_runs, offered_routes, read_saved
from quarry.app.ui.shared.choices import choice
from quarry.app.ui.shared.data_folders import DataChoice, allowed_roots, data_choices
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.jobs import Job, board
from quarry.app.ui.shared.rerankers import rerankers
from quarry.app.ui.shared.session import Session, current, evaluations_path
from quarry.app.ui.shared.vocabulary import method_name
from quarry.indexer.errors import CorpusError, IndexBusyError, SearchError
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.retriever.evaluation.routes import RERANKED

_KIND = "evaluation"
_DEPTH = 50  # candidates that are reranked
_MEASURES = ("nDCG@10", "R@100", "RR@10", "AP", "P@10", "Success@5")


def page() -> None:
    """Draw the page."""
    session = current()
    say = session.say
    st.title(say("Evaluate", "评测"), anchor=False)
    st.caption(
        say(
            "How good are the results? Search methods are compared on questions whose answers are known.",
            "检索效果如何？用已知答案的问题比较各种检索方式。",
        )
    )
    folder = evaluations_path(session.index)
    job = board(session.index).latest(_KIND)
    _open_what_is_finished(job)
    labels, faults = read_saved(folder, say, session.clock, remembered)
    with st.expander(say("New evaluation", "新建评测"), expanded=not labels, icon=":material/add:"):
        _order(session, _choices(session), job)
    with st.expander(
        say("Compare two methods on one question", "用一个问题比较两种检索方式"),
        expanded=bool(st.session_state.get(ASKED)),
        icon=":material/compare_arrows:",
    ):
        st.fragment(one_question)(session)
    if job is not None:
        running = job.state == "running"
        st.fragment(_progress, run_every=0.5 if running else None)(session, job)
    for name, reason in faults.items():
        st.warning(say("A saved evaluation cannot be read.", "有一个已保存的评测无法读取。"), icon=":material/warning:")
        st.code(f"{name}: {reason}", language=None, wrap_lines=True)
    _saved(session, folder, labels)
    show_benchmarks(session)


def _choices(session: Session) -> tuple[DataChoice, ...]:
    say, roots = session.say, allowed_roots()
    typed = st.text_input(
        say("Folder of your data sets (optional)", "您的数据集所在的文件夹（可选）"),
        key="evaluate.folder",
        placeholder=str(roots[0]),
        help=say(
            "A folder with data sets in it, each a folder with queries and judgements (BEIR, FlagEmbedding or TREC files).",
            "其中每个子文件夹是一个数据集，包含问题和标注（BEIR、FlagEmbedding 或 TREC 格式）。",
        ),
    )
    own = own_judgements(session)
    try:
        return (*own, *data_choices(typed, roots))
    except SearchError as err:
        show_fault(say("This folder cannot be used.", "不能使用该文件夹。"), err, say)
        return (*own, *data_choices("", roots))


def _order(session: Session, choices: tuple[DataChoice, ...], job: Job | None) -> None:
    say = session.say
    try:
        manifest = Manifest.read(Generations(session.index).live())
    except SearchError as err:
        show_fault(say("The index cannot be opened.", "无法打开索引。"), err, say)
        return
    names = [choice.name for choice in choices]
    left, right = st.columns(2)
    places = range(len(choices))
    place = left.selectbox(
        say("Data set", "数据集"),
        places,
        format_func=names.__getitem__,
        **choice(session, "evaluate.dataset", places, 0),
    )
    measures = right.multiselect(
        say("Metrics (first = main)", "指标（第一个为主要指标）"),
        _MEASURES,
        default=_MEASURES[:3],
        key="evaluate.measures",
        placeholder=say("Choose metrics", "请选择指标"),
        accept_new_options=True,
    )
    second = rerankers(session, manifest)
    offered = offered_routes(dense=manifest.store is not None, rerank=second.model, late=second.late)
    routes = st.pills(
        say("Search methods to compare (first = baseline)", "要比较的检索方式（第一个为基线）"),
        offered,
        selection_mode="multi",
        format_func=lambda name: method_name(name, say),
        default=[name for name in offered if "+" not in name],
        key="evaluate.routes",
    )
    if manifest.store is None:
        st.caption(
            say(
                "This index has no vectors, so only words (BM25) can be measured.",
                "该索引没有向量，只能评测关键词（BM25）。",
            )
        )
    split_box, depth_box, go = st.columns([1, 1, 2], vertical_alignment="bottom")
    split = split_box.text_input(say("Data split", "数据划分（split）"), key="evaluate.split", placeholder="test, dev")
    depth = _DEPTH
    if any(name.endswith(RERANKED) for name in routes):
        depth = depth_box.number_input(say("Reranked candidates", "重排候选数"), 1, 1000, _DEPTH, key="evaluate.depth")
    running = job is not None and job.state == "running"
    blocked = running or not routes or not measures
    label = say("Evaluate", "开始评测")
    if go.button(label, key="evaluate.go", type="primary", disabled=blocked, width="stretch"):
        _start(session, choices[place or 0].folder, split.strip() or None, (routes, measures, int(depth)))


def _start(session: Session, folder: Path, split: str | None, chosen: tuple[list[str], list[str], int]) -> None:
    from quarry.retriever.data.datasets import load_dataset, unknown_documents
    from quarry.retriever.evaluation.language_pairs import with_language_pairs
    from quarry.retriever.evaluation.measures import parse_measures

    say = session.say
    routes, names, depth = chosen
    try:
        measures = parse_measures(names)
        with st.spinner(say("Opening the index and the data set …", "正在打开索引和数据集……")):
            dataset = load_dataset(folder, split)
            searcher = session.searcher()
        known = searcher.index.chunks.titles(list(judged_documents(dataset.qrels)))
        unknown = unknown_documents(dataset.qrels, known)
        if unknown.count == unknown.judged:
            raise CorpusError(
                "ui.foreign_dataset",
                "none of the {count:,} judged documents is in this index (the first is {first})",
                expected="the data set's own corpus",
                do="Index it: quarry index {folder} --into INDEX",
                count=unknown.judged,
                first=unknown.first[0],
                folder=str(folder),
            )
        dataset = with_language_pairs(dataset, searcher.index.chunks)
        order = EvaluationOptions(dataset, tuple(routes), measures, depth, evaluations_path(session.index))
        job = board(session.index).start(_KIND, lambda job: run_evaluation(job, searcher, order))
    except (SearchError, IndexBusyError) as err:
        show_fault(say("The evaluation was not started.", "评测未能开始。"), err, say)
        return
    st.session_state["evaluate.mine"] = job.number
    st.rerun()


def _open_what_is_finished(job: Job | None) -> None:
    """Open the visitor's own evaluation when it has just ended."""
    state = st.session_state
    if job is not None and job.state == "done" and state.get("evaluate.mine") == job.number:
        del state["evaluate.mine"]
        state["evaluate.kept"] = state["evaluate.shown"] = list(job.result)


def _progress(session: Session, job: Job) -> None:
    say, progress = session.say, job.progress
    if job.state == "running":
        doing = method_name(str(progress.doing), say)
        words = f"{doing}: {progress.done} / {progress.total}, {progress.seconds:.0f} s"
        bar, stop = st.columns([5, 1], vertical_alignment="center")
        bar.progress(progress.share, text=say(f"{words} (questions)", f"{words}（问题数）"))
        if stop.button(say("Cancel", "取消"), key="evaluate.cancel", disabled=job.stopping, width="stretch"):
            job.cancel()
        if job.stopping:
            st.caption(say("It stops after the current batch of questions.", "将在当前一批问题之后停止。"))
        return
    if st.session_state.get("evaluate.seen") != job.number:
        st.session_state["evaluate.seen"] = job.number
        st.rerun()
    if job.state == "failed" and job.error:
        show_fault(say("The last evaluation failed.", "上一次评测失败。"), job.error, say)
    elif job.state == "cancelled":
        st.info(
            say(
                "Cancelled. Search methods that had finished are among the saved evaluations.",
                "已取消。此前完成的检索方式在已保存的评测中。",
            ),
            icon=":material/cancel:",
        )


def _saved(session: Session, folder: Path, labels: dict[str, str]) -> None:
    say, state = session.say, st.session_state
    st.subheader(say("Saved evaluations", "已保存的评测"), anchor=False)
    if not labels:
        st.info(
            say(
                "None yet. Press Evaluate above: the demo corpus takes a few seconds. Every run is saved here.",
                "还没有。请在上方点击“开始评测”：示例语料只需数秒。每次结果都会保存在这里。",
            ),
            icon=":material/inbox:",
        )
        return
    kept = [name for name in state.get("evaluate.kept", []) if name in labels]
    if "evaluate.shown" in state:  # one may have been removed since
        state["evaluate.shown"] = [name for name in state["evaluate.shown"] if name in labels]
    names = st.multiselect(
        say("Open one, or compare several (first = baseline)", "打开一个，或比较多个（第一个为基线）"),
        list(labels),
        format_func=labels.__getitem__,
        key="evaluate.shown",
        placeholder=say("Choose one or more", "请选择"),
        default=None if "evaluate.shown" in state else kept,
    )
    state["evaluate.kept"] = list(names)  # a widget forgets when another page opens
    if names:
        show_runs(session, named_runs([remembered(folder / name) for name in names], say, session.clock))


page()
