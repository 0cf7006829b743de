"""Filters as frameworks write them, in the form that a search takes: metadata key -> accepted values, refusals and bounds.

Numbers, true and false, and dates are values like texts; `*` in a text is a wildcard, as always in Quarry.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from quarry.indexer.metadata import written
from quarry.retriever.searcher import Filters

_PREFIXES = {"==": "==", "in": "==", "!=": "!=", "not in": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}
_MANY = ("in", "not in")
_OF_MONGO = {"eq": "==", "in": "in", "ne": "!=", "nin": "not in", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison: a metadata key, an operator (`==`, `!=`, `in`, `not in`, `>`, `>=`, `<`, `<=`), and a value or several."""

    key: str
    operator: str
    value: Any

    def texts(self) -> list[str]:
        """Return the values as a search takes them.

        Raises:
            ValueError: If the operator is unknown, or a value is not text, a number, true, false or a date.
        """
        many = self.operator in _MANY and not isinstance(self.value, str | Mapping)
        values = list(self.value) if many and isinstance(self.value, Iterable) else [self.value]
        nested = any(value is None or isinstance(value, list | tuple | set | Mapping) for value in values)
        if self.operator not in _PREFIXES or nested or (self.operator in _MANY) != many:
            raise ValueError(
                f"the filter {self.key!r} {self.operator} {self.value!r} cannot be answered; expected one of "
                f"{', '.join(_PREFIXES)} with a text, a number, true or false (in: with a list of them)"
            )
        return [self._text(written(value)) for value in values]

    def _text(self, value: str) -> str:
        """Return a value with its operator; equal values need one only when they look like one."""
        plain = self.operator in ("==", "in") and not value.startswith(("=", "!", "<", ">"))
        return value if plain else f"{_PREFIXES[self.operator]}{value}"


def all_of(comparisons: Iterable[Comparison]) -> Filters | None:
    """Return the filters under which all comparisons hold, None for no comparison.

    Raises:
        ValueError: From `Comparison.texts`.
    """
    accepted: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for comparison in comparisons:
        texts = comparison.texts()
        if comparison.operator not in ("==", "in"):
            others.setdefault(comparison.key, []).extend(texts)
        elif comparison.key in accepted:
            accepted[comparison.key] = [text for text in accepted[comparison.key] if text in texts]
        else:
            accepted[comparison.key] = texts
    found: dict[str, list[str]] = {}
    for key in [*accepted, *(key for key in others if key not in accepted)]:
        impossible = key in accepted and not accepted[key]
        found[key] = [] if impossible else [*accepted.get(key, ()), *others.get(key, ())]
    return found or None


def any_of(comparisons: Iterable[Comparison]) -> Comparison:
    """Return one comparison for alternatives of the same key.

    Raises:
        ValueError: If they are of several keys, or are not all `==` and `in`: a search cannot answer that.
    """
    found = list(comparisons)
    if len({each.key for each in found}) != 1 or any(each.operator not in ("==", "in") for each in found):
        raise ValueError(
            f"the filter joins {[each.key for each in found]} with OR; expected alternatives of one metadata field. "
            "Search once for each alternative"
        )
    values = [value for each in found for value in (each.value if each.operator == "in" else [each.value])]
    return Comparison(found[0].key, "in", values)


def of_langchain(filter_: object, filters: object) -> Filters | None:
    """Return the filters of a LangChain call, under either name of the argument.

    Args:
        filter_: What came as `filter`, as LangChain's users write it: `{"dept": "ops", "year": {"$gte": 2023}}`; also lists
            of accepted values, and `$and`, or `$or` of one key.
        filters: What came as `filters`; the same.

    Raises:
        TypeError: If the filter is a function, or anything else than a dictionary.
        ValueError: If both are given, or the filter has an `$or` of several keys, a `$not` or an unknown operator.
    """
    if filter_ is not None and filters is not None:
        raise ValueError("filter and filters were both given; expected one of them")
    given = filters if filter_ is None else filter_
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise TypeError(
            f"the filter is a {type(given).__name__}; expected a dictionary such as {{'dept': 'ops'}}: an index cannot call a "
            "function for each document"
        )
    plain = {key: value for key, value in given.items() if not str(key).startswith("$")}
    if len(plain) == len(given) and not any(isinstance(value, Mapping) for value in plain.values()):
        return plain or None  # values and lists, as Quarry's own filters are
    return all_of(_of_mongo(given))


def _of_mongo(given: Mapping[Any, Any]) -> Iterator[Comparison]:
    for name, value in given.items():
        key = str(name)
        if key in ("$and", "$or") and isinstance(value, list) and all(isinstance(part, Mapping) for part in value):
            parts = [comparison for part in value for comparison in _of_mongo(part)]
            if key == "$and":
                yield from parts
            elif parts:
                yield any_of(parts)
        elif key.startswith("$"):
            raise ValueError(f"the filter has {key}; expected $and, or $or of one key, with a list of dictionaries")
        elif isinstance(value, Mapping):
            for operator, operand in value.items():
                yield Comparison(key, _OF_MONGO.get(str(operator).removeprefix("$"), str(operator)), operand)
        else:
            yield Comparison(key, "in" if isinstance(value, list | tuple | set) else "==", value)
