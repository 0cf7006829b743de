"""Mail as `.eml`, `.mbox` and `.mhtml`, by the standard library: subject, people and date, the body, and what is attached.

Runs in the worker process. An attachment is read by the reader of its own format and becomes a document beside its mail; one that
cannot be read is counted as left out.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message as Mail
from email.utils import getaddresses, parsedate_to_datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from quarry.indexer.messages import Message
from quarry.indexer.readers.archive import check_archive
from quarry.indexer.readers.base import Extract, Reading, ReadOptions, Unreadable, damaged_file, stem
from quarry.indexer.readers.charset import decode
from quarry.indexer.readers.formats import format_of
from quarry.indexer.readers.registry import TEXT_KINDS, ZIPPED, read_here
from quarry.indexer.readers.text.markup import html_text

_SEPARATOR = re.compile(rb"^From \S++[^\n]* \d\d:\d\d[^\n]*\n", re.MULTILINE)
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_WHITE = re.compile(r"\s+")
_UNNAMED = "attachment"
_MOST_ATTACHMENTS = 500
_DEEPEST = 8  # mails inside of mails
_STUB = 0.3  # a plain text that is this much shorter than the HTML beside it says no more than "open it in a browser"
_LONG = 400  # characters of HTML that such a plain text may stand beside
_PEOPLE = ("From", "To", "Cc")
_MAIL_KINDS = frozenset({"eml", "mbox", "mhtml"})


def read_eml(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read a mail and its attachments.

    Raises:
        Unreadable: `damaged` when it has neither a header of mail nor a body.
    """
    letters = _Letters(options)
    extracts = letters.read(content, "")
    if not extracts:
        raise Unreadable("damaged", damaged_file("mail", "no header of a mail"))
    first = extracts[0]
    return Reading((_titled(first, stem(path)), *extracts[1:]), omitted=+letters.omitted)


