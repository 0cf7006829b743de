"""Follows an index for as long as a program runs: the live generation answers, and a newer one takes over by itself.

    live = LiveSearcher(Path("my-index"))            # opens the live generation and loads its models
    live.newest().search("how do I renew a book?")   # checks for a newer generation first
    live.follow(5.0)                                 # or: checks every 5 seconds in a thread; `live.searcher` is the newest

A new generation keeps the models that are loaded when it was built with the same ones. While it is opened and its models
are loaded, the old one answers; when it cannot be opened, the old one keeps answering and says so.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from quarry.indexer.embedder import Embedder
from quarry.indexer.messages import Message
from quarry.indexer.models.batching import collect
from quarry.indexer.opened import Index
from quarry.indexer.principals import Principals
from quarry.retriever.base import Reranker
from quarry.retriever.models.lazy import LazyEmbedder, LazyReranker
from quarry.retriever.searcher import Searcher


class LiveSearcher:
    """Hands out the searcher of the live generation, with its models loaded. Safe to share between threads.

    Example:
        >>> live = LiveSearcher(Path("my-index"))
        >>> live.newest().index.generation
        '000001'
        >>> live.problem is None
        True
    """

    def __init__(
        self,
        root: Path,
        *,
        embedder: Embedder | None = None,
        rerank: str | Reranker | None = "late",
        device: str = "auto",
        shared: Callable[[Reranker], Reranker] = lambda reranker: reranker,
    ) -> None:
        """Open the live generation and load its models.

        Args:
            root: The index folder.
            embedder: A loaded one to use; None loads the one the index was built with.
            rerank: A reranker, or `none`, `auto`, an id or a folder.
            device: Where models run.
            shared: Wraps the loaded reranker, for callers that use it at the same time.

        Raises:
            IndexFormatError: If the folder is not an index, or is damaged.
            IndexMismatchError: If `embedder` is not the one the index was built with.
        """
        index = Index.open(root)
        if embedder is not None:
            index.check_embedder(embedder.spec)
        self.root = root
        self._searcher = Searcher(
            index, LazyEmbedder(index, embedder, device), LazyReranker(rerank, device, index, shared)
        )
        self.warnings = self._searcher.warm()  # why a model could not be loaded
        self._taking_over = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def seen_by(self, principals: Principals | None) -> "LiveSearcher":
        """Return it as somebody may see the index; None sees everything."""
        return self if principals is None else SeenLive(self, principals)

    @property
    def searcher(self) -> Searcher:
        """The searcher of the newest generation that could be opened. Reads nothing from disk."""
        return self._searcher

    @property
    def reranker(self) -> LazyReranker:
        """The reranker of that generation."""
        return self._searcher.lazy_reranker

    @property
    def problem(self) -> Message | None:
        """Why a newer generation does not answer; None when the newest does."""
        return self._searcher.behind

    def embedder(self) -> Embedder | None:
        """Return the model of that generation, None for a lexical-only index.

        Raises:
            ModelError: If it cannot be loaded.
            IndexMismatchError: If it is no longer the one the index was built with.
        """
        searcher = self._searcher
        if searcher.index.vectors is None or searcher.index.manifest.embedder is None:
            return None
        return searcher.lazy_embedder.get()

    def newest(self) -> Searcher:
        """Take over a newer generation when there is one; return the searcher.

        One thread opens it and loads its models; the others get the old searcher meanwhile.
        """
        if self._taking_over.acquire(blocking=False):
            try:
                self._take_over()
            finally:
                self._taking_over.release()
        return self._searcher

    def refresh(self) -> None:
        """Take over a newer generation when there is one, after any thread that is already doing so."""
        with self._taking_over:
            self._take_over()

    def follow(self, every_s: float) -> None:
        """Check for a newer generation every `every_s` seconds, in a thread, until `close`."""

        def check() -> None:
            while not self._stop.wait(every_s):
                self.refresh()

        self._thread = threading.Thread(target=check, name="quarry-follow", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _take_over(self) -> None:
        newer = self._searcher.newest()
        if newer is self._searcher:
            return
        self.warnings = newer.warm()
        self._searcher = newer
        collect()  # the old generation may hang in a circle of references, with files and vectors


class SeenLive(LiveSearcher):
    """A live searcher as somebody may see its index; the other one follows the live generation for both."""

    def __init__(self, whole: LiveSearcher, principals: Principals) -> None:
        self._whole, self._principals = whole, principals
        self.root = whole.root
        self.warnings = whole.warnings

    @property
    def searcher(self) -> Searcher:
        """The searcher of the newest generation that could be opened, without what is hidden."""
        return self._whole.searcher.seen_by(self._principals)

    @property
    def reranker(self) -> LazyReranker:
        """The reranker of that generation."""
        return self._whole.reranker

    @property
    def problem(self) -> Message | None:
        """Why a newer generation does not answer; None when the newest does."""
        return self._whole.problem

    def embedder(self) -> Embedder | None:
        """Return the model of that generation. Raises as `LiveSearcher.embedder`."""
        return self._whole.embedder()

    def newest(self) -> Searcher:
        """Take over a newer generation when there is one; return the searcher."""
        return self._whole.newest().seen_by(self._principals)

    def refresh(self) -> None:
        """Take over a newer generation when there is one."""
        self._whole.refresh()

    def follow(self, every_s: float) -> None:
        """Follow with the other one, which does."""

    def close(self) -> None:
        """Leave the other one open."""
