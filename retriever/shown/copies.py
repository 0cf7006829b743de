"""Copies: passages that say the same, of which one is shown and the others are named.

Two passages are copies when their texts are equal after upper and lower case, width, traditional characters, white space, quote marks of
mails (`>`) and the furniture around them: page numbers, lines of a mail's head, dates and copyright lines at the beginning or the end.
A number or a word that differs makes another passage, and so does a title or heading of its own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from quarry.indexer.lexical.normalization import normalized

_FURNITURE = re.compile(
    r"(?:from|to|cc|bcc|date|sent|received|subject|reply-to|message-id|发件人|收件人|抄送|日期|发送时间|时间|主题)\s*[:：].*"
    r"|(?:page|p\.)\s*\d+(?:\s*(?:of|/)\s*\d+)?|第\s*\d+\s*页(?:\s*[,，/]?\s*共\s*\d+\s*页)?|[-–—]?\s*\d{1,4}\s*(?:/\s*\d{1,4})?\s*[-–—]?"
    r"|(?:printed|generated|created|打印时间|生成时间|制表日期).*"
    r"|(?:©|\(c\)|copyright|版权所有|confidential|机密|内部资料).*"
    r"|\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?(?:[t ]\d{1,2}:\d{2}(?::\d{2})?)?"
    r"|[-_=*\s]{2,}"
)
_MARKS = re.compile(r"^(?:>\s?)+")
_FORWARDED = re.compile(r"^(?:(?:re|fwd?|aw|回复|答复|转发)\s*[:：]\s*)+")
_MOST_FURNITURE = 12  # lines at either end


@dataclass(frozen=True, slots=True)
class Copy:
    """A passage that says the same as a result: where it stands.

    Attributes:
        doc_id: Its document.
        chunk_id: The passage.
        source: Where the document came from.
        title: Of the document; its id when it has none.
        index: Which index it is in, where that is another one than the result's; else empty.
    """

    doc_id: str
    chunk_id: str
    source: str
    title: str
    index: str = ""

    @property
    def place(self) -> str:
        """Where it stands, for a reader."""
        return f"{self.index}: {self.source}" if self.index else self.source


@dataclass(frozen=True, slots=True)
class Told:
    """What makes two passages copies, or not."""

    text: str
    heading: str
    title: str
    source: str

    def key(self) -> str:
        r"""Return what is equal for copies.

        Example:
            >>> Told("From: Ann\nThe gate is shut.\n\nPage 2 of 3", "", "mail-1", "in/mail-1.txt").key()
            'thegateisshut.\x1f\x1f'
        """
        name = PurePosixPath(self.source).name
        title = "" if self.title in (name, name.rpartition(".")[0]) else _FORWARDED.sub("", _folded(self.title))
        body = _squeezed(_body(self.text))
        return "\x1f".join(
            (body, _squeezed(_folded(self.heading)), "" if _squeezed(title) in body else _squeezed(title))
        )


def first_of_each(keys: Sequence[str], most: int) -> list[list[int]]:
    """Return the places of equal keys together, in the order of their first ones, at most `most` groups.

    Example:
        >>> first_of_each(["a", "b", "a", "c"], 2)
        [[0, 2], [1]]
    """
    groups: dict[str, list[int]] = {}
    for place, key in enumerate(keys):
        if key in groups or len(groups) < most:
            groups.setdefault(key, []).append(place)
    return list(groups.values())


def _body(text: str) -> str:
    lines = [line for line in (_MARKS.sub("", line.strip()) for line in _folded(text).splitlines()) if line.strip()]
    first, last = 0, len(lines)
    while first < min(last, _MOST_FURNITURE) and _FURNITURE.fullmatch(lines[first].strip()):
        first += 1
    while last > first and len(lines) - last < _MOST_FURNITURE and _FURNITURE.fullmatch(lines[last - 1].strip()):
        last -= 1
    return "\n".join(lines[first:last] or lines)


def _folded(text: str) -> str:
    return normalized(text).casefold()


def _squeezed(text: str) -> str:
    return "".join(text.split())
