"""What the page Documents starts: the folders are indexed again."""

from pathlib import Path

import streamlit as st

from quarry.app.calibrating import calibrate_built
from quarry.app.documents.skips import remember_skips
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.jobs import BuildWatch, Job, board
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import safe
from quarry.indexer.build import BuildReport, build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.build.removal import list_roots
from quarry.indexer.embedder import Embedder

_AGAIN = "index again"


def index_again(session: Session) -> None:
    """Draw the button that reads the folders of the index again, and how far that is."""
    say, jobs = session.say, board(session.index)
    there = [Path(root.path) for root in list_roots(session.index) if root.there]
    job = jobs.latest(_AGAIN)
    running = job is not None and job.state == "running"
    named = safe(", ".join(map(str, there)))  # the index names them, and it may be somebody else's
    if there and st.button(
        say("Index the folders again", "重新索引这些文件夹"),
        key="documents.again",
        disabled=running,
        help=say(f"Reads what has changed in {named}", f"读取 {named} 中的更改"),
    ):
        embedder = session.embedder()
        jobs.start(_AGAIN, lambda job: _build(session.index, there, embedder, job))
        st.rerun()
    if job is not None:
        st.fragment(_progress, run_every=1.0 if running else None)(session, job)


def _build(index: Path, folders: list[Path], embedder: Embedder | None, job: Job) -> BuildReport:
    report = build_index(index, folders, embedder, BuildOptions.of_live(index), BuildWatch(job))
    calibrate_built(index, embedder)
    remember_skips(index, folders, report.skipped)
    return report


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
