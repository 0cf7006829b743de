"""The numbers of lists and headings in OpenDocument, which its programs count anew each time they show a file."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from quarry.indexer.readers.counting import counted

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_KINDS = {
    "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman", "一, 二, 三, ...": "chineseCounting",
    "壹, 贰, 叁, ...": "chineseCounting", "一, 十, 一百(繁), ...": "chineseCounting",
}  # fmt: skip  # a table
_OUTLINE = "\0"  # the name under which the style of numbered headings is kept
_DEEPEST = 10


@dataclass(frozen=True, slots=True)
class _Level:
    """How a level counts; `kind` is empty for bullets."""

    kind: str
    prefix: str
    suffix: str
    shown: int
    start: int


class Lists:
    """Counts the items of a document, in their order."""

    def __init__(self, roots: Iterable[Any]) -> None:
        """Read the styles of lists and headings.

        Args:
            roots: `styles.xml` and `content.xml`.
        """
        self._styles: dict[str, dict[int, _Level]] = {}
        self._counts: dict[str, dict[int, int]] = {}
        for root in roots:
            for style in root.iter(f"{_TEXT}list-style", f"{_TEXT}outline-style"):
                name = style.get(f"{_STYLE}name") or "" if style.tag == f"{_TEXT}list-style" else _OUTLINE
                self._styles[name] = {_int(node.get(f"{_TEXT}level"), 1): _level(node) for node in style}

    def begin(self, style: str) -> None:
        """Begin a list anew."""
        self._counts.pop(style, None)

    def label(self, style: str, level: int, start: str | None = None) -> str:
        """Count an item; return its number, or `-`.

        Args:
            style: The name of its list style.
            level: From 1.
            start: The number that the item itself sets.
        """
        levels = self._styles.get(style, {})
        own = levels.get(level)
        if own is None or not own.kind:
            return "-"
        return self._count(style, level, levels, start)

    def heading(self, level: int) -> str:
        """Count a heading; return its number, empty when headings are not numbered."""
        levels = self._styles.get(_OUTLINE, {})
        if level not in levels:
            return ""
        text = self._count(_OUTLINE, level, levels, None)
        return text if levels[level].kind else ""

    def _count(self, style: str, level: int, levels: dict[int, _Level], start: str | None) -> str:
        own = levels[level]
        counts = self._counts.setdefault(style, {})
        counts[level] = _int(start, 1) if start else counts.get(level, own.start - 1) + 1
        for deeper in [one for one in counts if one > level]:
            del counts[deeper]
        above = range(max(1, level - own.shown + 1), level + 1)
        numbers = [
            counted(counts.setdefault(one, levels[one].start), levels[one].kind)
            for one in above
            if one in levels and levels[one].kind
        ]
        return f"{own.prefix}{'.'.join(numbers)}{own.suffix}".strip()


def _level(node: Any) -> _Level:
    form = node.get(f"{_STYLE}num-format") or ""
    return _Level(
        _KINDS.get(form, "decimal") if form else "",
        node.get(f"{_STYLE}num-prefix") or "",
        node.get(f"{_STYLE}num-suffix") or "",
        min(_int(node.get(f"{_TEXT}display-levels"), 1), _DEEPEST),
        _int(node.get(f"{_TEXT}start-value"), 1),
    )


def _int(text: str | None, default: int) -> int:
    return int(text) if text and text.isdigit() and len(text) < 7 else default
