"""Text of documents and users on a page: always text, never markup. All foreign text goes through here.

Also what presenters share: the choice of language, and the rows of their tables.
"""

import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, TypeAlias

from quarry.app.words import message_of, words
from quarry.indexer.messages import Message
from quarry.retriever.shown.highlight import Span, pieces, snippet

# Controls but tab, newline and form feed; bidirectional marks, overrides and isolates; invisible format and tag characters.
# The joiners U+200C and U+200D stay: Persian, Hindi and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0d-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_JOINER = "\u2060"  # invisible; it keeps `:name:` and `www.` from being what Streamlit's Markdown looks for
_LABEL_CHARS = 70
# what is hidden is still read aloud, found and copied
SHORTENED = (
    ".q-middle { font-size: 0; } .q-middle::before { content: '…'; font-size: 1rem; } "
    ".q-long:hover .q-middle { font-size: inherit; } .q-long:hover .q-middle::before { content: none; }"
)
# Chinese is written without spaces, so a line broken in the middle of it (PDF) is joined without one. The mark is a
# noncharacter that stands in for the line break until the HTML is made, so that offsets hold.
_HAN_BREAK = re.compile("(?<=[\u3001-\u9fff\uff01-\uff60])\n(?=[\u3001-\u9fff\uff01-\uff60])")
_JOINT = "\ufdd0"
_ENDS = tuple(".!?:…。！？：")
_WIDE = re.compile("[\u3000-\u9fff\uac00-\ud7af\uff01-\uff60]")


def safe(text: str) -> str:
    """Replace characters that hide or reorder text by U+FFFD, one for one, so that offsets hold."""
    return _UNSAFE.sub("\ufffd", text)


def inert(text: str) -> str:
    """Return HTML that shows the text literally."""
    return escape(safe(text), quote=True)


def marked(text: str, spans: Sequence[Span]) -> str:
    """Return HTML of the text with the spans in `<mark>`; line and page breaks become spaces."""
    joined = _HAN_BREAK.sub(_JOINT, text.replace(_JOINT, "\ufffd"))
    flat = re.sub(r"[\n\f\t]", " ", joined)
    return _marked(flat, spans).replace(_JOINT, "")


def marked_lines(text: str, spans: Sequence[Span]) -> str:
    """Return HTML of the text with the spans in `<mark>`, lines kept; to be shown in an element that keeps white space."""
    return _marked(text.replace("\f", "\n"), spans)


def _marked(text: str, spans: Sequence[Span]) -> str:
    return "".join(f"<mark>{inert(piece)}</mark>" if inside else inert(piece) for piece, inside in pieces(text, spans))


def excerpt(text: str, spans: Sequence[Span], width: int) -> str:
    """Return HTML of the part of a passage that shows most of the spans, about `width` Latin letters wide."""
    wide = len(_WIDE.findall(text)) / max(1, len(text))
    start, end = snippet(text, spans, round(width / (1 + wide)))
    inside = [(max(a, start) - start, min(b, end) - start) for a, b in spans if a < end and b > start]
    before, after = "… " if start else "", " …" if end < len(text) else ""
    return f"{before}{marked(text[start:end], inside)}{after}"


def plain(text: str) -> str:
    """Return foreign text for where Streamlit reads Markdown, such as `st.error` and labels: escaped, on one line."""
    escaped = _PUNCTUATION.sub(r"\\\1", " ".join(safe(text).split()))
    return re.sub(r"(?i)(\\[:@./<>~-]|www|http)", rf"\1{_JOINER}", escaped)


def label(text: str) -> str:
    """Return foreign text for a widget's label: like `plain`, cut when long."""
    line = " ".join(text.split())
    return plain(line if len(line) <= _LABEL_CHARS else line[: _LABEL_CHARS - 1] + "…") or "…"


def shortened_html(text: str, most: int) -> str:
    """Return HTML of a name on one or two lines: the middle of a longer one is hidden, by `SHORTENED`, and shown when pointed at."""
    if len(text) <= most:
        return inert(text)
    half = most // 2
    head, middle, tail = inert(text[:half]), inert(text[half:-half]), inert(text[-half:])
    return f"<span class='q-long'>{head}<span class='q-middle'>{middle}</span>{tail}</span>"


def told(what: Message | Exception, say: "Say") -> str:
    """Return a message of the library, or what an error says, in the interface's language; safe to show as plain text."""
    message = message_of(what) if isinstance(what, Exception) else what
    return safe(say(words(message, "en"), words(message, "zh")))


def sentence(text: str) -> str:
    """Return a message that stands alone with a capital letter and a full stop, as the texts around it have."""
    stop = "" if not text or text.rstrip()[-1:] in _ENDS else "。" if _WIDE.search(text) else "."
    return text[:1].upper() + text[1:] + stop


def counted(count: int, one: str, many: str) -> str:
    """Return a number with its English noun: `1 example`, `2 examples`."""
    return f"{count:,} {one if count == 1 else many}"


Say: TypeAlias = Callable[[str, str], str]
"""Picks the English or the Chinese one of two texts."""
Row: TypeAlias = dict[str, Any]
"""A row of a table, by the column's title."""
