"""Measures of one ranking against judgements, as pure functions, and `Measure` values named as in ir-measures.

Nothing here averages, reads files or knows about queries. Rules shared by all:

* A document is relevant when its grade is above 0; an unjudged one is not relevant. A negative grade counts as 0.
* A duplicate document counts once, at its first place, and the later ones move up.
* Every value is in [0, 1]; with nothing retrieved, or nothing relevant, it is 0.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import log2
from typing import TypeAlias

from quarry.indexer.errors import SettingsError
from quarry.indexer.messages import Message

Grades: TypeAlias = Mapping[str, int]
"""The judgements of one query: document id to grade."""


def ndcg(ranking: Sequence[str], grades: Grades, cutoff: int | None = None) -> float:
    """Return normalized discounted cumulative gain: linear gain, discount log2(rank + 1), as trec_eval computes it."""
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:cutoff]
    best = _discounted(ideal)
    return min(1.0, _discounted(_gains(ranking, grades, cutoff)) / best) if best > 0 else 0.0


def average_precision(ranking: Sequence[str], grades: Grades, cutoff: int | None = None) -> float:
    """Return the mean, over all relevant documents, of the precision at their rank (0 when it is beyond `cutoff`)."""
    relevant, found, total = _relevant(grades), 0, 0.0
    for rank, gain in enumerate(_gains(ranking, grades, cutoff), start=1):
        if gain > 0:
            found += 1
            total += found / rank
    return min(1.0, total / relevant) if relevant else 0.0


def reciprocal_rank(ranking: Sequence[str], grades: Grades, cutoff: int | None = None) -> float:
    """Return 1 / rank of the first relevant document; 0 when none is in the first `cutoff`."""
    for rank, gain in enumerate(_gains(ranking, grades, cutoff), start=1):
        if gain > 0:
            return 1.0 / rank
    return 0.0


def recall(ranking: Sequence[str], grades: Grades, cutoff: int | None = None) -> float:
    """Return the share of the relevant documents that are in the first `cutoff`."""
    relevant = _relevant(grades)
    return sum(gain > 0 for gain in _gains(ranking, grades, cutoff)) / relevant if relevant else 0.0


def precision(ranking: Sequence[str], grades: Grades, cutoff: int | None = None) -> float:
    """Return the share of relevant documents in the first `cutoff`, divided by `cutoff` also when there are fewer."""
    gains = _gains(ranking, grades, cutoff)
    return sum(gain > 0 for gain in gains) / (cutoff or len(gains)) if gains else 0.0


def success(ranking: Sequence[str], grades: Grades, cutoff: int | None = None) -> float:
    """Return 1 when a relevant document is in the first `cutoff`, else 0."""
    return float(any(gain > 0 for gain in _gains(ranking, grades, cutoff)))


def judged(ranking: Sequence[str], grades: Grades, cutoff: int | None = None) -> float:
    """Return the share of the first `cutoff` documents (or of all that there are) that have any judgement."""
    shown = _unique(ranking, cutoff)
    return sum(doc_id in grades for doc_id in shown) / len(shown) if shown else 0.0


@dataclass(frozen=True, slots=True)
class _Kind:
    compute: Callable[[Sequence[str], Grades, int | None], float]
    needs_cutoff: bool
    aliases: tuple[str, ...]


_KINDS: Mapping[str, _Kind] = {
    "nDCG": _Kind(ndcg, False, ("ndcg",)),
    "AP": _Kind(average_precision, False, ("ap", "map")),
    "RR": _Kind(reciprocal_rank, False, ("rr", "mrr")),
    "R": _Kind(recall, True, ("r", "recall")),
    "P": _Kind(precision, True, ("p", "precision")),
    "Success": _Kind(success, True, ("success",)),
    "Judged": _Kind(judged, True, ("judged",)),
}
_BY_ALIAS = {alias: name for name, kind in _KINDS.items() for alias in kind.aliases}
_FORM = re.compile(r"(?P<kind>[a-z]+)(?:(?:@|_at_)(?P<cutoff>[1-9][0-9]{0,6}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure as a value: equal when kind and cutoff are equal; `str()` gives its one printed form, `nDCG@10`.

    Attributes:
        kind: One of nDCG, AP, RR, R, P, Success, Judged.
        cutoff: How many documents of the ranking count, at least 1; None for all of them.

    Raises:
        ValueError: If the kind is unknown, the cutoff is below 1, or the kind needs a cutoff and has none.
    """

    kind: str
    cutoff: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"measure kind is {self.kind!r}; expected one of {', '.join(_KINDS)}")
        if self.cutoff is not None and self.cutoff < 1:
            raise ValueError(f"the cutoff of {self.kind} is {self.cutoff}; expected at least 1")
        if self.cutoff is None and _KINDS[self.kind].needs_cutoff:
            raise ValueError(f"{self.kind} has no cutoff; expected one, such as {self.kind}@10")

    def __str__(self) -> str:
        return self.kind if self.cutoff is None else f"{self.kind}@{self.cutoff}"

    def of(self, ranking: Sequence[str], grades: Grades) -> float:
        """Return the value in [0, 1] for one query.

        Args:
            ranking: Document ids, best first.
            grades: The judgements of the query.
        """
        return _KINDS[self.kind].compute(ranking, grades, self.cutoff)


