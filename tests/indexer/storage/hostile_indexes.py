"""Index folders from elsewhere, whole by their own checksums, that point out of the folder, ask for memory or are made to crash a library.

python -m tests.indexer.storage.hostile_indexes FOLDER    opens each in a fork within limits; one line of JSON per index
"""

import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.indexer.storage.forging import (
    another_lance_version,
    array_header,
    bomb,
    by_sql,
    changed_array,
    changed_bytes,
    faiss_file,
    filled_with,
    json_in,
    lance_base,
    lance_data,
    lance_data_path,
    lance_fragment,
    lance_manifest,
    renamed_segment,
    reseal,
    resealed,
    same_length,
    store_says,
    write_text,
)
from tests.indexer.writing import DIM
from tests.memory import peak_mb
from tests.training.killing import Tell, forked

MEMORY = 4 << 30  # address space over what the libraries take
SECONDS = 60


ANY: dict[str, Callable[[Path], None]] = {
    "a segment elsewhere": renamed_segment("../../elsewhere"),
    "a segment at a root": lambda index: renamed_segment(str(index.parent / "absolute"))(index),
    "a segment of dots": renamed_segment("./x"),
    "another segment in the contents": by_sql("contents.sqlite", "UPDATE segments SET name = '../../other'"),
    "a segment's number in words": by_sql(
        "contents.sqlite",
        "ALTER TABLE segments RENAME TO old",
        "CREATE TABLE segments (number, name, documents, passages)",
        "INSERT INTO segments SELECT 'x; DROP', name, documents, passages FROM old",
    ),
    "a thousand segments": by_sql(
        "contents.sqlite",
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
        "INSERT INTO segments SELECT i, name, documents, passages FROM segments, n",
    ),
    "texts that are computed for ever": by_sql(
        "chunks.sqlite",
        "ALTER TABLE documents RENAME TO old",
        "CREATE VIEW documents AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT doc_id, file, title, text, meta, sha256 FROM old, n",
    ),
    "contents that are computed for ever": by_sql(
        "contents.sqlite",
        "ALTER TABLE removed_rows RENAME TO old",
        "CREATE VIEW removed_rows AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT 1 AS segment, i AS row FROM n",
    ),
    "a column that is computed": by_sql(
        "chunks.sqlite",
        "ALTER TABLE documents DROP COLUMN title",
        "ALTER TABLE documents ADD COLUMN title TEXT AS (hex(zeroblob(400000000)))",
    ),
    "a table that a module keeps": by_sql("chunks.sqlite", "CREATE VIRTUAL TABLE extra USING fts5(a)"),
    "a table's triggers": by_sql(
        "contents.sqlite", "CREATE TRIGGER t AFTER INSERT ON segments BEGIN DELETE FROM segments; END"
    ),
    "a text that unpacks to gigabytes": bomb,
    "a text that is a number": by_sql("chunks.sqlite", "UPDATE documents SET text = 7"),
    "metadata that is no JSON": by_sql("chunks.sqlite", "UPDATE documents SET meta = '[[['"),
    "metadata of deep arrays": by_sql(
        "chunks.sqlite", f"UPDATE documents SET meta = '{'[' * 100_000 + ']' * 100_000}'"
    ),
    "a passage behind its text": by_sql("chunks.sqlite", 'UPDATE chunks SET start = 10000000000, "end" = 20000000000'),
    "a passage of text places": by_sql("chunks.sqlite", "UPDATE chunks SET start = 'a'"),
    "no tables": by_sql("chunks.sqlite", "DROP TABLE chunks"),
    "a file elsewhere": resealed(
        "manifest.json",
        lambda content: content["files"].update({"../../../../../../etc/hostname": {"size": 1, "sha256": ""}}),
    ),
    "a file at a root": resealed(
        "manifest.json", lambda content: content["files"].update({"/etc/hostname": {"size": 1, "sha256": ""}})
    ),
    "files of negative size": resealed(
        "manifest.json", lambda content: [fact.update(size=-1) for fact in content["files"].values()]
    ),
    "a manifest of deep arrays": lambda index: write_text(index, "generations/000001/manifest.json", "[" * 200_000),
    "a number of 10^5 digits": lambda index: write_text(
        index, "generations/000001/manifest.json", '{"format": ' + "9" * 100_000 + "}"
    ),
    "a pointer of 10^5 digits": lambda index: write_text(
        index, "quarry-index.json", '{"format": ' + "9" * 100_000 + "}"
    ),
    "a pointer upwards": resealed("quarry-index.json", lambda content: content.update(generation="..")),
    "a pointer with a backslash": resealed("quarry-index.json", lambda content: content.update(generation="..\\..\\x")),
    "a pointer with a NUL": resealed("quarry-index.json", lambda content: content.update(generation="0\x001")),
    "an analyzer elsewhere": resealed(
        "manifest.json", lambda content: content["lexical"].update(analyzer="../../../tmp/evil")
    ),
    "an analyzer of 10^6 letters": resealed(
        "manifest.json", lambda content: content["lexical"].update(analyzer="a" * 1_000_000)
    ),
    "a store from elsewhere": resealed("manifest.json", lambda content: content["store"].update(kind="os.system")),
    "a lake in an index": resealed("manifest.json", lambda content: content["store"].update(kind="lake")),
    "terms behind the end": changed_array("starts.npy", filled_with(10**15)),
    "terms before the start": changed_array("places.npy", filled_with(-5)),
    "postings of bytes as large as they go": changed_array("blocks.npy", filled_with(255, np.uint8)),
    "postings of nothing": changed_array("blocks.npy", filled_with(0, np.uint8)),
    "passages that are not there": changed_array("blocks.npy", filled_with(2, np.uint8)),
    "a shape of 10^12": array_header(
        "lengths.npy", "{'descr': '<u4', 'fortran_order': False, 'shape': (1000000000000,), }"
    ),
    "a shape below zero": array_header("lengths.npy", "{'descr': '<u4', 'fortran_order': False, 'shape': (-5,), }"),
    "a header that runs code": array_header("lengths.npy", "{'descr': __import__('os').system('touch ran'), }"),
    "an array of objects": array_header("lengths.npy", "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"),
    "counts of 10^18": lambda index: json_in(index, "lexical/postings.json", passages=10**18, terms=10**18),
    "counts in words": lambda index: json_in(index, "lexical/postings.json", passages="many"),
    "a length of 10^9": store_says(dim=10**9),
    "10^15 vectors": store_says(count=10**15),
    "another store's header": store_says(kind="exact' OR 1"),
}
EXACT: dict[str, Callable[[Path], None]] = {
    "vectors of 10^12": array_header(
        "vectors.*.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000), }"
    ),
    "ids behind the end": changed_array("lexical/id_places.npy", filled_with(10**15)),
    "vectors that are no numbers": changed_array("vectors.*.npy", lambda array: np.full_like(array, np.nan)),
}
FAISS: dict[str, Callable[[Path], None]] = {
    "another kind of index": changed_bytes(faiss_file, lambda content: b"IxPT" + content[4:]),
    "an index that runs others": changed_bytes(faiss_file, lambda content: b"IxMp" + content[4:]),
    "10^12 vectors in the file": changed_bytes(
        faiss_file, lambda content: content[:8] + (10**12).to_bytes(8, "little") + content[16:]
    ),
    "codes of 2^60 bytes": changed_bytes(
        faiss_file, lambda content: content[:37] + (2**60).to_bytes(8, "little") + content[45:]
    ),
    "an index cut short": changed_bytes(faiss_file, lambda content: content[:60]),
    "an effort of 10^18": store_says(search=10**18),
    "an effort below zero": store_says(search=-1, refine=-5),
    "an option from elsewhere": store_says(option="__import__"),
    "a name of an index from elsewhere": store_says(index="../../x"),
}
LANCE: dict[str, Callable[[Path], None]] = {
    "data elsewhere": lance_data_path("../../../../../../elsewhere/"),
    "data beside": lance_data_path("../"),
    "another base": changed_bytes(lance_manifest, lance_base("/etc")),
    "a base on the network": changed_bytes(lance_manifest, lance_base("s3://evil/bucket")),
    "a manifest cut short": changed_bytes(lance_manifest, lambda content: content[:-30]),
    "a manifest of noise": changed_bytes(lance_manifest, lambda content: bytes(range(256)) * 4),
    "a manifest's place behind its end": changed_bytes(
        lance_manifest, lambda content: content[:-16] + (2**62).to_bytes(8, "little") + content[-8:]
    ),
    "a message of 4 GB": changed_bytes(
        lance_manifest, lambda content: content.replace(content[:4], b"\xff\xff\xff\x7f")
    ),
    "10^15 rows in a fragment": changed_bytes(lance_manifest, lance_fragment(10**15)),
    "rows that are not there": changed_bytes(lance_manifest, lance_fragment(70)),
    "a list of 10^9 numbers": changed_bytes(
        lance_manifest, same_length(b"fixed_size_list:float:16", b"fixed_size_list:float:99")
    ),
    "a footer of the data of noise": changed_bytes(lance_data, lambda content: content[:-40] + b"\xff" * 36 + b"LANC"),
    "data cut short": changed_bytes(lance_data, lambda content: content[: len(content) // 2]),
    "data of another kind": changed_bytes(lance_data, lambda content: b"PK\x03\x04" + bytes(len(content) - 4)),
    "a newer version that nobody recorded": another_lance_version,
    "a version in words": store_says(version="../../../tag"),
    "a version of 10^30": store_says(version=10**30),
    "a version below zero": store_says(version=-1),
    "a version that is not there": store_says(version=77),
    "an effort of 10^18": store_says(index="ivf-hnsw-sq", search=10**18, refine=10**18),
    "an index of another kind": store_says(index="ivf-evil"),
}
KINDS = {"exact": {**ANY, **EXACT}, "faiss": FAISS, "lance": LANCE}


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
