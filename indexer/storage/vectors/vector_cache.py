"""Vectors by digest in one SQLite file below `INDEX/embeddings/`, per embedder fingerprint.

    FINGERPRINT.probes.sqlite   questions and rests of the passages that an index is measured with (`quarry.indexer.build.measuring.probes`)
                                (in float16 since 0.3.0; what is measured with them depends on ranks and means)
    FINGERPRINT.sqlite          of indexes from before 0.3.0: the vectors of all passages once more; read by the next build, then removed

The fingerprint leaves out the precision: one text in float32 and in bfloat16 has a cosine above 0.9999, so machines of both kinds may
fill one index.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.storage.vectors.blob_cache import BlobCache, BlobTable


def _damaged(path: Path, what: Message) -> IndexFormatError:
    return IndexFormatError(
        "storage.damaged_vectors",
        "{path} is damaged ({what})",
        expected="the embeddings of earlier runs",
        do="Remove this file and index again: the live generation is untouched, its passages are encoded once more",
        path=path,
        what=what,
    )


_TABLE = BlobTable(
    "vectors", "vector", _damaged, Message.of("storage.crc", "a stored vector does not match its checksum")
)


class VectorCache:
    """Vectors of one embedder, keyed by `passage_digest`."""

    def __init__(self, blobs: BlobCache, dim: int) -> None:
        self._blobs = blobs
        self.dim = dim

    @classmethod
    def open(cls, path: Path, dim: int) -> Self:
        """Open a file for writing, or create it; what is put into it is rounded to float16, also for whoever asks right away.

        Raises:
            IndexFormatError: If it is damaged.
        """
        return cls(BlobCache.open(path, _TABLE), dim)

    @classmethod
    def read(cls, path: Path, dim: int) -> Self:
        """Open an existing file for reading, from any thread.

        Raises:
            FileNotFoundError: If there is none.
            IndexFormatError: If it is damaged.
        """
        return cls(BlobCache.read(path, _TABLE), dim)

    def close(self) -> None:
        """Close the file."""
        self._blobs.close()

    def missing(self, digests: Sequence[bytes]) -> set[bytes]:
        """Return the digests without a vector. Raises IndexFormatError when the file is damaged."""
        return self._blobs.missing(digests)

    def put(self, digests: Sequence[bytes], vectors: Vectors) -> None:
        """Store vectors, shape (len(digests), dim), in one transaction.

        Raises:
            ValueError: If they have another shape.
            IndexFormatError: If the file is damaged.
        """
        if vectors.shape != (len(digests), self.dim):
            raise ValueError(f"vectors have shape {vectors.shape}; expected ({len(digests)}, {self.dim})")
        self._blobs.put(digests, [row.tobytes() for row in vectors.astype("<f2")])

    def keep(self, digests: Collection[bytes]) -> None:
        """Forget all vectors but some. Raises IndexFormatError when the file is damaged."""
        self._blobs.keep(digests)

    def get(self, digests: Sequence[bytes]) -> Vectors:
        """Return the vectors in order, shape (len(digests), dim).

        Raises:
            KeyError: If a digest has no vector here.
            IndexFormatError: If a stored vector does not match its checksum, or the file is damaged.
        """
        rows: dict[bytes, list[int]] = {}
        for row, digest in enumerate(digests):
            rows.setdefault(digest, []).append(row)
        out = np.empty((len(digests), self.dim), dtype=np.float32)
        for digest, blob in self._blobs.get(digests):
            kind = {2 * self.dim: "<f2", 4 * self.dim: "<f4"}.get(len(blob))
            if kind is None:
                raise self._blobs.mismatch()
            out[rows.pop(digest)] = np.frombuffer(blob, dtype=kind)
        if rows:
            self._blobs.check()
            raise KeyError(f"{len(rows)} passages have no embedding yet, first {next(iter(rows)).hex()}")
        return out


def probes_path(root: Path, fingerprint: str) -> Path:
    """Return the file of an embedder's vectors of probes."""
    return root / "embeddings" / f"{fingerprint}.probes.sqlite"


def older_path(root: Path, fingerprint: str) -> Path:
    """Return the file in which older versions kept all vectors of an embedder."""
    return root / "embeddings" / f"{fingerprint}.sqlite"
