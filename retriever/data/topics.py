"""Queries from files: BEIR and FlagEmbedding jsonl, tsv, and classic TREC topics. It knows no judgements."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from quarry.indexer.messages import Message
from quarry.retriever.data.text_lines import Faults, decoded_lines, json_object, numbered_lines, quoted, text_id
from quarry.retriever.ranking import Query

_ID_KEYS = ("_id", "id", "query-id", "query_id", "qid")
_TEXT_KEYS = ("text", "query", "question")
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[A-Za-z]+)\s*>")
_LABEL = re.compile(r"^(Number|Topic|Description|Narrative)\s*:\s*", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNCLOSED = Message.of("data.unclosed_topic", "<top> without </top>")


@dataclass(frozen=True, slots=True)
class QueryFile:
    """What a file of queries says.

    Attributes:
        queries: In the file's order.
        metadata: Query id to its further fields that are text or numbers, as text; only for jsonl.
    """

    queries: tuple[Query, ...]
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Row:
    query_id: object
    text: object
    fields: Mapping[str, str] = field(default_factory=dict)


Lines: TypeAlias = Sequence[tuple[int, str]]
RowReader: TypeAlias = Callable[[Lines, Faults], Iterator[tuple[int, _Row]]]


def read_queries(path: Path) -> QueryFile:
    """Read a file of queries with ids: JSON lines, lines `id<TAB>text`, or TREC topics; the first line decides.

    Raises:
        CorpusError: If the file cannot be read, has no query, or an id or text is missing, empty or a duplicate;
            file, line and reason of each are named.
    """
    return _parse(list(numbered_lines(path)), path, _tsv_rows)


def parse_queries(content: bytes, source: str) -> tuple[Query, ...]:
    """Read queries that somebody typed or piped: as `read_queries`, or one query a line, numbered from 1.

    Lines are `id<TAB>text` when the first has a tab.

    Args:
        content: UTF-8, with or without byte order mark.
        source: Its name in errors, such as `standard input`.

    Raises:
        CorpusError: As `read_queries`.
    """
    lines = list(decoded_lines(content.splitlines(keepends=True), source))
    tabbed = bool(lines) and "\t" in lines[0][1].strip()
    return _parse(lines, source, _tsv_rows if tabbed else _plain_rows).queries


def _parse(lines: Lines, source: Path | str, rows_of_text: RowReader) -> QueryFile:
    first = lines[0][1].lstrip() if lines else ""
    rows_of: RowReader
    if first.startswith("{"):
        expected = Message.of("data.query_json", "JSON lines {form}, each id once", form='{"_id": "q1", "text": "..."}')
        rows_of = _json_rows
    elif first.lower().startswith("<top>"):
        expected = Message.of(
            "data.query_topics", "TREC topics: <top>, <num> Number: 301, <title> text, </top>, each number once"
        )
        rows_of = _topic_rows
    else:
        expected, rows_of = Message.of("data.query_lines", "lines 'id<TAB>text', each id once"), rows_of_text
    faults = Faults(source, expected)
    queries: dict[str, Query] = {}
    metadata: dict[str, Mapping[str, str]] = {}
    for number, row in rows_of(lines, faults):
        query_id, text = text_id(row.query_id), clean_text(row.text).strip()
        if query_id is None or not text:
            faults.add(
                number,
                Message.of(
                    "data.bad_query",
                    "query id {id}, text {text}: one is missing or empty",
                    id=quoted(row.query_id),
                    text=quoted(row.text),
                ),
            )
        elif query_id in queries:
            faults.add(number, Message.of("data.duplicate_query", "duplicate query id {id}", id=quoted(query_id)))
        else:
            queries[query_id] = Query(query_id, text)
            metadata[query_id] = row.fields
    if not queries and not faults.count:
        faults.add(1, Message.of("data.no_query", "no query in the file"))
    faults.raise_if_any()
    return QueryFile(tuple(queries.values()), metadata)


def clean_text(text: object) -> str:
    """Return text without NUL and lone surrogates (each becomes U+FFFD); anything but text becomes empty."""
    return _SURROGATE.sub("\ufffd", text).replace("\0", "\ufffd") if isinstance(text, str) else ""


def flat_fields(row: Mapping[str, object], taken: tuple[str, ...]) -> dict[str, str]:
    """Return the text and number fields of a JSON object and of its `metadata`, as text; `taken` keys are left out."""
    inner = row.get("metadata")
    merged = {**row, **inner} if isinstance(inner, Mapping) else dict(row)
    return {
        clean_text(key): clean_text(str(value))
        for key, value in merged.items()
        if key not in taken and key != "metadata" and isinstance(value, str | int | float)
    }


def _json_rows(lines: Lines, faults: Faults) -> Iterator[tuple[int, _Row]]:
    for number, line in lines:
        row = json_object(line)
        if isinstance(row, Message):
            faults.add(number, row)
            continue
        query_id = next((row[key] for key in _ID_KEYS if key in row), None)
        key = next((key for key in _TEXT_KEYS if key in row), "text")
        yield number, _Row(query_id, row.get(key), flat_fields(row, (*_ID_KEYS, key)))


def _tsv_rows(lines: Lines, faults: Faults) -> Iterator[tuple[int, _Row]]:
    for number, line in lines:
        query_id, tab, text = line.partition("\t")
        if tab:
            yield number, _Row(query_id, text)
        else:
            faults.add(number, Message.of("data.no_tab", "no tab in {line}", line=quoted(line)))


def _plain_rows(lines: Lines, faults: Faults) -> Iterator[tuple[int, _Row]]:
    del faults  # every line that is not blank is a query
    for place, (number, line) in enumerate(lines, start=1):
        yield number, _Row(str(place), line)


def _topic_rows(lines: Lines, faults: Faults) -> Iterator[tuple[int, _Row]]:
    """Yield one row per <top>, with the line where it begins; the title is the query, else the description."""
    start, tag = 0, ""
    parts: dict[str, list[str]] = {}
    for number, line in lines:
        place = 0
        for match in (*_TAG.finditer(line), None):
            text = line[place : match.start() if match else len(line)].strip()
            if text and start:
                parts.setdefault(tag, []).append(text)
            elif text:
                faults.add(number, Message.of("data.outside_topic", "text outside <top>: {text}", text=quoted(text)))
            if match is None:
                break
            place, name = match.end(), match["name"].lower()
            if name == "top" and not match["end"]:
                if start:
                    faults.add(start, _UNCLOSED)
                start, parts = number, {}
            elif name == "top":
                yield start, _topic(parts)
                start = 0
            tag = "" if match["end"] else name
    if start:
        faults.add(start, _UNCLOSED)


def _topic(parts: Mapping[str, list[str]]) -> _Row:
    values = {name: _LABEL.sub("", " ".join(texts)) for name, texts in parts.items()}
    return _Row(values.get("num"), values.get("title") or values.get("desc"), {})
