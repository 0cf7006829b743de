"""Reads and writes judgements (qrels) and runs: TREC, tsv, csv, JSON lines, JSON objects, plain or .gz. It computes no measure.

Nothing is guessed: a line that does not fit is an error that names it.
"""

import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from quarry.indexer.errors import CorpusError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import write_atomic
from quarry.retriever.data.judged_rows import Columns, judged_rows
from quarry.retriever.data.text_lines import Faults, json_object, numbered_lines, quoted, text_id

Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
"""Query id to document id to grade; above 0 is relevant."""

Run: TypeAlias = Mapping[str, Sequence[tuple[str, float]]]
"""Query id to (document id, score) pairs, best first; the order is the truth, the scores explain it."""

_QRELS_EXPECTED = Message.of(
    "data.qrels_lines",
    "TREC lines 'query 0 document grade', lines 'query, document, grade' separated by tabs or commas (with or without header), "
    "or JSON lines {form}; each document once per query; grades whole numbers",
    form='{"qid": ..., "docid": ..., "relevance": 1}',
)
_RUN_EXPECTED = Message.of(
    "data.run_lines",
    "TREC lines 'query Q0 document rank score tag', lines 'query<TAB>document<TAB>score', or JSON lines {form}; each document "
    "once per query; scores finite numbers",
    form='{"qid": ..., "docid": ..., "score": 1.5}',
)
_GRADE = re.compile(r"[+-]?[0-9]{1,9}(\.0*)?")
_MOST = 10**9  # of a grade's size


@dataclass(frozen=True, slots=True)
class Judgements:
    """What a qrels file says.

    Attributes:
        qrels: The grades.
        repeated: Places (`file:line`) of duplicate judgements with the same grade; they change nothing.
    """

    qrels: Qrels
    repeated: tuple[str, ...] = ()


def read_qrels(path: Path) -> Judgements:
    """Read judgements; also an object of objects `{query: {document: grade}}` (`.json`). An empty file gives none.

    Raises:
        CorpusError: If the file cannot be read or lines are bad (wrong shape, empty id, grade not a whole number, two
            grades for one document); file, line and reason of each are named.
    """
    faults = Faults(path, _QRELS_EXPECTED)
    grades: dict[str, dict[str, int]] = {}
    lines: dict[tuple[str, str], int] = {}
    repeated: list[str] = []
    is_json = path.name.removesuffix(".gz").endswith(".json")
    rows = _objects(path) if is_json else judged_rows(path, faults, Columns("relevance", 4, 3))
    for number, query_id, doc_id, value in rows:
        grade = _grade(value)
        if grade is None:
            faults.add(
                number, Message.of("data.bad_grade", "grade is {grade}, not a whole number", grade=quoted(value))
            )
            continue
        before = grades.setdefault(query_id, {}).setdefault(doc_id, grade)
        first = lines.setdefault((query_id, doc_id), number)
        if first != number and before != grade:
            faults.add(
                number,
                Message.of(
                    "data.two_grades",
                    "query {query}, document {document} has grade {grade}, but {before} in line {first}",
                    query=quoted(query_id),
                    document=quoted(doc_id),
                    grade=grade,
                    before=before,
                    first=first,
                ),
            )
        elif first != number:
            repeated.append(f"{path}:{number}")
    faults.raise_if_any()
    return Judgements(grades, tuple(repeated))


def read_run(path: Path) -> Run:
    """Read a run; also FlagEmbedding's search results (`.json`). An empty file gives an empty run.

    Within a query, documents are ordered by score, then id; the rank column is not used, as evaluators do not.

    Raises:
        CorpusError: If the file cannot be read or lines are bad (wrong shape, empty id, score not a finite number, a
            document twice for one query); file, line and reason of each are named.
    """
    faults = Faults(path, _RUN_EXPECTED)
    scores: dict[str, dict[str, float]] = {}
    is_json = path.name.removesuffix(".gz").endswith(".json")
    rows = _objects(path) if is_json else judged_rows(path, faults, Columns("score", 6, 4))
    for number, query_id, doc_id, value in rows:
        score = _score(value)
        if score is None:
            faults.add(
                number, Message.of("data.bad_score", "score is {score}, not a finite number", score=quoted(value))
            )
        elif doc_id in scores.setdefault(query_id, {}):
            faults.add(
                number,
                Message.of(
                    "data.duplicate_hit",
                    "duplicate document {document} for query {query}",
                    document=quoted(doc_id),
                    query=quoted(query_id),
                ),
            )
        else:
            scores[query_id][doc_id] = score
    faults.raise_if_any()
    return {query: sorted(found.items(), key=lambda pair: (-pair[1], pair[0])) for query, found in scores.items()}


