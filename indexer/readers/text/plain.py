"""Plain text, Markdown with front matter, and tables as text (CSV, TSV)."""

import re
from dataclasses import replace
from pathlib import Path

from quarry.indexer.messages import Message
from quarry.indexer.readers.base import (
    Extract,
    Reading,
    ReadOptions,
    Unreadable,
    damaged_file,
    first_heading,
    stem,
    text_meta,
)
from quarry.indexer.readers.charset import decode
from quarry.indexer.readers.text.front_matter import front_matter

_DECLARED = re.compile(r"sep=([,;\t|])\r?\n", re.IGNORECASE)  # a line that Excel writes and hides
_SEPARATORS = ",;\t|"
_TRIED = 20_000  # characters in which the separator is sought
_TRIED_ROWS = 50
_GAP = re.compile(rb"\0{64,}")  # blocks that were never written: a log after a crash, a file with room reserved
_CONTROLS = 0.1  # a "text" with more control characters than this is binary


def read_text(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read a text file. Runs of zero bytes in it are left out, and counted as damage.

    Raises:
        Unreadable: `unsupported format` when the content is binary.
    """
    del path  # the name has no say
    rest, gaps = _GAP.subn(b"", content)
    if not gaps or b"\0" in rest:  # UTF-16 has zero bytes of its own
        rest, gaps = content, 0
    decoded = decode(rest, charset=options.charset)
    decoded = replace(decoded, damaged=decoded.damaged + gaps)
    start = decoded.text[:10_000]
    controls = sum((character < " " and character not in "\n\t\f\x1b") or character == "\ufffd" for character in start)
    if controls > _CONTROLS * len(start):
        found = Message.of(
            "readers.binary", "the content is binary", expected="text", do="Convert it to a format that is read"
        )
        raise Unreadable("unsupported format", found)
    return Reading((Extract(decoded.text, "", text_meta(decoded)),))


def read_code(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read source code, configuration or a log as it stands; its title is its whole name, as people search for it.

    Raises:
        Unreadable: As `read_text`.
    """
    extract = read_text(path, content, options).extracts[0]
    return Reading((Extract(extract.text, path.name.removesuffix(".gz"), extract.meta),))


def read_markdown(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read Markdown as it stands; YAML or TOML front matter becomes metadata."""
    extract = read_text(path, content, options).extracts[0]
    front = front_matter(extract.text)
    text, facts = extract.text[front.end :], dict(front.facts)
    title = str(facts.pop("title", "")) or first_heading(text)
    return Reading((Extract(text, title, {**facts, **extract.meta}),), omitted={"lines of front matter": front.lost})


def read_table(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read CSV or TSV as text, one row a line, as it stands; a field with line breaks in it stays one row.

    A field that holds the separator stays in quotes, so that columns can be told apart.

    Raises:
        Unreadable: `damaged` when the fields cannot be told apart.
    """
    import csv
    import io

    extract = read_text(path, content, options).extracts[0]
    text = extract.text
    if declared := _DECLARED.match(text):
        text = text[declared.end() :]
    if text.count('"') % 2:
        return Reading((Extract(text, stem(path), {**extract.meta, "note": "an unclosed quote"}),))
    usual = "\t" if path.name.lower().endswith((".tsv", ".tsv.gz", ".tab")) else ","
    apart = declared[1] if declared else _separator(text, usual)
    csv.field_size_limit(1 << 27)
    try:
        rows = [*csv.reader(io.StringIO(text, newline=""), delimiter=apart)]
    except csv.Error as err:
        raise Unreadable("damaged", damaged_file("CSV", err)) from err
    lines = [apart.join(_field(cell, apart) for cell in row) for row in rows]
    return Reading((Extract("\n".join(lines), stem(path), extract.meta),))


def _field(cell: str, apart: str) -> str:
    if "\n" in cell:
        cell = cell.replace("\n", " ")
    return f'"{cell}"' if apart in cell else cell


def _separator(text: str, usual: str) -> str:
    """Return what stands between the fields of the first rows: the separator that gives each of them the most, and equally many."""
    import csv
    import io
    from itertools import islice

    start = text[:_TRIED]
    best, found = (0.0, 0), usual
    for apart in (usual, *(one for one in _SEPARATORS if one != usual)):
        if apart not in start:
            continue
        try:
            rows = [
                row for row in islice(csv.reader(io.StringIO(start, newline=""), delimiter=apart), _TRIED_ROWS) if row
            ]
        except csv.Error:
            continue
        widths = [len(row) for row in rows[: max(1, len(rows) - 1)]]  # the last row may be cut
        usual_width = max(set(widths), key=widths.count)
        score = (widths.count(usual_width) / len(widths) if usual_width > 1 else 0.0, usual_width)
        if score > best:
            best, found = score, apart
    return found
