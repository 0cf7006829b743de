"""What stands when users differ, counted by hand and by brute force."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.training.feedback.events import FeedbackEvent, StoredEvent
from quarry.training.feedback.judgements import document_grades, judgements, query_id, query_key, summary


def events(*rows):
    """Rows of (session, action, query, chunk) or with a grade; one a minute."""
    out = []
    for number, (session, action, query, chunk, *grade) in enumerate(rows, start=1):
        doc = chunk.partition("#")[0]
        at = datetime(2026, 11, 21, 23, number % 60, tzinfo=UTC)
        note = "n" if action == "note" else ""
        out.append(
            StoredEvent(
                number,
                FeedbackEvent(query, action, session, "000001", chunk, doc, *(grade or [None]), note=note, at=at),
            )
        )
    return out


def grades(rows, conflict="majority"):
    return {(j.query, j.chunk_id): j.grade for j in judgements(rows, conflict)}


def test_a_sessions_latest_word_counts():
    rows = events(("a", "thumb_up", "q", "d#1"), ("a", "thumb_down", "q", "d#1"))
    assert grades(rows) == {("q", "d#1"): 0}
    rows = events(("a", "thumb_down", "q", "d#1"), ("a", "answer", "q", "d#1", 3))
    assert grades(rows) == {("q", "d#1"): 3}


def test_a_withdrawal_takes_only_this_sessions_opinion_of_this_passage_back():
    rows = events(
        ("a", "thumb_up", "q", "d#1"),
        ("b", "thumb_down", "q", "d#1"),
        ("a", "thumb_up", "q", "d#2"),
        ("a", "withdraw", "q", "d#1"),
    )
    assert grades(rows) == {("q", "d#1"): 0, ("q", "d#2"): 1}
    assert grades(events(("a", "thumb_up", "q", "d#1"), ("a", "withdraw", "q", "d#1"))) == {}
    again = events(("a", "thumb_up", "q", "d#1"), ("a", "withdraw", "q", "d#1"), ("a", "answer", "q", "d#1"))
    assert grades(again) == {("q", "d#1"): 2}


def test_the_majority_decides_and_a_tie_is_no_judgement():
    rows = [("a", "thumb_up", "q", "d#1"), ("b", "thumb_down", "q", "d#1")]
    assert grades(events(*rows)) == {}
    assert summary(events(*rows)).disputed == (("q", "d"),)
    assert grades(events(*rows), "latest") == {("q", "d#1"): 0}
    assert grades(events(*rows, ("c", "answer", "q", "d#1", 3))) == {("q", "d#1"): 1}  # lower median of 1 and 3
    assert grades(events(*rows, ("c", "thumb_down", "q", "d#1"))) == {("q", "d#1"): 0}


def test_clicks_and_notes_judge_nothing():
    assert grades(events(("a", "click", "q", "d#1"), ("a", "note", "q", "d#1"))) == {}


def test_equal_queries_are_one_and_the_last_spelling_is_shown():
    rows = events(("a", "thumb_up", "How  to RENEW", "d#1"), ("b", "thumb_up", "ｈow to renew ", "d#1"))
    (found,) = judgements(rows)
    assert (found.query, found.sessions, found.at.minute) == ("ｈow to renew ", 2, 2)
    assert query_id("How  to RENEW") == query_id("how to renew") != query_id("how to renew?")
    assert query_key(" 续借\u3000图书 ") == "续借 图书"


def test_a_document_is_as_good_as_its_best_passage():
    rows = events(
        ("a", "thumb_down", "q", "d#1"),
        ("a", "answer", "q", "d#2"),
        ("b", "thumb_down", "q", "e#1"),
        ("b", "click", "q", "f#1"),
    )
    assert document_grades(rows) == {"q": {"d": 2, "e": 0}}


def test_the_summary_counts():
    rows = events(
        ("a", "thumb_up", "q", "d#1"),
        ("b", "thumb_up", "q", "d#2"),
        ("c", "thumb_down", "q", "d#1"),
        ("a", "thumb_down", "怎么续借", "d#1"),
        ("a", "note", "怎么续借", ""),
        ("b", "click", "only clicked", "d#1"),
        ("c", "note", "hm", ""),
    )
    found = summary(rows)
    assert (found.events, found.judged_queries) == (7, 2)
    assert found.by_action == {"click": 1, "note": 2, "thumb_down": 2, "thumb_up": 2}
    assert found.by_day == {"2026-11-21": 7}
    assert found.by_session == {"a": 3, "b": 2, "c": 2}
    assert found.by_language == {"en": 5, "zh": 2}
    assert (found.compared, found.agreement) == (3, pytest.approx(1 / 3))
    assert found.unanswered == ("怎么续借", "hm")
    assert found.disputed == ()


def test_an_empty_log_has_an_empty_summary():
    found = summary([])
    assert (found.events, found.agreement, found.compared, found.unanswered) == (0, None, 0, ())
    assert judgements([]) == []


ROWS = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(["thumb_up", "thumb_down", "answer", "withdraw", "click"]),
    st.sampled_from(["q", "Q ", "r"]),
    st.sampled_from(["d#1", "d#2"]),
)


@given(st.lists(ROWS, max_size=25))
def test_it_equals_a_count_by_brute_force(rows):
    expected = {}
    for query in ("q", "r"):
        for chunk in ("d#1", "d#2"):
            last = {}
            for session, action, text, where in rows:
                if text.strip().lower() == query and where == chunk and action != "click":
                    last[session] = {"thumb_up": 1, "thumb_down": 0, "answer": 2, "withdraw": None}[action]
            given_grades = sorted(grade for grade in last.values() if grade is not None)
            up = [grade for grade in given_grades if grade]
            if len(up) * 2 > len(given_grades):
                expected[query, chunk] = up[(len(up) - 1) // 2]
            elif len(up) * 2 < len(given_grades):
                expected[query, chunk] = 0
    found = {(query_key(j.query), j.chunk_id): j.grade for j in judgements(events(*rows))}
    assert found == expected
