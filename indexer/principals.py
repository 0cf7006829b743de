"""Who may see a document: the principals that its metadata `allow` names, such as people and groups.

    {"allow": ["ann", "staff"]}     whoever is one of them; `ann, staff` in one text means the same
    {"allow": "*"}                  everybody
    {"allow": []}                   nobody, and so does a value that cannot be read
    no `allow`                      everybody, unless documents without it are hidden

Names are compared letter by letter. The key may be written in any case, as table heads are.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from quarry.indexer.metadata import written

KEY = "allow"
EVERYBODY = "*"
_BETWEEN = re.compile(r"[,;，；、]")


@dataclass(frozen=True, slots=True)
class Principals:
    """Somebody who asks: a person with their groups. They see what is allowed for any of them.

    Attributes:
        names: Sorted, each once; may be empty.
        unlabeled: Whether documents without `allow` are seen.

    Example:
        >>> Principals.of("staff, ann").names
        ('ann', 'staff')
    """

    names: tuple[str, ...]
    unlabeled: bool = True

    @classmethod
    def of(cls, names: str | Iterable[str], *, unlabeled: bool = True) -> Self:
        """Return the principals of some names, or of one text with commas between them."""
        found = {name for name in _names(names) if name != EVERYBODY}
        return cls(tuple(sorted(found)), unlabeled)

    def may_see(self, meta: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata may be seen.

        Example:
            >>> ann = Principals.of("ann")
            >>> [ann.may_see(meta) for meta in ({"allow": ["ann", "bob"]}, {"allow": "bob"}, {"allow": []}, {})]
            [True, False, False, True]
        """
        rules = [value for key, value in meta.items() if is_rule(key)]
        if not rules:
            return self.unlabeled
        mine = {*self.names, EVERYBODY}
        return all(mine.intersection(_names(rule)) for rule in rules)

    def both(self, other: "Principals") -> "Principals":
        """Return principals that see only what both may see by name."""
        return Principals(
            tuple(sorted(set(self.names) & set(other.names))),
            self.unlabeled and other.unlabeled,
        )


def is_rule(key: str) -> bool:
    """Whether a key of metadata says who may see a document."""
    return key.strip().casefold() == KEY


def _names(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return [name for part in _BETWEEN.split(value) if (name := part.strip())]
    if isinstance(value, Mapping) or value is None or isinstance(value, bool):
        return []
    if isinstance(value, Iterable):
        return [name for inner in value if isinstance(inner, str | int) for name in _names(inner)]
    return [written(value)]
