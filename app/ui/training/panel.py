"""The training section: what there is to learn from, starting a run, its progress. Its outcome: `outcomes`."""

from contextlib import closing
from pathlib import Path

import streamlit as st

from quarry.app.ui.shared.choices import choice
from quarry.app.ui.shared.data_folders import allowed_roots
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.jobs import Job, board
from quarry.app.ui.shared.session import Session, feedback_path
from quarry.app.ui.training import job as training_job
from quarry.app.ui.training import outcomes as training_outcomes
from quarry.app.ui.training import presenter as shown
from quarry.app.ui.training.job import TrainingOptions, TrainingState
from quarry.indexer.errors import MissingExtraError, SearchError
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.stores.parts import texts_at
from quarry.training.examples.from_feedback import ONE_PERSON, SEVERAL_PEOPLE, Curated, curate
from quarry.training.fit.models import trainable
from quarry.training.tuning.data import LEAST
from quarry.training.tuning.plan import TuningSources
from quarry.training.tuning.reranker.base import FROM_ENCODER

KIND = "training"
SEARCH = "search"


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
            say(
                "This index has no vectors, so there is no model to tune. Index again with a model:",
                "该索引没有向量，因此没有可微调的模型。请用模型重新建立索引：",
            ),
            icon=":material/info:",
        )
        st.code(f"quarry index PATH --into {session.index} --model auto --rebuild", language=None, wrap_lines=True)
        return
    st.caption(
        say(
            "Learns from users' judgements, and switches only when held-out questions show that search is better. "
            "Search keeps working meanwhile. The search itself is tuned within a minute; a model takes about 20 minutes "
            "for a thousand examples (a small one, on a CPU). A run can be stopped, continued later, and rolled back after it went live.",
            "从用户的标注中学习；只有留出的问题证明搜索更好时才会上线，期间搜索照常进行。调整检索方式只需一分钟；"
            "微调模型时，小模型在 CPU 上用一千个样本约需 20 分钟。运行可以停止、以后继续，上线之后也可以回滚。",
        )
    )
    job = board(session.index).latest(KIND)
    _order(session, job, models=_can_train(session))
    running = job is not None and job.state == "running"
    if job is not None:
        st.fragment(_progress, run_every=1.0 if running else None)(session, job)
    training_outcomes.runs(session, _run_of(job), lambda order: _start(session, order), running=running)
    training_outcomes.models(session)


def _can_train(session: Session) -> bool:
    """Whether training is installed; if not, say how to install it."""
    try:
        trainable.require_training()
    except MissingExtraError as err:
        st.warning(
            session.say("Training is not installed.", "未安装训练所需的软件包。"),
            icon=":material/download:",
        )
        st.code(str(err), language=None, wrap_lines=True)
        return False
    return True


def _order(session: Session, job: Job | None, *, models: bool) -> None:
    say = session.say
    alone, count = _evidence(session)
    what = _what(session, models=models)
    left, right = st.columns(2)
    feedback = left.checkbox(say("Learn from the feedback log", "使用反馈日志"), value=True, key="training.feedback")
    corpus = left.checkbox(
        say(
            "Also make pairs from the documents (titles, headings, questions)",
            "同时从文档中生成样本（标题、小节、问答）",
        ),
        key="training.corpus",
    )
    promote = left.checkbox(
        say("Switch over automatically if it proves better", "若证明更好则自动切换"),
        value=True,
        key="training.promote",
    )
    typed = right.text_area(
        say("Also learn from these files, one per line (optional)", "同时使用这些文件，每行一个（可选）"),
        key="training.pairs",
        placeholder=str(allowed_roots()[0]),
        height=80,
        help=say(
            "FlagEmbedding JSONL, a BEIR folder with training judgements, or pairs as JSONL or TSV.",
            "FlagEmbedding JSONL、带训练标注的 BEIR 文件夹，或 JSONL/TSV 格式的样本。",
        ),
    )
    most = right.number_input(
        say("Use at most this many examples (empty = all)", "最多使用的样本数（留空为全部）"),
        min_value=LEAST,
        value=None,
        step=100,
        key="training.most",
    )
    seed = left.number_input(
        say("Seed", "随机种子"),
        min_value=0,
        value=0,
        step=1,
        key="training.seed",
        help=say(
            "Another seed holds out other questions and samples in another order.",
            "换一个种子，留出的问题和抽取的顺序就不同。",
        ),
    )
    busy = job is not None and job.state == "running"
    too_few = count is not None and count < LEAST and feedback and not (corpus or typed)
    if st.button(
        say("Start training", "开始训练"),
        key="training.go",
        type="primary",
        disabled=busy or too_few,
        help=shown.too_few_words(count or 0, say) if too_few else None,
    ):
        try:
            pairs = training_job.pair_paths(typed or "", allowed_roots())
            if not (pairs or corpus or (feedback and feedback_path(session.index).is_file())):
                st.warning(
                    say(
                        "Choose something to learn from: the feedback log, the documents, or files.",
                        "请选择训练的来源：反馈日志、文档或文件。",
                    ),
                    icon=":material/warning:",
                )
                return
            sources = TuningSources(feedback, pairs, corpus, int(most) if most else None, one_person=alone)
            search, name = what == SEARCH, training_job.new_run_name()
            reranker = "" if search else what
            _start(session, TrainingOptions(sources, int(seed), promote, name, reranker, search))
        except SearchError as err:
            show_fault(say("Training cannot start.", "无法开始训练。"), err, say)


