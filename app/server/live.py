"""The live generation of an index, kept open; a new one takes over without a restart and keeps the loaded model."""

import threading
from collections.abc import Callable
from pathlib import Path

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import SearchError
from quarry.indexer.opened import Index
from quarry.indexer.storage.generations import Generations
from quarry.retriever.base import Reranker
from quarry.retriever.searcher import Searcher
from quarry.retriever.stages.models import EmbedderSupply, RerankerSupply


class LiveIndex:
    """Gives out the searcher of the live generation. Safe to share between threads."""

    def __init__(
        self,
        root: Path,
        *,
        embedder: Embedder | None = None,
        rerank: str | Reranker = "none",
        device: str = "auto",
        shared: Callable[[Reranker], Reranker] = lambda reranker: reranker,
    ) -> None:
        """Open the live generation and load its models.

        Args:
            root: The index folder.
            embedder: A loaded one to use; None loads the one the index was built with.
            rerank: A reranker, or `none`, `auto`, an id or a folder.
            device: Where models run.
            shared: Makes of the reranker what several callers use at once.

        Raises:
            IndexFormatError: If the folder is not an index, or is damaged.
            IndexMismatchError: If `embedder` is not the one the index was built with.
        """
        self.root = root
        self.problem = ""  # why a newer generation could not be taken
        self._device, self._given, self._rerank, self._shared = device, embedder, rerank, shared
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loaded: dict[str, Embedder] = {}
        self._rerankers: dict[str, RerankerSupply] = {}
        self._searcher, self._supply, self.reranker = self._open()
        self.warnings = self._searcher.warm()

    @property
    def searcher(self) -> Searcher:
        """The searcher of the newest generation that could be opened."""
        return self._searcher

    def embedder(self) -> Embedder | None:
        """Return the model of the live generation, None for a lexical-only index.

        Raises:
            ModelError: If it cannot be had.
        """
        searcher, supply = self._searcher, self._supply
        if searcher.index.vectors is None or searcher.index.manifest.embedder is None:
            return None
        return supply.get()

    def refresh(self) -> None:
        """Take a newer generation now, when there is one. When it cannot be opened, the old one goes on answering."""
        with self._lock:
            try:
                if Generations(self.root).pointer().generation == self._searcher.index.generation:
                    self.problem = ""
                    return
                searcher, supply, reranker = self._open()
                self.warnings = searcher.warm()
            except (SearchError, OSError) as err:
                self.problem = f"a newer generation could not be opened: {err}"
                return
            self._searcher, self._supply, self.reranker, self.problem = searcher, supply, reranker, ""

    def follow(self, every_s: float) -> None:
        """Look for a new generation again and again, in a thread."""

        def look() -> None:
            while not self._stop.wait(every_s):
                self.refresh()

        self._thread = threading.Thread(target=look, name="quarry-follow", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _open(self) -> tuple[Searcher, EmbedderSupply, RerankerSupply]:
        index = Index.open(self.root)
        facts = index.manifest.embedder
        known = self._loaded.get(facts.fingerprint) if facts else None
        if known is None and self._given is not None:
            index.check_embedder(self._given.spec)
            known = self._given
        supply = EmbedderSupply(index, known, self._device)
        if facts is not None and index.vectors is not None and not supply.warm():
            self._loaded = {facts.fingerprint: supply.get()}  # of an older model's generation nothing is kept
        index.analyzer.query_tokens("预热")  # the Chinese dictionary is read now, not by the first question
        recorded = index.manifest.reranker.digest if index.manifest.reranker else ""
        reranker = self._rerankers.get(recorded) or RerankerSupply(self._rerank, self._device, index, self._shared)
        self._rerankers = {recorded: reranker}
        return Searcher(index, supply, reranker), supply, reranker
