"""What the page Documents changes: documents are taken out after a look at what would go, and folders are indexed again."""

from pathlib import Path

import streamlit as st

from quarry.app.documents.skips import remember_skips
from quarry.app.ui.index.folders import removal_words
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.jobs import Job, board
from quarry.app.ui.shared.session import Session
from quarry.indexer.build import BuildReport, build_index, remove_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.build.removal import Selection, find_documents, list_roots
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import SearchError
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest

WANTED = "documents.wanted"
TOLD = "documents.told"
_AGAIN = "index again"


def confirm_removal(session: Session) -> None:
    """Draw what the removal that was asked for would take out, and the two buttons."""
    say, state = session.say, st.session_state
    selection: Selection = state[WANTED]
    try:
        found = find_documents(session.index, selection)
    except SearchError as err:
        del state[WANTED]
        show_fault(say("Nothing was taken out.", "没有去掉任何文档。"), err, say)
        return
    with st.container(border=True):
        for sentence in removal_words(found, say):
            st.text(sentence)
        st.caption(
            say(
                "Files on disk are not touched. A new generation is made, so you can roll back.",
                "不会改动磁盘上的文件。会生成新版本，因此可以回滚。",
            )
        )
        yes, no = st.columns(2)
        if no.button(say("Cancel", "取消"), key="documents.no", width="stretch"):
            del state[WANTED]
            st.rerun()
        nothing = not found.doc_ids
        if yes.button(say("Take out", "去掉"), key="documents.yes", type="primary", width="stretch", disabled=nothing):
            del state[WANTED]
            _take_out(session, selection)


def _take_out(session: Session, selection: Selection) -> None:
    say = session.say
    try:
        with st.spinner(say("Making a new generation", "正在生成新版本")):
            report = remove_documents(session.index, selection, session.embedder())
    except SearchError as err:
        show_fault(say("Nothing was taken out.", "没有去掉任何文档。"), err, say)
        return
    one = "document" if report.removed == 1 else "documents"
    st.session_state[TOLD] = say(
        f"{report.removed:,} {one} taken out; generation {report.generation} is live.",
        f"已去掉 {report.removed:,} 个文档；版本 {report.generation} 已启用。",
    )
    st.rerun()


def index_again(session: Session) -> None:
    """Draw the button that reads the folders of the index again, and how far that is."""
    say, jobs = session.say, board(session.index)
    there = [Path(root.path) for root in list_roots(session.index) if root.there]
    job = jobs.latest(_AGAIN)
    running = job is not None and job.state == "running"
    if there and st.button(
        say("Index the folders again", "重新索引这些文件夹"), key="documents.again", disabled=running
    ):
        embedder = session.embedder()
        jobs.start(_AGAIN, lambda job: _build(session.index, there, embedder, job))
        st.rerun()
    if job is not None:
        st.fragment(_progress, run_every=1.0 if running else None)(session, job)


def _build(index: Path, folders: list[Path], embedder: Embedder | None, job: Job) -> BuildReport:
    live = Manifest.read(Generations(index).live())
    settings = BuildOptions(model_folder=live.embedder.folder if live.embedder else "", notes=live.notes)
    report = build_index(index, folders, embedder, settings, _Reported(job))
    remember_skips(index, folders, report.skipped)
    return report


class _Reported:
    """Hands the progress of a build on to its job."""

    def __init__(self, job: Job) -> None:
        self._job, self._phase, self._done, self._total = job, "", 0, 0

    def phase(self, name: str, total: int | None) -> None:
        """Take the next phase."""
        self._phase, self._done, self._total = name, 0, total or 0
        self._job.report(0, self._total, name)

    def advance(self, amount: int) -> None:
        """Take progress within the phase."""
        self._done += amount
        self._job.report(self._done, self._total, self._phase)


def _progress(session: Session, job: Job) -> None:
    say = session.say
    if job.state == "running":
        st.info(say(f"Indexing: {job.progress.done:,} done", f"正在索引：已完成 {job.progress.done:,} 项"))
        return
    if st.session_state.get("documents.seen") != job.number:  # once, so that the table is drawn anew
        st.session_state["documents.seen"] = job.number
        st.rerun()
    if job.state == "failed" and job.error:
        show_fault(say("The folders were not indexed.", "未能索引这些文件夹。"), job.error, say)
    elif isinstance(job.result, BuildReport):
        report = job.result
        st.success(
            say(
                f"{report.added} added, {report.changed} changed, {report.removed} removed, {len(report.skipped)} skipped",
                f"新增 {report.added}，更改 {report.changed}，移除 {report.removed}，跳过 {len(report.skipped)}",
            ),
            icon=":material/check:",
        )
