"""JSON and JSON lines: rows become documents, other JSON becomes readable text. No row and no field is lost in silence."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from quarry.indexer.messages import Message
from quarry.indexer.principals import is_rule
from quarry.indexer.readers.base import (
    Extract,
    Reading,
    ReadOptions,
    RowProblem,
    Unreadable,
    damaged_file,
    stem,
    text_meta,
)
from quarry.indexer.readers.charset import decode
from quarry.indexer.readers.serving import too_deep

_TEXT_KEYS = ("text", "contents", "content", "body", "passage")
_ID_KEYS = ("_id", "id", "doc_id", "docid")
_LONGEST_PATH = 200  # characters of the keys before a value
_LONGEST_FACT = 200  # characters of a field that is metadata to filter on
_PROSE = re.compile(r"\w+\W+\w+\W+\w|[\u3400-\u9fff]{6}")  # three words, or as much of Chinese
_AMPLIFICATION = 4  # characters that may come out for each byte
_FREE = 1_000_000  # characters that may come out of any file


def read_jsonl(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read one JSON value a line; a broken line is reported by its number and the others are kept.

    Raises:
        Unreadable: If no line can be used.
    """
    del path  # the rows have their own names
    decoded = decode(content, charset=options.charset)
    rows = _Rows(text_meta(decoded), len(content))
    for number, line in enumerate(decoded.text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.add(_parsed(line), number)
        except (ValueError, RecursionError) as err:
            rows.problems.append(RowProblem(number, _not_json(str(err))))
    if not rows.extracts:
        if not rows.problems:
            raise Unreadable("empty", Message.of("readers.no_lines", "no lines", expected="one JSON object a line"))
        first = rows.problems[0].detail
        raise Unreadable("damaged", Message.of("readers.no_row", "no usable row: {first}", first=first))
    return rows.reading()


def read_json(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read JSON: a list of objects with texts gives a document each, anything else one document of `key: value` lines.

    Raises:
        Unreadable: `damaged` when it is neither JSON nor JSON lines, or nested too deeply to be read.
    """
    decoded = decode(content, charset=options.charset)
    meta = text_meta(decoded)
    try:
        value = _parsed(decoded.text)
    except RecursionError as err:
        raise Unreadable("damaged", too_deep()) from err
    except ValueError as err:
        try:
            return read_jsonl(path, content, options)
        except Unreadable:
            raise Unreadable("damaged", damaged_file("JSON", err)) from err
    rows = _Rows(meta, len(content))
    try:
        if not _is_rows(value):
            return Reading((Extract(rows.lines_of(value), stem(path), meta),))
        for number, row in enumerate(value, start=1):
            rows.add(row, number)
    except RecursionError as err:
        raise Unreadable("damaged", too_deep()) from err
    return rows.reading()


def _parsed(text: str) -> Any:
    """Parse JSON. A key that stands twice in an object has the list of its values, where Python would keep the last one alone."""
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(pairs)
    if len(whole) == len(pairs):
        return whole
    values: dict[str, list[Any]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    return {
        key: several[0] if all(one == several[0] for one in several) else several for key, several in values.items()
    }


def _not_json(error: str) -> Message:
    return Message.of(
        "readers.row_not_json",
        "not JSON ({error}); the other rows were kept",
        expected="one object a line",
        error=error,
    )


def _is_rows(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(row, dict) and any(isinstance(row.get(key), str) for key in _TEXT_KEYS) for row in value)
    )


class _Rows:
    """The documents of a file's rows, with a limit to how much comes out of how many bytes."""

    def __init__(self, meta: dict[str, str], size: int) -> None:
        self.extracts: list[Extract] = []
        self.problems: list[RowProblem] = []
        self._meta = meta
        self._left = _FREE + _AMPLIFICATION * size

    def reading(self) -> Reading:
        """Return all of them."""
        return Reading(tuple(self.extracts), tuple(self.problems))

    def add(self, row: Any, number: int) -> None:
        """Take a row in, or count it as a problem when it has no text at all."""
        extract = self._extract(row, number)
        if extract is not None:
            self.extracts.append(extract)
            return
        found = Message.of(
            "readers.row_without_text",
            "the row has no text",
            expected="an object with one of {keys}",
            keys=", ".join(_TEXT_KEYS),
        )
        self.problems.append(RowProblem(number, found))

    def lines_of(self, value: Any) -> str:
        """Return `key: value` lines.

        Raises:
            Unreadable: If far more comes out than went in.
        """
        lines: list[str] = []
        for line in _lines(value):
            self._left -= len(line) + 1
            if self._left < 0:
                found = Message.of(
                    "readers.amplified",
                    "its text is many times larger than the file",
                    do="Split it, or shorten its keys",
                )
                raise Unreadable("too large", found)
            lines.append(line)
        return "\n".join(lines)

    def _extract(self, row: Any, number: int) -> Extract | None:
        if not isinstance(row, dict):
            text = self.lines_of(row)
            return Extract(text, "", self._meta, str(number)) if text.strip() else None
        title = row["title"] if isinstance(row.get("title"), str) else ""
        text_key = next((key for key in _TEXT_KEYS if isinstance(row.get(key), str) and row[key].strip()), None)
        id_key = next((key for key in _ID_KEYS if isinstance(row.get(key), str | int) and str(row[key]).strip()), None)
        elsewhere = {text_key, id_key, "title" if title else None, "metadata" if _is_object(row, "metadata") else None}
        others = {key: value for key, value in row.items() if key not in elsewhere}
        told = self.lines_of({**others, **_prose(row.get("metadata"), str(row[text_key]) if text_key else "")})
        text = "\n\n".join(part for part in (row[text_key] if text_key else "", told) if part) or title
        if not text.strip():
            return None
        facts = {**_facts(others, _LONGEST_FACT), **_facts(row.get("metadata"), None)}
        number_or_id = str(row[id_key]) if id_key else str(number)
        return Extract(text, title, {**facts, **self._meta}, number_or_id, beir=id_key == "_id")


def _is_object(row: dict[str, Any], key: str) -> bool:
    return isinstance(row.get(key), dict)


def _facts(given: Any, longest: int | None) -> dict[str, Any]:
    """Return what can be filtered on; of fields that are text as well, the short ones. Who may see a row is always kept."""
    if not isinstance(given, dict):
        return {}
    facts = {str(name): value for name, value in given.items() if value not in (None, "", [], {}) or is_rule(str(name))}
    return {
        name: value
        for name, value in facts.items()
        if longest is None or is_rule(name) or len(_as_text(value)) <= longest
    }


def _prose(metadata: Any, text: str) -> dict[str, str]:
    """Return the sentences among the metadata that the text does not have: they are searched for, not only filtered on."""
    given = metadata.items() if isinstance(metadata, dict) else ()
    return {name: fact for name, fact in given if isinstance(fact, str) and _is_prose(fact) and fact not in text}


def _is_prose(fact: str) -> bool:
    return _PROSE.search(fact) is not None and "://" not in fact and ("/" not in fact or " " in fact)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _lines(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _lines(inner, _tail(f"{path}.{key}" if path else str(key)))
    elif isinstance(value, list):
        for inner in value:
            yield from _lines(inner, path)
    elif value is not None and value != "":
        shown = str(value).lower() if isinstance(value, bool) else value
        yield f"{path}: {shown}" if path else str(shown)


def _tail(path: str) -> str:
    return path if len(path) <= _LONGEST_PATH else f"…{path[-_LONGEST_PATH:]}"
