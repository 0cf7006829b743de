"""Words of a page that stand in attributes, and the numbers that a browser puts before list items."""

from typing import TYPE_CHECKING

from quarry.indexer.readers.counting import counted

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_NOT_SHOWN = frozenset({"password", "hidden", "checkbox", "radio", "file", "color", "range"})
_COUNTED = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_LONGEST = 6  # digits of a number that a list may begin with


class Lists:
    """The lists that are open."""

    def __init__(self) -> None:
        self._open: list[_Counter | None] = []

    def opened(self, tag: str, node: "LexborNode") -> str:
        """Take a list or an item; return the mark of the item."""
        if tag != "li":
            self._open.append(_Counter(node) if tag == "ol" else None)
            return ""
        counter = self._open[-1] if self._open else None
        return counter.label(node) if counter is not None else "- "

    def closed(self, tag: str) -> None:
        """Take the end of a list or an item."""
        if tag != "li" and self._open:
            self._open.pop()


class _Counter:
    """Counts the items of one list."""

    def __init__(self, node: "LexborNode") -> None:
        backwards = "reversed" in node.attributes
        self._step = -1 if backwards else 1
        first = _number(node.attributes.get("start"))
        if first is None:
            first = sum(child.tag == "li" for child in node.iter()) if backwards else 1
        self._next = first
        self._kind = _COUNTED.get(node.attributes.get("type") or "", "decimal")

    def label(self, item: "LexborNode") -> str:
        own = _number(item.attributes.get("value"))
        number = self._next if own is None else own
        self._next = number + self._step
        return f"{counted(number, self._kind if number > 0 else 'decimal')}. "


def _number(text: str | None) -> int | None:
    digits = (text or "").strip()
    return int(digits) if digits.removeprefix("-").isdecimal() and len(digits) <= _LONGEST else None


def shown_values(node: "LexborNode", tag: str) -> str:
    """Return what a picture, a field that is no secret, or a choice says in its attributes."""
    told = node.attributes
    if tag in ("img", "area"):
        return f" {told.get('alt') or ''} "
    if tag == "optgroup":
        return f" {told.get('label') or ''} "
    if tag == "option":
        return f" {told.get('label') or ''} " if not node.text(strip=True) else " "
    kind = (told.get("type") or "text").lower()
    if kind == "image":
        return f" {told.get('alt') or ''} "
    return "" if kind in _NOT_SHOWN else f" {told.get('value') or ''} "
