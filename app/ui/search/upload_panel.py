"""Adds files from the browser: chosen, checked, indexed with a progress bar; searchable at once."""

import time

import streamlit as st

from quarry.app.ui.index.first import phase_name
from quarry.app.ui.search.upload_presenter import left_out_html
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import counted, plain, told
from quarry.app.uploads import MAX_FILE_MEGABYTES, MAX_FILES, Upload, UploadJob

_LOOK = 0.15  # seconds between two polls of a running job
_TYPES = ["txt", "md", "html", "htm", "pdf", "docx", "pptx", "xlsx", "epub", "csv", "tsv", "json", "jsonl", "xml"]


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
    """Draw the panel."""
    say, desk = session.say, _desk(str(session.index))
    with st.expander(say("Add documents", "添加文档"), icon=":material/upload_file:"):
        with st.form("upload", border=False, clear_on_submit=True):
            files = st.file_uploader(
                say(
                    f"Up to {MAX_FILES} files of {MAX_FILE_MEGABYTES} MB each, added to this index for everyone who uses it.",
                    f"一次最多 {MAX_FILES} 个文件，每个不超过 {MAX_FILE_MEGABYTES} MB；加入后所有使用此索引的人都能搜到。",
                ),
                type=_TYPES,
                accept_multiple_files=True,
                key="files",
            )
            sent = st.form_submit_button(say("Add to the index", "加入索引"), type="primary")
        if sent and not files:
            st.warning(say("Choose a file first.", "请先选择文件。"))
        elif sent and desk.busy():
            st.warning(say("Other files are being added; try again in a moment.", "正在添加其他文件，请稍后再试。"))
        elif sent and files:
            desk.job = UploadJob(
                session.index, [Upload(file.name, file.getvalue()) for file in files], session.embedder()
            )
            st.session_state.my_upload = desk.job
            desk.job.start()
        if desk.busy() and desk.job is not None:
            _watch(session, desk.job)
        _outcome(session)


def _watch(session: Session, job: UploadJob) -> None:
    """Show a running job, then redraw the page from the new generation."""
    bar = st.progress(0.0)
    while job.is_alive():
        now = job.progress
        share = min(1.0, now.done / now.total) if now.total else 0.0
        count = f" {now.done}/{now.total}" if now.total else ""
        bar.progress(share, phase_name(now.phase, session.say) + count)
        time.sleep(_LOOK)
    st.rerun()


def _outcome(session: Session) -> None:
    job: UploadJob | None = st.session_state.get("my_upload")
    if job is None or job.is_alive():
        return
    say, report = session.say, job.report
    if job.error:
        reason = plain(told(job.error, say))
        st.error(say(f"Nothing was added: {reason}", f"没有添加任何内容：{reason}"))
    elif report is None or not (report.added or report.changed):
        st.info(
            say("No file could be added.", "没有可以加入的文件。")
            if job.skipped
            else say("Nothing new was found in these files.", "这些文件里没有新内容。")
        )
    else:
        new = report.added + report.changed
        st.success(
            say(
                f"{counted(new, 'document', 'documents')} added; the index now has {counted(report.documents, 'document', 'documents')}.",
                f"已添加 {new} 个文档；索引现有 {report.documents} 个文档。",
            )
        )
    if job.skipped:
        st.html(left_out_html(job.skipped, say))
