"""From shards into the vectors that an index keeps, so that a build finds them there and encodes nothing."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Embedder, TokenEmbedder, heads_of
from quarry.indexer.shards.folder import ShardFolder
from quarry.indexer.shards.shard import Shard
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.stores.kept_vectors import KeptVectors
from quarry.indexer.tokens.cache import TokenCache
from quarry.indexer.tokens.fitting import projection_for

_LOOKED_UP = 8192  # digests looked up at once


@dataclass(frozen=True, slots=True)
class _Caches:
    """What an index keeps of its passages; `tokens` is None when no token states are taken."""

    vectors: KeptVectors
    tokens: TokenCache | None

    def missing(self, digests: Sequence[bytes]) -> set[bytes]:
        absent = self.vectors.missing(digests)
        return absent if self.tokens is None else absent | self.tokens.missing(digests)

    def put(self, shard: Shard, rows: Sequence[int]) -> None:
        names = [shard.digests[row] for row in rows]
        if self.tokens is not None and shard.states:  # titles have none
            if shard.terms:
                self.tokens.put_terms(names, [shard.terms[row] for row in rows])
            self.tokens.put(names, [shard.states[row] for row in rows])
        self.vectors.put(names, shard.vectors[list(rows)])


def fill_from(
    folder: ShardFolder, kept: KeptVectors, embedder: Embedder, table: ChunkTable, *, with_tokens: bool
) -> int:
    """Take vectors that an index has not encoded yet out of shards.

    Args:
        folder: The shards, of this model (`ShardFolder.check`).
        kept: The vectors that the index has, and where it keeps new ones.
        embedder: Its model.
        table: The passages of the segment that is being built.
        with_tokens: Whether token states are taken too, if the shards have them.

    Returns:
        How many vectors of passages and titles were taken.

    Raises:
        ShardError: If a shard is damaged.
    """
    settings = folder.settings
    with ExitStack() as opened:
        tokens = None
        if with_tokens and settings.token_states and isinstance(embedder, TokenEmbedder):
            tokens = opened.enter_context(closing(TokenCache.open(kept.index, kept.fingerprint)))
            if tokens.projection() is None or tokens.heads() != settings.heads:
                tokens.keep(projection_for(embedder), heads_of(embedder))
        caches = _Caches(kept, tokens)
        wanted = _prefixes(_wanted(table, caches))
        taken = 0
        for shard in folder.shards() if len(wanted) else ():
            rows = np.flatnonzero(np.isin(_prefixes_of(shard.digests), wanted)).tolist()
            if rows:
                caches.put(shard, rows)
            taken += len(rows)
        return taken


def _wanted(table: ChunkTable, caches: _Caches) -> Iterator[bytes]:
    for _, digests in table.digest_batches(_LOOKED_UP):
        yield from caches.missing(digests)
    titles = (digest for digest, _ in table.names())
    while part := list(islice(titles, _LOOKED_UP)):
        yield from caches.vectors.missing(part)


def _prefixes(digests: Iterator[bytes]) -> NDArray[np.uint64]:
    """Return the first eight bytes of each, sorted: 8 bytes a passage in memory; two that share them only cost space."""
    return np.unique(np.fromiter((_prefix(digest) for digest in digests), dtype=np.uint64))


def _prefixes_of(digests: Sequence[bytes]) -> NDArray[np.uint64]:
    return np.fromiter((_prefix(digest) for digest in digests), dtype=np.uint64, count=len(digests))


def _prefix(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big")
