"""JSON and JSON lines: rows become documents, other JSON becomes readable text. No row is lost in silence."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quarry.indexer.readers.base import Extract, Reading, ReadOptions, RowProblem, Unreadable, stem, text_meta
from quarry.indexer.readers.charset import decode

_TEXT_KEYS = ("text", "contents", "content", "body", "passage")
_ID_KEYS = ("_id", "id", "doc_id", "docid")
_NOT_TEXT = frozenset({*_ID_KEYS, "title", "metadata"})  # they are kept elsewhere


def read_jsonl(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read one JSON value a line; a broken line is reported by its number and the others are kept.

    Raises:
        Unreadable: If no line can be used.
    """
    del path  # the rows name themselves
    decoded = decode(content, charset=options.charset)
    meta = text_meta(decoded)
    extracts: list[Extract] = []
    problems: list[RowProblem] = []
    for number, line in enumerate(decoded.text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            extract = _extract(json.loads(line), number, meta)
        except (ValueError, RecursionError) as err:
            problems.append(RowProblem(number, f"not JSON ({err}); expected one object a line; the others were kept"))
            continue
        if extract is None:
            problems.append(RowProblem(number, f"has no text; expected an object with one of {', '.join(_TEXT_KEYS)}"))
        else:
            extracts.append(extract)
    if not extracts:
        detail = problems[0].detail if problems else "no lines"
        raise Unreadable("damaged" if problems else "empty", f"no usable row: {detail}")
    return Reading(tuple(extracts), tuple(problems))


def read_json(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read JSON: a list of objects with texts gives a document each, anything else one document of `key: value` lines.

    Raises:
        Unreadable: `damaged` when it is neither JSON nor JSON lines, or nested too deeply to be read.
    """
    decoded = decode(content, charset=options.charset)
    meta = text_meta(decoded)
    try:
        value = json.loads(decoded.text)
        if _is_rows(value):
            rows = [_extract(row, number, meta) for number, row in enumerate(value, start=1)]
            problems = [RowProblem(number, "has no text") for number, row in enumerate(rows, start=1) if row is None]
            return Reading(tuple(row for row in rows if row is not None), tuple(problems))
        return Reading((Extract("\n".join(_lines(value)), stem(path), meta),))
    except RecursionError as err:
        raise Unreadable("damaged", "nested too deeply; expected JSON of a readable depth") from err
    except ValueError as err:
        try:
            return read_jsonl(path, content, options)
        except Unreadable:
            raise Unreadable("damaged", f"not JSON ({err}); expected JSON or JSON lines") from err


def _is_rows(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(row, dict) and any(isinstance(row.get(key), str) for key in _TEXT_KEYS) for row in value)
    )


def _extract(row: Any, number: int, meta: dict[str, str]) -> Extract | None:
    """Return the document of a row, None when it has no text at all."""
    if not isinstance(row, dict):
        text = "\n".join(_lines(row))
        return Extract(text, "", meta, str(number)) if text.strip() else None
    title = row["title"] if isinstance(row.get("title"), str) else ""
    texts = [row[key] for key in _TEXT_KEYS if isinstance(row.get(key), str)]
    text = texts[0] if texts else "\n".join(_lines({key: value for key, value in row.items() if key not in _NOT_TEXT}))
    if not text.strip():
        text = title
    if not text.strip():
        return None
    key = next((key for key in _ID_KEYS if isinstance(row.get(key), (str, int)) and str(row[key]).strip()), None)
    given = row.get("metadata")
    facts = given if isinstance(given, dict) else {}
    own = {str(name): _flat(value) for name, value in facts.items() if value not in (None, "", [], {})}
    return Extract(text, title, {**own, **meta}, str(row[key]) if key else str(number), beir=key == "_id")


def _flat(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _lines(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _lines(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _lines(inner, path)
    elif value is not None and value != "":
        yield f"{path}: {value}" if path else str(value)
