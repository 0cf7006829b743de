"""What every page of the app knows: the index, the visitor, the language, and the models, which are loaded once."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import streamlit as st

from quarry.app.ui.shared.password import ask_password
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.models.batching import collect
from quarry.indexer.storage.generations import Generations
from quarry.training.feedback.log import FeedbackLog, feedback_path

if TYPE_CHECKING:
    from quarry.indexer.embedder import Embedder
    from quarry.indexer.opened import Index
    from quarry.retriever.searcher import Searcher
    from quarry.retriever.stages.models import EmbedderSupply, RerankerSupply

__all__ = ["Language", "Session", "current", "evaluations_path", "feedback_path"]

Language = Literal["en", "zh"]
INDEX_VARIABLE = "QUARRY_UI_INDEX"
RERANK_VARIABLE = "QUARRY_UI_RERANK"
DEVICE_VARIABLE = "QUARRY_UI_DEVICE"
_MODELS = 2  # that stay loaded: the live one, and the one before for who still reads its answers


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
        """Return the searcher of the live generation; it is opened and its models are loaded once, for all visitors.

        Raises:
            IndexFormatError: If the index is gone or damaged.
        """
        generation = Generations(self.index).pointer().generation
        while True:
            try:
                return _searcher(str(self.index), generation, self.rerank, self.device)
            except IndexFormatError:
                newer = Generations(self.index).pointer().generation
                if newer == generation:
                    raise
                generation = newer  # pruned between looking and opening: another one is live

    def embedder(self) -> "Embedder | None":
        """Return the loaded model of the live generation; None for a lexical-only index, or when it cannot be had."""
        facts = self.searcher().index.manifest.embedder
        return _embedders().get(f"{facts.fingerprint} {self.device}") if facts else None

    def feedback(self) -> FeedbackLog:
        """Return the index's feedback log."""
        return _feedback(str(self.index))


def current() -> Session:
    """Return the session of the page that is being drawn; the page stops here until the password was given, where one is set.

    Every page asks for its session first, so none can be reached without the password.
    """
    state = st.session_state
    if "visitor" not in state:
        state.visitor = uuid4().hex
    session = Session(
        index=Path(os.environ[INDEX_VARIABLE]),
        visitor=state.visitor,
        language="zh" if state.get("language") == "zh" else "en",
        rerank=os.environ.get(RERANK_VARIABLE, "auto"),
        device=os.environ.get(DEVICE_VARIABLE, "auto"),
    )
    ask_password(session.say)
    return session


@st.cache_resource(max_entries=2, show_spinner=False)
def _searcher(index: str, generation: str, rerank: str, device: str) -> "Searcher":
    """One searcher for each generation; two are kept, so that a switch does not stop those who are reading."""
    from quarry.indexer.opened import Index
    from quarry.retriever.searcher import Searcher

    collect()  # what earlier generations left: the server does not collect after each draw (`quarry.app.cli.commands.ui`)
    opened = Index.open(Path(index), generation=generation)
    searcher = Searcher(opened, _embedder_supply(opened, device), _reranker_supply(rerank, device, opened))
    searcher.warm()
    opened.analyzer.query_tokens("预热")  # the Chinese dictionary is read now, not by the first question
    return searcher


def _embedder_supply(index: "Index", device: str) -> "EmbedderSupply":
    """A new generation of the same model takes over the loaded model."""
    from quarry.retriever.stages.models import EmbedderSupply

    facts = index.manifest.embedder
    if facts is None or index.vectors is None:
        return EmbedderSupply(index, None, device)
    loaded, key = _embedders(), f"{facts.fingerprint} {device}"
    supply = EmbedderSupply(index, loaded.get(key), device)
    if not supply.warm():
        loaded[key] = supply.get()
        for old in list(loaded)[:-_MODELS]:
            del loaded[old]
    return supply


@st.cache_resource(show_spinner=False)
def _embedders() -> "dict[str, Embedder]":
    """The loaded embedders by fingerprint and device."""
    return {}


def _reranker_supply(rerank: str, device: str, index: "Index") -> "RerankerSupply":
    """A new generation with the same reranker takes over the loaded one."""
    from quarry.retriever.stages.models import RerankerSupply

    recorded = index.manifest.reranker
    key = f"{rerank} {recorded.digest if recorded else ''} {device}"
    known = _rerankers()
    if key not in known:
        for older in list(known)[:-1]:
            known.pop(older, None)
        known[key] = RerankerSupply(rerank, device, index)
    return known[key]


@st.cache_resource(show_spinner=False)
def _rerankers() -> "dict[str, RerankerSupply]":
    """The two newest rerankers by what is asked for and recorded, and by device; each is loaded at the first need."""
    return {}


@st.cache_resource(show_spinner=False)
def _feedback(index: str) -> FeedbackLog:
    return FeedbackLog.open(feedback_path(Path(index)))


def evaluations_path(index: Path) -> Path:
    """Return where evaluations made in the app are saved."""
    return index / "evaluations"
