"""Whether the folders of the index are watched, and the switch that watches them from the app."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from quarry.app.keeping import Keeper
from quarry.app.ui.documents import presenter as shown
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.jobs import Job, board
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import told
from quarry.app.watched import watched
from quarry.app.wiring import ChosenModel
from quarry.indexer.build import BuildReport
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.build.removal import list_roots
from quarry.indexer.corpus.watcher import FolderWatch
from quarry.indexer.embedder import Embedder
from quarry.indexer.messages import Message
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest

_WATCH = "watch"


def watch_state(session: Session) -> None:
    """Draw whether the folders are watched, with the button that begins or ends it."""
    job = board(session.index).latest(_WATCH)
    running = job is not None and job.state == "running"
    st.fragment(_state, run_every=3.0 if running or watched(session.index) else None)(session, job)


def _state(session: Session, job: Job | None) -> None:
    say = session.say
    found = watched(session.index)
    running = job is not None and job.state == "running"
    st.text(shown.watch_words(found, say, session.clock, begins=running))
    if running and job is not None:
        if isinstance(job.detail, Message):
            st.text(told(job.detail, say))
        if st.button(say("Stop watching", "停止监视"), key="documents.unwatch", disabled=job.stopping):
            job.cancel()
            st.rerun()
        return
    if job is not None and job.state == "failed" and job.error:
        show_fault(say("The folders are not watched.", "未能监视这些文件夹。"), job.error, say)
    folders = [Path(root.path) for root in list_roots(session.index) if root.there]
    if found is None and folders and st.button(say("Watch the folders", "监视这些文件夹"), key="documents.watch"):
        embedder = session.embedder()
        board(session.index).start(_WATCH, lambda job: _keep(session, folders, embedder, job))
        st.rerun()


def _keep(session: Session, folders: Sequence[Path], embedder: Embedder | None, job: Job) -> None:
    """Keep the index in step until the job is asked to stop.

    Raises:
        SearchError: From `Keeper.run`.
    """
    settings = BuildOptions.of_live(session.index)
    voice = _Voice(job)
    keeper = Keeper(
        session.index,
        FolderWatch(folders, job.stop, remark=voice.remark),
        ChosenModel(embedder, settings.model_folder, (), settings.notes),
        settings,
        voice=voice,
        stop=job.stop,
        reload=lambda: _live_model(session),
    )
    keeper.run()


def _live_model(session: Session) -> ChosenModel:
    facts = Manifest.read(Generations(session.index).live()).embedder
    return ChosenModel(session.embedder(), facts.folder if facts else "", ())


class _Voice:
    """Keeps the last thing that a person should know as the job's detail."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def phase(self, name: str, total: int | None) -> None:
        """Ignore it: builds of a watch are short."""

    def advance(self, amount: int) -> None:
        """Ignore it."""

    def round(self, report: BuildReport, model: str) -> None:  # noqa: ARG002 (Voice)
        """A build went well, so what was said before is over."""
        self._job.detail = None

    def failure(self, error: Message, retry_s: float) -> None:  # noqa: ARG002 (Voice)
        """Show it."""
        self._job.detail = error

    def remark(self, message: Message) -> None:
        """Show it."""
        self._job.detail = message
