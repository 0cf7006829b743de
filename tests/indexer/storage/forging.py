"""Ways to change an index so that it is whole by its own checksums all the same."""

import json
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from quarry.indexer.storage.files.sealing import describe, seal


def segment(index: Path) -> Path:
    """Return the folder of the one segment."""
    return next(path for path in (index / "segments").iterdir() if not path.name.startswith("."))


def table(index: Path) -> Path:
    """Return the folder of the Lance table."""
    return next((segment(index) / "vectors").glob("*.lance"))


def unsealed(path: Path) -> dict[str, Any]:
    """Return a sealed file's content, as it is."""
    content: dict[str, Any] = json.loads(path.read_text())
    content.pop("checksum", None)
    return content


def reseal(index: Path) -> None:
    """Make all records agree with the files again, from the store up, as somebody would who hands the index out."""
    folder = segment(index)
    for name in ("vectors", "names"):
        path = folder / name / "store.json"
        if path.is_file():
            content = unsealed(path)
            content["files"] = _described(path.parent, content["files"])
            path.write_bytes(seal(content))
    header = folder / "segment.json"
    content = unsealed(header)
    content["files"] = _described(folder, content["files"])
    header.write_bytes(seal(content))
    manifest = index / "generations" / "000001" / "manifest.json"
    content = unsealed(manifest)
    content["files"] = _described(manifest.parent, content["files"])
    content["segments"][0]["sha256"] = sha256(header.read_bytes()).hexdigest()
    manifest.write_bytes(seal(content))


def _described(folder: Path, names: Any) -> dict[str, Any]:
    return {
        name: fact.model_dump()
        for name, fact in describe(folder, [folder / name for name in names if (folder / name).is_file()]).items()
    }


