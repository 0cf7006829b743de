"""What mining did, for a person to judge before anything is trained; `report_page` writes it.

The JSON keeps messages, so that the app shows the report in its own language; the Markdown beside it is English.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from quarry.indexer.messages import Message
from quarry.training.examples.example import Origin
from quarry.training.examples.histogram import Histogram
from quarry.training.examples.reasons import Counts, counts_from_json, counts_json
from quarry.training.negatives.choice import Kind
from quarry.training.negatives.mine import MinedExample, MinedSet

SHOWN = 10
_CUT = 220  # characters of a passage that are shown
_KINDS: Mapping[Kind, Message] = {
    "given": Message.of("negatives.kind_given", "given"),
    "mined": Message.of("negatives.kind_mined", "mined"),
    "random": Message.of("negatives.kind_random", "random"),
    "neighbour": Message.of("negatives.kind_neighbour", "neighbour"),
}
_ORIGINS: Mapping[Origin, Message] = {
    "feedback": Message.of("negatives.origin_feedback", "feedback"),
    "clicks": Message.of("negatives.origin_clicks", "clicks"),
    "file": Message.of("negatives.origin_file", "file"),
    "mined": Message.of("negatives.origin_mined", "mined"),
    "synthetic": Message.of("negatives.origin_synthetic", "synthetic"),
}


@dataclass(frozen=True, slots=True)
class ShownPassage:
    """A passage of a shown example; a positive has no kind. Rank 0 and score None: not known."""

    text: str
    kind: Message | None = None
    rank: int = 0
    score: float | None = None


@dataclass(frozen=True, slots=True)
class ShownExample:
    """An example as a person reads it: its query, what is known about it, its passages."""

    query: str
    about: Message
    passages: tuple[ShownPassage, ...]


@dataclass(frozen=True, slots=True)
class MiningReport:
    """What mining did.

    Attributes:
        spec: The fields of the `NegativeSpec`.
        facts: What is counted, to a number or a share as text.
        left_out: Why candidates were taken out, to how many.
        distributions: What was measured, to its histogram.
        shown: Some examples with their negatives.
        dropped: Some of the examples that were dropped, each with the rank of its positive.
    """

    spec: Mapping[str, Any]
    facts: Mapping[Message, int | float | str]
    left_out: Counts
    distributions: Mapping[Message, Histogram]
    shown: tuple[ShownExample, ...]
    dropped: tuple[Message, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the report for a JSON file."""
        return {
            "spec": dict(self.spec),
            "facts": [{"what": what.as_json(), "figure": figure} for what, figure in self.facts.items()],
            "left_out": counts_json(self.left_out),
            "distributions": [
                {"what": what.as_json(), "histogram": asdict(found)} for what, found in self.distributions.items()
            ],
            "shown": [
                {
                    "query": one.query,
                    "about": one.about.as_json(),
                    "passages": [
                        {
                            "text": passage.text,
                            "kind": passage.kind and passage.kind.as_json(),
                            "rank": passage.rank,
                            "score": passage.score,
                        }
                        for passage in one.passages
                    ],
                }
                for one in self.shown
            ],
            "dropped": [one.as_json() for one in self.dropped],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the report that `as_json` wrote.

        Raises:
            KeyError: If a part is missing, as in reports of older versions.
            TypeError: If a part has another type.
        """
        return cls(
            spec=content["spec"],
            facts={Message.from_json(fact["what"]): fact["figure"] for fact in content["facts"]},
            left_out=counts_from_json(content["left_out"]),
            distributions={
                Message.from_json(one["what"]): Histogram(**one["histogram"]) for one in content["distributions"]
            },
            shown=tuple(
                ShownExample(
                    one["query"],
                    Message.from_json(one["about"]),
                    tuple(
                        ShownPassage(
                            passage["text"],
                            None if passage["kind"] is None else Message.from_json(passage["kind"]),
                            passage["rank"],
                            passage["score"],
                        )
                        for passage in one["passages"]
                    ),
                )
                for one in content["shown"]
            ),
            dropped=tuple(Message.from_json(one) for one in content["dropped"]),
        )


def mining_report(mined: MinedSet, *, shown: int = SHOWN, listed: int = 20) -> MiningReport:
    """Describe mined negatives.

    Args:
        mined: What mining gave.
        shown: Examples shown with their negatives, drawn with the spec's seed.
        listed: Dropped examples that are named; the rest are counted.
    """
    drawn = np.random.default_rng(mined.spec.seed).permutation(len(mined.kept))[:shown]
    return MiningReport(
        spec=asdict(mined.spec),
        facts=_facts(mined),
        left_out=mined.removed,
        distributions=_distributions(mined),
        shown=tuple(_shown(mined.kept[row]) for row in sorted(drawn)),
        dropped=tuple(
            Message.of("negatives.dropped_below", "{query} (below all that was looked at)", query=_cut(one.row.query))
            if rank is None
            else Message.of("negatives.dropped_at", "{query} (rank {rank})", query=_cut(one.row.query), rank=rank)
            for one, rank in mined.dropped[:listed]
        ),
    )


def _facts(mined: MinedSet) -> dict[Message, int | float | str]:
    kept, dropped = len(mined.kept), len(mined.dropped)
    negatives = [negative for one in mined.kept for negative in one.negatives]
    facts: dict[Message, int | float | str] = {
        Message.of("negatives.examples", "examples"): kept + dropped,
        Message.of("negatives.kept", "kept"): kept,
        Message.of("negatives.dropped", "dropped: positive not within the first ranks"): dropped,
        Message.of("negatives.dropped_share", "share dropped"): _share(dropped, kept + dropped),
        Message.of("negatives.negatives", "negatives"): len(negatives),
        Message.of("negatives.per_example", "negatives per example"): round(len(negatives) / max(1, kept), 2),
        Message.of("negatives.candidates", "candidates in the windows"): mined.candidates,
        Message.of("negatives.removed_share", "share of candidates taken out"): _share(
            sum(mined.removed.values()), mined.candidates
        ),
        Message.of("negatives.short", "examples with too few candidates"): mined.short,
        Message.of("negatives.floor", "similarity of unrelated texts"): round(mined.floor, 4),
    }
    for kind, count in sorted(Counter(negative.kind for negative in negatives).items()):
        facts[Message.of("negatives.by_kind", "negatives {kind}", kind=_KINDS[kind])] = count
    for language, count in sorted(Counter(one.example.language for one in mined.kept).items()):
        facts[Message.of("negatives.by_language", "language {language}", language=language)] = count
    return facts


def _distributions(mined: MinedSet) -> dict[Message, Histogram]:
    """Count similarities on one scale, and ranks."""
    negatives = [negative for one in mined.kept for negative in one.negatives]
    scores = {
        Message.of("negatives.positive_scores", "Similarity of positives"): [
            one.positive_score for one in mined.kept if one.positive_score is not None
        ],
        Message.of("negatives.negative_scores", "Similarity of negatives"): [
            negative.score for negative in negatives if negative.score is not None
        ],
    }
    both = [value for values in scores.values() for value in values]
    span = (min(both), max(both)) if both else None
    ranks = {
        Message.of("negatives.positive_ranks", "Rank of the positive"): [
            one.positive_rank for one in mined.kept if one.positive_rank is not None
        ],
        Message.of("negatives.negative_ranks", "Rank of the negatives"): [
            negative.rank for negative in negatives if negative.rank
        ],
    }
    found = {what: Histogram.of(values, span=span) for what, values in scores.items()}
    return found | {what: Histogram.of(values, bins=10) for what, values in ranks.items()}


def _shown(one: MinedExample) -> ShownExample:
    example = one.example
    place = (
        Message.of("negatives.unranked", "not ranked")
        if one.positive_rank is None
        else Message.of("negatives.at_rank", "at rank {rank}", rank=one.positive_rank)
    )
    about = Message.of(
        "negatives.about",
        "{origin}, {language}, weight {weight:g}, {source}; positive {place}",
        origin=_ORIGINS[example.origin],
        language=example.language,
        weight=example.weight,
        source=example.source,
        place=place,
    )
    if one.positive_score is not None:
        about = Message.of(
            "negatives.about_scored", "{about}, similarity {score:.3f}", about=about, score=one.positive_score
        )
    positives = [ShownPassage(_cut(text)) for text in example.row.pos]
    negatives = [ShownPassage(_cut(n.text), _KINDS[n.kind], n.rank, n.score) for n in one.negatives]
    return ShownExample(_cut(example.row.query), about, (*positives, *negatives))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"


def _cut(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= _CUT else joined[:_CUT] + " …"
