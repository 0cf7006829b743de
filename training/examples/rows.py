"""Feedback in the forms that other tools read: FlagEmbedding's training rows and BEIR data sets; and such rows read back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from json import dumps
from math import isnan
from pathlib import Path
from typing import Any

from quarry.indexer.errors import CorpusError, FeedbackError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import write_atomic
from quarry.retriever.data.text_lines import Faults, json_object, numbered_lines
from quarry.retriever.data.trec import write_qrels
from quarry.training.examples.row import NO_INSTRUCTION, TrainingRow, parse_row
from quarry.training.feedback.judgements import Judgement, query_id, query_key

_EXPECTED = Message.of(
    "examples.row_lines",
    "JSON lines {form} in UTF-8, with at least one positive; {scores} are numbers, one for each text",
    form='{"query": text, "pos": [text, ...], "neg": [text, ...]}',
    scores='"pos_scores" and "neg_scores"',
)
__all__ = ["ExportReport", "TrainingRow", "read_training_rows", "training_rows", "write_beir", "write_training_rows"]

TextOf = Callable[[str], str | None]
"""From a chunk id to the text of its passage; None when the index no longer has it."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote and what it left out.

    Attributes:
        rows: Rows or queries written.
        without_negatives: Training rows with no negative passage: FlagEmbedding cannot train on them before mining.
        without_positives: Queries left out because nothing relevant is known.
        missing: Judgements left out because their passage is not in the index any more, or a whole document was judged.
        unwritable: Judgements left out because the document's id has a tab or line end, which qrels cannot hold.
    """

    rows: int
    without_negatives: int = 0
    without_positives: int = 0
    missing: int = 0
    unwritable: int = 0


def training_rows(judged: Iterable[Judgement], text_of: TextOf) -> tuple[list[TrainingRow], ExportReport]:
    """Turn judgements of passages into training rows, one per query.

    A text that is both, because two passages read the same, is a positive.
    """
    queries: dict[str, str] = {}
    sides: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    missing = 0
    for judgement in judged:
        text = text_of(judgement.chunk_id) if judgement.chunk_id else None
        if not text or not text.strip():
            missing += 1
            continue
        key = query_key(judgement.query)
        queries[key] = judgement.query
        positive, negative = sides.setdefault(key, ({}, {}))
        (positive if judgement.grade > 0 else negative)[text] = None
    rows = [
        TrainingRow(queries[key], tuple(positive), tuple(text for text in negative if text not in positive))
        for key, (positive, negative) in sides.items()
        if positive
    ]
    bare = sum(not row.neg for row in rows)
    return rows, ExportReport(len(rows), bare, len(sides) - len(rows), missing)


def training_lines(rows: Iterable[TrainingRow]) -> bytes:
    """Return rows as FlagEmbedding JSONL, UTF-8."""
    lines = []
    for row in rows:
        content: dict[str, Any] = {"query": row.query, "pos": row.pos, "neg": row.neg}
        if row.pos_scores or row.neg_scores:
            content |= {"pos_scores": _scores(row.pos_scores), "neg_scores": _scores(row.neg_scores)}
        if row.prompt:
            content["prompt"] = "" if row.prompt == NO_INSTRUCTION else row.prompt
        content |= {"type": row.kind} if row.kind else {}
        lines.append(dumps(content, ensure_ascii=False) + "\n")
    return "".join(lines).encode()


def _scores(scores: Iterable[float]) -> list[float | None]:
    return [None if isnan(score) else score for score in scores]


def write_training_rows(path: Path, rows: Iterable[TrainingRow]) -> None:
    """Write FlagEmbedding JSONL, UTF-8, atomically.

    Raises:
        FeedbackError: If the file cannot be written.
    """
    try:
        write_atomic(path, training_lines(rows))
    except OSError as err:
        raise not_written(path, err) from err


def write_beir(folder: Path, grades: Mapping[str, Mapping[str, int]], split: str = "test") -> ExportReport:
    """Write `queries.jsonl` and `qrels/SPLIT.tsv` below a folder; ids of queries are stable from one export to the next.

    Args:
        folder: Made when it is not there.
        grades: Query to document to grade, as `quarry.training.feedback.judgements.document_grades` returns them.
        split: Name of the qrels file.

    Raises:
        FeedbackError: If the folder cannot be written.
    """
    qrels = {query_id(query): {d: g for d, g in found.items() if d.isprintable()} for query, found in grades.items()}
    unwritable = sum(len(found) for found in grades.values()) - sum(len(found) for found in qrels.values())
    lines = [
        dumps({"_id": query_id(query), "text": query}, ensure_ascii=False) + "\n"
        for query in grades
        if qrels[query_id(query)]
    ]
    try:
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "queries.jsonl", "".join(lines).encode())
        write_qrels(folder / "qrels" / f"{split}.tsv", qrels)
    except OSError as err:
        raise not_written(folder, err) from err
    return ExportReport(len(lines), unwritable=unwritable)


def not_written(path: Path, err: OSError) -> FeedbackError:
    """Return the error that a file or folder cannot be written."""
    return FeedbackError(
        "examples.not_written",
        "{path} could not be written ({why})",
        expected="a folder with room",
        do="Choose another",
        path=path,
        why=str(err),
    )


def read_training_rows(path: Path) -> list[TrainingRow]:
    """Read FlagEmbedding JSONL, plain or .gz. Fields that are not known are left alone.

    Raises:
        FeedbackError: If the file cannot be read or lines are bad; file, line and reason of the first ones are named.

    Example:
        >>> write_training_rows(Path("rows.jsonl"), [TrainingRow("how to renew", ("Renew twice.",), ("Open at nine.",))])
        >>> read_training_rows(Path("rows.jsonl"))[0].neg
        ('Open at nine.',)
    """
    faults = Faults(path, _EXPECTED)
    rows = []
    try:
        for number, line in numbered_lines(path):
            content = json_object(line)
            row = parse_row(content) if isinstance(content, dict) else content
            if isinstance(row, Message):
                faults.add(number, row)
            else:
                rows.append(row)
        faults.raise_if_any()
    except CorpusError as err:
        raise FeedbackError.of(err.message) from err
    return rows
