"""Vectors and token states of texts: made here, or taken out of the shards of `quarry encode`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quarry.indexer.embedder import Embedder, Progress, TermWeights, TokenEmbedder, Vectors
from quarry.indexer.encode.cut import UnitRecord
from quarry.indexer.encode.units import Unit
from quarry.indexer.errors import IndexMismatchError
from quarry.indexer.lake.making import Lake
from quarry.indexer.shards.folder import ShardFolder
from quarry.indexer.shards.shard import read_shard
from quarry.indexer.storage.files.sealing import unseal
from quarry.indexer.tokens.cache import packed_terms
from quarry.indexer.tokens.encoding import encode_with_states
from quarry.indexer.tokens.projection import Projection, TokenBytes


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of a text.

    Attributes:
        vector: Shape (dim,).
        states: Compressed token states; None where they are not kept.
        terms: Weights of terms, for a model with heads of its own.
    """

    vector: Vectors
    states: TokenBytes | None = None
    terms: TermWeights | None = None

    def row(self, digest: str) -> dict[str, object]:
        """Return the row of the table of token states."""
        states = b"" if self.states is None else self.states.tobytes()
        return {"id": digest, "states": states, "terms": b"" if self.terms is None else packed_terms(self.terms)}


def encode(
    embedder: Embedder, texts: Sequence[str], projection: Projection | None, progress: Progress | None = None
) -> list[Made]:
    """Encode texts; with their token states when a projection is given and the model has them."""
    if not texts:
        return []
    if projection is None or not isinstance(embedder, TokenEmbedder):
        return [Made(vector) for vector in embedder.embed_documents(texts, progress=progress)]
    found = encode_with_states(embedder, texts, projection, progress)
    terms: Sequence[TermWeights | None] = found.terms or [None] * len(texts)
    return [Made(*each) for each in zip(found.vectors, found.states, terms, strict=True)]


class EncodedVectors:
    """The vectors in a folder of `quarry encode`, by unit of files."""

    def __init__(self, folder: ShardFolder) -> None:
        self.folder = folder

    @classmethod
    def open(cls, path: Path, lake: Lake, embedder: Embedder) -> "EncodedVectors":
        """Open the folder. Raises IndexMismatchError when its vectors are not the lake's."""
        folder, chunking = ShardFolder.open(path), lake.settings.chunking
        if folder.settings.chunking != chunking:
            raise IndexMismatchError(
                "lake.other_passages",
                "{folder} holds vectors of passages that were cut otherwise than those of {lake}",
                expected="{tokens}/{overlap} tokens ({tokenizer})",
                do="Encode again with --chunk-tokens and --overlap as the lake has them",
                folder=path,
                lake=lake.objects.uri,
                tokens=chunking.max_tokens,
                overlap=chunking.overlap_tokens,
                tokenizer=chunking.tokenizer,
            )
        folder.check(embedder.spec, chunking)
        return cls(folder)

    def of(self, unit: Unit) -> Mapping[bytes, Made]:
        """Return the vectors of a unit's passages and titles, by digest; fewer where they were not made."""
        return _OfUnit(self.folder, unit.key)


class _OfUnit(dict[bytes, Made]):
    """Vectors and token states of one unit by digest, read when the first is asked for."""

    def __init__(self, folder: ShardFolder, key: str) -> None:
        super().__init__()
        self._folder, self._key, self._read = folder, key, False

    def get(self, digest: bytes, default: Any = None) -> Any:
        """Return what was made of a text, None without it."""
        if not self._read:
            self._read = True
            self._fill()
        return super().get(digest, default)

    def _fill(self) -> None:
        try:
            record = UnitRecord.model_validate(unseal(self._folder.units / f"{self._key}.json"))
        except FileNotFoundError:
            return
        for name in record.shards:
            if self._folder.has(name):
                shard = read_shard(self._folder.root / "vectors", name)
                for row, digest in enumerate(shard.digests):
                    self[digest] = Made(
                        shard.vectors[row],
                        shard.states[row] if shard.states else None,
                        shard.terms[row] if shard.terms else None,
                    )
