"""An embedder in front of the vectors of probes that an index keeps: what was encoded once is not encoded again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from quarry.indexer.embedder import Embedder, Vectors
from quarry.indexer.storage.vectors.blob_cache import passage_digest
from quarry.indexer.storage.vectors.vector_cache import VectorCache


@dataclass(frozen=True, slots=True)
class CachedEmbedder:
    """An embedder that keeps what it encodes beside the index, so that the next build need not.

    Attributes:
        embedder: The model.
        cache: What was encoded.
        used: The digests of what was asked for.
    """

    embedder: Embedder
    cache: VectorCache
    used: set[bytes] = field(default_factory=set)

    def questions(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row per question, shape (len(texts), dim)."""
        kind = f"question {self.embedder.spec.query_format}\0"
        return self._vectors([passage_digest(kind + text) for text in texts], texts, self.embedder.embed_queries)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row per passage, shape (len(texts), dim)."""
        return self._vectors([passage_digest(text) for text in texts], texts, self.embedder.embed_documents)

    def _vectors(
        self, digests: Sequence[bytes], texts: Sequence[str], encode: Callable[[list[str]], Vectors]
    ) -> Vectors:
        self.used.update(digests)
        absent = self.cache.missing(digests)
        fresh = {digest: text for digest, text in zip(digests, texts, strict=True) if digest in absent}
        if fresh:
            self.cache.put(list(fresh), encode(list(fresh.values())))
        return self.cache.get(digests)
