"""The section of training: what there is to learn from, starting a run, how far it is. Outcomes: `training_outcomes`."""

from contextlib import closing
from pathlib import Path

import streamlit as st

from quarry.app.ui.shared.data_folders import allowed_roots
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.jobs import Job, board
from quarry.app.ui.shared.session import Session, feedback_path
from quarry.app.ui.training import job as training_job
from quarry.app.ui.training import outcomes as training_outcomes
from quarry.app.ui.training import presenter as shown
from quarry.app.ui.training.job import TrainingOrder, TrainingState
from quarry.indexer.errors import MissingExtraError, SearchError
from quarry.indexer.storage.chunk_table import ChunkTable
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.layout import CHUNKS_NAME
from quarry.indexer.storage.manifest import Manifest
from quarry.training.examples.from_feedback import ONE_PERSON, STANDARD, Curated, curate
from quarry.training.fit import trainable
from quarry.training.tuning.base_reranker import FROM_ENCODER
from quarry.training.tuning.data import LEAST
from quarry.training.tuning.plan import TuningSources

KIND = "training"


def training_section(session: Session) -> None:
    """Draw the section."""
    say = session.say
    st.subheader(say("Training", "训练"), anchor=False)
    try:
        live = Manifest.read(Generations(session.index).live())
    except SearchError as err:
        show_fault(say("The index cannot be read.", "无法读取索引。"), err, say)
        return
    if live.embedder is None:
        st.info(
            say("This index has no vectors, so there is no model to tune. Index again with a model:",
                "该索引没有向量，因此没有可微调的模型。请用模型重新建立索引："),
            icon=":material/info:",
        )  # fmt: skip
        st.code(f"quarry index PATH --into {session.index} --model auto --rebuild", language=None, wrap_lines=True)
        return
    st.caption(
        say("Tunes the model on what users said, and lets it answer only when held-out questions show that it is better. "
            "Searching goes on meanwhile, by the model that answers now. A thousand examples take about 20 minutes with a small "
            "model on a CPU; a run can be stopped, go on later, and be taken back after it went live.",
            "根据用户的反馈微调模型；只有留出的问题证明它更好时才会上线。期间搜索照常进行，仍由现在的模型回答。"
            "小模型在 CPU 上用一千个样本训练约需 20 分钟；运行可以停止、以后继续，上线之后也可以回退。")
    )  # fmt: skip
    job = board(session.index).latest(KIND)
    if _can_train(session):
        _order(session, job)
    running = job is not None and job.state == "running"
    if job is not None:
        st.fragment(_progress, run_every=1.0 if running else None)(session, job)
    training_outcomes.runs(session, _run_of(job), lambda order: _start(session, order), running=running)
    training_outcomes.models(session)


def _can_train(session: Session) -> bool:
    """Whether the packages are there; otherwise it says how to get them."""
    try:
        trainable.require_training()
    except MissingExtraError as err:
        st.warning(session.say("Training is not installed.", "未安装训练所需的软件包。"), icon=":material/download:")
        st.code(str(err), language=None, wrap_lines=True)
        return False
    return True


def _order(session: Session, job: Job | None) -> None:
    say = session.say
    alone = _evidence(session)
    reranker = _what(session)
    left, right = st.columns(2)
    feedback = left.checkbox(say("Learn from the feedback log", "使用反馈日志"), value=True, key="training.feedback")
    corpus = left.checkbox(say("Also make pairs of the documents (titles, headings, questions)",
                               "同时从文档中生成样本（标题、小节、问答）"), key="training.corpus")  # fmt: skip
    promote = left.checkbox(
        say("Let it answer when it is shown to be better", "证明更好时即上线"), value=True, key="training.promote"
    )
    typed = right.text_area(
        say("Also learn from these files, one a line (optional)", "同时使用这些文件，每行一个（可选）"),
        key="training.pairs", placeholder=str(allowed_roots()[0]), height=80,
        help=say("FlagEmbedding JSONL, a BEIR folder with train judgements, or pairs as JSONL or TSV.",
                 "FlagEmbedding JSONL、带训练判定的 BEIR 文件夹，或 JSONL/TSV 格式的样本。"),
    )  # fmt: skip
    most = right.number_input(say("Use at most this many examples (empty: all)", "最多使用的样本数（留空为全部）"),
                              min_value=LEAST, value=None, step=100, key="training.most")  # fmt: skip
    seed = left.number_input(
        say("Seed", "随机种子"), min_value=0, value=0, step=1, key="training.seed",
        help=say("Another seed holds other questions out and draws in another order.", "换一个种子，留出的问题和抽取的顺序就不同。"),
    )  # fmt: skip
    busy = job is not None and job.state == "running"
    if st.button(say("Start training", "开始训练"), key="training.go", type="primary", disabled=busy):
        try:
            pairs = training_job.pair_paths(typed or "", allowed_roots())
            if not (pairs or corpus or (feedback and feedback_path(session.index).is_file())):
                st.warning(say("Choose something to learn from: the feedback log, the documents, or files.",
                               "请选择训练的来源：反馈日志、文档或文件。"), icon=":material/warning:")  # fmt: skip
                return
            sources = TuningSources(feedback, pairs, corpus, int(most) if most else None, one_person=alone)
            _start(session, TrainingOrder(sources, int(seed), promote, training_job.new_run_name(), reranker))
        except SearchError as err:
            show_fault(say("Training cannot begin.", "无法开始训练。"), err, say)


