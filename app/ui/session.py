"""What every page of the app knows: the index, the visitor, the language, and the models, which are loaded once."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import streamlit as st

from indexer.generations import Generations

if TYPE_CHECKING:
    from retriever.searcher import Searcher
    from training.feedback import FeedbackLog

Language = Literal["en", "zh"]
INDEX_VARIABLE = "QUARRY_UI_INDEX"
RERANK_VARIABLE = "QUARRY_UI_RERANK"
DEVICE_VARIABLE = "QUARRY_UI_DEVICE"


@dataclass(frozen=True, slots=True)
class Session:
    """One visitor in front of one index.

    Attributes:
        index: The index folder.
        visitor: Anonymous id, new for every browser session; it goes with each judgement.
        language: Of the interface.
        rerank: The reranker that the app was started with: `none`, `auto`, an id or a folder.
        device: Where models run.
    """

    index: Path
    visitor: str
    language: Language
    rerank: str
    device: str

    def say(self, english: str, chinese: str) -> str:
        """Return the one of two texts that is in the interface's language."""
        return chinese if self.language == "zh" else english

    def searcher(self) -> "Searcher":
        """Return the searcher of the live generation; it is opened and its models are loaded once, for all visitors."""
        return _searcher(str(self.index), Generations(self.index).pointer().generation, self.rerank, self.device)

    def feedback(self) -> "FeedbackLog":
        """Return the index's feedback log."""
        return _feedback(str(self.index))


def current() -> Session:
    """Return the session of the page that is being drawn."""
    state = st.session_state
    if "visitor" not in state:
        state.visitor = uuid4().hex
    return Session(
        index=Path(os.environ[INDEX_VARIABLE]),
        visitor=state.visitor,
        language=state.get("language", "en"),
        rerank=os.environ.get(RERANK_VARIABLE, "auto"),
        device=os.environ.get(DEVICE_VARIABLE, "auto"),
    )


@st.cache_resource(max_entries=2, show_spinner=False)
def _searcher(index: str, generation: str, rerank: str, device: str) -> "Searcher":
    """One searcher for each generation; two are kept, so that a switch does not stop those who are reading."""
    from retriever.searcher import Searcher

    searcher = Searcher.open(index, rerank=rerank, device=device, generation=generation)
    searcher.warm()
    return searcher


@st.cache_resource(show_spinner=False)
def _feedback(index: str) -> "FeedbackLog":
    from training.feedback import FeedbackLog

    return FeedbackLog.open(feedback_path(Path(index)))


def feedback_path(index: Path) -> Path:
    """Return where an index keeps what its users said; it stays when generations come and go."""
    return index / "feedback.sqlite"


def evaluations_path(index: Path) -> Path:
    """Return where evaluations made in the app are saved."""
    return index / "evaluations"
