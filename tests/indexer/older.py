"""Turns the live generation of an index, which has one segment, into one of format 3: all parts in the generation's own folder."""

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np

from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.storage.files.sealing import describe, seal, unseal
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.layout import CHUNKS_NAME, CONTENTS_NAME, LEXICAL_NAME, VECTORS_NAME
from quarry.indexer.storage.manifest import MANIFEST_NAME, Manifest, describe_files
from quarry.indexer.storage.texts.chunk_schema import create_tables
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.texts.generation_texts import open_texts
from quarry.indexer.storage.texts.packing import unpacked
from quarry.indexer.storage.texts.segment_texts import COLUMNS
from quarry.indexer.stores.sealed import HEADER_NAME
from tests.indexer.lexical.older_bm25s import OlderIndex


def live_segment(index: Path) -> Path:
    """The folder of the only segment of the live generation."""
    (segment,) = Manifest.read(Generations(index).live()).segments
    return index / "segments" / segment.name


def part_of(index: Path, name: str) -> Path:
    """A file of the live generation, or of its only segment."""
    live = Generations(index).live()
    return live / name if (live / name).exists() else live_segment(index) / name


def into_format_3(index: Path) -> Path:
    """Rewrite it; return the generation's folder."""
    live, segment = Generations(index).live(), live_segment(index)
    table = open_texts(live)
    roots = list(table.roots().items())
    table.close()
    if (segment / VECTORS_NAME).is_dir():
        keep_ids(segment / VECTORS_NAME)
    for part in segment.iterdir():
        if part.name not in ("segment.json", LEXICAL_NAME):
            shutil.move(part, live / part.name)
    shutil.rmtree(segment)
    (live / CONTENTS_NAME).unlink()
    into_plain_tables(live / CHUNKS_NAME)
    with sqlite3.connect(live / CHUNKS_NAME) as db:
        db.executemany("INSERT INTO roots VALUES (?, ?)", roots)
        write_texts_plainly(db)
    db.close()
    table = ChunkTable.open(live / CHUNKS_NAME)
    (live / LEXICAL_NAME).mkdir()
    ids, identity = table.digests()[0], Manifest.read(live).lexical.analyzer
    terms = [analyzer(identity).passage_terms(text) for text in table.texts(ids)]
    OlderIndex.build(ids, terms).save(live / LEXICAL_NAME)
    table.close()
    keep_terms(live / CHUNKS_NAME, dict(zip(ids, terms, strict=True)))
    record(live)
    return live


def keep_ids(store: Path) -> None:
    """Write the ids of a segment's store beside its vectors, as was done before they were those of the terms."""
    header = unseal(store / HEADER_NAME)
    lexical = store.parent / LEXICAL_NAME
    if header["facts"].pop("ids", None) is None:
        return
    shutil.copyfile(lexical / "ids.npy", store / "ids.000001.npy")
    np.save(store / "places.000001.npy", np.load(lexical / "id_places.npy").astype(np.int64))
    files = describe(
        store, [*(store / name for name in header["files"]), *store.glob("ids.*"), *store.glob("places.*")]
    )
    content = {key: value for key, value in header.items() if key != "checksum"}
    content["files"] = {name: fact.model_dump() for name, fact in files.items()}
    (store / HEADER_NAME).write_bytes(seal(content))


def into_plain_tables(path: Path) -> None:
    """Rewrite the texts of a finished segment with the tables that segments had up to format 3: ids in full wherever they are meant."""
    table = ChunkTable.open(path)
    rows = {
        name: table._db.execute(f"SELECT {', '.join(columns)} FROM temp.{name}").fetchall()
        for name, columns in COLUMNS.items()
    }
    table.close()
    path.unlink()
    db = sqlite3.connect(path, isolation_level=None)
    create_tables(db)
    db.execute("BEGIN")
    for name, columns in COLUMNS.items():
        marks = ", ".join("?" * len(columns))
        db.executemany(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})", rows[name])
    db.execute("COMMIT")
    db.close()


def keep_terms(path: Path, terms: dict[str, list[str]]) -> None:
    """Store the terms of passages with their texts, as was done before they were taken from the postings."""
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE chunks ADD COLUMN terms TEXT")
        db.executemany(
            "UPDATE chunks SET terms = ? WHERE chunk_id = ?", [(" ".join(words), each) for each, words in terms.items()]
        )
    db.close()


def write_texts_plainly(db: sqlite3.Connection) -> None:
    """Store texts as they were stored before they were compressed, and those of passages as well."""
    for doc_id, stored in db.execute("SELECT doc_id, text FROM documents").fetchall():
        text = unpacked(stored)
        db.execute("UPDATE documents SET text = ? WHERE doc_id = ?", (text, doc_id))
        for number, start, end, own in db.execute(
            'SELECT number, start, "end", text FROM chunks WHERE doc_id = ?', (doc_id,)
        ).fetchall():
            columns = (text[start:end] if own is None else unpacked(own), number)
            db.execute("UPDATE chunks SET text = ? WHERE number = ?", columns)


def record(live: Path) -> None:
    """Write the manifest anew, with the files that are in the generation's folder now."""
    content = {**unseal(live / MANIFEST_NAME), "format": 3}
    content.pop("segments", None)
    content["files"] = {name: fact.model_dump() for name, fact in describe_files(live).items()}
    (live / MANIFEST_NAME).write_bytes(seal(json.loads(json.dumps(content))))
