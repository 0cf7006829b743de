"""Who may speak in a feedback log: one vote per person and passage, no robots, no bursts, no saboteurs. It forms no examples.

Sessions are anonymous, so independence can only be guessed. Who spreads many sessions over days and votes like an annotator
cannot be told from one; the evaluation gate is the second line of defence.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quarry.training.feedback.events import DEFAULT_GRADES, EDITOR, StoredEvent
from quarry.training.feedback.judgements import query_key


@dataclass(frozen=True, slots=True)
class VoterOptions:
    """Which sessions count.

    Attributes:
        per_minute: A session with more judgements and clicks than this within any 60 seconds is a robot: all of it goes.
        burst_seconds: Votes for the same side of one query and passage that come within this many seconds of each other count
            as one, whatever their sessions: a burst of fresh sessions is one voice.
        contrary_votes: A session is examined when at least this many of its votes can be compared with a majority of others.
        contrary_share: It goes when more than this share of them contradict that majority; a third, because a brigade agrees
            with itself on what it pushes.
    """

    per_minute: int = 20
    burst_seconds: float = 300.0
    contrary_votes: int = 5
    contrary_share: float = 1 / 3


@dataclass(frozen=True, slots=True)
class Voices:
    """What is left to count.

    Attributes:
        votes: One judging event per query, passage and independent voter, in the order of the log.
        clicks: Click events, of the same sessions.
        robots: Sessions left out for their speed.
        contrary: Sessions left out because they contradict the others.
        repeated: Judging events that a later one of their session replaced or withdrew.
        burst: Votes that were one voice with another.
    """

    votes: tuple[StoredEvent, ...]
    clicks: tuple[StoredEvent, ...]
    robots: tuple[str, ...]
    contrary: tuple[str, ...]
    repeated: int
    burst: int


Pair = tuple[str, str, str]


def pair_of(stored: StoredEvent) -> Pair:
    """Return the query key, the document and the passage that an event is about."""
    event = stored.event
    return query_key(event.query), event.doc_id, event.chunk_id


def voices(events: Iterable[StoredEvent], rules: VoterOptions) -> Voices:
    """Sort out what counts as somebody's opinion. All who write answers are one session, which is neither a robot nor contrary.

    Args:
        events: The log's events, oldest first.
        rules: Which sessions count.
    """
    heard = [stored for stored in events if stored.event.action != "note"]
    robots = _robots(heard, rules.per_minute) - {EDITOR}
    heard = [stored for stored in heard if stored.event.session not in robots]
    latest: dict[tuple[Pair, str], StoredEvent] = {}
    judging = [stored for stored in heard if stored.event.action != "click"]
    for stored in judging:
        key = (pair_of(stored), stored.event.session)
        if key not in latest or stored.number > latest[key].number:
            latest[key] = stored
    given = sorted(
        (stored for stored in latest.values() if stored.event.action in DEFAULT_GRADES),
        key=lambda stored: stored.number,
    )
    single = _without_bursts(given, rules.burst_seconds)
    contrary = _contrary(single, [stored for stored in heard if stored.event.action == "click"], rules) - {EDITOR}
    return Voices(
        votes=tuple(stored for stored in single if stored.event.session not in contrary),
        clicks=tuple(s for s in heard if s.event.action == "click" and s.event.session not in contrary),
        robots=tuple(sorted(robots)),
        contrary=tuple(sorted(contrary)),
        repeated=len(judging) - len(given),
        burst=len(given) - len(single),
    )


def independent(events: Sequence[StoredEvent], seconds: float) -> int:
    """Count the voices in events of one side about one query and passage: sessions, those within `seconds` being one."""
    return len(one_voice_each(events, seconds))


def one_voice_each(events: Sequence[StoredEvent], seconds: float) -> list[StoredEvent]:
    """Return the first event of each voice, as `independent` counts them, oldest first."""
    kept: list[StoredEvent] = []
    sessions: set[str] = set()
    for stored in sorted(events, key=lambda stored: (stored.event.at, stored.number)):
        close = bool(kept) and (stored.event.at - kept[-1].event.at).total_seconds() < seconds
        if stored.event.session not in sessions and not close:
            kept.append(stored)
        sessions.add(stored.event.session)
    return kept


def _robots(events: Sequence[StoredEvent], per_minute: int) -> set[str]:
    times: dict[str, list[float]] = defaultdict(list)
    for stored in events:
        times[stored.event.session].append(stored.event.at.timestamp())
    found = set()
    for session, moments in times.items():
        moments.sort()
        if any(later - earlier < 60 for earlier, later in zip(moments, moments[per_minute:], strict=False)):
            found.add(session)
    return found


def _without_bursts(votes: Sequence[StoredEvent], seconds: float) -> list[StoredEvent]:
    sides: dict[tuple[Pair, bool], list[StoredEvent]] = defaultdict(list)
    for stored in votes:
        sides[pair_of(stored), _is_for(stored)].append(stored)
    kept = [stored for side in sides.values() for stored in one_voice_each(side, seconds)]
    return sorted(kept, key=lambda stored: stored.number)


def _contrary(votes: Sequence[StoredEvent], clicks: Sequence[StoredEvent], rules: VoterOptions) -> set[str]:
    """Voters who mostly vote against what a majority of at least two others said, or showed by what they opened last."""
    opinions: dict[Pair, dict[str, bool]] = defaultdict(dict)
    for found in last_opened(clicks).values():
        for stored in one_voice_each(found, rules.burst_seconds):
            opinions[pair_of(stored)][stored.event.session] = True
    voters: dict[Pair, set[str]] = defaultdict(set)
    for stored in votes:
        opinions[pair_of(stored)][stored.event.session] = _is_for(stored)
        voters[pair_of(stored)].add(stored.event.session)
    compared: dict[str, list[bool]] = defaultdict(list)
    for pair, sides in opinions.items():
        total, count = sum(sides.values()), len(sides)
        for session in voters[pair]:
            side = sides[session]
            others_for, others = total - side, count - 1
            if others >= 2 and 2 * others_for != others:
                compared[session].append(side != (2 * others_for > others))
    return {
        session
        for session, against in compared.items()
        if len(against) >= rules.contrary_votes and sum(against) > rules.contrary_share * len(against)
    }


def _is_for(stored: StoredEvent) -> bool:
    return (stored.event.grade or 0) > 0


def last_opened(clicks: Iterable[StoredEvent]) -> dict[tuple[str, str], list[StoredEvent]]:
    """Return the event by which each session opened its last result, per query and passage."""
    last: dict[tuple[str, str], StoredEvent] = {}
    for stored in clicks:
        if stored.event.chunk_id:
            last[stored.event.session, query_key(stored.event.query)] = stored
    found: dict[tuple[str, str], list[StoredEvent]] = defaultdict(list)
    for (_, key), stored in last.items():
        found[key, stored.event.chunk_id].append(stored)
    return found
