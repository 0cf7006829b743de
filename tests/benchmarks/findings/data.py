"""Rows to train on and held-out queries with their passages, of eight sources in two languages."""

import gzip
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quarry.training.examples.rows import TrainingRow, write_training_rows

# the sources of each set, with an instruction of the kind that KaLM and bge-en-icl give to theirs
INSTRUCTIONS: Mapping[str, Mapping[str, str]] = {
    "train-pairs-en": {
        "win32": "Given a heading, find the section of the Windows documentation",
        "wordnet-3.0": "Given a word, find its definition",
        "medquad": "Given a medical question, find the answer",
        "libreoffice-help": "Given a heading, find the help text",
    },
    "train-pairs-zh": {
        "sql-docs.zh-cn": "给定标题，检索数据库文档的章节",
        "chinese-poetry": "给定题目，检索诗词",
        "cn-provincial-regulations": "给定问题，检索法规条文",
        "libreoffice-help": "给定标题，检索帮助文本",
    },
}
_LONGEST = 600  # characters of a text
_POOL = 6_000  # rows of a source that are drawn from


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What is measured on.

    Attributes:
        queries: One row each; its first positive is what is to be found.
        passages: Of the queries, and others.
    """

    queries: tuple[TrainingRow, ...]
    passages: tuple[str, ...]


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        yield from file


def _by_source(folder: Path, name: str) -> dict[str, list[TrainingRow]]:
    """Return the rows of both sets by kind, `en-SOURCE` or `zh-SOURCE`, each text once."""
    found: dict[str, list[TrainingRow]] = {}
    seen: set[str] = set()
    for part, sources in INSTRUCTIONS.items():
        for line in _lines(folder / part / name):
            row = json.loads(line)
            query, passage = row["query"].strip(), row["pos"][0].strip()[:_LONGEST]
            if query and passage and query != passage and not {query, passage} & seen:
                seen |= {query, passage}
                kind = f"{part[-2:]}-{row['source']}"
                made = TrainingRow(query, (passage,), prompt=sources[row["source"]], kind=kind)
                found.setdefault(kind, []).append(made)
    return found


def write_pool(folder: Path, into: Path) -> None:
    """Write a part of the training rows that is read quickly; none shares a text with a dev row."""
    held = {text for rows in _by_source(folder, "dev.jsonl").values() for row in rows for text in (row.query, *row.pos)}
    draw, sources = random.Random(11), _by_source(folder, "train.jsonl.gz")
    rows: list[TrainingRow] = []
    for kind in sorted(sources):
        usable = [row for row in sources[kind] if not {row.query, *row.pos} & held]
        rows += draw.sample(usable, min(len(usable), _POOL))
    write_training_rows(into, rows)


def rows_of(pool: Sequence[TrainingRow], count: int, seed: int) -> list[TrainingRow]:
    """Draw rows, of every source alike."""
    draw, found = random.Random(seed), list[TrainingRow]()
    kinds = sorted({row.kind for row in pool})
    for kind in kinds:
        usable = [row for row in pool if row.kind == kind]
        found += draw.sample(usable, min(len(usable), count // len(kinds)))
    draw.shuffle(found)
    return found


def held_out(folder: Path, queries: int, passages: int) -> HeldOut:
    """Draw what is measured on, always the same."""
    draw, sources = random.Random(7), _by_source(folder, "dev.jsonl")
    asked: list[TrainingRow] = []
    others: list[str] = []
    for kind in sorted(sources):
        rows = draw.sample(sources[kind], len(sources[kind]))
        share = queries // len(sources)
        asked += rows[:share]
        others += [row.pos[0] for row in rows[share : passages // len(sources)]]
    return HeldOut(tuple(asked), (*(row.pos[0] for row in asked), *others))


def texts_of(rows: Sequence[TrainingRow]) -> list[str]:
    """Return all texts of rows."""
    return [text for row in rows for text in (row.query, *row.pos)]
