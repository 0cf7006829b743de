"""Index folders from elsewhere, whole by their own checksums, that point out of the folder, ask for memory or are made to crash a library.

python -m tests.indexer.storage.hostile_indexes FOLDER    opens each in a fork within limits; one line of JSON per index
"""

import json
import os
import resource
import shutil
import signal
import sqlite3
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from quarry.indexer.storage.files.sealing import describe, seal
from tests.indexer.writing import DIM
from tests.memory import peak_mb
from tests.training.killing import Tell, forked

MEMORY = 4 << 30  # address space over what the libraries take
SECONDS = 60


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


def _sealed(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change a sealed file after everything else agrees."""

    def apply(index: Path) -> None:
        path = index / "generations" / "000001" / name if name == "manifest.json" else index / name
        content = unsealed(path)
        change(content)
        path.write_bytes(seal(content))

    return apply


def _store(**changes: Any) -> Callable[[Path], None]:
    """Change the header of the vectors."""

    def apply(index: Path) -> None:
        path = segment(index) / "vectors" / "store.json"
        content = unsealed(path)
        content.update({key: value for key, value in changes.items() if key in content})
        content["facts"].update({key: value for key, value in changes.items() if key not in content})
        path.write_bytes(seal(content))
        reseal(index)

    return apply


def _sql(database: str, *statements: str) -> Callable[[Path], None]:
    """Change a database: `contents.sqlite` or `chunks.sqlite`."""

    def apply(index: Path) -> None:
        folder = index / "generations" / "000001" if database == "contents.sqlite" else segment(index)
        with closing(sqlite3.connect(folder / database)) as db:
            for statement in statements:
                db.execute(statement)
            db.commit()
        reseal(index)

    return apply


def _bomb(index: Path) -> None:
    """A text of a gigabyte in a megabyte."""
    packer = zlib.compressobj(9)
    content = b"".join(packer.compress(b"a" * (1 << 20)) for _ in range(2048)) + packer.flush()
    with closing(sqlite3.connect(segment(index) / "chunks.sqlite")) as db:
        db.execute("UPDATE documents SET text = ?", (content,))
        db.execute("UPDATE chunks SET text = ?", (content,))
        db.commit()
    reseal(index)


def _renamed(name: str) -> Callable[[Path], None]:
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
        _sealed("manifest.json", lambda content: content["segments"][0].update(name=name))(index)

    return apply


def _header(name: str, header: str, size: int = 400) -> Callable[[Path], None]:
    """Put an array with a made-up header in the place of one."""

    def apply(index: Path) -> None:
        path = next(segment(index).rglob(name))
        text = header.encode().ljust(118) + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(size))
        reseal(index)

    return apply


def _array(name: str, change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> Callable[[Path], None]:
    """Change the numbers of an array."""

    def apply(index: Path) -> None:
        path = next(segment(index).rglob(name))
        np.save(path, change(np.load(path).copy()))
        reseal(index)

    return apply


def _fill(value: int, kind: type[np.integer[Any]] = np.int64) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Fill with a number, in a type that is read, whatever type was there."""
    return lambda array: np.full(array.shape, value, dtype=kind)


def _bytes_of(find: Callable[[Path], Path], change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(index: Path) -> None:
        path = find(index)
        path.write_bytes(change(path.read_bytes()))
        reseal(index)

    return apply


def _manifest(index: Path) -> Path:
    return min((table(index) / "_versions").glob("*.manifest"))  # versions are counted downwards: the newest


def _data(index: Path) -> Path:
    return next((table(index) / "data").glob("*.lance"))


def _index_file(index: Path) -> Path:
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


def _message(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Change the protobuf message of a Lance manifest: the last block, behind its length."""

    def apply(content: bytes) -> bytes:
        start = int.from_bytes(content[-16:-8], "little")
        length = int.from_bytes(content[start : start + 4], "little")
        message = change(content[start + 4 : start + 4 + length])
        tail = content[start + 4 + length :]
        return content[:start] + len(message).to_bytes(4, "little") + message + tail

    return apply


def _base(path: str) -> Callable[[bytes], bytes]:
    inner = b"\x08\x01\x18\x01\x22" + _varint(len(path)) + path.encode()
    return _message(lambda message: message + b"\x92\x01" + _varint(len(inner)) + inner)


def _fragment(rows: int) -> Callable[[bytes], bytes]:
    """Add a fragment of so many rows and no files."""
    inner = b"\x08\x05\x20" + _varint(rows)
    return _message(lambda message: message + b"\x12" + _varint(len(inner)) + inner)


def _same_length(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new.ljust(len(old), b"x")[: len(old)])


def _data_path(name: str) -> Callable[[Path], None]:
    """Name another data file in the table's manifests, with as many letters; the data is there."""

    def apply(index: Path) -> None:
        data = _data(index)
        new = name + "x" * (len(data.name) - len(name) - 6) + ".lance"
        target = (data.parent / new).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data, target)
        for path in (table(index) / "_versions").glob("*.manifest"):
            path.write_bytes(path.read_bytes().replace(data.name.encode(), new.encode()))
        reseal(index)

    return apply


def _another_version(index: Path) -> None:
    """A newer version of the table that no record names."""
    newest = _manifest(index)
    (newest.parent / f"{int(newest.stem) - 1}.manifest").write_bytes(b"\xff" * 4000)


ANY: dict[str, Callable[[Path], None]] = {
    "a segment elsewhere": _renamed("../../elsewhere"),
    "a segment at a root": lambda index: _renamed(str(index.parent / "absolute"))(index),
    "a segment of dots": _renamed("./x"),
    "another segment in the contents": _sql("contents.sqlite", "UPDATE segments SET name = '../../other'"),
    "a segment's number in words": _sql(
        "contents.sqlite",
        "ALTER TABLE segments RENAME TO old",
        "CREATE TABLE segments (number, name, documents, passages)",
        "INSERT INTO segments SELECT 'x; DROP', name, documents, passages FROM old",
    ),
    "a thousand segments": _sql(
        "contents.sqlite",
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
        "INSERT INTO segments SELECT i, name, documents, passages FROM segments, n",
    ),
    "texts that are computed for ever": _sql(
        "chunks.sqlite",
        "ALTER TABLE documents RENAME TO old",
        "CREATE VIEW documents AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT doc_id, file, title, text, meta, sha256 FROM old, n",
    ),
    "contents that are computed for ever": _sql(
        "contents.sqlite",
        "ALTER TABLE removed_rows RENAME TO old",
        "CREATE VIEW removed_rows AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT 1 AS segment, i AS row FROM n",
    ),
    "a column that is computed": _sql(
        "chunks.sqlite",
        "ALTER TABLE documents DROP COLUMN title",
        "ALTER TABLE documents ADD COLUMN title TEXT AS (hex(zeroblob(400000000)))",
    ),
    "a table that a module keeps": _sql("chunks.sqlite", "CREATE VIRTUAL TABLE extra USING fts5(a)"),
    "a table's triggers": _sql(
        "contents.sqlite", "CREATE TRIGGER t AFTER INSERT ON segments BEGIN DELETE FROM segments; END"
    ),
    "a text that unpacks to gigabytes": _bomb,
    "a text that is a number": _sql("chunks.sqlite", "UPDATE documents SET text = 7"),
    "metadata that is no JSON": _sql("chunks.sqlite", "UPDATE documents SET meta = '[[['"),
    "metadata of deep arrays": _sql("chunks.sqlite", f"UPDATE documents SET meta = '{'[' * 100_000 + ']' * 100_000}'"),
    "a passage behind its text": _sql("chunks.sqlite", 'UPDATE chunks SET start = 10000000000, "end" = 20000000000'),
    "a passage of text places": _sql("chunks.sqlite", "UPDATE chunks SET start = 'a'"),
    "no tables": _sql("chunks.sqlite", "DROP TABLE chunks"),
    "a file elsewhere": _sealed(
        "manifest.json",
        lambda content: content["files"].update({"../../../../../../etc/hostname": {"size": 1, "sha256": ""}}),
    ),
    "a file at a root": _sealed(
        "manifest.json", lambda content: content["files"].update({"/etc/hostname": {"size": 1, "sha256": ""}})
    ),
    "files of negative size": _sealed(
        "manifest.json", lambda content: [fact.update(size=-1) for fact in content["files"].values()]
    ),
    "a manifest of deep arrays": lambda index: _text(index, "generations/000001/manifest.json", "[" * 200_000),
    "a number of 10^5 digits": lambda index: _text(
        index, "generations/000001/manifest.json", '{"format": ' + "9" * 100_000 + "}"
    ),
    "a pointer of 10^5 digits": lambda index: _text(index, "quarry-index.json", '{"format": ' + "9" * 100_000 + "}"),
    "a pointer upwards": _sealed("quarry-index.json", lambda content: content.update(generation="..")),
    "a pointer with a backslash": _sealed("quarry-index.json", lambda content: content.update(generation="..\\..\\x")),
    "a pointer with a NUL": _sealed("quarry-index.json", lambda content: content.update(generation="0\x001")),
    "an analyzer elsewhere": _sealed(
        "manifest.json", lambda content: content["lexical"].update(analyzer="../../../tmp/evil")
    ),
    "an analyzer of 10^6 letters": _sealed(
        "manifest.json", lambda content: content["lexical"].update(analyzer="a" * 1_000_000)
    ),
    "a store from elsewhere": _sealed("manifest.json", lambda content: content["store"].update(kind="os.system")),
    "a lake in an index": _sealed("manifest.json", lambda content: content["store"].update(kind="lake")),
    "terms behind the end": _array("starts.npy", _fill(10**15)),
    "terms before the start": _array("places.npy", _fill(-5)),
    "postings of bytes as large as they go": _array("blocks.npy", _fill(255, np.uint8)),
    "postings of nothing": _array("blocks.npy", _fill(0, np.uint8)),
    "passages that are not there": _array("blocks.npy", _fill(2, np.uint8)),
    "a shape of 10^12": _header("lengths.npy", "{'descr': '<u4', 'fortran_order': False, 'shape': (1000000000000,), }"),
    "a shape below zero": _header("lengths.npy", "{'descr': '<u4', 'fortran_order': False, 'shape': (-5,), }"),
    "a header that runs code": _header("lengths.npy", "{'descr': __import__('os').system('touch ran'), }"),
    "an array of objects": _header("lengths.npy", "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"),
    "counts of 10^18": lambda index: _json_in(index, "lexical/postings.json", passages=10**18, terms=10**18),
    "counts in words": lambda index: _json_in(index, "lexical/postings.json", passages="many"),
    "a length of 10^9": _store(dim=10**9),
    "10^15 vectors": _store(count=10**15),
    "another store's header": _store(kind="exact' OR 1"),
}
EXACT: dict[str, Callable[[Path], None]] = {
    "vectors of 10^12": _header(
        "vectors.*.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000), }"
    ),
    "ids behind the end": _array("lexical/id_places.npy", _fill(10**15)),
    "vectors that are no numbers": _array("vectors.*.npy", lambda array: np.full_like(array, np.nan)),
}
FAISS: dict[str, Callable[[Path], None]] = {
    "another kind of index": _bytes_of(_index_file, lambda content: b"IxPT" + content[4:]),
    "an index that runs others": _bytes_of(_index_file, lambda content: b"IxMp" + content[4:]),
    "10^12 vectors in the file": _bytes_of(
        _index_file, lambda content: content[:8] + (10**12).to_bytes(8, "little") + content[16:]
    ),
    "codes of 2^60 bytes": _bytes_of(
        _index_file, lambda content: content[:37] + (2**60).to_bytes(8, "little") + content[45:]
    ),
    "an index cut short": _bytes_of(_index_file, lambda content: content[:60]),
    "an effort of 10^18": _store(search=10**18),
    "an effort below zero": _store(search=-1, refine=-5),
    "an option from elsewhere": _store(option="__import__"),
    "a name of an index from elsewhere": _store(index="../../x"),
}
LANCE: dict[str, Callable[[Path], None]] = {
    "data elsewhere": _data_path("../../../../../../elsewhere/"),
    "data beside": _data_path("../"),
    "another base": _bytes_of(_manifest, _base("/etc")),
    "a base on the network": _bytes_of(_manifest, _base("s3://evil/bucket")),
    "a manifest cut short": _bytes_of(_manifest, lambda content: content[:-30]),
    "a manifest of noise": _bytes_of(_manifest, lambda content: bytes(range(256)) * 4),
    "a manifest's place behind its end": _bytes_of(
        _manifest, lambda content: content[:-16] + (2**62).to_bytes(8, "little") + content[-8:]
    ),
    "a message of 4 GB": _bytes_of(_manifest, lambda content: content.replace(content[:4], b"\xff\xff\xff\x7f")),
    "10^15 rows in a fragment": _bytes_of(_manifest, _fragment(10**15)),
    "rows that are not there": _bytes_of(_manifest, _fragment(70)),
    "a list of 10^9 numbers": _bytes_of(
        _manifest, _same_length(b"fixed_size_list:float:16", b"fixed_size_list:float:99")
    ),
    "a footer of the data of noise": _bytes_of(_data, lambda content: content[:-40] + b"\xff" * 36 + b"LANC"),
    "data cut short": _bytes_of(_data, lambda content: content[: len(content) // 2]),
    "data of another kind": _bytes_of(_data, lambda content: b"PK\x03\x04" + bytes(len(content) - 4)),
    "a newer version that nobody recorded": _another_version,
    "a version in words": _store(version="../../../tag"),
    "a version of 10^30": _store(version=10**30),
    "a version below zero": _store(version=-1),
    "a version that is not there": _store(version=77),
    "an effort of 10^18": _store(index="ivf-hnsw-sq", search=10**18, refine=10**18),
    "an index of another kind": _store(index="ivf-evil"),
}
KINDS = {"exact": {**ANY, **EXACT}, "faiss": FAISS, "lance": LANCE}


def _text(index: Path, name: str, content: str) -> None:
    (index / name).write_text(content)


def _json_in(index: Path, name: str, **changes: Any) -> None:
    path = segment(index) / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    reseal(index)


def use(index: Path) -> None:
    """Open an index and ask it for everything that a search needs."""
    from quarry.indexer.opened import Index
    from tests.fakes import WordEmbedder

    opened = Index.open(index)
    ids, _ = opened.chunks.digests()
    opened.chunks.chunks(ids)
    for document in opened.chunks.documents():
        assert isinstance(document.text, str)
    opened.lexical.search(opened.analyzer.tokens("library text 3"), 5)
    assert opened.vectors is not None
    queries = WordEmbedder(dim=DIM).embed_queries(["library text 3"])
    opened.vectors.search(queries, 5)
    opened.vectors.search(queries, 5, allowed=ids[:7])
    opened.vectors.vectors_of(np.arange(3))


def _used(index: Path, act: Callable[[Path], None], tell: Tell) -> None:
    from quarry.indexer.errors import SearchError

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.alarm(SECONDS)
    began = time.monotonic()
    try:
        act(index)
        ended, said = "used", ""
    except SearchError as err:
        ended, said = "refused", str(err)
    except BaseException as err:  # noqa: BLE001 (what must not happen is told)
        ended, said = type(err).__name__, f"{str(err)[:300]} {traceback.format_exc()[-700:]}"
    tell(
        {
            "ended": ended,
            "said": said,
            "seconds": round(time.monotonic() - began, 2),
            "peak_mb": peak_mb(),
        }
    )


def run(
    folder: Path, store: str, name: str, change: Callable[[Path], None], act: Callable[[Path], None] = use
) -> dict[str, Any]:
    """Copy the sound index of a store, change it and use it in a fork; returns how that ended."""
    index = folder / store / name.replace("/", "_") / "index"
    shutil.copytree(folder / store / "sound", index)
    change(index)
    code, told = forked(lambda tell: _used(index, act, tell))
    found = told[0] if told else {"ended": f"ended by itself with {code}", "said": "", "seconds": 0, "peak_mb": 0}
    return {"store": store, "name": name, **found}


def make(index: Path, store: str) -> None:
    """Make the sound index."""
    from quarry.indexer.build import index_documents
    from quarry.indexer.build.plan import BuildOptions
    from quarry.indexer.records import Document
    from tests.fakes import WordEmbedder

    documents = [Document(f"d{n}", f"library text {n} " * 9) for n in range(30)]
    index_documents(index, documents, WordEmbedder(dim=DIM), BuildOptions(store=store, analyzer="bigram"))


def main() -> None:
    """Use every index."""
    os.environ["LANCE_LOG"] = "error"
    root = Path(sys.argv[1])
    for store, changes in KINDS.items():
        forked(lambda tell, store=store: make(root / store / "sound", store))  # type: ignore[misc]
        for name, change in {"a sound one": lambda index: reseal(index), **changes}.items():
            print(json.dumps(run(root, store, name, change)), flush=True)


if __name__ == "__main__":
    main()
