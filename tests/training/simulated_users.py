"""Users who know the answers but are careless, and a gang among them that lies: what they do goes into a feedback log.

People read down the list and get tired: place r is looked at with probability (1/r)^eta (the position-based click model,
Craswell et al., WSDM 2008). What they look at they open when it is right, and now and then when it is not. Gangs read nothing:
they are told what to push. Everything follows from the seed.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from quarry.training.feedback.events import Action, FeedbackEvent, ShownHit

Attack = Literal["wrong", "spam", "down"]
ATTACKS: tuple[Attack, ...] = ("wrong", "spam", "down")
START = datetime(2026, 1, 1, 8, tzinfo=UTC)
_VISIT_HOURS = 7  # between two visitors of one question: nobody is taken for part of a burst
_QUESTION_SECONDS = 90
_EVENT_SECONDS = 4


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer as users see it: the generation that gave it, and its results."""

    generation: str
    hits: tuple[ShownHit, ...]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who asks, and how they behave.

    Attributes:
        noise: Probability of opening a wrong result that was looked at, and of passing over a right one, in [0, 1).
        eta: How fast attention falls with the place; 0 looks at everything.
        voices: Visitors per question, gang included.
        judging: Share of the visitors who say which of the opened results is the answer; the others only click.
        people: So many different honest people there are.
        gang: Share of all voices that belongs to the gang, in [0, 1).
        attack: `wrong`: per question another wrong result is pushed; `spam`: always the same passage; `down`: as `wrong`,
            and the right answer is judged down.
        focus: Share of the questions that the gang works on with all of its voices, in (0, 1]; below 1 it is stronger there.
        gang_names: Sessions that the gang uses; 0 takes a new name for every vote.
        seed: Same seed, same crowd.
    """

    noise: float = 0.15
    eta: float = 0.7
    voices: int = 10
    judging: float = 0.3
    people: int = 80
    gang: float = 0.0
    attack: Attack = "wrong"
    focus: float = 1.0
    gang_names: int = 0
    seed: int = 0


def feedback_of(
    crowd: Crowd,
    right: Mapping[str, str],
    ask: Callable[[str], Shown],
    *,
    spam: ShownHit | None = None,
    day: int = 0,
) -> list[FeedbackEvent]:
    """Let the crowd ask questions and return what it does, oldest first.

    Args:
        crowd: Who asks.
        right: Question to the document that answers it.
        ask: Answers a question; asked once each.
        spam: What the attack `spam` pushes, whether it was shown or not.
        day: Days after the start of the simulation.
    """
    rng = random.Random(f"{crowd.seed}/{day}")
    events: list[FeedbackEvent] = []
    for number, (question, doc_id) in enumerate(right.items()):
        shown = ask(question)
        attackers = _attackers(crowd, rng)
        people = rng.sample(range(crowd.people), max(1, crowd.voices - round(crowd.voices * crowd.gang)))
        liars = _names(crowd, rng, attackers)
        target = _target(crowd, shown, doc_id, spam, rng)
        visits = [*((f"person{name}", False) for name in people), *((name, True) for name in liars)]
        rng.shuffle(visits)
        for place, (session, lies) in enumerate(visits):
            if lies and target is None:
                continue
            acts = _lies(crowd, shown, doc_id, target) if lies and target else _visit(crowd, shown, doc_id, rng)
            at = START + timedelta(days=day, hours=_VISIT_HOURS * place, seconds=_QUESTION_SECONDS * number)
            for step, (action, hit) in enumerate(acts):
                events.append(
                    FeedbackEvent(
                        question,
                        action,
                        session,
                        shown.generation,
                        hit.chunk_id,
                        hit.doc_id,
                        shown=shown.hits,
                        at=at + timedelta(seconds=_EVENT_SECONDS * step),
                    )
                )
    return sorted(events, key=lambda event: event.at)


def _attackers(crowd: Crowd, rng: random.Random) -> int:
    """How many of the gang come to a question: on average its share of all voices."""
    if not crowd.gang or rng.random() >= crowd.focus:
        return 0
    return round(crowd.voices * crowd.gang / crowd.focus)


def _names(crowd: Crowd, rng: random.Random, count: int) -> list[str]:
    if crowd.gang_names:
        return [f"gang{name}" for name in rng.sample(range(crowd.gang_names), min(count, crowd.gang_names))]
    return [f"gang-{rng.getrandbits(48):012x}" for _ in range(count)]


def _target(crowd: Crowd, shown: Shown, doc_id: str, spam: ShownHit | None, rng: random.Random) -> ShownHit | None:
    """What the gang has agreed to push for this question."""
    if crowd.attack == "spam":
        return spam
    wrong = [hit for hit in shown.hits if hit.doc_id != doc_id]
    return rng.choice(wrong) if wrong else None


def _lies(crowd: Crowd, shown: Shown, doc_id: str, target: ShownHit) -> list[tuple[Action, ShownHit]]:
    acts: list[tuple[Action, ShownHit]] = [("click", target), ("answer", target)]
    if crowd.attack == "down":
        acts += [("thumb_down", hit) for hit in shown.hits if hit.doc_id == doc_id]
    return acts


def _visit(crowd: Crowd, shown: Shown, doc_id: str, rng: random.Random) -> list[tuple[Action, ShownHit]]:
    """One person reads down the list, opens results, stops at the right one, and sometimes says so."""
    opened: list[ShownHit] = []
    found = False
    for hit in shown.hits:
        if rng.random() >= (1 / hit.rank) ** crowd.eta:
            continue
        is_right = hit.doc_id == doc_id
        if rng.random() < (1 - crowd.noise if is_right else crowd.noise):
            opened.append(hit)
            found = is_right
        if found:
            break
    acts: list[tuple[Action, ShownHit]] = [("click", hit) for hit in opened]
    if opened and rng.random() < crowd.judging:
        acts += _said(crowd, opened, found=found, rng=rng)
    return acts


def _said(
    crowd: Crowd, opened: Sequence[ShownHit], *, found: bool, rng: random.Random
) -> list[tuple[Action, ShownHit]]:
    """Who found the answer names it; who did not is disappointed, or takes something wrong for the answer."""
    mistaken = rng.random() < crowd.noise
    if found and not mistaken:
        return [("answer", opened[-1]), *(("thumb_down", hit) for hit in opened[:-1])]
    return [("answer" if mistaken else "thumb_down", rng.choice(opened))]
