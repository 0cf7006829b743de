"""The data files of the exact store, read and checked: ids and vectors.

ids.000002.npy       the ids in UTF-8, one after the other, uint8
places.000002.npy    where each begins, and the end of the last, int64; older stores have a list in ids.000002.json instead
                     neither in a segment whose terms have the same ids in the same order: the header says so (`leave_ids`)
vectors.000002.npy   one row per id, float32
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from json import loads
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.lexical.index import PLACES_NAME, TEXT_NAME
from quarry.indexer.lexical.strings import GrowingStrings, StringTable, encoded, places_of
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import write_atomic
from quarry.indexer.storage.files.sealing import seal, unseal
from quarry.indexer.storage.layout import LEXICAL_NAME
from quarry.indexer.stores.sealed import HEADER_NAME, Header, State, numbered, other_content, unreadable

_FEW = 1000  # ids that are looked up one by one in a sorted table; for more, all are put into a dictionary


class StoredIds(Sequence[str]):
    """The ids of a store in the order of its rows: a mapped table that costs nothing to open, or a list that grows.

    Args:
        ids: The ids, each once.
        ascending: Whether they are sorted, so that one is found without reading all.
    """

    def __init__(self, ids: list[str] | StringTable, *, ascending: bool = False) -> None:
        self._ids = ids
        self._growing: GrowingStrings | None = None  # while ids are added in ascending order, all of them are here
        self._ascending = ascending and isinstance(ids, StringTable)
        self._rows: dict[str, int] | None = None
        self._order: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self._ids) if self._growing is None else len(self._growing)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return list(self)[row]
        return self._all()[row]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __contains__(self, chunk_id: object) -> bool:
        return isinstance(chunk_id, str) and self.row(chunk_id) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it grows

    def row(self, chunk_id: str) -> int | None:
        """Return the row of an id, None when it is not there."""
        ids = self._all()
        if self._ascending and self._rows is None and isinstance(ids, StringTable):
            return ids.find(chunk_id)
        return self._by_id().get(chunk_id)

    def rows(self, ids: Collection[str]) -> NDArray[np.int64]:
        """Return the rows of those ids that are there, increasing."""
        if len(ids) > _FEW:
            self._by_id()
        found = [row for row in map(self.row, ids) if row is not None]
        return np.array(sorted(found), dtype=np.int64)

    def order(self) -> NDArray[np.int64]:
        """Return the place of each row in the order of the ids, shape (n,)."""
        if self._order is None:
            self._all()
            order = range(len(self)) if self._ascending else sorted(range(len(self)), key=list(self).__getitem__)
            self._order = np.empty(len(self), dtype=np.int64)
            self._order[order] = np.arange(len(self))
        return self._order

    def follow(self, ids: Sequence[str]) -> bool:
        """Whether ids are ascending and all after those that are here, so that none is here already; some are being added so."""
        if self._growing is None and len(self._ids):
            return False
        words = [b"" if self._growing is None else self._growing.last, *map(encoded, ids)]
        return all(one < other for one, other in pairwise(words))

    def extend(self, ids: Sequence[str]) -> None:
        """Add ids that are not there yet."""
        self._order = None
        if self.follow(ids):
            self._growing = self._growing or GrowingStrings()
            self._growing.extend([encoded(chunk_id) for chunk_id in ids])
            return
        rows = self._by_id()
        if not isinstance(self._ids, list):
            self._ids, self._ascending = list(self._ids), False
        for chunk_id in ids:
            rows[chunk_id] = len(self._ids)
            self._ids.append(chunk_id)

    def table(self) -> tuple[NDArray[np.uint8], NDArray[np.int64], bool]:
        """Return the ids in UTF-8, where each begins, and whether they are ascending."""
        ids = self._all()
        if self._ascending and isinstance(ids, StringTable):
            return *ids.arrays(), True
        words = [encoded(chunk_id) for chunk_id in ids]
        places = places_of(words)
        ascending = all(one < other for one, other in pairwise(words))
        return np.frombuffer(b"".join(words), dtype=np.uint8), places, ascending

    def _all(self) -> list[str] | StringTable:
        """Return the ids; those that were added in ascending order become a table."""
        if self._growing is not None:
            self._ids, self._ascending, self._growing = self._growing.table(), True, None
        return self._ids

    def _by_id(self) -> dict[str, int]:
        if self._rows is None:
            self._rows = {chunk_id: row for row, chunk_id in enumerate(self)}
        return self._rows


BESIDE = "ids"  # a fact of the header: which folder beside the store's has the ids
ASCENDING = "ascending"  # a fact of the header: whether the ids are sorted


def save_ids(ids: StoredIds, state: State) -> bool:
    """Write ids as data files of a state that is still to be sealed; return whether they are ascending."""
    text, places, ascending = ids.table()
    np.save(state.path("ids", ".npy"), text, allow_pickle=False)
    np.save(state.path("places", ".npy"), places, allow_pickle=False)
    return ascending


def load_ids(folder: Path, header: Header) -> StoredIds:
    """Open the ids that a header names.

    Raises:
        IndexFormatError: If a file is damaged, or they are not as many as the header says.
    """
    older = numbered(folder, "ids", header.number, ".json")
    if older.name in header.files:
        return StoredIds(checked_ids(read_ids(older), header.count, older))
    if header.facts.get(BESIDE) == LEXICAL_NAME:
        path, places_path = (folder.parent / LEXICAL_NAME / name for name in (TEXT_NAME, PLACES_NAME))
    else:
        path, places_path = (numbered(folder, stem, header.number, ".npy") for stem in ("ids", "places"))
    text, places = load_array(path, np.uint8, 1), load_array(places_path, np.int64, 1, np.uint32)
    good = len(places) == header.count + 1 and places[0] == 0 and places[-1] == len(text)
    if not good or np.any(places[1:] < places[:-1]):
        raise other_content(
            places_path,
            Message.of("stores.places", "places of {count:id|ids}, or places out of order", count=len(places) - 1),
            Message.of("stores.different_ids", "{count} different ones", count=header.count),
        )
    return StoredIds(StringTable(np.asarray(text), np.asarray(places)), ascending=bool(header.facts.get(ASCENDING)))


def leave_ids(folder: Path) -> None:
    """Leave the ids of a store to the terms of its segment, where those have the same in the same order; kinds without such files stay.

    Args:
        folder: The folder of the store in a segment that is being built, after its terms.
    """
    header = unseal(folder / HEADER_NAME)
    terms = folder.parent / LEXICAL_NAME
    own = {terms / TEXT_NAME: "ids", terms / PLACES_NAME: "places"}
    paths = {beside: numbered(folder, stem, int(header["number"]), ".npy") for beside, stem in own.items()}
    if any(path.name not in header["files"] for path in paths.values()) or not header["facts"].get(ASCENDING):
        return
    if not all(_are_same(beside, path) for beside, path in paths.items()):
        return
    files = {name: fact for name, fact in header["files"].items() if name not in {path.name for path in paths.values()}}
    facts = {**header["facts"], BESIDE: LEXICAL_NAME}
    content = {key: value for key, value in header.items() if key != "checksum"} | {"files": files, "facts": facts}
    write_atomic(folder / HEADER_NAME, seal(content))
    for path in paths.values():
        path.unlink()


def _are_same(one: Path, other: Path) -> bool:
    """Whether two arrays have the same numbers, of whatever types; nothing stays mapped."""
    return np.array_equal(*(np.load(path, mmap_mode="r", allow_pickle=False) for path in (one, other)))


def load_array(path: Path, kind: type[np.generic], dimensions: int, *others: type[np.generic]) -> NDArray[Any]:
    """Map an array into memory. Raises IndexFormatError unless it is of one of these types and has so many dimensions."""
    wanted = Message.of("stores.array", "an array of {kind}", kind=kind.__name__)
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TokenError) as err:  # the last two from NumPy's header parser
        raise unreadable(path, Message.plain(str(err)), wanted) from err
    if array.ndim != dimensions or array.dtype not in (kind, *others):
        raise other_content(
            path,
            Message.of("stores.shape", "{kind} of shape {shape}", kind=str(array.dtype), shape=str(array.shape)),
            wanted,
        )
    return array


def read_ids(path: Path) -> Any:
    """Return the content of a file of ids. Raises IndexFormatError when it is not JSON."""
    try:
        return loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        wanted = Message.of("stores.list_of_ids", "a list of ids")
        raise unreadable(path, Message.plain(str(err)), wanted) from err


def checked_ids(ids: Any, count: int | None, path: Path) -> list[str]:
    """Return ids that were read. Raises IndexFormatError unless they are different texts, `count` of them when it is given."""
    if not isinstance(ids, list) or not all(isinstance(chunk_id, str) for chunk_id in ids):
        raise other_content(
            path, Message.of("stores.no_ids", "no list of ids"), Message.of("stores.id_each", "an id for each vector")
        )
    if len(set(ids)) != len(ids) or len(ids) != (len(ids) if count is None else count):
        raise other_content(
            path,
            Message.of(
                "stores.ids", "{count:id|ids}, {different} of them different", count=len(ids), different=len(set(ids))
            ),
            Message.of("stores.different_ids", "{count} different ones", count=count or len(ids)),
        )
    return ids


def load_vectors(path: Path, shape: tuple[int, int]) -> Vectors:
    """Map a file of vectors into memory. Raises IndexFormatError unless it holds float32 of this shape."""
    try:
        matrix: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TokenError) as err:  # the last two from NumPy's header parser
        wanted = Message.of("stores.vectors_of_shape", "vectors of shape {shape}", shape=str(shape))
        raise unreadable(path, Message.plain(str(err)), wanted) from err
    if matrix.shape != shape or matrix.dtype != np.float32 or not matrix.flags.c_contiguous:
        raise other_content(
            path,
            Message.of("stores.shape", "{kind} of shape {shape}", kind=str(matrix.dtype), shape=str(matrix.shape)),
            Message.of("stores.shape", "{kind} of shape {shape}", kind="float32", shape=str(shape)),
        )
    return matrix
