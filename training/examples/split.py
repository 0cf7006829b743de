"""Train, dev and test sides of examples, split by query so that nothing learned can be asked: and the guard that proves it.

Examples belong together when their queries are the same or near duplicates, or when they share a positive (by id or by
text); such groups stay on one side. Groups are dealt out in an order that only the seed and their own queries decide, so a
log that grows keeps nearly all of its queries on their side.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from quarry.indexer.errors import FeedbackError
from quarry.indexer.messages import Message
from quarry.training.examples.example import Example, text_key
from quarry.training.examples.near_duplicates import components, near_duplicates, near_duplicates_between

SAME_QUERY = 0.8  # Jaccard similarity of n-grams from which two queries count as the same for the leakage guard


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """How to split.

    Attributes:
        dev: Share of queries for choosing (early stopping, merging), in [0, 1).
        test: Share of queries for the verdict, in [0, 1).
        seed: Another seed, another split.
        similarity: Jaccard similarity of queries from which they stay together.

    Raises:
        ValueError: If a share is out of range, or nothing is left for training.
    """

    dev: float = 0.1
    test: float = 0.2
    seed: int = 0
    similarity: float = SAME_QUERY

    def __post_init__(self) -> None:
        if not (0 <= self.dev < 1 and 0 <= self.test < 1 and self.dev + self.test < 1):
            raise ValueError(
                f"dev is {self.dev} and test {self.test}; expected shares from 0 that leave some for training"
            )


@dataclass(frozen=True, slots=True)
class Split:
    """The sides, each in the order of the input.

    Attributes:
        train: For training.
        dev: For choosing.
        test: For the verdict.
        groups: How many groups of queries that belong together there were.
        largest: Queries in the largest group.
    """

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    groups: int
    largest: int


def split_examples(
    examples: Sequence[Example], plan: SplitSpec = SplitSpec(), *, trained_on: Collection[str] = ()
) -> Split:
    """Split by groups of queries that belong together.

    Args:
        examples: All of them; their order does not matter.
        plan: Shares of queries, and the seed.
        trained_on: Query keys (`Example.key`) that the live model has seen in training: their groups stay in training, so
            that a later round never tests on them.

    Raises:
        FeedbackError: If there are too few groups to give every side one.
    """
    groups = _groups(examples, plan.similarity)
    sides = _deal(groups, plan, frozenset(trained_on))
    side_of = {key: side for side, keys in sides.items() for key in keys}
    train, dev, test = (
        tuple(example for example in examples if side_of[example.key] == side) for side in ("train", "dev", "test")
    )
    check_no_leak(train, (*dev, *test), plan.similarity)
    check_no_leak(dev, test, plan.similarity)
    return Split(train, dev, test, len(groups), max((len(group) for group in groups), default=0))


def check_no_leak(train: Sequence[Example], held_out: Sequence[Example], similarity: float = SAME_QUERY) -> None:
    """Make sure that nothing of the held-out side was to be seen in training. The check is exact, not sampled.

    Raises:
        FeedbackError: If a query is on both sides, two queries are near duplicates, or a held-out positive is a positive
            of training; both examples are named.
    """
    seen: dict[str, Example] = {}
    for example in train:
        for name, _ in traits_of(example):
            seen.setdefault(name, example)
    for example in held_out:
        for name, what in traits_of(example):
            if name in seen:
                raise _leak(seen[name], example, what)
    ours, theirs = [list({e.key: e for e in side}.values()) for side in (train, held_out)]
    texts = [example.row.query for example in ours]
    for pair in near_duplicates_between(texts, [example.row.query for example in theirs], similarity):
        alike = Message.of("examples.alike", "have queries that are {similarity:.0%} alike", similarity=pair.similarity)
        raise _leak(ours[pair.first], theirs[pair.second], alike)


def traits_of(example: Example) -> Iterator[tuple[str, Message]]:
    """Yield what two examples on different sides must not have in common: its name, and how to say it."""
    yield f"query {example.key}", Message.of("examples.same_query", "have the same query")
    for name in example.positive_ids:
        yield f"id {name}", Message.of("examples.same_positive", "share the positive {name}", name=repr(name))
    for text in example.row.pos:
        shown = repr(text[:60])
        yield f"text {text_key(text)}", Message.of("examples.same_text", "share the positive text {text}", text=shown)


def _leak(train: Example, held_out: Example, what: Message) -> FeedbackError:
    return FeedbackError(
        "examples.leak",
        "the training example {train} ({train_source}) and the held-out one {held_out} ({held_out_source}) {what}",
        expected="nothing in common, or the score on held-out queries would be flattered",
        do="Split again with split_examples, or take one of them out",
        train=repr(train.row.query[:80]),
        train_source=train.source or train.query_id,
        held_out=repr(held_out.row.query[:80]),
        held_out_source=held_out.source or held_out.query_id,
        what=what,
    )


def _groups(examples: Sequence[Example], similarity: float) -> list[tuple[str, ...]]:
    """Return groups of query keys that belong together, keys sorted."""
    keys = sorted({example.key for example in examples})
    places = {key: place for place, key in enumerate(keys)}
    shared: dict[str, set[int]] = defaultdict(set)
    for example in examples:
        for name, _ in traits_of(example):
            shared[name].add(places[example.key])
    links = [(min(found), place) for found in shared.values() for place in found]
    links += [(pair.first, pair.second) for pair in near_duplicates(keys, similarity)]
    found: dict[int, list[str]] = defaultdict(list)
    for place, group in enumerate(components(len(keys), links)):
        found[group].append(keys[place])
    return [tuple(group) for group in found.values()]


def _deal(groups: Sequence[tuple[str, ...]], plan: SplitSpec, trained_on: frozenset[str]) -> dict[str, list[str]]:
    """Give each group a side: test and dev are filled up to their shares, training takes the rest."""
    total = sum(len(group) for group in groups)
    room = {side: max(1, round(share * total)) for side, share in (("test", plan.test), ("dev", plan.dev)) if share > 0}
    order = sorted(groups, key=lambda group: sha256(f"{plan.seed}\0{group[0]}".encode("utf-8", "replace")).digest())
    dealt: dict[str, list[tuple[str, ...]]] = {"train": [], "test": [], "dev": []}
    for group in order:
        free = {} if trained_on.intersection(group) else room
        side = next((name for name, left in free.items() if len(group) <= left), "train")
        if side != "train":
            room[side] -= len(group)
        dealt[side].append(group)
    for side in room:
        spare = [group for group in dealt["train"] if not trained_on.intersection(group)]
        if not dealt[side] and spare and len(dealt["train"]) > 1:
            smallest = min(spare, key=len)
            dealt["train"].remove(smallest)
            dealt[side].append(smallest)
    empty = [side for side in ("train", *room) if not dealt[side]]
    if empty:
        raise FeedbackError(
            "examples.few_groups",
            "{count} queries form {groups} groups that belong together (same or similar queries, or a shared positive), which "
            "leaves nothing for {empty}",
            expected="at least {least} groups that may be held out",
            do="Collect more and different queries",
            count=total,
            groups=len(groups),
            empty=empty,
            least=1 + len(room),
        )
    return {side: [key for group in found for key in group] for side, found in dealt.items()}
