"""Numbered lines of a text file, plain or .gz, and the faults found in them. It knows no format."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from quarry.indexer.errors import CorpusError, cause_of
from quarry.indexer.messages import Message

_SHOWN = 5  # faults shown in one message; the rest are counted
_SAMPLE = 1 << 16  # bytes that tell a file's charset
_LINE_CHARSETS = frozenset({"gb18030", "big5", "big5hkscs"})
_QUOTED = 60  # characters of an offending value that are shown


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line number (from 1) and text of the lines that are not blank, without line end and byte order mark.

    Only a line feed ends a line: U+2028 or U+0085 inside a JSON string do not.

    Raises:
        CorpusError: If the file is missing, is not a whole gzip file though named .gz, or a line is not in its charset.
    """
    charset = charset_of(path)
    with _explained(path), _open_binary(path) as handle:
        yield from decoded_lines(handle, path, charset)


def whole_text(path: Path) -> str:
    """Return a text file without byte order mark, for formats whose records may span lines. Raises as `numbered_lines` does."""
    charset = charset_of(path)
    with _explained(path), _open_binary(path) as handle:
        lines = [_decoded(path, number, raw, charset, "") for number, raw in enumerate(handle, start=1)]
    return "".join(lines)


def charset_of(path: Path) -> str:
    """Return `gb18030` or `big5` for a file that is written in it from its beginning, else `utf-8`.

    Raises:
        CorpusError: If the file cannot be read.
    """
    from quarry.indexer.readers.charset import decode

    with _explained(path), _open_binary(path) as handle:
        sample = handle.read(_SAMPLE)
    lines = sample if len(sample) < _SAMPLE else sample[: sample.rfind(b"\n") + 1]
    first = next((line for line in lines.split(b"\n") if not line.isascii()), b"")
    try:
        first.decode("utf-8-sig")
    except UnicodeDecodeError:
        read = decode(lines)
        return read.charset if read.charset in _LINE_CHARSETS and not read.damaged else "utf-8"
    return "utf-8"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as err:
        raise CorpusError(
            "data.not_gzip",
            "{path}: not a complete gzip file ({error})",
            expected="one because of its name",
            do="Download or compress it again",
            path=path,
            error=cause_of(err),
        ) from err
    except OSError as err:
        raise CorpusError(
            "data.unreadable",
            "{path}: cannot be read ({error})",
            expected="a readable text file",
            path=path,
            error=err.strerror or str(err),
        ) from err


def decoded_lines(lines: Iterable[bytes], source: Path | str, charset: str = "utf-8") -> Iterator[tuple[int, str]]:
    """Yield line number (from 1) and text of the lines that are not blank, as `numbered_lines` does.

    Args:
        lines: With their line ends.
        source: The file, for errors.
        charset: What they are written in.

    Raises:
        CorpusError: If a line is not in the charset; `source` and line are named.
    """
    for number, raw in enumerate(lines, start=1):
        text = _decoded(source, number, raw, charset)
        if text.strip():
            yield number, text


def json_object(text: str) -> dict[str, Any] | Message:
    """Return the JSON object in a line, or what is wrong with it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as err:
        return Message.of("data.not_json", "not JSON ({error})", error=str(err))
    if isinstance(value, dict):
        return value
    return Message.of("data.no_object", "a JSON {type}", expected="an object", type=type(value).__name__)


def text_id(value: object) -> str | None:
    """Return an id as text, or None when it is not one: ids are text or whole numbers, not empty, without controls."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    name = str(value).strip(" \t\r\n")
    return name if name and not any(char < " " or "\ud800" <= char <= "\udfff" for char in name) else None


def quoted(value: object) -> str:
    """Return the value as it is shown in an error, cut when it is long."""
    shown = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return shown if len(shown) <= _QUOTED else shown[:_QUOTED] + "…"


@dataclass(slots=True)
class Faults:
    """Collects what is wrong with a file, so that one error names all of it and not only the first line."""

    source: Path | str
    expected: Message | str
    shown: list[Message] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, reason: Message | str) -> None:
        """Note that a line is bad and why."""
        self.count += 1
        if len(self.shown) < _SHOWN:
            fault = Message.of(
                "data.fault", "{source}:{line}: {reason}", source=str(self.source), line=line, reason=reason
            )
            self.shown.append(fault)

    def raise_if_any(self) -> None:
        """Raise CorpusError naming file, line and reason of the first faults, and how many there are."""
        if not self.count:
            return
        more = [Message.of("data.more_faults", "and {count} more", count=self.count - _SHOWN)]
        raise CorpusError(
            "data.faults",
            "{faults}",
            expected="{expected_form}",
            do="Correct the file and try again",
            faults=[*self.shown, *(more if self.count > _SHOWN else [])],
            expected_form=self.expected,
        )


def _open_binary(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _decoded(source: Path | str, number: int, raw: bytes, charset: str, ends: str = "\r\n") -> str:
    try:
        return raw.decode("utf-8-sig" if number == 1 and charset == "utf-8" else charset).rstrip(ends)
    except UnicodeDecodeError as err:
        raise CorpusError(
            "data.not_utf8",
            "{source}:{line}: not UTF-8 at byte {byte}",
            expected="UTF-8, or GB18030 or Big5 from the first line on",
            do="Convert the file",
            source=str(source),
            line=number,
            byte=err.start,
        ) from err
