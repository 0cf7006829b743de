"""From passages to vectors, and to token states for the second stage: only what no earlier build has encoded.

Longest passages first, so that a forward pass holds texts of like length; every slice is on disk before the next one begins.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from quarry.indexer.build.progress import Clock
from quarry.indexer.embedder import (
    Embedder,
    HeadedEmbedder,
    TermWeights,
    TokenEmbedder,
    TokenSink,
    TokenVectors,
    Vectors,
    heads_of,
)
from quarry.indexer.storage.chunk_table import ChunkTable
from quarry.indexer.stores.kept_vectors import KeptVectors
from quarry.indexer.tokens.cache import TokenCache
from quarry.indexer.tokens.fitting import projection_for
from quarry.indexer.tokens.projection import TokenBytes

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
        pending = _pending(table, kept.missing)
        clock.phase("encoding", len(pending))
        for chunk_ids in _slices(pending):
            encoded = embedder.embed_documents(table.texts(chunk_ids), progress=clock.observer.advance)
            kept.put(table.digests_of(chunk_ids), encoded)
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
    pending = _pending(table, lambda digests: vectors.missing(digests) | tokens.missing(digests))
    clock.phase("encoding", len(pending))
    for chunk_ids in _slices(pending):
        states: dict[int, TokenBytes] = {}

        def keep(number: int, found: TokenVectors, states: dict[int, TokenBytes] = states) -> None:
            states[number] = projection.compress(found)

        texts, names = table.texts(chunk_ids), table.digests_of(chunk_ids)
        terms: dict[int, TermWeights] = {}
        encoded = _encoded(embedder, texts, keep, terms, clock)
        if terms:
            tokens.put_terms(names, [terms[number] for number in range(len(names))])
        tokens.put(names, [states[number] for number in range(len(names))])
        vectors.put(names, encoded)
    return len(pending)


def _encoded(
    embedder: TokenEmbedder, texts: Sequence[str], keep: TokenSink, terms: dict[int, TermWeights], clock: Clock
) -> Vectors:
    """Encode passages; `terms` is filled when the model has a head for them."""
    if isinstance(embedder, HeadedEmbedder) and embedder.heads:
        return embedder.embed_documents_and_parts(texts, keep, terms.__setitem__, progress=clock.observer.advance)
    return embedder.embed_documents_and_tokens(texts, keep, progress=clock.observer.advance)


def _pending(table: ChunkTable, missing: Callable[[Sequence[bytes]], set[bytes]]) -> list[str]:
    """Return one chunk id for each digest that is wanted, longest passages first."""
    found: list[tuple[int, str]] = []
    seen: set[bytes] = set()
    passages = table.passages()
    while rows := list(islice(passages, _LOOKED_UP)):
        absent = missing([row.digest for row in rows]) - seen
        for row in rows:
            if row.digest in absent:
                absent.discard(row.digest)  # equal passages are encoded once
                seen.add(row.digest)
                found.append((len(row.passage), row.chunk_id))
    found.sort(reverse=True)
    return [chunk_id for _, chunk_id in found]


def _slices(chunk_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(chunk_ids), _SLICE):
        yield chunk_ids[first : first + _SLICE]