def resealed(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change a sealed file after everything else agrees."""

    def apply(index: Path) -> None:
        path = index / "generations" / "000001" / name if name == "manifest.json" else index / name
        content = unsealed(path)
        change(content)
        path.write_bytes(seal(content))

    return apply


def store_says(**changes: Any) -> Callable[[Path], None]:
    """Change the header of the vectors."""

    def apply(index: Path) -> None:
        path = segment(index) / "vectors" / "store.json"
        content = unsealed(path)
        content.update({key: value for key, value in changes.items() if key in content})
        content["facts"].update({key: value for key, value in changes.items() if key not in content})
        path.write_bytes(seal(content))
        reseal(index)

    return apply


def by_sql(database: str, *statements: str) -> Callable[[Path], None]:
    """Change a database: `contents.sqlite` or `chunks.sqlite`."""

    def apply(index: Path) -> None:
        folder = index / "generations" / "000001" if database == "contents.sqlite" else segment(index)
        with closing(sqlite3.connect(folder / database)) as db:
            for statement in statements:
                db.execute(statement)
            db.commit()
        reseal(index)

    return apply


def bomb(index: Path) -> None:
    """A text of a gigabyte in a megabyte."""
    packer = zlib.compressobj(9)
    content = b"".join(packer.compress(b"a" * (1 << 20)) for _ in range(2048)) + packer.flush()
    with closing(sqlite3.connect(segment(index) / "chunks.sqlite")) as db:
        db.execute("UPDATE documents SET text = ?", (content,))
        db.execute("UPDATE chunks SET text = ?", (content,))
        db.commit()
    reseal(index)


def renamed_segment(name: str) -> Callable[[Path], None]:
    """Name the segment otherwise, where its folder really is."""

    def apply(index: Path) -> None:
        target = index / "segments" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = segment(index)
        shutil.copytree(folder, target)
        with closing(sqlite3.connect(index / "generations" / "000001" / "contents.sqlite")) as db:
            db.execute("UPDATE segments SET name = ?", (name,))
            db.commit()
        reseal(index)
        resealed("manifest.json", lambda content: content["segments"][0].update(name=name))(index)

    return apply


def array_header(name: str, header: str, size: int = 400) -> Callable[[Path], None]:
    """Put an array with a made-up header in the place of one."""

    def apply(index: Path) -> None:
        path = next(segment(index).rglob(name))
        text = header.encode().ljust(118) + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(size))
        reseal(index)

    return apply


def changed_array(name: str, change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> Callable[[Path], None]:
    """Change the numbers of an array."""

    def apply(index: Path) -> None:
        path = next(segment(index).rglob(name))
        np.save(path, change(np.load(path).copy()))
        reseal(index)

    return apply


def filled_with(
    value: int, kind: type[np.integer[Any]] = np.int64
) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Fill with a number, in a type that is read, whatever type was there."""
    return lambda array: np.full(array.shape, value, dtype=kind)


def changed_bytes(find: Callable[[Path], Path], change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(index: Path) -> None:
        path = find(index)
        path.write_bytes(change(path.read_bytes()))
        reseal(index)

    return apply


def lance_manifest(index: Path) -> Path:
    return min((table(index) / "_versions").glob("*.manifest"))  # versions are counted downwards: the newest


def lance_data(index: Path) -> Path:
    return next((table(index) / "data").glob("*.lance"))


def faiss_file(index: Path) -> Path:
    """The file of a flat FAISS index, which stores of before 0.3.0 have."""
    import faiss

    path = segment(index) / "vectors" / "index.000001.faiss"
    if not path.is_file():
        vectors = np.load(path.with_name("vectors.000001.npy"))
        flat = faiss.IndexFlatIP(vectors.shape[1])
        flat.add(vectors)
        faiss.write_index(flat, str(path))
        for header in (path.with_name("store.json"), segment(index) / "segment.json"):
            content = unsealed(header)
            content["files"][path.relative_to(header.parent).as_posix()] = {
                "size": 0,
                "sha256": "",
            }  # until it is sealed again
            header.write_bytes(seal(content))
    return path


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def lance_message(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Change the protobuf message of a Lance manifest: the last block, behind its length."""

    def apply(content: bytes) -> bytes:
        start = int.from_bytes(content[-16:-8], "little")
        length = int.from_bytes(content[start : start + 4], "little")
        message = change(content[start + 4 : start + 4 + length])
        tail = content[start + 4 + length :]
        return content[:start] + len(message).to_bytes(4, "little") + message + tail

    return apply


def lance_base(path: str) -> Callable[[bytes], bytes]:
    inner = b"\x08\x01\x18\x01\x22" + _varint(len(path)) + path.encode()
    return lance_message(lambda message: message + b"\x92\x01" + _varint(len(inner)) + inner)


def lance_fragment(rows: int) -> Callable[[bytes], bytes]:
    """Add a fragment of so many rows and no files."""
    inner = b"\x08\x05\x20" + _varint(rows)
    return lance_message(lambda message: message + b"\x12" + _varint(len(inner)) + inner)


def same_length(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new.ljust(len(old), b"x")[: len(old)])


def lance_data_path(name: str) -> Callable[[Path], None]:
    """Name another data file in the table's manifests, with as many letters; the data is there."""

    def apply(index: Path) -> None:
        data = lance_data(index)
        new = name + "x" * (len(data.name) - len(name) - 6) + ".lance"
        target = (data.parent / new).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data, target)
        for path in (table(index) / "_versions").glob("*.manifest"):
            path.write_bytes(path.read_bytes().replace(data.name.encode(), new.encode()))
        reseal(index)

    return apply


def another_lance_version(index: Path) -> None:
    """A newer version of the table that no record names."""
    newest = lance_manifest(index)
    (newest.parent / f"{int(newest.stem) - 1}.manifest").write_bytes(b"\xff" * 4000)


def write_text(index: Path, name: str, content: str) -> None:
    (index / name).write_text(content)


def json_in(index: Path, name: str, **changes: Any) -> None:
    path = segment(index) / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    reseal(index)
