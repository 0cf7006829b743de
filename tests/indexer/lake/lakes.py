"""Corpora and lakes for the tests of this folder."""

import json
import os
import random
from pathlib import Path

from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.lake.adding import add_to_lake
from quarry.indexer.lake.making import Lake, make_lake, settings_for
from quarry.indexer.lake.publishing import publish
from quarry.indexer.readers.base import ReadOptions
from tests.fakes import WordEmbedder

SPEC = ChunkSpec(64, 16)
DATE = (1_700_000_000, 1_700_000_000)
ENGLISH = ["library", "book", "loan", "renew", "printer", "filament", "reader", "fine", "return", "shelf"]
CHINESE = "图书馆借阅续借到期打印读者规则目录书架归还"


def write_corpus(folder: Path, files: int = 40, seed: int = 7) -> Path:
    """Write small files in both languages and a JSON lines file with metadata, all of one date."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    for number in range(files):
        body = " ".join(rng.choices(ENGLISH, k=40)) if number % 2 else "".join(rng.choices(CHINESE, k=60))
        (folder / f"{number:03}.md").write_text(f"# Title {number}\n\n{body}\n\n## Part\n\n{body[::-1]}", "utf-8")
    rows = (
        json.dumps(
            {
                "_id": f"r{number}",
                "text": " ".join(rng.choices(ENGLISH, k=30)),
                "price": number,
                "tags": ["odd" if number % 2 else "even"],
                "when": f"2024-{number % 12 + 1:02}-01",
            }
        )
        for number in range(30)
    )
    (folder / "rows.jsonl").write_text("\n".join(rows), "utf-8")
    for file in folder.iterdir():
        os.utime(file, DATE)
    return folder


def new_lake(place: str | Path, embedder: WordEmbedder) -> Lake:
    """Make an empty lake."""
    return make_lake(place, settings_for(embedder, "", SPEC, ReadOptions()))


def filled_lake(place: str | Path, corpus: Path, *, index_from: int = 50_000) -> Lake:
    """Make a lake of a corpus, published."""
    embedder = WordEmbedder()
    lake = new_lake(place, embedder)
    add_to_lake(lake, [corpus], embedder)
    publish(lake, embedder, index_from=index_from)
    return lake
