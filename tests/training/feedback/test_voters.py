"""Independent voices: one per session and pair, none for robots, bursts and saboteurs."""

from datetime import UTC, datetime, timedelta

from quarry.training.feedback.events import FeedbackEvent, StoredEvent
from quarry.training.feedback.voters import VoterOptions, voices

START = datetime(2026, 11, 1, 9, tzinfo=UTC)
RULES = VoterOptions()


def log(*rows):
    """Rows of (session, action, query, passage, seconds)."""
    return [
        StoredEvent(
            n, FeedbackEvent(query, action, session, "000001", chunk, "d", at=START + timedelta(seconds=seconds))
        )
        for n, (session, action, query, chunk, seconds) in enumerate(rows, start=1)
    ]


def kept(rows, rules=RULES):
    return [(s.event.session, s.event.action) for s in voices(log(*rows), rules).votes]


def test_the_latest_opinion_of_a_session_counts_and_a_withdrawn_one_does_not():
    rows = [
        ("a", "thumb_up", "怎么续借", "c1", 0),
        ("a", "thumb_down", "怎么续借 ", "c1", 1000),
        ("b", "thumb_up", "怎么续借", "c1", 2000),
        ("b", "withdraw", "怎么续借", "c1", 3000),
        ("c", "note", "怎么续借", "", 4000),
    ]
    rows[4] = ("c", "answer", "怎么续借", "c2", 4000)
    assert kept(rows) == [("a", "thumb_down"), ("c", "answer")]
    assert voices(log(*rows), RULES).repeated == 3


def test_a_burst_of_sessions_is_one_voice_on_each_side():
    rows = [(f"s{n}", "thumb_up", "q", "c1", 60 * n) for n in range(4)]
    rows += [
        ("late", "thumb_up", "q", "c1", 301),
        ("other", "thumb_down", "q", "c1", 10),
        ("s1", "thumb_up", "q", "c2", 20),
    ]
    found = voices(log(*rows), RULES)
    assert [(s.event.session, s.event.chunk_id) for s in found.votes] == [
        ("s0", "c1"),
        ("late", "c1"),
        ("other", "c1"),
        ("s1", "c2"),
    ]
    assert found.burst == 3


def test_robots_go_with_all_they_did():
    fast = [("robot", "click", f"q{n}", "c1", n * 2.8) for n in range(21)]
    people = [("person", "click", f"q{n}", "c1", n * 3.1) for n in range(40)]
    found = voices(log(*fast, ("robot", "thumb_up", "x", "c", 9999), *people), RULES)
    assert found.robots == ("robot",)
    assert (len(found.votes), {s.event.session for s in found.clicks}) == (0, {"person"})


def test_who_contradicts_the_others_goes():
    rows = []
    for n in range(6):
        rows += [(name, "thumb_up", f"q{n}", "good", n * 9000 + m * 1000) for m, name in enumerate(("a", "b", "c"))]
        rows += [("saboteur", "thumb_down", f"q{n}", "good", n * 9000 + 5000)]
        rows += [("sceptic", "thumb_down" if n < 2 else "thumb_up", f"q{n}", "good", n * 9000 + 7000)]
    found = voices(log(*rows), RULES)
    assert found.contrary == ("saboteur",)
    assert {s.event.session for s in found.votes} == {"a", "b", "c", "sceptic"}
    assert voices(log(*rows[: 5 * 4]), RULES).contrary == ()  # four votes are too few to tell
