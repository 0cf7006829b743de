"""Vectors that passages and titles have already, by digest, so that a build encodes only what is new.

    what the build that is going on, or an interrupted one, has encoded     storage/vector_log
    what finished segments hold, of any generation that is kept             storage/encoded_rows
    the cache of all vectors that older indexes have                        storage/vector_cache

Whatever is taken is compared with its checksum. In a segment, a vector that does not agree is not there: its passage is encoded again.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import EmbedderSpec, Vectors
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.storage.files.sealing import unseal
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.layout import CHUNKS_NAME, NAMES_NAME, VECTORS_NAME
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.segments import Segments
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.vectors.blob_cache import BlobCache
from quarry.indexer.storage.vectors.digest_table import as_rows
from quarry.indexer.storage.vectors.encoded_rows import EncodedRows
from quarry.indexer.storage.vectors.vector_cache import VectorCache, older_path, probes_path
from quarry.indexer.storage.vectors.vector_log import VectorLog
from quarry.indexer.stores import store_class
from quarry.indexer.stores.base import WritableStore
from quarry.indexer.stores.sealed import HEADER_NAME

_READ_AT_ONCE = 8192  # vectors
_LISTED_UP_TO = 20_000  # passages of an older segment, whose digests must be listed before one can be found
_LISTED_FROM = 0.1  # of the passages of a larger one: where fewer are wanted, encoding them is cheaper


class KeptVectors(ExitStack):
    """Vectors of one embedder in one index folder."""

    def __init__(self, index: Path, spec: EmbedderSpec, wanted: int) -> None:
        """Open what there is.

        Args:
            index: The index folder.
            spec: The embedder's.
            wanted: About how many passages need a vector.

        Raises:
            IndexFormatError: If the cache of an older index is damaged.
        """
        super().__init__()
        self.dim = spec.dim
        self.fingerprint = spec.fingerprint
        self.index, self._wanted = index, wanted
        self.log = self.enter_context(VectorLog(index, spec.fingerprint, spec.dim))
        self._older: VectorCache | None = None
        with suppress(FileNotFoundError):
            cache = VectorCache.read(older_path(index, spec.fingerprint), spec.dim)
            self._older = self.enter_context(closing(cache))

    @staticmethod
    def remove_finished(index: Path, fingerprint: str) -> None:
        """Remove what finished segments hold as well; what a build of another embedder has encoded stays."""
        VectorLog.remove(index, fingerprint)
        BlobCache.remove(older_path(index, fingerprint))

    @staticmethod
    def remove(index: Path, fingerprint: str) -> None:
        """Remove all that is kept beside the segments for an embedder that no generation uses."""
        KeptVectors.remove_finished(index, fingerprint)
        BlobCache.remove(probes_path(index, fingerprint))

    def missing(self, digests: Sequence[bytes]) -> set[bytes]:
        """Return the digests without a vector. Raises IndexFormatError when the cache of an older index is damaged."""
        absent: set[bytes] = set()
        for first in range(0, len(digests), _READ_AT_ONCE):
            part = digests[first : first + _READ_AT_ONCE]
            left = [digest for digest, row in zip(part, self.log.find(part).tolist(), strict=True) if row < 0]
            if left and self._older is not None:
                gone = self._older.missing(left)
                left = [digest for digest in left if digest in gone]
            for source in self._stored if left else ():
                here = set(source.read(left)[0].tolist())
                left = [digest for place, digest in enumerate(left) if place not in here]
            absent.update(left)
        return absent

    def put(self, digests: Sequence[bytes], vectors: Vectors) -> None:
        """Keep new vectors, shape (len(digests), dim), until their segment is finished. Raises as `VectorLog.put`."""
        self.log.put(digests, vectors)

    def get(self, digests: Sequence[bytes]) -> Vectors:
        """Return the vectors in order, shape (len(digests), dim).

        Raises:
            KeyError: If a digest has no vector here.
            IndexFormatError: If the cache of an older index is damaged.
        """
        out = np.empty((len(digests), self.dim), dtype=np.float32)
        rows = self.log.find(digests)
        here = np.flatnonzero(rows >= 0)
        out[here] = self.log.read(rows[here])
        left = np.flatnonzero(rows < 0)
        for source in self._stored if len(left) else ():
            places, vectors = source.read([digests[number] for number in left.tolist()])
            out[left[places]] = vectors
            left = np.delete(left, places)
        if len(left) and self._older is not None:
            out[left] = self._older.get([digests[number] for number in left.tolist()])
        elif len(left):
            raise KeyError(f"{len(left)} passages have no vector yet, first {digests[left[0]].hex()}")
        return out

    @cached_property
    def _stored(self) -> list["_Source"]:
        """The stores of the finished segments that are kept, and those of generations in an older format."""
        segments = Segments(self.index)
        folders = {path.name: path for path in segments.folder.glob("[!.]*") if path.is_dir()}
        found: list[_Source] = []
        for folder in folders.values():
            found += _sources(folder, self.fingerprint)
        for folder in self._without_digests({source.folder for source in found}):
            found += _listed(folder)
        return found

    def _without_digests(self, known: set[Path]) -> Iterator[Path]:
        """Yield the folders of this embedder's vectors, undamaged, whose digests were not written down by the version that made them."""
        generations, segments = Generations(self.index), Segments(self.index)
        seen = set(known)
        for name in generations.finished():
            folder = generations.folder / name
            with suppress(IndexFormatError):  # what cannot be read is not used; the build says what is damaged
                manifest = Manifest.read(folder)
                if manifest.embedder is None or manifest.embedder.fingerprint != self.fingerprint:
                    continue
                if (
                    not manifest.segments
                    and self._is_worth(manifest.chunks)
                    and not manifest.damage(folder, hashes=True)
                ):
                    yield folder
                for one in manifest.segments:
                    path = segments.path(one.name)
                    if path not in seen and self._is_worth(one.passages) and not segments.damage(one, hashes=True):
                        yield path
                    seen.add(path)

    def _is_worth(self, passages: int) -> bool:
        return passages <= _LISTED_UP_TO or self._wanted >= _LISTED_FROM * passages


