"""What a reader gives back, and how it refuses a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from quarry.indexer.messages import Message
from quarry.indexer.metadata import Meta
from quarry.indexer.readers.charset import Decoded

# Raise it when a reader gives other text or metadata for the same bytes: the next `quarry index` reads every file again.
READERS_VERSION = 6

UNMARKED_KINDS = frozenset({"code", "csv", "tsv"})
"""Formats in which a line that begins with `#` is no heading."""

Reason = Literal[
    "empty",
    "no text",
    "encrypted",
    "unsupported format",
    "damaged",
    "too large",
    "too many files",
    "archive bomb",
    "not a regular file",
    "link loop",
    "time limit",
    "memory limit",
    "duplicate id",
    "missing extra",
    "unreadable",
    "wrong row",
    "being written",
    "partly read",
]


class Unreadable(Exception):
    """A refusal that the border of the corpus turns into a counted skip: a reason and a message."""

    def __init__(self, reason: Reason, detail: Message) -> None:
        super().__init__(str(detail))
        self.reason: Reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Extract:
    r"""Text out of a file, or out of one row of it.

    Attributes:
        text: Headings as ATX lines, pages separated by form feeds, newlines as `\n`.
        title: Empty when the file has none.
        meta: The file's own metadata, JSON values.
        row_id: For rows of a data file: the id that the row carries, or its number from 1.
        beir: Whether the id stands under `_id`, as in BEIR, where it is unique in the corpus.
    """

    text: str
    title: str = ""
    meta: Meta = field(default_factory=dict)
    row_id: str = ""
    beir: bool = False


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that was left out: line number from 1, and why."""

    line: int
    detail: Message


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that came out of a file.

    Attributes:
        extracts: Its texts.
        problems: Rows that were left out.
        omitted: What the reader saw and left out, by kind (see `left_out`), with how many: `{"scanned_pages": 3}`.
    """

    extracts: tuple[Extract, ...]
    problems: tuple[RowProblem, ...] = ()
    omitted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Limits of reading.

    Attributes:
        charset: The encoding of text files; None detects it per file.
        max_bytes: Larger files are skipped.
        parser_seconds: Time for reading one file, and for cutting one document, in a process of its own.
        parser_bytes: Memory of that process.
        unpacked_bytes: Largest content of an archive (docx, xlsx, epub ...).
        text_characters: Longest text of one document.
        checksum: Compare every file by its digest, also those whose size and times are as before.
        ocr: Recognize the text of pages that are pictures, with the extra `ocr`. None does as the index did before; a new one does not.
        ocr_seconds: Time for one PDF when text is recognized.
        keep_repeated: Keep banners and menus that repeat over the pages of a folder. None does as the index did before; a new one
            leaves them out.
    """

    charset: str | None = None
    max_bytes: int = 200 << 20
    parser_seconds: float = 60.0
    parser_bytes: int = 4 << 30
    unpacked_bytes: int = 1 << 30
    text_characters: int = 50_000_000
    checksum: bool = False
    ocr: bool | None = None
    ocr_seconds: float = 1800.0
    keep_repeated: bool | None = None

    @property
    def variant(self) -> int:
        """A number that differs when the same file would be read differently."""
        return 1000 * bool(self.ocr) + 2000 * bool(self.keep_repeated)

    def __post_init__(self) -> None:
        """Refuse what no file could be read with.

        Raises:
            ValueError: If a limit is not above 0, or the charset is no text encoding that Python knows.
        """
        limits = (
            self.max_bytes,
            self.parser_seconds,
            self.parser_bytes,
            self.unpacked_bytes,
            self.text_characters,
            self.ocr_seconds,
        )
        if min(limits) <= 0:
            raise ValueError(f"limits of reading are {limits}; expected all above 0. Leave them out for the defaults")
        try:
            if self.charset is not None:
                b" ".decode(self.charset)
        except LookupError as err:
            raise ValueError(f"{err}; expected a text encoding such as gb18030 or utf-8, or none to detect it") from err


def first_heading(text: str) -> str:
    """Return the first ATX heading's words, empty when there is none."""
    for line in text.splitlines():
        if line.startswith("#") and line.lstrip("#").startswith(" "):
            return line.lstrip("#").strip()
    return ""


def text_meta(decoded: Decoded) -> dict[str, str]:
    """Return the charset of a text file, and how many characters of it could not be read."""
    damaged = {"damaged": str(decoded.damaged)} if decoded.damaged else {}
    return {"charset": decoded.charset, **damaged}


def stem(path: Path) -> str:
    """Return a file's name without its ending, for a title of last resort."""
    return path.name.removesuffix(".gz").rsplit(".", 1)[0] or path.name


def needs_password() -> Message:
    """Say that a file is encrypted."""
    return Message.of(
        "readers.password", "it is protected by a password", expected="an open file", do="Save it without a password"
    )


def damaged_file(kind: str, found: object) -> Message:
    """Say that a file is not what its format asks for.

    Args:
        kind: The format's name, such as `PDF`.
        found: What the library said.
    """
    return Message.of(
        "readers.damaged",
        "not a readable {format} file ({error})",
        expected="a complete file",
        do="Copy or save it again",
        format=kind,
        error=str(found)[:500],
    )


def declares_entities() -> Message:
    """Say that an XML file declares entities."""
    return Message.of(
        "readers.entities", "it declares XML entities, which can expand without end", expected="plain XML"
    )


def missing_extra(kind: str, extra: str) -> Message:
    """Say that a format needs an optional package."""
    return Message.of(
        "readers.missing_extra",
        "{kind} needs the extra `{extra}`",
        do="Run `pip install 'quarry-search[{extra}]'`",
        kind=kind,
        extra=extra,
    )