def _evidence(session: Session) -> bool:
    """Say what the log gives; returns whether one voice is enough."""
    say = session.say
    if not feedback_path(session.index).is_file():
        st.text(say("There is no feedback log yet: choose the documents or files as the source.",
                    "还没有反馈日志，请选择文档或文件作为来源。"))  # fmt: skip
        return False
    alone = st.toggle(
        say("One person uses this index: one voice is enough", "此索引由一人使用：一人的意见即可"), key="training.alone",
        help=say("Otherwise a judgement counts when two visitors agree on it.", "否则一个判定要有两位访客一致才算数。"),
    )  # fmt: skip
    curated = _curated(session, alone=alone)
    if curated is not None:
        for sentence in shown.evidence_words(curated, say):
            st.text(sentence)
        if curated.dropped:
            with st.expander(say("What is left out, and why", "未采用的内容及原因")):
                st.dataframe(shown.count_rows(curated.dropped, say), hide_index=True, width="content")
    return alone


def _what(session: Session) -> str:
    """Ask what is tuned; returns what a reranker is made of, empty for the embedder."""
    say = session.say
    names = {
        "": say("the model that finds passages (embedder)", "检索段落的模型（向量模型）"),
        "auto": say("the reranker", "重排模型"),
        FROM_ENCODER: say("a new reranker out of this index's model", "由该索引的模型得到的新重排模型"),
    }
    chosen: str = st.radio(
        say("What is tuned", "微调对象"),
        list(names),
        format_func=names.__getitem__,
        horizontal=True,
        key="training.what",
    )
    if chosen:
        st.caption(
            say("A reranker reads question and passage together and orders the best candidates; judging it takes many minutes "
                "on a CPU.",
                "重排模型同时读取问题和段落，为最佳候选排序；在 CPU 上评测需要较长时间。")
        )  # fmt: skip
    return chosen


def _start(session: Session, order: TrainingOrder) -> None:
    """Start a run, or go on with one.

    Raises:
        IndexBusyError: If one is running.
    """
    index, device = session.index, session.device
    board(index).start(KIND, lambda job: training_job.run_training(job, index, order, device))
    st.rerun()


def _run_of(job: Job | None) -> str:
    detail = job.detail if job is not None else None
    return detail.run if isinstance(detail, TrainingState) else ""


def _progress(session: Session, job: Job) -> None:
    say, progress = session.say, job.progress
    state = job.detail if isinstance(job.detail, TrainingState) else None
    if job.state == "running":
        first, *rest = shown.progress_words(progress, state, say)
        bar, stop = st.columns([5, 1], vertical_alignment="center")
        with bar:
            st.text(first)
            st.progress(progress.share)
            st.text(say(" · ", " · ").join(rest))
        if stop.button(say("Stop", "停止"), key="training.cancel", disabled=job.stopping, width="stretch"):
            job.cancel()
        if job.stopping:
            st.caption(
                say(
                    "It stops after the step at hand; what was reached is kept.",
                    "将在当前步骤之后停止，已完成的部分会保留。",
                )
            )
        if state is not None:
            training_outcomes.curves(session, state.run)
            if behind := shown.stages_behind(state, say):
                with st.expander(say("What was done so far", "已完成的步骤")):
                    for sentence in behind:
                        st.text(sentence)
        return
    if st.session_state.get("training.seen") != job.number:
        st.session_state["training.seen"] = job.number
        st.rerun()
    if job.state == "failed" and job.error:
        show_fault(
            say("The last run failed. The live model answers as before.", "上一次运行失败，使用中的模型不受影响。"),
            job.error,
            say,
        )
    elif job.state == "cancelled":
        st.info(
            say("Stopped. What was reached is kept: choose the run below to go on with it.",
                "已停止。已完成的部分都保留着，可在下方选择该运行并继续。"),
            icon=":material/cancel:",
        )  # fmt: skip
    else:
        st.success(say("The run has ended; its verdict is below.", "运行已结束，结论见下方。"), icon=":material/check:")


def _curated(session: Session, *, alone: bool) -> Curated | None:
    """What the log gives now; None when it cannot be read, which the page says above."""
    path = feedback_path(session.index)
    try:
        log = session.feedback()
        return _curate(str(path), len(log), Generations(session.index).pointer().generation, alone, session)
    except SearchError as err:
        show_fault(session.say("The log cannot be turned into examples.", "无法从日志得到样本。"), err, session.say)
        return None


@st.cache_resource(max_entries=4, show_spinner=False)
def _curate(path: str, count: int, generation: str, alone: bool, _session: Session) -> Curated:  # noqa: ARG001 (the key)
    folder: Path = Generations(_session.index).folder / generation
    with closing(ChunkTable.open(folder / CHUNKS_NAME)) as table:
        known = set(table.digests()[0])

        def text_of(chunk_id: str) -> str | None:
            return table.texts([chunk_id])[0] if chunk_id in known else None

        return curate(_session.feedback().events(), text_of, ONE_PERSON if alone else STANDARD)
