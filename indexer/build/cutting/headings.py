"""The headings of a document's text, and what stands under each."""

import re
from dataclasses import dataclass

from quarry.indexer.readers.base import UNMARKED_KINDS
from quarry.indexer.records import BETWEEN_HEADINGS, Document

_HEADING = re.compile(r"^(#{1,6})[ \t]++(?=\S)", re.MULTILINE)
_CLOSING = re.compile(r"(?:^|[ \t])#+$")
_FENCE = re.compile(r"^(?:```|~~~)", re.MULTILINE)
_LONGEST_NAME = 200  # characters of a heading that count


@dataclass(frozen=True, slots=True)
class Section:
    """What stands between two headings.

    Attributes:
        start: Its first character, that of its heading's line.
        end: One past its last.
        names: Its heading and those above, outermost first; empty before the first heading.
    """

    start: int
    end: int
    names: tuple[str, ...]

    @property
    def heading(self) -> str:
        """The path of headings, ` > ` between them."""
        return BETWEEN_HEADINGS.join(self.names)


def sections_of(document: Document) -> list[Section]:
    """Return the sections of a document in order; together they are its text.

    Args:
        document: Its headings are ATX lines outside of code fences; those of programs and tables have none.
    """
    text = document.text
    if document.meta.get("format", "") in UNMARKED_KINDS:
        return [Section(0, len(text), ())]
    fences = iter([*(match.start() for match in _FENCE.finditer(text)), len(text)])
    next_fence, inside = next(fences), False
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    start = 0
    for match in _HEADING.finditer(text):
        while next_fence < match.start():
            next_fence, inside = next(fences), not inside
        if inside:
            continue
        if match.start() > start:
            sections.append(Section(start, match.start(), _names(path)))
        level = len(match.group(1))
        path = [*(entry for entry in path if entry[0] < level), (level, _name(text, match.end()))]
        start = match.start()
    sections.append(Section(start, len(text), _names(path)))
    return sections


def _names(path: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(name for _, name in path)


def _name(text: str, start: int) -> str:
    """Return the words of a heading that begin at a position, without closing hashes and cut when they are very long."""
    end = text.find("\n", start)
    line = text[start : end if end >= 0 else len(text)].rstrip()
    closing = line[-_LONGEST_NAME:]
    name = (line[: -_LONGEST_NAME or None] if len(line) > _LONGEST_NAME else "") + _CLOSING.sub("", closing)
    return (name.rstrip() or line)[:_LONGEST_NAME].rstrip()
