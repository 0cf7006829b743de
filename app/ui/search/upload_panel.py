"""Adds files or a folder from the browser: chosen, checked, indexed with a progress bar; searchable at once."""

import time
from typing import Literal

import streamlit as st

from quarry.app.ui.index.removal import confirm_removal, removal_note, told_key, wanted_key
from quarry.app.ui.search.upload_presenter import left_out_html, limits, outcome_words, progress_words
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import plain, told
from quarry.app.uploads import Upload, UploadJob
from quarry.indexer.build.removal import Selection

_LOOK = 0.15  # seconds between two polls of a running job
_PLACE = "upload"


class Desk:
    """The uploads of an index: one job at a time for all visitors."""

    def __init__(self) -> None:
        self.job: UploadJob | None = None

    def busy(self) -> bool:
        """Whether a job is running."""
        return self.job is not None and self.job.is_alive()


@st.cache_resource(show_spinner=False)
def _desk(index: str) -> Desk:  # noqa: ARG001 (the key)
    return Desk()


def upload_panel(session: Session) -> None:
    """Draw the panel, closed until it is asked for."""
    say, desk = session.say, _desk(str(session.index))
    with st.popover(say("Add documents", "添加文档"), icon=":material/upload_file:"):
        _form(session, desk)
        if desk.busy() and desk.job is not None:
            _watch(session, desk.job)
        _outcome(session)


def _form(session: Session, desk: Desk) -> None:
    say = session.say
    names = {"files": say("Files", "文件"), "folder": say("A folder", "文件夹")}
    kind = st.segmented_control(
        say("What to add", "添加什么"),
        list(names),
        format_func=names.__getitem__,
        default="files",
        required=True,
        key="upload_kind",
        label_visibility="collapsed",
    )
    several: Literal["directory", True] = "directory" if kind == "folder" else True
    with st.form("upload", border=False, clear_on_submit=True):
        # every ending is taken: the readers know many, look into files of others, and say why one cannot be read
        files = st.file_uploader(limits(say), accept_multiple_files=several, key=f"files-{kind}")
        sent = st.form_submit_button(say("Add to the index", "加入索引"), type="primary")
    if sent and not files:
        st.warning(say("Choose a file first.", "请先选择文件。"))
    elif sent and desk.busy():
        st.warning(say("Other files are being added; try again in a moment.", "正在添加其他文件，请稍后再试。"))
    elif sent and files:
        desk.job = UploadJob(session.index, [Upload(file.name, file.getvalue()) for file in files], session.embedder())
        st.session_state.my_upload = desk.job
        desk.job.start()


def _watch(session: Session, job: UploadJob) -> None:
    """Show a running job, then redraw the page from the new generation."""
    bar = st.progress(0.0)
    while job.is_alive():
        now = job.progress
        share = min(1.0, now.done / now.total) if now.total else 0.0
        bar.progress(share, progress_words(now, session.say))
        time.sleep(_LOOK)
    st.rerun()


def _outcome(session: Session) -> None:
    say, state = session.say, st.session_state
    if words := state.pop(told_key(_PLACE), ""):
        state.pop("my_upload", None)
        st.success(words)
    job: UploadJob | None = state.get("my_upload")
    if job is None or job.is_alive():
        return
    report = job.report
    if job.error:
        reason = plain(told(job.error, say))
        st.error(say(f"Nothing was added: {reason}", f"没有添加任何内容：{reason}"))
    elif report is None:
        st.info(say("No file could be added.", "没有可以加入的文件。"))
    elif report.added or report.changed:
        st.success(outcome_words(report, job.known, say))
    else:
        st.info(outcome_words(report, job.known, say))
    if job.skipped:
        st.html(left_out_html(job.skipped, say))
    if job.added:
        _removal(session, job)


def _removal(session: Session, job: UploadJob) -> None:
    """Offer to take out what the job added; what was in the index before stays."""
    state = st.session_state
    if wanted_key(_PLACE) in state:
        confirm_removal(session, _PLACE, removal_note(session))
    elif st.button(
        session.say("Take out what was just added", "去掉刚才添加的文档"), key="upload_undo", icon=":material/undo:"
    ):
        state[wanted_key(_PLACE)] = Selection(doc_ids=job.added)
        st.rerun()
