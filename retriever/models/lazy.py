"""The models of a searcher: each is loaded once, when it is first needed; when that fails, the reason is kept."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import ModelError, SearchError, cause_of
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.retriever.base import Reranker
from quarry.retriever.models.recorded import recorded_embedder, served_reranker, usable_device
from quarry.retriever.ranking import StageReport
from quarry.retriever.stages.guard import DENSE_SEARCH, THE_RERANKER, Guard
from quarry.retriever.stages.hybrid import bm25_answered
from quarry.retriever.stages.rerank import first_order_stands

if TYPE_CHECKING:
    pass


_NOT_LOADED = (SearchError, OSError, RuntimeError, ValueError, ImportError, MemoryError)


class LazyEmbedder:
    """The embedder that an index was built with."""

    def __init__(self, index: Index, embedder: Embedder | None, device: str) -> None:
        self._index = index
        self._embedder = embedder
        self._device = device
        self._failure: Message | None = None
        self.notice: Message | None = None  # what the user should know about how the model runs
        self._lock = threading.Lock()
        self.guard = Guard(DENSE_SEARCH)

    def unavailable(self) -> Message | None:
        """Load the model when needed; return why dense search cannot run, None when it can."""
        if self._index.vectors is None or self._index.manifest.embedder is None:
            return Message.of(
                "stages.no_vectors",
                "this index has no vectors; BM25 answered",
                do="Build them with `quarry index PATH --into {index} --model auto --rebuild`",
                index=str(self._index.root),
            )
        failure = self.warm()
        return failure and bm25_answered(failure)

    def for_generation(self, index: Index) -> "LazyEmbedder":
        """Return the embedder of another generation of the index: the loaded one, when that was built with the same model."""
        facts, loaded = index.manifest.embedder, self._embedder
        if loaded is None or facts is None or facts.fingerprint != loaded.spec.fingerprint:
            return LazyEmbedder(index, None, self._device)
        # document vectors are alike, but queries may be formatted in another way now
        before = self._index.manifest.embedder
        wanted = facts.to_spec().query_format
        same = wanted == loaded.spec.query_format or (before is not None and wanted == before.to_spec().query_format)
        return LazyEmbedder(index, loaded if same else None, self._device)

    def get(self) -> Embedder:
        """Return the embedder, loading it when needed.

        Raises:
            ModelError: If it cannot be found or loaded.
            IndexMismatchError: If what is found under its name is not what the index was built with.
        """
        with self._lock:
            if self._embedder is None:
                self._embedder = self._load()
            return self._embedder

    def warm(self) -> Message | None:
        """Load the model now; return why that failed, None when it did not. A failure is remembered."""
        if self._embedder is None and self._failure is None and self._index.vectors is not None:
            try:
                self.get()
            except _NOT_LOADED as err:
                self._failure = Message.of(
                    "stages.embedder_not_loaded",
                    "the embedding model could not be loaded: {error}",
                    error=cause_of(err),
                )
        return self._failure

    def _load(self) -> Embedder:
        facts = self._index.manifest.embedder
        if facts is None:
            raise ModelError("stages.no_embedder", "the index names no embedder", expected="one beside its vectors")
        device, self.notice = usable_device(self._device)
        embedder = recorded_embedder(self._index.root, facts, device)
        self._index.check_embedder(embedder.spec)
        return embedder


LATE = "late"  # late interaction only


class LazyReranker:
    """The reranker of a searcher: none, a loaded one, or one to find and load.

    `auto` means the one tuned for the index, when it records one, else the best one on this machine. `late` means none:
    late interaction (`quarry.retriever.rerankers.late_interaction`) belongs to the index, not to a model.
    """

    def __init__(
        self,
        wanted: str | Reranker | None,
        device: str,
        index: Index | None = None,
        shared: Callable[[Reranker], Reranker] = lambda reranker: reranker,
    ) -> None:
        """Nothing is loaded yet; `shared` wraps the loaded reranker, for callers that use it at the same time."""
        self._root = index.root if index else Path()
        self._recorded = index.manifest.reranker if index else None  # not the index itself, which holds its generation
        self._asked = wanted
        self._wanted = wanted if isinstance(wanted, str) else None
        self._reranker = None if wanted is None or isinstance(wanted, str) else shared(wanted)
        self._shared = shared
        self._device = device
        self._report = StageReport("rerank", "off", Message.of("stages.not_wanted", "no reranker was asked for"))
        self._lock = threading.Lock()
        self.guard = Guard(THE_RERANKER)

    @property
    def late(self) -> bool:
        """Whether late interaction is wanted: always, unless no reranking at all is."""
        return self._asked not in (None, "none")

    @property
    def tuned(self) -> str:
        """The digest of the reranker that was tuned for this index, where it is the one that is wanted; else empty."""
        return self._recorded.digest if self._asked == "auto" and self._recorded else ""

    def for_generation(self, index: Index) -> "LazyReranker":
        """Return the reranker of another generation of the index: this one, unless that records another."""
        if index.manifest.reranker == self._recorded:
            return self
        return LazyReranker(self._asked, self._device, index, self._shared)

    def get(self) -> tuple[Reranker | None, StageReport]:
        """Return the reranker, loading it when needed; or None and the report that says why."""
        with self._lock:
            if self._reranker is None and self._wanted not in (None, "none", LATE):
                self._load(str(self._wanted))
                self._wanted = None
            return self._reranker, self._report

    def warm(self) -> Message | None:
        """Load the reranker now; return why that failed when one was asked for, else None."""
        _, report = self.get()
        return report.reason if report.degrades else None

    def _load(self, wanted: str) -> None:
        from quarry.retriever.rerankers.cross_encoder import load_reranker

        facts = self._recorded if wanted == "auto" else None
        try:
            source = served_reranker(self._root, facts, wanted)
            if source is None:
                reason = Message.of("stages.no_reranker", "no reranker is on this machine", do="See `quarry models`")
                self._report = StageReport("rerank", "off", reason)
                return
            device, _ = usable_device(self._device)
            name = facts.model if facts else source.model
            self._reranker = self._shared(load_reranker(source.folder, model_id=name, device=device))
        except _NOT_LOADED as err:
            failure = Message.of(
                "stages.reranker_not_loaded", "the reranker could not be loaded: {error}", error=cause_of(err)
            )
            self._report = StageReport("rerank", "missing", first_order_stands(failure))