def parse_measures(names: Iterable[str]) -> tuple[Measure, ...]:
    """Read measure names, in order, each once: `nDCG@10`, `AP`, `R@100`, and `ndcg_at_10` as FlagEmbedding writes them.

    Raises:
        SettingsError: If any name is not a measure; all bad names are in the one message.
    """
    found: dict[Measure, None] = {}
    bad: list[Message] = []
    for name in names:
        measure = _parse(name)
        if isinstance(measure, Measure):
            found[measure] = None
        else:
            bad.append(measure)
    if bad:
        raise SettingsError(
            "evaluation.unknown_measures",
            "unknown measures: {bad}",
            expected="{known}, where 10 may be any number from 1",
            bad=bad,
            known=_vocabulary(),
        )
    return tuple(found)


def _parse(name: str) -> Measure | Message:
    """Return the measure, or why the name is not one."""
    match = _FORM.fullmatch(name.strip().lower())
    kind = _BY_ALIAS.get(match["kind"]) if match else None
    if match is None or kind is None:
        stem = re.split("@|_at_", name.strip().lower())[0]
        near = get_close_matches(stem, _BY_ALIAS, n=1)
        if not near:
            return Message.plain(repr(name))
        return Message.of(
            "evaluation.did_you_mean", "{name} (did you mean {known}@10?)", name=repr(name), known=_BY_ALIAS[near[0]]
        )
    if match["cutoff"] is None and _KINDS[kind].needs_cutoff:
        return Message.of(
            "evaluation.needs_cutoff", "{name} (needs a cutoff, such as {kind}@10)", name=repr(name), kind=kind
        )
    return Measure(kind, int(match["cutoff"]) if match["cutoff"] else None)


def _vocabulary() -> list[str]:
    return [f"{name}@10" if kind.needs_cutoff else f"{name}, {name}@10" for name, kind in _KINDS.items()]


def _unique(ranking: Sequence[str], cutoff: int | None) -> list[str]:
    """Return the first `cutoff` distinct documents; reads no further than needed."""
    seen: dict[str, None] = {}
    for doc_id in ranking:
        if cutoff is not None and len(seen) == cutoff:
            break
        seen[doc_id] = None
    return list(seen)


def _gains(ranking: Sequence[str], grades: Grades, cutoff: int | None) -> list[int]:
    return [max(0, grades.get(doc_id, 0)) for doc_id in _unique(ranking, cutoff)]


def _relevant(grades: Grades) -> int:
    return sum(grade > 0 for grade in grades.values())


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains, start=1) if gain)
