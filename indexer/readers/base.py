"""What a reader gives back, and how it refuses a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Reason = Literal[
    "empty", "no text", "encrypted", "unsupported format", "damaged", "too large", "archive bomb", "not a regular file",
    "link loop", "time limit", "memory limit", "duplicate id", "missing extra", "unreadable", "wrong row",
]  # fmt: skip


class Unreadable(Exception):
    """A file cannot be read: a countable reason and one sentence."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Extract:
    """Text out of a file, or out of one row of it.

    Attributes:
        text: Headings as ATX lines, pages separated by form feeds, newlines as `\\n`.
        title: Empty when the file tells none.
        meta: What the file tells about itself.
        row_id: For rows of a data file: the id that the row carries.
    """

    text: str
    title: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)
    row_id: str = ""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that was left out: line number from 1, and one sentence."""

    line: int
    detail: str


@dataclass(frozen=True, slots=True)
class Reading:
    """All that came out of a file."""

    extracts: tuple[Extract, ...]
    problems: tuple[RowProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Limits of reading.

    Attributes:
        charset: Of text files; None detects it per file.
        max_bytes: Larger files are skipped.
        parser_seconds: Time for one PDF, office file, book or mail, in a process of its own.
        parser_bytes: Memory of that process.
        unpacked_bytes: Largest content of an archive (docx, xlsx, epub ...).
    """

    charset: str | None = None
    max_bytes: int = 200 << 20
    parser_seconds: float = 60.0
    parser_bytes: int = 4 << 30
    unpacked_bytes: int = 1 << 30


def first_heading(text: str) -> str:
    """Return the first ATX heading's words, empty when there is none."""
    for line in text.splitlines():
        if line.startswith("#") and line.lstrip("#").startswith(" "):
            return line.lstrip("#").strip()
    return ""


def stem(path: Path) -> str:
    """Return a file's name without its ending, for a title of last resort."""
    return path.name.removesuffix(".gz").rsplit(".", 1)[0] or path.name
