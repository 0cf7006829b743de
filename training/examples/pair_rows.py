"""Rows out of files of pairs: JSON lines, a JSON array, and tables with or without a header. It judges no row.

JSON lines may be objects or lists of texts (query, passage, passages that are not relevant); a JSON array holds the same, over
the whole file, perhaps as the only field of an object. A .csv has quotes as in RFC 4180 and the delimiter of its first line, a
.tsv has no quotes.
"""

import ast
import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from quarry.indexer.messages import Message
from quarry.retriever.data.text_lines import json_object, numbered_lines, quoted, whole_text
from quarry.training.examples.row import POSITIVE_NAMES, QUERY_NAMES, negative_names

_DELIMITERS = ",;\t"
_LARGEST_CELL = 2**24  # characters; the csv module's own limit is 131,072


def json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | Message]]:
    """Yield line number, or entry number within an array, and the fields of each row or what is wrong with it.

    Raises:
        CorpusError: If the file cannot be read.
    """
    lines = list(numbered_lines(path))
    whole = _whole(lines)
    if whole is not None:
        yield from ((number, _fields(entry)) for number, entry in enumerate(whole, start=1))
        return
    for number, line in lines:
        if not line.lstrip().startswith("["):
            yield number, json_object(line)
            continue
        try:
            yield number, _fields(json.loads(line))
        except (ValueError, RecursionError) as err:
            yield number, Message.of("examples.not_json", "not JSON ({error})", error=str(err))


def table_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | Message]]:
    """Yield line number and the fields of each row of a table, or what is wrong with it.

    Raises:
        CorpusError: If the file cannot be read.
    """
    commas = path.name.removesuffix(".gz").lower().endswith(".csv")
    names: list[str] | None = None
    for number, cells in _csv_cells(path) if commas else _tsv_cells(path):
        if isinstance(cells, Message):
            yield number, cells
            continue
        if names is None:
            names = [cell.lower() for cell in cells]
            if names[0] in QUERY_NAMES or _is_header(names):
                names = names if _is_header(names) and len(names) > 2 else []
                continue
            names = []
        yield number, _named(names, cells) if names else _in_order(cells)


def _whole(lines: Sequence[tuple[int, str]]) -> list[Any] | None:
    """Return the entries of a file that is one JSON value; None when each line is one."""
    first = lines[0][1].strip() if lines else ""
    if not first.startswith(("[", "{")) or (len(lines) > 1 and isinstance(_loaded(first), dict | list)):
        return None
    value = _loaded("\n".join(line for _, line in lines))
    if isinstance(value, dict):
        held = next(iter(value.values()), None) if len(value) == 1 else None
        return held if isinstance(held, list) and all(isinstance(entry, dict) for entry in held) else None
    return value if isinstance(value, list) and not all(isinstance(entry, str) for entry in value) else None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _fields(entry: object) -> dict[str, Any] | Message:
    if isinstance(entry, dict):
        return entry
    if isinstance(entry, list) and len(entry) > 1 and all(isinstance(text, str) for text in entry):
        return {"query": entry[0], "pos": [entry[1]], "neg": entry[2:]}
    return Message.of(
        "examples.no_row", "a JSON {type}", expected="an object, or a list of texts", type=type(entry).__name__
    )


def _csv_cells(path: Path) -> Iterator[tuple[int, list[str] | Message]]:
    text = whole_text(path)
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=head.count))
    csv.field_size_limit(_LARGEST_CELL)
    before = 0
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield before + 1, [cell.strip() for cell in cells]
            before = reader.line_num
    except csv.Error as err:
        yield reader.line_num, Message.of("examples.bad_csv", "not CSV ({error})", error=str(err))


def _tsv_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in numbered_lines(path):
        yield number, [part.strip() for part in line.split("\t")]


def _is_header(names: Sequence[str]) -> bool:
    return any(name in names for name in QUERY_NAMES) and any(name in names for name in POSITIVE_NAMES)


def _named(names: Sequence[str], cells: Sequence[str]) -> dict[str, Any] | Message:
    if len(cells) != len(names):
        return Message.of(
            "examples.other_width",
            "{count:field|fields}",
            expected="{wanted}, as in the header",
            count=len(cells),
            wanted=len(names),
        )
    lists = {*POSITIVE_NAMES, *negative_names(names), "pos_scores", "neg_scores"}
    return {
        name: _listed(cell) if name in lists else cell for name, cell in zip(names, cells, strict=True) if name and cell
    }


def _listed(cell: str) -> Any:
    """Return the list that a cell shows, as JSON or as pandas writes it; any other text as it is."""
    if not (cell.startswith("[") and cell.endswith("]")):
        return cell
    value = _loaded(cell)
    if isinstance(value, list):
        return value
    try:
        value = ast.literal_eval(cell)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return cell
    return value if isinstance(value, list) else cell


def _in_order(cells: Sequence[str]) -> dict[str, Any] | Message:
    if len(cells) not in (2, 3):
        return Message.of("examples.width", "{count:field|fields}", expected="2 or 3", count=len(cells))
    if not all(cells):
        return Message.of("examples.empty_field", "a field is empty ({line})", line=quoted(" | ".join(cells)))
    return {"query": cells[0], "pos": [cells[1]], "neg": list(cells[2:])}
