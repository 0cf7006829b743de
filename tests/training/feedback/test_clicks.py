"""Clicks corrected for position: only a choice over something above counts, and simulated users bear it out."""

import random
from datetime import UTC, datetime, timedelta

from quarry.training.feedback.clicks import Preference, preferences
from quarry.training.feedback.events import FeedbackEvent, ShownHit, StoredEvent

START = datetime(2026, 11, 1, 9, tzinfo=UTC)


def clicks(*rows):
    """Rows of (session, query, clicked, shown passages)."""
    return [
        StoredEvent(
            n,
            FeedbackEvent(
                query,
                "click",
                session,
                "000001",
                chunk,
                "d",
                shown=tuple(
                    ShownHit(name, "d", rank, 1.0 / rank, "fusion") for rank, name in enumerate(shown, start=1)
                ),
                at=START + timedelta(hours=n),
            ),
        )
        for n, (session, query, chunk, shown) in enumerate(rows, start=1)
    ]


def test_a_click_on_the_first_result_says_nothing():
    assert preferences(clicks(("s", "q", "a", "abc"), ("t", "q", "a", "abc")), 300) == {}


def test_a_click_below_counts_for_it_and_against_what_was_passed_over():
    found = preferences(
        clicks(
            ("s", "怎么续借", "c", "abcd"),
            ("t", "怎么续借", "c", "abcd"),
            ("t", "怎么续借 ", "a", "abcd"),  # t opened a as well: only b was passed over
            ("u", "怎么续借", "d", "dcba"),
            ("s", "怎么续借", "c", "abcd"),  # the same session again
        ),
        300,
    )
    key = "怎么续借"
    assert found == {
        (key, "c"): Preference(2, 0, 1, 1),
        (key, "a"): Preference(0, 1, 1, 1),
        (key, "b"): Preference(0, 2, 0, 1),
    }
    assert found[key, "c"].share == 1.0


def test_clicks_without_the_shown_list_or_in_a_burst():
    assert preferences(clicks(("s", "q", "b", "")), 300) == {}
    burst = clicks(*((f"s{n}", "q", "b", "ab") for n in range(4)))
    assert preferences(burst, 300)["q", "b"] == Preference(4, 0, 4, 0)
    assert preferences(burst, 2 * 3600)["q", "b"] == Preference(2, 0, 2, 0)


def test_simulated_users_are_read_better_than_by_counting_clicks():
    rng = random.Random(0)
    rows, answers = [], {}
    for number in range(60):
        query, shown = f"question {number}", [f"p{number}-{place}" for place in range(8)]
        answers[query] = shown[rng.randrange(8)]
        for session in range(30):
            for place, name in enumerate(shown):
                if rng.random() > 0.9**place:
                    break  # reads no further
                tempted = 0.35 * 0.6**place  # the first results are clicked whatever they say
                if rng.random() < (0.8 if name == answers[query] else tempted):
                    rows.append((f"s{number}-{session}", query, name, shown))
                    if name == answers[query]:
                        break
    found = preferences(clicks(*rows), 300)
    counted = {}
    for _, query, name, _ in rows:
        counted.setdefault(query, {}).setdefault(name, 0)
        counted[query][name] += 1
    naive = sum(max(votes, key=votes.get) == answers[query] for query, votes in counted.items())
    weak = [
        key
        for key, value in found.items()
        if value.preferred >= 3 and value.share >= 2 / 3 and value.last > value.rival
    ]
    right = sum(answers[query] == name for query, name in weak)
    assert right / len(weak) > 0.95
    assert len(weak) > 25
    assert naive / len(answers) < 0.5
