"""From passages to vectors, and to token states for the second stage: only what no earlier build has encoded.

Longest passages first, so that a forward pass holds texts of like length; every slice is on disk before the next one begins.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np

from quarry.indexer.build.progress import Clock
from quarry.indexer.embedder import Embedder, TokenEmbedder, heads_of
from quarry.indexer.lexical.strings import GrowingStrings, encoded
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.texts.document_rows import PassageRow
from quarry.indexer.storage.vectors.digest_table import BYTES, DigestTable
from quarry.indexer.stores.kept_vectors import KeptVectors
from quarry.indexer.tokens.cache import TokenCache
from quarry.indexer.tokens.encoding import encode_with_states
from quarry.indexer.tokens.fitting import projection_for

_SAMPLED = 256  # of the oldest passages, and of the newest, that a run without changes looks at
_LOOKED_UP = 8192  # passages looked up at once
_SLICE = 512  # passages committed at once: what a crash can cost (about 40 s of encoding on two cores)


def encode_passages(
    table: ChunkTable, embedder: Embedder, kept: KeptVectors, clock: Clock, *, with_tokens: bool
) -> int:
    """Encode the passages that lack a vector, or token states where they are wanted.

    Args:
        table: The passages of the generation that is being built.
        embedder: The model; a `TokenEmbedder` when token states are wanted.
        kept: The vectors that there are, and where new ones are kept.
        clock: Receives progress.
        with_tokens: Whether token states are kept as well.

    Returns:
        How many passages were encoded.
    """
    if not with_tokens or not isinstance(embedder, TokenEmbedder):
        pending = _Pending(table, kept.missing)
        clock.phase("encoding", len(pending))
        for chunk_ids in pending.slices():
            vectors = embedder.embed_documents(table.texts(chunk_ids), progress=clock.observer.advance)
            kept.put(table.digests_of(chunk_ids), vectors)
        return len(pending)
    with closing(TokenCache.open(kept.index, kept.fingerprint)) as tokens:
        return _with_tokens(table, embedder, kept, tokens, clock)


def tokens_lost(table: ChunkTable, index: Path, embedder: Embedder) -> bool:
    """Whether token states are missing, by a sample: what is lost is the whole file, as when INDEX/embeddings was not copied.

    States that other heads made are lost, too.
    """
    with closing(TokenCache.open(index, embedder.spec.fingerprint)) as tokens:
        return bool(tokens.missing(table.some_digests(_SAMPLED)) or tokens.heads() != heads_of(embedder))


def _with_tokens(
    table: ChunkTable, embedder: TokenEmbedder, vectors: KeptVectors, tokens: TokenCache, clock: Clock
) -> int:
    """Encode what lacks a vector or token states. Both come out of one forward pass, so a passage that has one is done whole."""
    if not table.counts()[1]:
        clock.phase("encoding", 0)
        return 0
    projection = tokens.projection()
    if projection is None or tokens.heads() != heads_of(embedder):
        projection = projection_for(embedder)
        tokens.keep(projection, heads_of(embedder))
    pending = _Pending(table, lambda digests: vectors.missing(digests) | tokens.missing(digests))
    clock.phase("encoding", len(pending))
    for chunk_ids in pending.slices():
        names = table.digests_of(chunk_ids)
        made = encode_with_states(embedder, table.texts(chunk_ids), projection, clock.observer.advance)
        if made.terms:
            tokens.put_terms(names, made.terms)
        tokens.put(names, made.states)
        vectors.put(names, made.vectors)
    return len(pending)


class _Pending:
    """One passage for each digest that is to be encoded; a million of them take 50 MB."""

    def __init__(self, table: ChunkTable, missing: Callable[[Sequence[bytes]], set[bytes]]) -> None:
        """Find them.

        Args:
            table: The passages.
            missing: Returns the digests out of some that are wanted.
        """
        ids, seen = GrowingStrings(), DigestTable.of(np.zeros((0, BYTES), np.uint8))
        lengths = array("q")
        passages = table.passages()
        while rows := list(islice(passages, _LOOKED_UP)):
            digests = [row.digest for row in rows]
            absent = missing(digests)
            known = seen.find(digests) >= 0
            fresh: dict[bytes, PassageRow] = {}  # equal passages are encoded once
            for row, was_seen in zip(rows, known.tolist(), strict=True):
                if not was_seen and row.digest in absent:
                    fresh.setdefault(row.digest, row)
            seen.add(list(fresh), len(lengths))
            lengths.extend(len(row.passage) for row in fresh.values())
            ids.extend([encoded(row.chunk_id) for row in fresh.values()])
        self._ids = ids.table()
        self._order = np.argsort(-np.frombuffer(lengths, dtype=np.int64), kind="stable")

    def __len__(self) -> int:
        return len(self._order)

    def slices(self) -> Iterator[list[str]]:
        """Yield the ids of passages to be encoded at once, longest passages first."""
        for first in range(0, len(self), _SLICE):
            yield [self._ids[row] for row in self._order[first : first + _SLICE].tolist()]
