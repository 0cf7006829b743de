"""The numbers that Word counts itself: of clauses, headings and list items, from `numbering.xml` and the styles."""

from typing import Any

from quarry.indexer.readers.counting import counted

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


class Numbering:
    """Counts the numbered paragraphs of one document, in their order."""

    def __init__(self, numbering: Any | None, styles: Any | None) -> None:
        """Read the definitions.

        Args:
            numbering: The root of `numbering.xml`, None when there is none.
            styles: The root of `styles.xml`.
        """
        self._levels: dict[str, dict[int, tuple[int, str, str]]] = {}
        self._families: dict[str, str] = {}
        self._starts: dict[tuple[str, int], int] = {}
        self._counts: dict[str, dict[int, int]] = {}
        self._restarted: set[str] = set()
        self._by_style = _numbered_styles(styles)
        abstract = {}
        for node in numbering.iter(f"{W}abstractNum") if numbering is not None else ():
            abstract[node.get(f"{W}abstractNumId")] = dict(_level(level) for level in node.iter(f"{W}lvl"))
        for node in numbering.iter(f"{W}num") if numbering is not None else ():
            number, family = node.get(f"{W}numId"), _value(node.find(f"{W}abstractNumId"))
            self._families[number] = family
            self._levels[number] = dict(abstract.get(family, {}))
            for override in node.iter(f"{W}lvlOverride"):
                level = int(override.get(f"{W}ilvl") or 0)
                if (start := override.find(f"{W}startOverride")) is not None:
                    self._starts[number, level] = int(_value(start) or 1)
                if (other := override.find(f"{W}lvl")) is not None:
                    self._levels[number][level] = _level(other)[1]

    def label(self, paragraph: Any, style: str) -> str | None:
        """Count a paragraph; return its number, `-` for a bullet, or None when it is not in a list."""
        place = _place(paragraph.find(f"{W}pPr/{W}numPr"))
        number, level = place if place is not None and place[0] else self._by_style.get(style, ("", 0))
        if place is not None and not place[0] and number:
            level = place[1] or level
        if not number or number == "0" or (place is not None and place[0] == "0"):
            return None
        levels = self._levels.get(number, {})
        if level not in levels:
            return "-"
        counts = self._counts.setdefault(self._families.get(number, number), {})
        override = self._starts.get((number, level))
        if override is not None and f"{number}/{level}" not in self._restarted:
            self._restarted.add(f"{number}/{level}")
            counts[level] = override
        else:
            counts[level] = counts[level] + 1 if level in counts else levels[level][0]
        for deeper in [one for one in counts if one > level]:
            del counts[deeper]
        return self._written(levels, counts, level)

    def _written(self, levels: dict[int, tuple[int, str, str]], counts: dict[int, int], level: int) -> str:
        _, kind, pattern = levels[level]
        if kind in ("bullet", "none"):
            return "-" if kind == "bullet" else ""
        for above in range(level + 1):
            start, own, _ = levels.get(above, (1, "decimal", ""))
            pattern = pattern.replace(f"%{above + 1}", counted(counts.setdefault(above, start), own))
        return pattern.strip()


def _value(node: Any) -> str:
    return str(node.get(f"{W}val") or "") if node is not None else ""


def _level(node: Any) -> tuple[int, tuple[int, str, str]]:
    start = _value(node.find(f"{W}start"))
    kind = _value(node.find(f"{W}numFmt")) or "decimal"
    number = int(start) if start.isdigit() else 0 if start == "0" else 1
    return int(node.get(f"{W}ilvl") or 0), (number, kind, _value(node.find(f"{W}lvlText")))


def _place(node: Any) -> tuple[str, int] | None:
    if node is None:
        return None
    level = _value(node.find(f"{W}ilvl"))
    return _value(node.find(f"{W}numId")), int(level) if level.isdigit() else 0


def _numbered_styles(styles: Any | None) -> dict[str, tuple[str, int]]:
    """Return style id to number and level, those that a style inherits too."""
    own: dict[str, tuple[str, int]] = {}
    parents: dict[str, str] = {}
    for node in styles.iter(f"{W}style") if styles is not None else ():
        name = node.get(f"{W}styleId") or ""
        parents[name] = _value(node.find(f"{W}basedOn"))
        place = _place(node.find(f"{W}pPr/{W}numPr"))
        if place is not None:
            own[name] = place
    for name in parents:
        above, steps = name, 0
        while above and above not in own and steps < 20:
            above, steps = parents.get(above, ""), steps + 1
        if above in own:
            own.setdefault(name, own[above])
    return own