def read_mbox(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read a box of mails; each is a document, named by its number from 1.

    Raises:
        Unreadable: `damaged` when no mail begins in it.
    """
    del path
    content = content.replace(b"\r\n", b"\n")
    starts = [
        match
        for match in _SEPARATOR.finditer(content)
        if match.start() < 2 or content[match.start() - 2 : match.start()] == b"\n\n"
    ]
    if not starts:
        raise Unreadable("damaged", damaged_file("mbox", "no line that begins a mail"))
    letters = _Letters(options)
    extracts: list[Extract] = []
    ends = [*(match.start() for match in starts[1:]), len(content)]
    for number, (match, end) in enumerate(zip(starts, ends, strict=True), start=1):
        letter = _QUOTED_FROM.sub(rb"\1", content[match.end() : end])
        extracts.extend(letters.read(letter, str(number)))
    return Reading(tuple(extracts), omitted=+letters.omitted)


def _titled(extract: Extract, title: str) -> Extract:
    return extract if extract.title else replace(extract, title=title)


class _Letters:
    """Reads mails one after another and counts what is left out of them."""

    def __init__(self, options: ReadOptions) -> None:
        self.omitted: Counter[str] = Counter()
        self._options = options
        self._attached: list[Extract] = []
        self._listed: list[str] = []  # names of attachments
        self._names: set[str] = set()
        self._number = ""

    def read(self, content: bytes, number: str) -> list[Extract]:
        """Return the documents of one mail: itself and its attachments."""
        mail = message_from_bytes(content)
        if not mail.keys():
            return []
        self._attached, self._listed, self._names, self._number = [], [], set(), number
        subject = _header(mail, "Subject")
        body = "\n\n".join(part for part in self._parts(mail, 0) if part.strip())
        listed = f"\n\nAttachments: {', '.join(self._listed)}" if self._listed else ""
        text = "\n".join([f"# {subject}" if subject else "", *_head(mail), "", body]).strip() + listed
        return [Extract(text, subject, _facts(mail, subject), number), *self._attached]

    def _parts(self, mail: Mail, depth: int) -> Iterator[str]:
        kind = mail.get_content_type()
        if depth > _DEEPEST:
            self.omitted["attachments"] += 1
        elif kind == "message/rfc822":
            yield from self._forwarded(mail, depth)
        elif kind == "message/delivery-status":  # fields in groups: of the server, and of each recipient
            yield from ("\n".join(f"{name}: {value}" for name, value in group.items()) for group in _inner(mail))
        elif not mail.is_multipart():
            yield from self._part(mail)
        elif kind == "multipart/alternative":
            yield from self._alternative(mail, depth)
        else:
            for part in _inner(mail):
                if kind == "multipart/related" and part.get_content_maintype() in ("image", "font"):
                    continue  # pictures that the HTML shows
                yield from self._parts(part, depth + 1)

    def _forwarded(self, mail: Mail, depth: int) -> Iterator[str]:
        for inner in _inner(mail):
            subject = _header(inner, "Subject")
            yield "\n".join([f"## {subject}" if subject else "", *_head(inner)]).strip()
            yield from self._parts(inner, depth + 1)

    def _alternative(self, mail: Mail, depth: int) -> Iterator[str]:
        """Yield the plain version, or the richer one when the plain one is empty or a stub."""
        parts = _inner(mail)
        plain = [
            text for part in parts if part.get_content_type() == "text/plain" for text in self._parts(part, depth + 1)
        ]
        rich = [part for part in parts if part.get_content_type() != "text/plain"]
        others = [text for part in rich[-1:] for text in self._parts(part, depth + 1)]
        shortest = len("".join(plain).strip())
        longest = len("".join(others).strip())
        yield from others if shortest == 0 or (longest > _LONG and shortest < _STUB * longest) else plain

    def _part(self, part: Mail) -> Iterator[str]:
        content = part.get_payload(decode=True)
        content = content if isinstance(content, bytes) else b""
        name = header_text(part.get_filename())
        kind = part.get_content_type()
        if part.get_content_disposition() != "attachment" and not (name and kind not in ("text/plain", "text/html")):
            if kind == "text/html":
                yield html_text(_text(part, content))[1]
                return
            if part.get_content_maintype() in ("text", "message"):
                yield _unfolded(part, _text(part, content))
                return
        self._attach(name, content)

    def _attach(self, name: str, content: bytes) -> None:
        """Read an attachment by the reader of its format."""
        if name and len(self._listed) < _MOST_ATTACHMENTS:
            self._listed.append(name)
        if len(self._attached) >= _MOST_ATTACHMENTS or not content.strip():
            self.omitted["attachments"] += bool(content.strip())
            return
        name = name or _UNNAMED
        try:
            reading = self._reading(Path(name).name, content)
        except (Unreadable, RecursionError):
            self.omitted["attachments"] += 1
            return
        self.omitted.update(reading.omitted)
        for extract in reading.extracts:
            base = "/".join(part for part in (self._number, name, extract.row_id) if part)
            row, again = base, 1
            while row in self._names:
                again += 1
                row = f"{base}~{again}"
            self._names.add(row)
            self._attached.append(
                Extract(extract.text, extract.title or name, {**extract.meta, "attachment": name}, row)
            )

    def _reading(self, name: str, content: bytes) -> Reading:
        kind = format_of(Path(name), content)
        if kind in _MAIL_KINDS:
            raise Unreadable("unsupported format", Message.of("readers.nested_mail", "a mail inside of a mail"))
        if kind in TEXT_KINDS:
            return read_here(kind, Path(name), content, self._options)
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"{_UNNAMED}.{kind}"  # a name out of a mail never becomes a path
            path.write_bytes(content)
            if kind in ZIPPED:
                check_archive(path, kind, self._options)
            reading = read_here(kind, path, b"", self._options)
        named = [
            replace(extract, title=stem(Path(name))) if extract.title == _UNNAMED else extract
            for extract in reading.extracts
        ]
        return replace(reading, extracts=tuple(named))


def _inner(mail: Mail) -> list[Mail]:
    payload = mail.get_payload()
    return [part for part in payload if isinstance(part, Mail)] if isinstance(payload, list) else []


def _text(part: Mail, content: bytes) -> str:
    return decode(content, part.get_content_charset()).text


def _unfolded(part: Mail, text: str) -> str:
    """Join the lines of flowed text (RFC 3676); other text stays as it is."""
    if str(part.get_param("format") or "").lower() != "flowed":
        return text
    deleted = str(part.get_param("delsp") or "").lower() == "yes"
    lines: list[str] = []
    goes_on = False
    for line in text.split("\n"):
        if goes_on and lines:
            lines[-1] += line
        else:
            lines.append(line)
        goes_on = line.endswith(" ") and line != "-- "
        if goes_on and deleted:
            lines[-1] = lines[-1][:-1]
    return "\n".join(lines)


def _head(mail: Mail) -> list[str]:
    lines = [f"{name}: {people}" for name in _PEOPLE if (people := _header(mail, name))]
    date = _header(mail, "Date")
    return [*lines, f"Date: {date}"] if date else lines


def _facts(mail: Mail, subject: str) -> dict[str, str]:
    """Return what can be filtered on: subject, people, and the day in the sender's own time zone."""
    facts = {"subject": subject, **{name.lower(): _header(mail, name) for name in _PEOPLE}}
    addresses = [address for _, address in getaddresses([_header(mail, "From")]) if address]
    facts["sender"] = addresses[0].lower() if addresses else ""
    try:
        facts["date"] = parsedate_to_datetime(_header(mail, "Date")).date().isoformat() if mail["Date"] else ""
    except (ValueError, TypeError, IndexError, OverflowError):  # not a date; the line of the head keeps it as it is
        facts["date"] = ""
    return {name: value for name, value in facts.items() if value}


def _header(mail: Mail, name: str) -> str:
    """Return a header's words, from the bytes as they stand in the mail."""
    return header_text(next((value for key, value in mail.raw_items() if key.lower() == name.lower()), None))


def header_text(value: object) -> str:
    """Return a header's words: encoded ones decoded, raw bytes by their most likely charset."""
    if value is None:
        return ""
    try:
        pieces = decode_header(value if isinstance(value, str) else str(value))
    except (HeaderParseError, ValueError, LookupError):
        return _WHITE.sub(" ", str(value)).strip()
    words = []
    for piece, charset in pieces:
        raw = piece if isinstance(piece, bytes) else piece.encode("utf-8", "surrogateescape")
        words.append(decode(raw, None if charset in (None, "unknown-8bit") else charset).text)
    return _WHITE.sub(" ", "".join(words)).strip()
