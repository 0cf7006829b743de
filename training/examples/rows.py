"""Feedback in the forms that other tools read: FlagEmbedding's training rows and BEIR data sets; and such rows read back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from json import dumps
from math import isfinite
from pathlib import Path
from typing import Any

from quarry.indexer.errors import CorpusError, FeedbackError
from quarry.indexer.messages import Message
from quarry.indexer.storage.durable import write_atomic
from quarry.retriever.data.text_lines import Faults, json_object, numbered_lines
from quarry.retriever.data.trec import write_qrels
from quarry.training.feedback.judgements import Judgement, query_id, query_key

_EXPECTED = (
    'JSON lines {"query": text, "pos": [text, ...], "neg": [text, ...]} in UTF-8, with at least one positive; '
    '"pos_scores" and "neg_scores" are numbers, one for each text'
)
TextOf = Callable[[str], str | None]
"""From a chunk id to the text of its passage; None when the index no longer has it."""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row of FlagEmbedding's training data.

    Attributes:
        query: The question, without instruction.
        pos: Relevant passages, at least one.
        neg: Passages that are not; may be empty until negatives are mined.
        pos_scores: Scores of a teacher, as many as `pos`, or none.
        neg_scores: The same for `neg`.
        prompt: The instruction to use for this row; empty for the model's own.
        kind: FlagEmbedding's `type` (`normal`, `symmetric_sts`, ...); empty when not given.
    """

    query: str
    pos: tuple[str, ...]
    neg: tuple[str, ...] = ()
    pos_scores: tuple[float, ...] = ()
    neg_scores: tuple[float, ...] = ()
    prompt: str = ""
    kind: str = ""


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


def write_training_rows(path: Path, rows: Iterable[TrainingRow]) -> None:
    """Write FlagEmbedding JSONL, UTF-8, atomically.

    Raises:
        FeedbackError: If the file cannot be written.
    """
    lines = []
    for row in rows:
        content: dict[str, Any] = {"query": row.query, "pos": row.pos, "neg": row.neg}
        if row.pos_scores or row.neg_scores:
            content |= {"pos_scores": row.pos_scores, "neg_scores": row.neg_scores}
        content |= {key: value for key, value in (("prompt", row.prompt), ("type", row.kind)) if value}
        lines.append(dumps(content, ensure_ascii=False) + "\n")
    try:
        write_atomic(path, "".join(lines).encode())
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
            if isinstance(row, str | Message):
                faults.add(number, row)
            else:
                rows.append(row)
        faults.raise_if_any()
    except CorpusError as err:
        raise FeedbackError.of(err.message) from err
    return rows


def parse_row(content: Mapping[str, Any], *, plain: bool = False) -> TrainingRow | str:
    """Return the row in a JSON object, or what is wrong with it.

    Args:
        content: FlagEmbedding's fields; others are left alone.
        plain: Whether `neg` may be missing, as in files of plain pairs.
    """
    query, prompt, kind = content.get("query"), content.get("prompt") or "", content.get("type") or ""
    if not isinstance(query, str) or not query.strip():
        return f"query is {_shown(query)}; expected text"
    if not isinstance(prompt, str) or not isinstance(kind, str):
        return "prompt or type is not text"
    texts = {}
    for name in ("pos", "neg"):
        value = content.get(name, [] if plain and name == "neg" else None)
        fault = _texts_fault(name, value)
        if fault:
            return fault
        texts[name] = tuple(value or ())
    if not texts["pos"]:
        return "pos is empty; expected at least one relevant passage"
    scores = {}
    for name in ("pos", "neg"):
        found = content.get(f"{name}_scores") or []
        if not isinstance(found, list) or not all(_is_number(value) for value in found):
            return f"{name}_scores is {_shown(found)}; expected a list of numbers"
        if found and len(found) != len(texts[name]):
            return f"{name}_scores has {len(found)} numbers for {len(texts[name])} texts"
        scores[name] = tuple(float(value) for value in found)
    return TrainingRow(query, texts["pos"], texts["neg"], scores["pos"], scores["neg"], prompt, kind)


def _texts_fault(name: str, value: object) -> str:
    if isinstance(value, str):
        return f"{name} is one text; expected a list of texts, or it would be read letter by letter. Put it in [ ]"
    if not isinstance(value, list):
        return f"{name} is {_shown(value)}; expected a list of texts"
    bad = next((entry for entry in value if not isinstance(entry, str) or not entry.strip()), None)
    return (
        ""
        if all(isinstance(entry, str) and entry.strip() for entry in value)
        else f"{name} holds {bad!r:.60}; expected texts"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)[:60]
