"""Rows of judgements and runs: query id, document id and a value, out of TREC lines, tsv, csv and JSON lines.

The file's first line decides the form. A header, and the keys of JSON objects, may have the names of BEIR, of the Hugging Face
hub (`query-id`, `corpus-id`, `score`), of TREC tools or of FlagEmbedding (`qid`, `docid`, `relevance`).
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quarry.indexer.messages import Message
from quarry.retriever.data.text_lines import Faults, json_object, numbered_lines, quoted, text_id

QUERY_KEYS = ("qid", "query-id", "query_id", "queryid", "topic", "topic_id", "query")
_DOCUMENT_KEYS = (
    "docid",
    "corpus-id",
    "corpus_id",
    "doc_id",
    "doc-id",
    "docno",
    "pid",
    "passage_id",
    "passage-id",
    "document_id",
    "document",
)
_VALUE_KEYS = ("relevance", "score", "rel", "grade", "label", "judgment", "judgement")
_SPACES = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Columns:
    """How a line of TREC text is cut: name of the value in JSON, number of TREC columns, place of the value in them."""

    value: str
    trec: int
    place: int

    @property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """Names of query, document and value, the usual ones first."""
        return QUERY_KEYS, _DOCUMENT_KEYS, (self.value, *(key for key in _VALUE_KEYS if key != self.value))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Separator (`{` for JSON, a space for any white space), number of fields, and the places of query, document and value."""

    separator: str
    width: int = 0
    places: tuple[int, ...] = ()


def judged_rows(path: Path, faults: Faults, columns: Columns) -> Iterator[tuple[int, str, str, Any]]:
    """Yield line number, query id, document id and the raw value of every line that has the shape of the first one.

    Raises:
        CorpusError: If the file cannot be read.
    """
    layout: _Layout | None = None
    for number, text in numbered_lines(path):
        if layout is None:
            layout, is_header = _layout(text, columns, commas=path.name.removesuffix(".gz").endswith(".csv"))
            if is_header:
                continue
        row = _json_row(text, columns) if layout.separator == "{" else _text_row(text, layout, columns)
        if isinstance(row, Message):
            faults.add(number, row)
            continue
        query_id, doc_id = text_id(row[0]), text_id(row[1])
        if query_id is None or doc_id is None:
            faults.add(
                number,
                Message.of(
                    "data.bad_ids",
                    "query id {query}, document id {document}: an id is missing or not text",
                    query=quoted(row[0]),
                    document=quoted(row[1]),
                ),
            )
            continue
        yield number, query_id, doc_id, row[2]


def query_id_of(row: Mapping[str, Any]) -> str:
    """Return the query's id in a JSON object, as text; empty when it has none."""
    return str(_first(row, QUERY_KEYS) or "")


def _layout(first: str, columns: Columns, *, commas: bool) -> tuple[_Layout, bool]:
    """Return the layout of a file and whether its first line is a header."""
    if first.lstrip().startswith("{"):
        return _Layout("{"), False
    separator = _separator(first, columns, commas=commas)
    names = [name.lower() for name in _cut(first, separator)]
    found = tuple(next((names.index(key) for key in keys if key in names), -1) for keys in columns.keys)
    if min(found) >= 0 and len(names) >= 3:
        return _Layout(separator, len(names), found), True
    places = (0, 1, 2) if len(names) == 3 else (0, 2, columns.place)
    return _Layout(separator, len(names), places), len(names) == 3 and names[0] in QUERY_KEYS


def _separator(first: str, columns: Columns, *, commas: bool) -> str:
    if "\t" in first and len(first.split("\t")) >= 3:
        return "\t"
    if not commas and len(_cut(first, " ")) in (3, columns.trec):
        return " "
    return "," if first.count(",") >= 2 else " "


def _cut(text: str, separator: str) -> list[str]:
    """Cut a line; ideographic spaces belong to ids."""
    if separator == "\t":
        return [part.strip(" ") for part in text.split("\t")]
    if separator == ",":
        return [part.strip(" ") for part in next(csv.reader([text]), [])]
    return _SPACES.split(text.strip(" \t"))


def _text_row(text: str, layout: _Layout, columns: Columns) -> Sequence[Any] | Message:
    fields = _cut(text, layout.separator)
    known = layout.width in (3, columns.trec) or layout.places != (0, 2, columns.place)
    if not known or len(fields) != layout.width:
        wanted = layout.width if known else f"3 or {columns.trec}"
        return Message.of("data.fields", "{count:field|fields}", expected="{wanted}", count=len(fields), wanted=wanted)
    return [fields[place] for place in layout.places]


def _json_row(text: str, columns: Columns) -> Sequence[Any] | Message:
    row = json_object(text)
    if isinstance(row, Message):
        return row
    missing = [keys[0] for keys in columns.keys if not any(key in row for key in keys)]
    if missing:
        return Message.of("data.missing_keys", "no {keys} in the object", keys=missing)
    return [_first(row, keys) for keys in columns.keys]


def _first(row: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((row[key] for key in keys if key in row), None)
