"""Terminal output: results on stdout, progress and notes on stderr, control characters of documents neutralized."""

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any
from unicodedata import east_asian_width

from tqdm import tqdm

from quarry.indexer.messages import Message

# C0 and C1 controls but tab and newline, bidirectional overrides and isolates, and other invisible format characters
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_LINE_EVERY_S = 10.0  # between two lines of progress where stderr is no terminal
_PHASES = {
    "reading": ("reading files", "files"),
    "cutting": ("splitting passages", "documents"),
    "encoding": ("encoding passages", "passages"),
    "taking": ("taking vectors from shards", "vectors"),
    "storing": ("storing vectors", "passages"),
    "titles": ("encoding titles", "titles"),
    "lexical": ("building the lexical index", "passages"),
    "indexing": ("indexing tables", "passages"),
    "probing": ("probing both routes", "passages"),
    "mining": ("mining negatives", "examples"),
    "reranking": ("reranking", "passages"),
    "asking": ("asking the language model", "passages"),
}
"""What a phase does, and what it counts."""


def safe(text: str) -> str:
    """Return text that cannot move the cursor, change colors or reverse the reading direction."""
    return _UNSAFE.sub("\ufffd", text)


def out(text: str = "") -> None:
    """Print a result line to stdout."""
    sys.stdout.write(f"{safe(text)}\n")


def out_line(text: str) -> None:
    """Print exactly one line to stdout: a title or an id with line breaks cannot forge a result of its own."""
    out(" ".join(text.split("\n")))


def note(text: str) -> None:
    """Print a note to stderr."""
    sys.stderr.write(f"{safe(text)}\n")


def out_json(content: Any) -> None:
    """Print one JSON document to stdout; records become objects and messages English sentences.

    What a terminal would obey is written as an escape, which stands for the same character.
    """
    written = json.dumps(plain(content), ensure_ascii=False, default=str)
    sys.stdout.write(
        _UNSAFE.sub(lambda found: json.dumps(found.group())[1:-1], written.replace("\x7f", "\\u007f")) + "\n"
    )


def out_listening(url: str, more: dict[str, str]) -> None:
    """Print in one line of JSON where a server listens, for programs that start it; empty values are left out."""
    out_json({"url": url, **{name: value for name, value in more.items() if value}})


def fields(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass for JSON, like `dataclasses.asdict`, with messages as English sentences."""
    return {field.name: plain(getattr(record, field.name)) for field in dataclasses.fields(record)}


def plain(value: Any) -> Any:
    """Return a value for JSON."""
    if isinstance(value, Message):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return fields(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def bold(text: str) -> str:
    """Highlight text: bold on a terminal with colors, in brackets elsewhere."""
    return f"\033[1m{safe(text)}\033[0m" if colors() else f"[{safe(text)}]"


def colors() -> bool:
    """Whether to color stdout; NO_COLOR and FORCE_COLOR are respected."""
    from os import environ

    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or sys.stdout.isatty()


def raw(text: str) -> None:
    """Print text whose pieces are already `safe`."""
    sys.stdout.write(f"{text}\n")


def table(rows: Iterable[tuple[str, ...]], header: tuple[str, ...]) -> None:
    """Print columns, padded by display width (a Chinese character takes two cells)."""
    lines = [header, *rows]
    widths = [max(_cells(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        out("  ".join(cell + " " * (width - _cells(cell)) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cells(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def cut(text: str, width: int) -> str:
    """Return as much of a text as fits into `width` terminal cells, ending in `...` when it was cut; one line."""
    flat = " ".join(text.split())
    used = 0
    for place, character in enumerate(flat):
        used += 2 if east_asian_width(character) in "WF" else 1
        if used > width:
            return _fitting(flat[:place], width - 3) + "..."
    return flat


def _fitting(text: str, width: int) -> str:
    used = 0
    for place, character in enumerate(text):
        used += 2 if east_asian_width(character) in "WF" else 1
        if used > width:
            return text[:place]
    return text


class ProgressBar:
    """An indexer Observer: one bar per phase on a terminal, a line about every ten seconds elsewhere; silent if `quiet`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: tqdm[Any] | None = None

    def phase(self, name: str, total: int | None) -> None:
        """Start the bar of a phase."""
        self.close()
        if total == 0 or self._quiet:
            return
        what, unit = _PHASES.get(name, (name, "items"))
        terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            desc=what,
            file=sys.stderr if terminal else _Lines(),
            leave=False,
            unit=f" {unit}",
            unit_scale=False,
            mininterval=0.1 if terminal else _LINE_EVERY_S,
            delay=0 if terminal else _LINE_EVERY_S,
            ncols=None if terminal else 0,
        )

    def advance(self, amount: int) -> None:
        """Advance the bar."""
        if self._bar is not None:
            self._bar.update(amount)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _Lines:
    """Turns what a bar writes over and over in one line into lines, for logs and pipes."""

    def write(self, text: str) -> None:
        line = text.strip()
        if line:
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        sys.stderr.flush()
