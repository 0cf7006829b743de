"""JSON and JSON lines: rows with a text become documents of their own, other JSON becomes readable text."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from indexer.readers.base import Extract, Reading, ReadOptions, RowProblem, Unreadable, stem
from indexer.textcode import decode

_TEXT_KEYS = ("text", "contents", "content", "body", "passage")
_ID_KEYS = ("_id", "id", "doc_id", "docid")


def read_jsonl(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read one JSON object a line; a broken line is reported by its number and the others are kept."""
    decoded = decode(content, charset=options.charset)
    extracts: list[Extract] = []
    problems: list[RowProblem] = []
    for number, line in enumerate(decoded.text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as err:
            problems.append(
                RowProblem(number, f"not JSON ({err}); expected one object a line; the other lines were kept")
            )
            continue
        extract = _extract(row, str(number)) if isinstance(row, dict) else None
        if extract is None:
            problems.append(RowProblem(number, f"has no text; expected an object with one of {', '.join(_TEXT_KEYS)}"))
        else:
            extracts.append(extract)
    if not extracts:
        detail = problems[0].detail if problems else "no lines"
        raise Unreadable("damaged" if problems else "empty", f"no usable row: {detail}")
    return Reading(tuple(extracts), tuple(problems))


def read_json(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read JSON: a list of objects with texts gives one document each, anything else one document of `key: value` lines."""
    decoded = decode(content, charset=options.charset)
    try:
        value = json.loads(decoded.text)
    except RecursionError as err:
        raise Unreadable("damaged", "nested too deeply; expected JSON of a readable depth") from err
    except ValueError as err:
        try:
            return read_jsonl(path, content, options)
        except Unreadable:
            raise Unreadable("damaged", f"not JSON ({err}); expected JSON or JSON lines") from err
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        rows = [_extract(row, str(number)) for number, row in enumerate(value, start=1)]
        if all(rows):
            return Reading(tuple(row for row in rows if row is not None))
    try:
        text = "\n".join(_lines(value, ""))
    except RecursionError as err:
        raise Unreadable("damaged", "nested too deeply; expected JSON of a readable depth") from err
    return Reading((Extract(text, stem(path), {"charset": decoded.charset}),))


def _extract(row: dict[str, Any], fallback_id: str) -> Extract | None:
    text = next((row[key] for key in _TEXT_KEYS if isinstance(row.get(key), str)), None)
    if text is None or not (text.strip() or str(row.get("title") or "").strip()):
        return None
    row_id = next((str(row[key]) for key in _ID_KEYS if isinstance(row.get(key), (str, int))), fallback_id)
    meta: dict[str, str] = {}
    given = row.get("metadata")
    if isinstance(given, dict):
        meta = {str(key): _flat(value) for key, value in given.items() if value not in (None, "", [], {})}
    title = row.get("title")
    return Extract(
        _clean(text if text.strip() else str(title)),
        _clean(title) if isinstance(title, str) else "",
        meta,
        _clean(row_id),
    )


def _flat(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _clean(text: str) -> str:
    """JSON escapes can spell NUL and lone surrogates, which the decoder has not seen."""
    return (
        text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\r\n", "\n")
    )


def _lines(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _lines(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _lines(inner, path)
    elif value is not None:
        yield _clean(f"{path}: {value}" if path else str(value))
