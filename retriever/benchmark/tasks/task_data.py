"""Data for embedding benchmarks, found by the layout of local folders. It reads and samples; it scores nothing.

One folder per data set, files plain or .gz; the layout says which tasks it can serve, the first being the default:

    corpus.jsonl queries.jsonl qrels/SPLIT.tsv (BEIR; also the other layouts of       Retrieval, Reranking
        `quarry.retriever.data.datasets` that have a corpus)
    test.jsonl  {"sentence1", "sentence2", "score": number}                           STS
    test.jsonl  {"sentence1", "sentence2", "label": 0 or 1}                           PairClassification
    test.jsonl  {"sentence1", "sentence2"}                                            BitextMining
    test.jsonl and train.jsonl  {"text", "label": text or whole number}               Classification, Clustering
    test.jsonl  {"text", "label"}                                                     Clustering

`dev.jsonl` is taken where there is no `test.jsonl`.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from pathlib import Path
from random import Random
from typing import Any, Literal, TypeAlias

from quarry.indexer.errors import CorpusError, SettingsError
from quarry.indexer.lexical.detection import languages_in
from quarry.indexer.lexical.languages import LANGUAGES
from quarry.indexer.messages import Message
from quarry.retriever.data.text_lines import Faults, json_object, numbered_lines, quoted

Kind: TypeAlias = Literal[
    "Retrieval", "Reranking", "STS", "Classification", "PairClassification", "Clustering", "BitextMining"
]
KINDS: tuple[Kind, ...] = (
    "Retrieval",
    "Reranking",
    "STS",
    "Classification",
    "PairClassification",
    "Clustering",
    "BitextMining",
)
Row: TypeAlias = Mapping[str, str | float]

_TRAIN_PER_LABEL = 64  # kept of a sampled training split: twice what each of the ten classifiers draws
_LANGUAGE_SAMPLE = 200  # texts read to detect a language
_USUAL = "zh en"  # named before other languages
_MIN_ROWS = 2
_FIELDS: Mapping[Kind, tuple[str, ...]] = {
    "STS": ("sentence1", "sentence2", "score"),
    "PairClassification": ("sentence1", "sentence2", "label"),
    "BitextMining": ("sentence1", "sentence2"),
    "Classification": ("text", "label"),
    "Clustering": ("text", "label"),
}


@dataclass(frozen=True, slots=True)
class TaskChoice:
    """One data set for one kind of task."""

    folder: Path
    kind: Kind

    @property
    def name(self) -> str:
        """`DATASET-Kind`, the task's name; a sample adds its size."""
        return f"{self.folder.resolve().name}-{self.kind}"


@dataclass(frozen=True, slots=True)
class RowData:
    """Rows of a task other than retrieval.

    Attributes:
        choice: Data set and kind.
        split: The scored rows' split, test or dev.
        rows: These rows.
        train: Training rows of a classification; empty otherwise.
        total: How many rows the split has.
        sampled: Whether `rows` or `train` is a sample.
    """

    choice: TaskChoice
    split: str
    rows: tuple[Row, ...]
    train: tuple[Row, ...]
    total: int
    sampled: bool

    @property
    def digest(self) -> str:
        """16 hex digits that change with the rows."""
        return sha256(json.dumps([self.rows, self.train], sort_keys=True).encode()).hexdigest()[:16]

    @property
    def size(self) -> str:
        """How much is scored, in words."""
        of = f" of {self.total}" if self.sampled else ""
        return f"{len(self.rows)}{of} rows" + (f", {len(self.train)} training rows" if self.train else "")


def kinds_of(folder: Path) -> tuple[Kind, ...]:
    """Return the tasks that a folder can serve, the default first; empty when it is no data set."""
    if any(_existing(folder, name) for name in ("corpus",)):
        searchable = _existing(folder, "queries") or any(folder.glob("*queries.jsonl*")) or any(folder.glob("*qrels*"))
        return ("Retrieval", "Reranking") if searchable else ()
    path = _existing(folder, "test") or _existing(folder, "dev")
    row = _first_row(path) if path else {}
    if {"sentence1", "sentence2"} <= row.keys():
        return ("STS",) if "score" in row else ("PairClassification",) if "label" in row else ("BitextMining",)
    if {"text", "label"} <= row.keys():
        return ("Classification", "Clustering") if _existing(folder, "train") else ("Clustering",)
    return ()


def find_tasks(parent: Path) -> list[TaskChoice]:
    """Return the default task of every data set directly below a folder, by name.

    Raises:
        CorpusError: If it is no folder.
    """
    if not parent.is_dir():
        raise CorpusError(
            "benchmark.no_folder",
            "{folder} is not a folder",
            expected="one that holds data sets",
            do="Give it with --data",
            folder=parent,
        )
    folders = [child for child in sorted(parent.iterdir()) if child.is_dir() and not child.name.startswith(".")]
    return [TaskChoice(folder, kinds[0]) for folder in folders if (kinds := kinds_of(folder))]