def write_run(path: Path, run: Run, *, tag: str = "quarry") -> None:
    """Write a TREC run file, atomically, compressed when the name ends in .gz.

    Evaluators sort again by score, some in single precision, and break ties in their own ways. So a score that does
    not lie below the one before is written as the next lower single-precision number: our order is the only one
    possible. Fields are separated by tabs, so ids with spaces survive our own reader (others will refuse them).

    Raises:
        ValueError: If an id is empty or has tabs, line ends or other controls, a document is a duplicate within a query,
            a score is not finite in single precision, or the tag has white space.
    """
    if not tag or re.search(r"\s", tag):
        raise ValueError(f"the run's tag is {tag!r}; expected one word")
    rows = [line for query_id, ranking in run.items() for line in _run_lines(query_id, ranking, tag)]
    _write(path, rows)


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write judgements as BEIR tsv with header, atomically, compressed when the name ends in .gz.

    Raises:
        ValueError: If an id is empty or has tabs, line ends or other controls.
    """
    rows = ["query-id\tcorpus-id\tscore"]
    for query_id, grades in qrels.items():
        rows += [f"{_checked(query_id)}\t{_checked(doc_id)}\t{grade}" for doc_id, grade in grades.items()]
    _write(path, rows)


def _objects(path: Path) -> Iterator[tuple[int, str, str, Any]]:
    """Yield the rows of `{query: {document: value}}`, or of FlagEmbedding's `{"search_results": ...}`, all as of line 1."""
    whole = json_object("\n".join(text for _, text in numbered_lines(path)))
    found = whole if isinstance(whole, Message) else whole.get("search_results", whole)
    if not isinstance(found, dict) or not all(isinstance(values, dict) for values in found.values()):
        reason = whole if isinstance(whole, Message) else Message.of("data.no_objects", "no object of objects")
        raise CorpusError(
            "data.search_results",
            "{path}: {reason}",
            expected="an object {form}, or a file of lines named .jsonl, .tsv or .csv",
            path=path,
            reason=reason,
            form="{query: {document: value}}",
        )
    for query_id, values in found.items():
        for doc_id, value in values.items():
            yield 1, query_id, doc_id, value


def _grade(value: object) -> int | None:
    """Return a whole number; also one that a table program wrote as `1.0`."""
    if isinstance(value, str):
        return int(float(value)) if _GRADE.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST:
        return None
    return int(value) if value == int(value) else None


def _score(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or "_" in str(value):
        return None
    try:
        score = float(value)
    except (ValueError, OverflowError):
        return None
    return score if isfinite(score) else None


def _run_lines(query_id: str, ranking: Sequence[tuple[str, float]], tag: str) -> Iterator[str]:
    seen: set[str] = set()
    last = np.float32(np.inf)
    for rank, (doc_id, score) in enumerate(ranking, start=1):
        if doc_id in seen:
            raise ValueError(f"duplicate document {doc_id!r} for query {query_id!r}; expected each once")
        seen.add(doc_id)
        with np.errstate(over="ignore"):
            single = np.float32(score)
        if not np.isfinite(single):
            raise ValueError(f"the score of {doc_id!r} for query {query_id!r} is {score}; expected a finite number")
        written = float(score)
        if single >= last:
            single = np.nextafter(last, np.float32(-np.inf))
            written = float(single)
        last = single
        yield f"{_checked(query_id)}\tQ0\t{_checked(doc_id)}\t{rank}\t{written!r}\t{tag}"


def _checked(name: str) -> str:
    if text_id(name) != name:
        raise ValueError(f"the id {name!r} is empty or has tabs, line ends or outer spaces; expected plain text")
    return name


def _write(path: Path, rows: Sequence[str]) -> None:
    content = "".join(f"{row}\n" for row in rows).encode()
    write_atomic(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
