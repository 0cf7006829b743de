"""What a filter asks of one metadata key: accepted values, refused values, and bounds of numbers and dates.

    {"lang": ["zh", "en"]}                       either value; `*` in a value is a wildcard
    {"date": [">=2024-04-01", "<2024-07"]}       bounds, all of which hold; numbers and dates compare by value
    {"draft": "!=true"}                          documents with the value are left out
    {"price": {"lt": 10}}                        the same as `<10`; also with `$`, as other stores write it
    {"name": "==>=2"}                            the value `>=2`: after `=` nothing is an operator

`date` with `>=2024-04-01` is what the command line writes as `--filter "date>=2024-04-01"` (`parse_expression`). A document whose
value is a list matches when one element does.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

from quarry.indexer.errors import BadFilter, UnknownFilter
from quarry.indexer.metadata import Period, number_of, period_of, written

OF_DOCUMENTS = ("doc_id", "title")  # what documents have in themselves counts as keys
_SHOWN = 30  # keys that an error names
_TRUE_AND_FALSE = {"True": "true", "False": "false"}
_EXPRESSION = re.compile(r"\s*([^=<>!]+?)\s*(>=|<=|!=|==|=|>|<)(.*)", re.DOTALL)
_BOUND = re.compile(r"(>=|<=|>|<)\s*(.*)", re.DOTALL)
_NUMBERS: dict[str, Callable[[float, float], bool]] = {">=": ge, "<=": le, ">": gt, "<": lt}
_PERIODS: dict[str, Callable[[Period, Period], bool]] = {
    ">=": lambda given, asked: given.start >= asked.start,
    "<": lambda given, asked: given.start < asked.start,
    ">": lambda given, asked: given.start >= asked.end,
    "<=": lambda given, asked: given.start < asked.end,
}
_NAMED = {"gte": ">=", "lte": "<=", "gt": ">", "lt": "<", "ne": "!=", "nin": "!=", "eq": "=", "in": "="}


@dataclass(frozen=True, slots=True)
class Bound:
    """A comparison with a number or a date, such as `>= 2024-04-01`."""

    operator: str
    operand: str

    def holds(self, value: str) -> bool | None:
        """Whether a value is within the bound; None when the two cannot be compared."""
        mine, theirs = number_of(self.operand), number_of(value)
        if mine is not None and theirs is not None:
            return _NUMBERS[self.operator](theirs, mine)
        asked, given = period_of(self.operand), period_of(value)
        return None if asked is None or given is None else _PERIODS[self.operator](given, asked)

    def not_comparable(self, key: str, example: str) -> BadFilter:
        """Return the error for a key none of whose values can be compared; `example` is one of them."""
        return BadFilter(
            "storage.not_comparable",
            "the metadata {key} has values such as {example}, which {operator}{operand} cannot be compared with",
            expected="numbers to compare with a number, dates with a date",
            do="Use {key}=VALUE; * in a value is a wildcard",
            key=key,
            example=repr(example[:60]),
            operator=self.operator,
            operand=self.operand,
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """What is asked of one key: any of `accepted` (when there are some), none of `refused`, and all `bounds`."""

    key: str
    accepted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    bounds: tuple[Bound, ...] = ()

    def __str__(self) -> str:
        """Return it as the command line writes it: `lang=zh|en`, `date>=2024-04-01`."""
        parts = [f"{self.key}={'|'.join(self.accepted)}"] if self.accepted else []
        parts += [f"{self.key}!={value}" for value in self.refused]
        return " ".join([*parts, *(f"{self.key}{bound.operator}{bound.operand}" for bound in self.bounds)])


def condition_of(key: str, wanted: Any) -> Condition:
    """Return what a filter asks of a key.

    Args:
        key: The metadata key, nested ones with dots.
        wanted: A value, several values, or a mapping of operators.

    Raises:
        BadFilter: If a bound is neither a number nor a date, or an operator is unknown.
    """
    accepted: list[str] = []
    refused: list[str] = []
    bounds: list[Bound] = []
    for value in _values(key, wanted):
        if value.startswith("!="):
            refused.append(value[2:].strip())
        elif match := _BOUND.fullmatch(value):
            bounds.append(_bound(key, match[1], match[2].strip()))
        else:
            accepted.append(value.removeprefix("==").removeprefix("=").strip() if value.startswith("=") else value)
    return Condition(key, tuple(accepted), tuple(refused), tuple(bounds))


def _values(key: str, wanted: Any) -> Iterable[str]:
    if isinstance(wanted, Mapping):
        for name, operand in wanted.items():
            operator = _NAMED.get(str(name).removeprefix("$"), str(name))
            if operator not in _NAMED.values():
                raise BadFilter(
                    "storage.unknown_operator",
                    "the filter on {key} has the operator {operator}",
                    expected="one of {known}",
                    key=key,
                    operator=str(name),
                    known=sorted(_NAMED),
                )
            for one in operand if isinstance(operand, list | tuple | set | frozenset) else (operand,):
                yield f"{operator}{written(one)}"
    elif isinstance(wanted, str | int | float) or not isinstance(wanted, Iterable):
        yield written(wanted)
    else:
        for one in wanted:
            yield written(one)


def _bound(key: str, operator: str, operand: str) -> Bound:
    if number_of(operand) is None and period_of(operand) is None:
        raise BadFilter(
            "storage.no_bound",
            "the filter {key}{operator}{operand} compares with {operand}",
            expected="a number or a date, such as 10 or 2024-04-01",
            key=key,
            operator=operator,
            operand=operand,
        )
    return Bound(operator, operand)


def parse_expression(expression: str) -> tuple[str, str]:
    """Return key and value of a filter as the command line has it: `lang=zh`, `date>=2024-04-01`, `draft!=true`.

    Raises:
        BadFilter: If it has no key or no operator.

    Example:
        >>> parse_expression("date>=2024-04-01"), parse_expression("lang=zh")
        (('date', '>=2024-04-01'), ('lang', 'zh'))
    """
    match = _EXPRESSION.fullmatch(expression)
    if match is None:
        raise BadFilter(
            "storage.not_a_filter",
            "the filter {expression} is not KEY=VALUE, KEY!=VALUE or a bound",
            expected="one such as lang=zh, draft!=true or date>=2024-04-01",
            expression=repr(expression),
        )
    key, operator, value = match.groups()
    return key, value if operator == "=" else f"{operator}{value}"


def expression_of(key: str, value: str) -> str:
    """Return what `parse_expression` reads as this key and value."""
    return f"{key}{value}" if is_comparison(value) else f"{key}={value}"


def is_comparison(value: str) -> bool:
    """Whether a value of a filter begins with an operator."""
    return value.startswith(("!=", ">", "<", "=="))


def known_key(key: str, held: Iterable[str]) -> str:
    """Return the key that is meant: the same, or one that differs in case.

    Args:
        key: As it was asked for.
        held: The keys of the metadata; those of the documents themselves are added.

    Raises:
        UnknownFilter: If there is none.
    """
    known = sorted({*held, *OF_DOCUMENTS})
    if key in known:
        return key
    alike = [name for name in known if name.casefold() == key.casefold()]
    if alike:
        return alike[0]
    raise UnknownFilter(
        "storage.unknown_filter",
        "no document has the metadata {key}",
        expected="one of {known}",
        key=key,
        known=[*known[:_SHOWN], *(["..."] if len(known) > _SHOWN else [])],
    )


def equal_values(wanted: str, held: Callable[[], Iterable[str]]) -> Iterator[str]:
    """Yield the values that count as equal: the same text, the same number, a day within the date.

    Args:
        wanted: Without a wildcard.
        held: Returns the different values of the key; asked only for a date.
    """
    number = number_of(wanted)
    same = {wanted, _TRUE_AND_FALSE.get(wanted, wanted), written(number) if number is not None else wanted}
    yield from sorted(same)
    asked = period_of(wanted)
    if asked is None:
        return
    for value in held():
        given = period_of(value) if value not in same and number_of(value) is None else None
        if given is not None and asked.start <= given.start < asked.end:
            yield value