def _evidence(session: Session) -> tuple[bool, int | None]:
    """Draw what the log gives.

    Returns:
        Whether one person's judgement is enough, and the number of examples; None when that is not known.
    """
    say = session.say
    if not _has_feedback(session):
        st.text(
            say(
                "There is no feedback yet: choose the documents or files as the source.",
                "还没有任何反馈，请选择文档或文件作为来源。",
            )
        )
        return False, None
    alone = st.toggle(
        say("Only one person uses this index: one judgement is enough", "此索引由一人使用：一次标注即可"),
        key="training.alone",
        help=say("Otherwise a judgement counts when two visitors agree on it.", "否则一条标注要有两位访客一致才算数。"),
    )
    curated = _curated(session, alone=alone)
    if curated is not None:
        for sentence in shown.evidence_words(curated, say):
            st.text(sentence)
        if curated.dropped:
            with st.expander(say("What is left out, and why", "未采用的内容及原因")):
                st.dataframe(shown.count_rows(curated.dropped, say), hide_index=True, width="content")
    return alone, None if curated is None else len(curated.examples)


def _has_feedback(session: Session) -> bool:
    try:
        return feedback_path(session.index).is_file() and len(session.feedback()) > 0
    except SearchError:
        return True  # which is said where it is read


def _what(session: Session, *, models: bool) -> str:
    """Ask what to tune; `models` says whether models can be.

    Returns:
        `SEARCH`, or what a reranker is made from; empty for the embedder.
    """
    say = session.say
    names = {
        "": say("the embedder, which finds passages", "检索段落的向量模型"),
        SEARCH: say("the search itself (a minute)", "检索方式（一分钟）"),
        "auto": say("the reranker", "重排模型"),
        FROM_ENCODER: say("a new reranker made from this index's model", "由该索引的模型得到的新重排模型"),
    }
    offered = list(names) if models else [SEARCH]
    what: str = st.radio(
        say("What to tune", "微调对象"),
        offered,
        format_func=names.__getitem__,
        horizontal=True,
        **choice(session, "training.what", offered, offered[0]),
    )
    if what == SEARCH:
        st.caption(
            say(
                "Learns how questions move toward the passages that were judged right, how much BM25 counts, and how the second stage "
                "compares words; no document is encoded again. What does not help alone is left out. It takes a minute or two and mostly "
                "changes little; it goes live only when held-out questions show a gain.",
                "学习问题如何向标注为正确的段落偏移、BM25 占多大权重，以及第二阶段如何比较词语；文档无需重新编码，"
                "单独没有帮助的部分不采用。"
                "只需一两分钟，改变通常很小；留出的问题显示有提升时才会上线。",
            )
        )
    elif what:
        st.caption(
            say(
                "A reranker reads question and passage together and orders the best candidates; evaluating it takes many "
                "minutes on a CPU.",
                "重排模型同时读取问题和段落，为最佳候选排序；在 CPU 上评测需要较长时间。",
            )
        )
    return what


def _start(session: Session, order: TrainingOptions) -> None:
    """Start or continue a run.

    Raises:
        IndexBusyError: If a run is in progress.
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
                    "It stops after the current step; finished work is kept.",
                    "将在当前步骤之后停止，已完成的部分会保留。",
                )
            )
        if state is not None:
            training_outcomes.curves(session, state.run)
            if behind := shown.stages_behind(state, say):
                with st.expander(say("Finished steps", "已完成的步骤")):
                    for sentence in behind:
                        st.text(sentence)
        return
    if st.session_state.get("training.seen") != job.number:
        st.session_state["training.seen"] = job.number
        st.rerun()
    if job.state == "failed" and job.error:
        show_fault(
            say("The last run failed. The live model is unchanged.", "上一次运行失败，当前模型不受影响。"),
            job.error,
            say,
        )
    elif job.state == "cancelled":
        st.info(
            say(
                "Stopped. Finished work is kept: select the run below to continue it.",
                "已停止。已完成的部分都保留着，可在下方选择该运行并继续。",
            ),
            icon=":material/cancel:",
        )
    else:
        st.success(
            say("The run has finished; its verdict is below.", "运行已结束，结论见下方。"), icon=":material/check:"
        )


def _curated(session: Session, *, alone: bool) -> Curated | None:
    """What the log gives now; None when it cannot be read, which is shown above."""
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
    with closing(texts_at(folder)) as table:
        known = set(table.digests()[0])

        def text_of(chunk_id: str) -> str | None:
            return table.texts([chunk_id])[0] if chunk_id in known else None

        return curate(_session.feedback().events(), text_of, ONE_PERSON if alone else SEVERAL_PEOPLE)
