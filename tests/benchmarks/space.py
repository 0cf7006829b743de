"""What each part of an index takes on disk: `python -m tests.benchmarks.space INDEX [INDEX ...]`.

Bytes a passage of each part, and of all together the ratio to raw vectors plus raw texts: four bytes a number, and the documents' titles
and texts in UTF-8. Parts inside the text database are told apart by SQLite's `dbstat`, where SQLite has it. The index is one of any
kind of store, such as `tests.benchmarks.updates --work` leaves. What is kept for an option, token states, and what has a size of
its own, the vectors that the index was measured with, stand apart.
"""

import argparse
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from quarry.indexer.opened import Index
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest

_PARTS = {  # by how a path in a segment begins; the longest that fits counts
    "vectors/vectors.": "vectors",
    "vectors/index.": "vectors once more, in FAISS's index",
    "vectors/": "the store's ids and codes",
    "encoded/": "which vector is whose",
    "names/": "vectors of titles",
    "lexical/terms.": "terms",
    "lexical/places.": "terms",
    "lexical/starts.": "terms",
    "lexical/ids.": "ids of passages",
    "lexical/id_places.": "ids of passages",
    "lexical/": "postings",
}
_TABLES = {  # of the text database
    "documents": "documents: texts, titles, metadata, digests",
    "chunks": "passages: places, digests",
    "files": "entries of files",
    "meta": "metadata to filter by",
    "facts": "metadata to filter by",
    "strings": "ids of documents and paths",
    "names": "digests of titles",
}


def parts_of(index: Path) -> Counter[str]:
    """Return the bytes of each part of the live generation."""
    live = Generations(index).live()
    sizes: Counter[str] = Counter()
    for segment in Manifest.read(live).segments:
        folder = index / "segments" / segment.name
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if name == "chunks.sqlite":
                sizes.update(dict(_in_database(path)))
            elif path.is_file():
                sizes[_part(name)] += path.stat().st_size
    sizes["manifests"] += sum(path.stat().st_size for path in live.iterdir())
    for path in (index / "embeddings").iterdir() if (index / "embeddings").is_dir() else ():
        sizes["token states" if "token" in path.name else "vectors that it was measured with"] += path.stat().st_size
    return sizes


def _part(name: str) -> str:
    if name.startswith("vectors/") and ".lance/" in name:
        return "vectors" if "/data/" in name else "the store's ids and codes"
    fits = [begin for begin in _PARTS if name.startswith(begin)]
    return _PARTS[max(fits, key=len)] if fits else "manifests"


def _in_database(path: Path) -> Iterator[tuple[str, int]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
        try:
            rows = db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").fetchall()
        except sqlite3.OperationalError:
            rows = [("text database", path.stat().st_size)]
        owners = dict(db.execute("SELECT name, tbl_name FROM sqlite_master"))
    sizes: Counter[str] = Counter()
    for name, size in rows:
        owner = owners.get(name, name)
        part = _TABLES.get(owner, "the rest of the text database")
        sizes[part if name == owner else f"indexes of {owner}"] += size
    yield from sizes.items()


def raw_bytes(opened: Index) -> tuple[int, int]:
    """Return the bytes of raw vectors and of raw texts."""
    vectors = 0 if opened.vectors is None else 4 * opened.vectors.dim * len(opened.vectors)
    texts = sum(len(document.text.encode()) + len(document.title.encode()) for document in opened.chunks.documents())
    return vectors, texts


def report(index: Path) -> None:
    """Print a table of an index."""
    opened, sizes = Index.open(index), parts_of(index)
    passages, (vectors, texts) = opened.manifest.chunks, raw_bytes(opened)
    kind = opened.manifest.store.kind if opened.manifest.store else "no"
    print(f"{index}: {passages:,} passages, store {kind}")
    print(f"  {'raw vectors':45} {vectors / passages:9.1f} bytes a passage")
    print(f"  {'raw texts':45} {texts / passages:9.1f}")
    tokens = sizes.pop("token states", 0)
    for part, size in sizes.most_common():
        print(f"  {part:45} {size / passages:9.1f}")
    whole, raw = sizes.total(), vectors + texts
    print(f"  {'all, without token states':45} {whole / passages:9.1f}   {whole / raw:.3f} times raw")
    if tokens:
        print(f"  {'token states':45} {tokens / passages:9.1f}   {(whole + tokens) / raw:.2f} times raw with them")
    opened.chunks.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("index", type=Path, nargs="+")
    for index in parser.parse_args().index:
        report(index)


if __name__ == "__main__":
    main()