def choose_tasks(parent: Path, names: Sequence[str]) -> list[TaskChoice]:
    """Return the tasks named, as `NAME` (the default kind) or `NAME:KIND`, each once.

    Raises:
        CorpusError: If a folder is missing or is no data set.
        SettingsError: If a kind is unknown, or not possible with that data.
    """
    found: dict[TaskChoice, None] = {}
    for name in names:
        folder_name, _, kind_name = name.partition(":")
        folder = parent / folder_name
        kinds = kinds_of(folder) if folder.is_dir() else ()
        if not kinds:
            known = [choice.folder.name for choice in find_tasks(parent)]
            raise CorpusError(
                "benchmark.no_data_set",
                "{folder} is not a data set; {parent} holds {known}",
                expected="files of a known layout",
                do="See `quarry benchmark --help`",
                folder=folder,
                parent=parent,
                known=known or Message.of("benchmark.none", "none"),
            )
        wanted = next((kind for kind in KINDS if kind.lower() == kind_name.lower()), None)
        if kind_name and wanted not in kinds:
            raise SettingsError(
                "benchmark.kind",
                "{name}: {kind} is not possible with this data",
                expected="one of {kinds}",
                name=name,
                kind=repr(kind_name),
                kinds=list(kinds),
            )
        found[TaskChoice(folder, wanted or kinds[0])] = None
    return list(found)


def read_rows(choice: TaskChoice, limit: int | None) -> RowData:
    """Read the rows of a task other than retrieval.

    Args:
        choice: Which.
        limit: At most this many rows, drawn with a fixed seed; then training rows are cut to 64 per label.

    Raises:
        CorpusError: If a line is bad (file, line and reason are named), or there are too few rows.
    """
    split = "test" if _existing(choice.folder, "test") else "dev"
    path = _existing(choice.folder, split)
    if path is None:
        raise CorpusError(
            "benchmark.no_rows_file", "{folder} has no test.jsonl or dev.jsonl", expected="one", folder=choice.folder
        )
    every = list(_rows(path, choice.kind))
    if len(every) < _MIN_ROWS:
        raise CorpusError(
            "benchmark.few_rows",
            "{path}: {rows:row|rows}",
            expected="at least {least}",
            path=path,
            rows=len(every),
            least=_MIN_ROWS,
        )
    train_path = _existing(choice.folder, "train") if choice.kind == "Classification" else None
    train = list(_rows(train_path, choice.kind)) if train_path else []
    rows, kept = every, train
    if limit is not None and limit < len(every):
        places = sorted(Random(0).sample(range(len(every)), limit))
        rows = [every[place] for place in places]
        kept = _first_of_each_label(train)
    sampled = len(rows) < len(every) or len(kept) < len(train)
    return RowData(choice, split, tuple(rows), tuple(kept), len(every), sampled)


def languages_of(texts: Sequence[str]) -> list[str]:
    """Return the languages as mteb writes them (`cmn-Hans`, `eng-Latn`), of at least a tenth of the sampled texts."""
    looked_at = Random(0).sample(texts, min(len(texts), _LANGUAGE_SAMPLE))
    found = sorted(languages_in(looked_at), key=lambda code: (code not in _USUAL, _USUAL.find(code), code))
    return [LANGUAGES[code].name for code in found] or ["und"]


def texts_of_row(row: Row) -> list[str]:
    """Return the texts in a row."""
    return [str(row[name]) for name in ("text", "sentence1", "sentence2") if name in row]


def _first_of_each_label(rows: Sequence[Row]) -> list[Row]:
    shuffled = list(range(len(rows)))
    Random(0).shuffle(shuffled)
    counts: dict[str | float, int] = defaultdict(int)
    kept = []
    for place in shuffled:
        label = rows[place]["label"]
        if counts[label] < _TRAIN_PER_LABEL:
            counts[label] += 1
            kept.append(place)
    return [rows[place] for place in sorted(kept)]


def _rows(path: Path, kind: Kind) -> Iterator[Row]:
    fields = _FIELDS[kind]
    faults = Faults(path, Message.of("benchmark.rows", "JSON lines with {fields}", fields=list(fields)))
    rows = []
    for number, line in numbered_lines(path):
        row = json_object(line)
        fault = _fault(row, kind) if isinstance(row, dict) else row
        if fault:
            faults.add(number, fault)
        elif isinstance(row, dict):
            rows.append({name: _value(name, row[name], kind) for name in fields})
    faults.raise_if_any()
    yield from rows


def _fault(row: Mapping[str, Any], kind: Kind) -> Message | None:
    for name in _FIELDS[kind]:
        value = row.get(name)
        if name == "score":
            good = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
            wanted = Message.of("benchmark.a_number", "a number")
        elif name == "label" and kind == "PairClassification":
            good, wanted = type(value) is int and value in (0, 1), Message.plain("0 / 1")
        elif name == "label":
            good = type(value) is int or (isinstance(value, str) and bool(value))
            wanted = Message.of("benchmark.text_or_number", "text or a whole number")
        else:
            good, wanted = isinstance(value, str) and bool(value.strip()), Message.of("benchmark.text", "text")
        if not good:
            return Message.of(
                "benchmark.bad_value",
                "{name} is {value}",
                expected="{wanted}",
                name=name,
                value=quoted(value),
                wanted=wanted,
            )
    return None


def _value(name: str, value: Any, kind: Kind) -> str | float:
    if name == "score" or (name == "label" and kind == "PairClassification"):
        return float(value) if name == "score" else int(value)
    return str(value)


def _first_row(path: Path) -> Mapping[str, Any]:
    for _, line in numbered_lines(path):
        row = json_object(line)
        return row if isinstance(row, dict) else {}
    return {}


def _existing(folder: Path, name: str) -> Path | None:
    return next((p for p in (folder / f"{name}.jsonl", folder / f"{name}.jsonl.gz") if p.is_file()), None)
