"""Queries from files: BEIR and FlagEmbedding jsonl, tsv, and classic TREC topics. It knows no judgements."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from retriever.ranking import Query
from retriever.text_lines import Faults, json_object, numbered_lines, quoted, text_id

_ID_KEYS = ("_id", "id")
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[A-Za-z]+)\s*>")
_LABEL = re.compile(r"^(Number|Topic|Description|Narrative)\s*:\s*", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class QueryFile:
    """What a file of queries says.

    Attributes:
        queries: In the file's order.
        metadata: Query id to its further fields that are text or numbers, as text; only for jsonl.
    """

    queries: tuple[Query, ...]
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_queries(path: Path) -> QueryFile:
    """Read queries; the form is told by the first line: `{` is jsonl, `<` is TREC topics, else `id<TAB>text`.

    Raises:
        CorpusError: If the file cannot be read, has no query, or an id or text is missing, empty or comes twice;
            file, line and reason of each are named.
    """
    first = next((text.lstrip() for _, text in numbered_lines(path)), "")
    if first.startswith("{"):
        faults = Faults(path, 'JSON lines {"_id": "q1", "text": "..."}, each id once')
        rows = _json_rows(path, faults)
    elif first.startswith("<"):
        faults = Faults(path, "TREC topics: <top>, <num> Number: 301, <title> text, </top>, each number once")
        rows = _topic_rows(path, faults)
    else:
        faults = Faults(path, "lines 'id<TAB>text', each id once")
        rows = _tsv_rows(path, faults)
    queries: dict[str, Query] = {}
    metadata: dict[str, Mapping[str, str]] = {}
    for number, row in rows:
        query_id, text = text_id(row.query_id), clean_text(row.text).strip()
        if query_id is None or not text:
            faults.add(number, f"query id {quoted(row.query_id)}, text {quoted(row.text)}: one is missing or empty")
        elif query_id in queries:
            faults.add(number, f"query id {quoted(query_id)} comes a second time")
        else:
            queries[query_id] = Query(query_id, text)
            metadata[query_id] = row.fields
    if not queries and not faults.count:
        faults.add(1, "no query in the file")
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


@dataclass(frozen=True, slots=True)
class _Row:
    query_id: object
    text: object
    fields: Mapping[str, str] = field(default_factory=dict)


def _json_rows(path: Path, faults: Faults) -> Iterator[tuple[int, _Row]]:
    for number, line in numbered_lines(path):
        row = json_object(line)
        if isinstance(row, str):
            faults.add(number, row)
            continue
        query_id = next((row[key] for key in _ID_KEYS if key in row), None)
        yield number, _Row(query_id, row.get("text"), flat_fields(row, (*_ID_KEYS, "text")))


def _tsv_rows(path: Path, faults: Faults) -> Iterator[tuple[int, _Row]]:
    for number, line in numbered_lines(path):
        query_id, tab, text = line.partition("\t")
        if tab:
            yield number, _Row(query_id, text)
        else:
            faults.add(number, f"no tab in {quoted(line)}")


def _topic_rows(path: Path, faults: Faults) -> Iterator[tuple[int, _Row]]:
    """Yield one row per <top>, with the line where it begins; the title is the query, else the description."""
    start, tag = 0, ""
    parts: dict[str, list[str]] = {}
    for number, line in numbered_lines(path):
        place = 0
        for match in (*_TAG.finditer(line), None):
            text = line[place : match.start() if match else len(line)].strip()
            if text and start:
                parts.setdefault(tag, []).append(text)
            elif text:
                faults.add(number, f"text outside <top>: {quoted(text)}")
            if match is None:
                break
            place, name = match.end(), match["name"].lower()
            if name == "top" and not match["end"]:
                if start:
                    faults.add(start, "<top> without </top>")
                start, parts = number, {}
            elif name == "top":
                yield start, _topic(parts)
                start = 0
            tag = "" if match["end"] else name
    if start:
        faults.add(start, "<top> without </top>")


def _topic(parts: Mapping[str, list[str]]) -> _Row:
    values = {name: _LABEL.sub("", " ".join(texts)) for name, texts in parts.items()}
    return _Row(values.get("num"), values.get("title") or values.get("desc"), {})
