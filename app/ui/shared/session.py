"""What every page shares: the index, the visitor, the language, and the models, which are loaded once."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import streamlit as st

from quarry.app.ui.shared.clock import Clock
from quarry.app.ui.shared.everyone import check_everyone_may_see
from quarry.app.ui.shared.password import ask_password
from quarry.app.wiring import embedder_asking
from quarry.app.words import InterfaceLanguage
from quarry.training.feedback.log import FeedbackLog, feedback_path

if TYPE_CHECKING:
    from quarry.indexer.embedder import Embedder
    from quarry.retriever.live import LiveSearcher
    from quarry.retriever.searcher import Searcher

__all__ = ["Session", "current", "evaluations_path", "feedback_path"]

INDEX_VARIABLE = "QUARRY_UI_INDEX"
RERANK_VARIABLE = "QUARRY_UI_RERANK"
DEVICE_VARIABLE = "QUARRY_UI_DEVICE"
VISITOR_COOKIE = "quarry_visitor"
LANGUAGE_COOKIE = "quarry_language"
LANGUAGES: tuple[InterfaceLanguage, ...] = ("en", "zh")
_VISITOR = re.compile("[0-9a-f]{32}")
EXAMPLES_VARIABLE = "QUARRY_UI_EXAMPLES"


@dataclass(frozen=True, slots=True)
class Session:
    """One visitor in front of one index.

    Attributes:
        index: The index folder.
        visitor: Anonymous id of the browser, kept in a cookie; stored with each judgement.
        language: Language of the interface.
        rerank: The reranker that the app was started with: `none`, `auto`, an id or a folder.
        device: Device that models run on.
        clock: In the time zone of the browser.
    """

    index: Path
    visitor: str
    language: InterfaceLanguage
    rerank: str
    device: str
    clock: Clock

    def say(self, english: str, chinese: str) -> str:
        """Return the text in the interface's language."""
        return chinese if self.language == "zh" else english

    def searcher(self) -> "Searcher":
        """Return the searcher of the live generation; it is opened and its models are loaded once, for all visitors.

        Raises:
            IndexFormatError: If the index is gone or damaged.
        """
        return _live(str(self.index), self.rerank, self.device).newest()

    def embedder(self) -> "Embedder | None":
        """Return the loaded model of the live generation, for writing; None for a lexical-only index, or when it cannot be loaded."""
        from quarry.retriever.models.recorded import as_recorded

        searcher = self.searcher()
        return as_recorded(searcher.embedder(), searcher.index.manifest)

    def feedback(self) -> FeedbackLog:
        """Return the index's feedback log."""
        return _feedback(str(self.index))


def current() -> Session:
    """Return the session of the current page; the page stops here until the password is given, where one is set.

    Every page asks for its session first, so none can be reached without the password, and none shows an index with documents that
    not everybody may see.
    """
    state = st.session_state
    if "visitor" not in state:
        kept = str(st.context.cookies.get(VISITOR_COOKIE, ""))
        state.visitor = kept if _VISITOR.fullmatch(kept) else uuid4().hex
    session = Session(
        index=Path(os.environ[INDEX_VARIABLE]),
        visitor=state.visitor,
        language="zh" if state.get("language") == "zh" else "en",
        rerank=os.environ.get(RERANK_VARIABLE, "auto"),
        device=os.environ.get(DEVICE_VARIABLE, "auto"),
        clock=Clock.of_browser(st.context.timezone, st.context.timezone_offset),
    )
    ask_password(session.say)
    check_everyone_may_see(session.index, session.say)
    return session


def kept_language() -> str | None:
    """Return the language that was chosen on an earlier visit, None for none."""
    kept = str(st.context.cookies.get(LANGUAGE_COOKIE, ""))
    return kept if kept in LANGUAGES else None


def remember_visitor(session: Session, browser: InterfaceLanguage) -> None:
    """Let the browser keep the visitor's id and language for a year, so that a reload is not another visitor.

    Args:
        session: Of the visitor.
        browser: The language that a new visitor gets, which need not be kept.
    """
    kept = {}
    if st.context.cookies.get(VISITOR_COOKIE) != session.visitor:
        kept[VISITOR_COOKIE] = session.visitor  # which is hexadecimal
    spoken: set[str] = st.session_state.setdefault("languages_spoken", set())
    spoken.add(session.language)
    if len(spoken) > 1 or session.language != (kept_language() or browser):
        kept[LANGUAGE_COOKIE] = session.language
    if kept:
        lines = [
            f"document.cookie = '{name}={value}; max-age={365 * 86_400}; path=/; samesite=strict'"
            for name, value in kept.items()
        ]
        st.html(f"<script>{'; '.join(lines)}</script>", unsafe_allow_javascript=True)


@st.cache_resource(show_spinner=False)
def _live(index: str, rerank: str, device: str) -> "LiveSearcher":
    """The live generation and its models, for all visitors; a visitor who reads older answers keeps their searcher."""
    from quarry.retriever.live import LiveSearcher

    examples = os.environ.get(EXAMPLES_VARIABLE)
    embedder = embedder_asking(Path(index), Path(examples) if examples else None, device)
    return LiveSearcher(Path(index), embedder=embedder, rerank=rerank, device=device)


@st.cache_resource(show_spinner=False)
def _feedback(index: str) -> FeedbackLog:
    return FeedbackLog.open(feedback_path(Path(index)))


def evaluations_path(index: Path) -> Path:
    """Return the folder where evaluations of the app are saved."""
    return index / "evaluations"
