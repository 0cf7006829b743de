"""The token states of one index's passages, as they were stored when the passages were encoded; opened at the first query."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from quarry.indexer.embedder import Embedder, TermWeights, heads_of
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.tokens.cache import TokenCache, TokenSource
from quarry.indexer.tokens.projection import Projection, TokenBytes


@dataclass(frozen=True, slots=True)
class OpenedStates:
    """The token states of an index: their projection, and the digest of the heads that made them (empty for layer states)."""

    cache: TokenSource
    projection: Projection
    heads: str


class StoredStates:
    """The token states of an index. Safe to share between threads.

    Args:
        root: The index folder.
        chunks: Knows the digests of passages.
        fingerprint: The embedder's, which names the file of the states.
        model: Its name.
        lake: The folder of the generation in a view, where the states are in a lake.
    """

    def __init__(
        self, root: Path, chunks: ChunkTable, fingerprint: str, model: str, *, lake: Path | None = None
    ) -> None:
        self.model = model
        self._root, self._chunks, self._fingerprint, self._lake = root, chunks, fingerprint, lake
        self._lock = Lock()
        self._opened: OpenedStates | None = None

    def opened(self, embedder: Embedder) -> OpenedStates:
        """Open the file, once. Raises IndexFormatError when it is missing, or what it holds is not what the embedder gives."""
        with self._lock:
            if self._opened is None:
                self._opened = self._read()
            found = self._opened
        if heads_of(embedder) == found.heads:
            return found
        raise IndexFormatError(
            "rerankers.other_heads",
            "the token states in {folder} were made without the heads that {model} has now, or with others",
            expected="those of this model",
            do="Run `quarry index PATH --into {root} --rerank-vectors`",
            folder=self._root / "embeddings",
            model=self.model,
            root=self._root,
        )

    def of(self, chunk_ids: Sequence[str]) -> list[TokenBytes]:
        """Return the token states of passages, in order. Raises IndexFormatError when one has none."""
        digests = self._chunks.digests_of(chunk_ids)
        with self._lock:
            if self._opened is None:
                self._opened = self._read()
            states = self._opened.cache.get(digests, self._opened.projection.dim)
        whole = [one for one in states if one is not None]
        if len(whole) < len(states):
            raise _missing(self._root)
        return whole

    def terms_of(self, embedder: Embedder, chunk_ids: Sequence[str]) -> list[TermWeights]:
        """Return the term weights of passages, in order. Raises IndexFormatError when one has none."""
        opened, digests = self.opened(embedder), self._chunks.digests_of(chunk_ids)
        with self._lock:
            terms = [one for one in opened.cache.terms(digests) if one is not None]
        if len(terms) < len(digests):
            raise _missing(self._root)
        return terms

    def texts(self, chunk_ids: Sequence[str]) -> list[str]:
        """Return the texts that the states are of."""
        return self._chunks.texts(chunk_ids)

    def _read(self) -> OpenedStates:
        try:
            if self._lake is not None:
                from quarry.indexer.lake.tokens import LakeTokens

                cache: TokenSource = LakeTokens.open(self._lake)
            else:
                cache = TokenCache.read(self._root, self._fingerprint)
        except FileNotFoundError as err:
            raise _missing(self._root) from err
        projection = cache.projection()
        if projection is None:
            raise _missing(self._root)
        return OpenedStates(cache, projection, cache.heads())


def _missing(root: Path) -> IndexFormatError:
    return IndexFormatError(
        "rerankers.states_missing",
        "the token states of passages are missing from {folder}",
        expected="those of every passage",
        do="Run `quarry index PATH --into {root} --rerank-vectors`",
        folder=root / "embeddings",
        root=root,
    )
