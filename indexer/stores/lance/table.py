"""What a Lance table says of itself in its manifests, compared before Lance follows it.

A table may name files anywhere, on other machines too, and sizes that its files do not have. Ours never do: each manifest is read here
first, as far as that matters. Layout: `protos/table.proto` of Lance, messages `Manifest`, `DataFragment` and `DataFile`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quarry.indexer.errors import AccessError
from quarry.indexer.messages import Message
from quarry.indexer.stores.checks import vectors_message
from quarry.indexer.stores.sealed import other_content, unreadable

INDEXES = ("none", "ivf-hnsw-sq")
_MAGIC = b"LANC"
_FOOTER = 16  # place of the message, version, magic
_FRAGMENTS, _BASES, _SECTIONS = (
    2,
    18,
    (4, 6, 21),
)  # of a manifest; sections are messages elsewhere in it, behind their length
_FILES, _DELETED, _ROWS, _ELSEWHERE = 2, 3, 4, (6, 8, 10)  # of a fragment
_PATH, _SIZE, _BASE = 1, 6, 7  # of a data file; a deletion file has the base in the same place
_DELETED_ROWS = 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST = 64 << 20  # bytes of a manifest; ours have a few kilobytes


def check_place(folder: Path) -> None:
    """Refuse a folder that Lance cannot name.

    Raises:
        AccessError: If its path has a control character or one that only changes the reading order.
    """
    if not str(folder.absolute()).isprintable():
        raise AccessError(
            "stores.lance_place",
            "the path {folder} has a character that LanceDB cannot have in a path",
            expected="a path of letters, digits, spaces and signs that can be printed",
            do="Choose another folder, or another store: --store exact",
            folder=repr(str(folder)),
        )


def check_table(path: Path, version: Any, index: str, shape: tuple[int, int]) -> None:
    """Compare what the manifests of a table say with the header of the store and with the files that are there.

    Args:
        path: The table's folder.
        version: The version that the header names; None for the newest, in the first format.
        index: The kind of its vector index.
        shape: Number and length of the vectors.

    Raises:
        IndexFormatError: If one names a file outside of the table, a size that its files do not have, or another number of rows.
    """
    wanted = Message.of("stores.lance_table", "the folder of a Lance table")
    known = version is None or (isinstance(version, int) and not isinstance(version, bool) and 0 < version < 1 << 63)
    if not known or index not in INDEXES:
        strange = Message.of("stores.lance_version", "its header names version {version}", version=repr(version)[:80])
        raise unreadable(path, strange, wanted)
    manifests = sorted((path / "_versions").glob("*.manifest"))
    names = [] if version is None else [f"{version}.manifest", f"{(1 << 64) - 1 - version:020d}.manifest"]
    if version is not None and not any(each.name in names for each in manifests):
        missing = Message.of("stores.lance_no_version", "it has no version {version}", version=version)
        raise unreadable(path, missing, wanted)
    for each in manifests:
        try:
            rows = _rows_of(each, path)
        except (ValueError, IndexError, OSError) as err:
            raise unreadable(each, Message.plain(str(err)[:300]), wanted) from err
        if each.name in names and rows != shape[0]:
            raise other_content(each, vectors_message(rows, shape[1]), vectors_message(*shape))


def _rows_of(manifest: Path, table: Path) -> int:
    """Return how many rows a manifest promises. Raises ValueError when it is none, or names what is not in the table."""
    content = manifest.read_bytes()[: _MOST + 1]
    if len(content) > _MOST or content[-4:] != _MAGIC or len(content) < _FOOTER + 4:
        raise ValueError("it is no manifest of Lance")
    start = int.from_bytes(content[-_FOOTER : -_FOOTER + 8], "little")
    length = int.from_bytes(content[start : start + 4], "little")
    if start + 4 + length > len(content) - _FOOTER:
        raise ValueError(f"its message of {length} bytes at {start} does not end in it")
    rows = 0
    for field, value in _fields(content[start + 4 : start + 4 + length]):
        if field == _BASES:
            raise ValueError("it names files outside of the table")
        if field in _SECTIONS:
            place = _number(value)
            if place + 4 + int.from_bytes(content[place : place + 4], "little") > len(content) - _FOOTER:
                raise ValueError(f"what stands at {place} does not end in it")
        elif field == _FRAGMENTS:
            rows += _fragment(_message(value), table)
    return rows


def _fragment(message: bytes, table: Path) -> int:
    rows = size = 0
    for field, value in _fields(message):
        if field in _ELSEWHERE:
            raise ValueError("it keeps numbers of rows in other files")
        if field == _ROWS:
            rows += _number(value)
        elif field == _DELETED:
            rows -= _deleted(_message(value))
        elif field == _FILES:
            size += _data_file(_message(value), table)
    if not 0 <= rows <= 8 * size:  # constant columns take less than a byte a row, vectors take more
        raise ValueError(f"it promises {rows} rows in files of {size} bytes")
    return rows


def _deleted(message: bytes) -> int:
    count = 0
    for field, value in _fields(message):
        if field == _BASE:
            raise ValueError("it names files outside of the table")
        count += _number(value) if field == _DELETED_ROWS else 0
    return count


def _data_file(message: bytes, table: Path) -> int:
    name, recorded = "", 0
    for field, value in _fields(message):
        if field == _BASE:
            raise ValueError("it names files outside of the table")
        if field == _PATH:
            name = _message(value).decode("utf-8")
        elif field == _SIZE:
            recorded = _number(value)
    path = table / "data" / name
    if not name or Path(name).name != name or "\\" in name or path.is_symlink() or not path.is_file():
        raise ValueError(f"it names the file {name[:80]!r}, which is not in the table")
    size = path.stat().st_size
    if recorded not in (0, size):
        raise ValueError(f"{name} has {size} bytes instead of {recorded}")
    return size


def _message(value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    raise ValueError("a message of protobuf is missing")


def _number(value: int | bytes) -> int:
    if isinstance(value, int):
        return value
    raise ValueError("a number of protobuf is missing")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protobuf message: number, and value as a number or as bytes. Raises ValueError when it is none."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        if kind not in (_FIXED64, _BYTES, _FIXED32):
            raise ValueError("it is no message of protobuf")
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
        if kind == _BYTES:
            length, place = _varint(message, place)
        if place + length > len(message):
            raise ValueError("a field of protobuf does not end in its message")
        yield key >> 3, message[place : place + length]
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return a number of variable length and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number of protobuf does not end")