class _Source:
    """The vectors of one store, by digest."""

    def __init__(self, folder: Path, rows: EncodedRows, store: WritableStore) -> None:
        self.folder, self._rows, self._store = folder, rows, store

    def read(self, digests: Sequence[bytes]) -> tuple[NDArray[np.int64], Vectors]:
        """Return which of the digests are here with a sound vector, as places in `digests`, and their vectors."""
        return self._rows.read(digests, self._store)


def _sources(segment: Path, fingerprint: str) -> list[_Source]:
    """Open the stores of a segment that has written down its digests."""
    found = []
    for name in (VECTORS_NAME, NAMES_NAME):
        rows = EncodedRows.open(segment, fingerprint, name)
        store = _opened(segment / name) if rows is not None else None
        if rows is not None and store is not None:
            found.append(_Source(segment, rows, store))
    return found


def _listed(folder: Path) -> list[_Source]:
    """Open the stores of a folder without digests: those of passages are in its texts, those of titles are their ids."""
    found = []
    store = _opened(folder / VECTORS_NAME)
    if store is not None:
        table = ChunkTable.open(folder / CHUNKS_NAME)
        known = dict(zip(*table.digests(), strict=True))
        table.close()
        rows = EncodedRows.of(as_rows([known[chunk_id] for chunk_id in store.ids]))
        found.append(_Source(folder, rows, store))
    names = _opened(folder / NAMES_NAME)
    if names is not None:
        found.append(_Source(folder, EncodedRows.of(as_rows([bytes.fromhex(each) for each in names.ids])), names))
    return found


def _opened(folder: Path) -> WritableStore | None:
    """Open a store of whatever kind; None for one that is missing or damaged, whose vectors are made again."""
    try:
        kind = unseal(folder / HEADER_NAME).get("kind")
        return store_class(str(kind)).open(folder, verified=True)
    except (FileNotFoundError, IndexFormatError, ValueError):
        return None
