"""What visitors chose: what they named, or else what they opened last."""

from datetime import UTC, datetime, timedelta

import pytest

from quarry.training.feedback.choices import Choices
from quarry.training.feedback.events import FeedbackEvent, StoredEvent
from quarry.training.feedback.judgements import query_key

START = datetime(2026, 11, 1, 9, tzinfo=UTC)
QUERY = "怎么续借？"
KEY = query_key(QUERY)


def log(*rows, every=3600):
    """Rows of (session, action, passage)."""
    return [
        StoredEvent(
            n, FeedbackEvent(QUERY, action, session, "000001", chunk, "d", at=START + timedelta(seconds=every * n))
        )
        for n, (session, action, chunk) in enumerate(rows, start=1)
    ]


def test_a_session_chose_what_it_named_or_else_what_it_opened_last():
    votes = log(("a", "answer", "one"), ("a", "thumb_up", "two"), ("b", "thumb_down", "one"))
    opened = log(("a", "click", "three"), ("b", "click", "two"), ("c", "click", "one"), ("c", "click", "two"))
    found = Choices(votes, opened, 300)
    assert [found.support(KEY, name) for name in ("one", "two", "three")] == [1, 3, 0]
    assert found.share(KEY, "one") == pytest.approx(1 / 3)
    assert found.share(KEY, "two") == 1.0
    assert (found.doubt(KEY, "one"), found.doubt(KEY, "three")) == (0.5, 0.0)


def test_who_opened_a_passage_last_and_judged_it_down_did_not_choose_it():
    found = Choices(log(("a", "thumb_down", "one")), log(("a", "click", "one")), 300)
    assert (found.support(KEY, "one"), found.doubt(KEY, "one"), found.share(KEY, "one")) == (0, 0.0, 0.0)


def test_last_clicks_in_a_burst_are_one_voice():
    rows = [(f"s{n}", "click", "one") for n in range(9)]
    assert Choices([], log(*rows, every=10), 300).support(KEY, "one") == 1
    assert Choices([], log(*rows, every=301), 300).support(KEY, "one") == 9


def test_nothing_is_chosen_where_nobody_was():
    found = Choices([], [], 300)
    assert (found.share("q", "one"), found.doubt("q", "one"), found.typical()) == (0.0, 0.0, 0.0)
    assert found.pushed({}, 1, 1.0) == set()


def test_a_passage_is_pushed_when_it_answers_many_and_many_disagree():
    votes = log(("a", "answer", "one"), ("b", "answer", "one"), ("c", "answer", "two"))
    found = Choices(votes, [], 300)
    assert found.typical() == 2
    assert found.pushed({KEY: ["one", "two"]}, queries=1, agreement=0.6) == {"two"}
    assert found.pushed({KEY: ["one", "two"]}, queries=2, agreement=0.6) == set()
