"""What clicks say when the position is taken out: "click > skip above" (Joachims, KDD 2002). It trusts no single click.

People click what stands on top, so a click on the first result says nothing. A click further down says that the user saw the
results above it, passed them over, and preferred this one. So a click counts for its passage only when the same session left
at least one result above it unclicked, and it counts against each of those. A good first result gets no such votes, and the few
who miss it would speak for the others alone: so it is also counted which result each session opened last, where most people
stop because they are content.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from quarry.training.feedback.events import StoredEvent
from quarry.training.feedback.judgements import query_key
from quarry.training.feedback.voters import independent

ClickKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Preference:
    """What independent sessions did with a passage.

    Attributes:
        preferred: Clicked it and left one above it unclicked.
        skipped: Left it unclicked and clicked one below it.
        last: Opened it last.
        rival: Opened last the passage that is ahead among the query's others.
    """

    preferred: int
    skipped: int
    last: int
    rival: int

    @property
    def share(self) -> float:
        """Preferred of all times that it was preferred or passed over, in [0, 1]."""
        return self.preferred / (self.preferred + self.skipped) if self.preferred else 0.0


def preferences(clicks: Sequence[StoredEvent], burst_seconds: float) -> dict[ClickKey, Preference]:
    """Count preferences per (query key, passage id).

    Args:
        clicks: Click events with the results as they were shown; others say nothing.
        burst_seconds: Clicks of different sessions within this many seconds of each other are one voice.
    """
    clicked: dict[tuple[str, str], set[str]] = defaultdict(set)
    for stored in clicks:
        clicked[stored.event.session, query_key(stored.event.query)].add(stored.event.chunk_id)
    preferred: dict[ClickKey, list[StoredEvent]] = defaultdict(list)
    skipped: dict[ClickKey, list[StoredEvent]] = defaultdict(list)
    ended: dict[tuple[str, str], StoredEvent] = {}
    for stored in clicks:
        event, key = stored.event, query_key(stored.event.query)
        rank = next((hit.rank for hit in event.shown if hit.chunk_id == event.chunk_id), 0)
        if not event.chunk_id or not rank:
            continue
        ended[event.session, key] = stored
        opened = clicked[event.session, key]
        passed = [hit.chunk_id for hit in event.shown if hit.rank < rank and hit.chunk_id not in opened]
        if passed:
            preferred[key, event.chunk_id].append(stored)
        for chunk_id in passed:
            skipped[key, chunk_id].append(stored)

    last: dict[str, dict[str, list[StoredEvent]]] = defaultdict(lambda: defaultdict(list))
    for (_, key), stored in ended.items():
        last[key][stored.event.chunk_id].append(stored)
    ends = {key: {name: independent(found, burst_seconds) for name, found in per.items()} for key, per in last.items()}
    return {
        (key, name): Preference(
            independent(preferred.get((key, name), []), burst_seconds),
            independent(skipped.get((key, name), []), burst_seconds),
            ends[key].get(name, 0),
            max((count for other, count in ends[key].items() if other != name), default=0),
        )
        for key, name in sorted({*preferred, *skipped})
    }
