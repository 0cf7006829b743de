"""Curation: which examples a log gives, and that every event left out is counted with its reason."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from quarry.training.examples.from_feedback import ONE_PERSON, SEVERAL_PEOPLE, curate
from quarry.training.examples.rows import TrainingRow
from quarry.training.feedback.events import FeedbackEvent, StoredEvent
from tests.training.feedback.test_clicks import clicks
from tests.training.reasons import said

START = datetime(2026, 11, 1, 9, tzinfo=UTC)
TEXTS = {f"d#{name}": f"passage {name}" for name in "abcdefgh"} | {"书#1": "到服务台续借", "书#2": "开放时间"}


def votes(*rows, first=1):
    """Rows of (session, action, query, passage)."""
    return [
        StoredEvent(
            n,
            FeedbackEvent(
                query, action, session, "000001", chunk, chunk.partition("#")[0] or "d", at=START + timedelta(hours=n)
            ),
        )
        for n, (session, action, query, chunk) in enumerate(rows, start=first)
    ]


def run(*rows, rules=SEVERAL_PEOPLE):
    return curate(votes(*rows), TEXTS.get, rules)


def test_two_voters_make_an_example_with_what_they_judged_bad():
    found = run(
        ("a", "answer", "怎么续借？", "书#1"),
        ("b", "thumb_up", "怎么续借？", "书#1"),
        ("a", "thumb_down", "怎么续借？", "书#2"),
        ("b", "thumb_down", "怎么续借？", "书#2"),
        ("b", "thumb_down", "怎么续借？", "d#a"),
    )
    (example,) = found.examples
    assert example.row == TrainingRow("怎么续借？", ("到服务台续借",), ("开放时间",))
    assert (example.origin, example.weight, example.language, example.positive_ids) == (
        "feedback",
        1.0,
        "zh",
        ("书#1",),
    )
    assert said(found.dropped) == {"judgements with fewer than 2 voters": 1}
    assert found.events == 5


def test_one_session_cannot_decide_alone_unless_the_log_is_one_persons():
    rows = [("a", "answer", "opening hours", "d#a")] * 3
    alone = run(*rows)
    assert alone.examples == ()
    assert said(alone.dropped) == {
        "judgements replaced or withdrawn by their session": 2,
        "judgements with fewer than 2 voters": 1,
    }
    assert run(*rows, rules=ONE_PERSON).examples[0].row.pos == ("passage a",)


def test_a_burst_of_fresh_sessions_cannot_decide_alone():
    events = [
        replace(s, event=replace(s.event, at=START + timedelta(seconds=n)))
        for n, s in enumerate(votes(*((f"fresh{n}", "answer", "opening hours", "d#h") for n in range(30))))
    ]
    found = curate(events, TEXTS.get)
    assert found.examples == ()
    assert said(found.dropped)["votes in a burst, one voice with another"] == 29


def test_conflicts_follow_the_majority_and_ties_are_listed():
    rows = [(s, "thumb_up", "q one", "d#a") for s in "ab"] + [("c", "thumb_down", "q one", "d#a")]
    rows += [("a", "thumb_up", "r two", "d#b"), ("b", "thumb_down", "r two", "d#b")]
    found = run(*rows)
    assert [e.row for e in found.examples] == [TrainingRow("q one", ("passage a",))]
    assert found.disputed == (("r two", "d#b"),)
    assert said(found.dropped) == {"disputed judgements": 1}


def test_near_duplicate_queries_whose_users_agree_become_one():
    found = run(
        ("a", "thumb_up", "how do I renew a book", "d#a"),
        ("b", "thumb_up", "How do I renew a book?", "d#a"),
        ("c", "thumb_up", "how do I renew a books", "d#a"),
        ("a", "answer", "如何续借图书馆的图书", "书#1"),
        ("b", "answer", "如何续借图书馆图书", "书#1"),
        ("a", "answer", "error 404 in the log of the server", "d#b"),
        ("b", "answer", "error 405 in the log of the server", "d#b"),  # another number, another question
        ("a", "answer", "how do I enable full text search", "d#c"),
        ("b", "answer", "how do I disable full text search", "d#d"),  # alike, but the users want different passages
    )
    assert {e.row.pos for e in found.examples} == {("passage a",), ("到服务台续借",)}
    assert len(found.merged) == 2
    assert {frozenset(group) for group in found.merged} == {
        frozenset({"how do I renew a book", "How do I renew a book?", "how do I renew a books"}),
        frozenset({"如何续借图书馆的图书", "如何续借图书馆图书"}),
    }


def test_clicks_are_weak_positives_where_nobody_judged():
    events = clicks(*((f"s{n}", "opening hours", "d#c", ["d#a", "d#b", "d#c"]) for n in range(3)))
    events += clicks(*((f"s{n}", "parking", "d#c", ["d#a", "d#c"]) for n in range(2)))
    events += clicks(*((f"s{n}", "签证", "d#a", ["d#a", "d#c"]) for n in range(9)))
    events = [
        replace(s, number=n, event=replace(s.event, at=START + timedelta(hours=n))) for n, s in enumerate(events, 1)
    ]
    found = curate(events, TEXTS.get)
    (example,) = found.examples
    assert example.row == TrainingRow("opening hours", ("passage c",), ("passage a", "passage b"))
    assert (example.origin, example.weight) == ("clicks", 0.3)
    assert said(found.dropped) == {"passages with too few or contradicting clicks": 2}
    judged = votes(*((voter, "answer", "opening hours", "d#d") for voter in "wxyz"), first=100)
    (example,) = curate([*events, *judged], TEXTS.get).examples
    assert example.row == TrainingRow("opening hours", ("passage d",), ("passage a", "passage b"))
    assert example.positive_ids == ("d#d", "d#c")  # clicked: no positive beside a judged one, and never a negative
    single = votes(("x", "answer", "opening hours", "d#c"), first=100)
    (example,) = curate([*events, *single], TEXTS.get).examples
    assert example.origin == "feedback"  # one voter and three who preferred it


def test_what_cannot_be_used_is_counted():
    rows = [(s, "answer", "q", "gone#1") for s in "ab"]
    rows += [(s, "answer", "???", "d#a") for s in "ab"]
    rows += [(s, "answer", "whole", "") for s in "ab"]
    rows += [(s, "thumb_down", "nothing good", "d#a") for s in "ab"]
    found = run(*rows)
    assert found.examples == ()
    assert said(found.dropped) == {
        "judgements of whole documents": 1,
        "passages that are no longer in the index": 1,
        "queries that are not questions (no letter, or too long)": 1,
        "queries without a positive": 2,
    }


def test_robots_and_saboteurs_are_named_and_their_events_counted():
    rows = [("bot", "thumb_up", f"q{n}", "d#h") for n in range(25)]
    events = [replace(s, event=replace(s.event, at=START + timedelta(seconds=n))) for n, s in enumerate(votes(*rows))]
    found = curate(events, TEXTS.get)
    assert (found.robots, said(found.dropped)) == (("bot",), {"events of robots": 25})


@pytest.mark.parametrize("rules", [SEVERAL_PEOPLE, ONE_PERSON])
def test_an_empty_log_gives_nothing(rules):
    found = curate([], TEXTS.get, rules)
    assert (found.examples, found.events, said(found.dropped)) == ((), 0, {})


def brigaded(share, rng):
    """People name the answer of each question four times in five; a brigade names one wrong passage each time."""
    rows = []
    people, brigade = [f"p{n}" for n in range(40)], [f"x{n}" for n in range(round(40 * share / (1 - share)))]
    for number in range(50):
        for name in rng.sample(people, 6):
            place = 0 if rng.random() < 0.8 else rng.randrange(1, 9)
            rows.append((name, "thumb_up", f"question about {chr(0x4E00 + number * 7) * 3}", f"d{number}#{place}"))
        for name in rng.sample(brigade, round(6 * share / (1 - share))):
            rows.append((name, "answer", f"question about {chr(0x4E00 + number * 7) * 3}", f"d{number}#bad"))
            rows.append((name, "thumb_down", f"question about {chr(0x4E00 + number * 7) * 3}", f"d{number}#0"))
    return rows


@pytest.mark.parametrize("share", [0.0, 0.2, 0.3])
def test_a_brigade_does_not_become_the_truth(share):
    rows = brigaded(share, random.Random(1))
    found = curate(votes(*rows), lambda name: f"text of {name}")
    pushed = sum("bad" in text for e in found.examples for text in e.row.pos)
    right = sum(text.endswith("#0") for e in found.examples for text in e.row.pos)
    assert pushed == 0
    assert right >= 43
    assert right / sum(len(e.row.pos) for e in found.examples) > 0.9


def test_a_passage_that_few_of_the_querys_visitors_chose_is_left_out():
    rows = [(f"p{n}", "thumb_up", "opening hours", "d#a") for n in range(5)]
    rows += [(f"x{n}", "answer", "opening hours", "d#h") for n in range(3)]
    found = run(*rows)
    assert found.examples[0].row.pos == ("passage a",)
    assert said(found.dropped) == {"positives that few of the query's visitors chose": 1}
    more = [(f"p{n}", "answer", "opening hours", "d#h") for n in range(2)]  # who names two chose both
    assert run(*rows, *more).examples[0].row.pos == ("passage h", "passage a")


def clicked_last(query, name, sessions, first):
    """Sessions that opened the first result and said nothing."""
    events = clicks(*((session, query, name, [name, "d#z"]) for session in sessions))
    return [
        replace(s, number=first + n, event=replace(s.event, at=START + timedelta(hours=first + n)))
        for n, s in enumerate(events)
    ]


def test_a_few_who_always_judge_do_not_outvote_many_who_only_click():
    gang = votes(("x", "answer", "opening hours", "d#h"), ("y", "answer", "opening hours", "d#h"))
    found = curate([*gang, *clicked_last("opening hours", "d#a", ("s", "t", "u"), 10)], TEXTS.get)
    assert found.examples == ()
    assert said(found.dropped)["positives that few of the query's visitors chose"] == 1
    assert curate([*gang, *clicked_last("opening hours", "d#a", ("s",), 10)], TEXTS.get).examples
    burst = [
        replace(s, event=replace(s.event, at=START + timedelta(seconds=n)))
        for n, s in enumerate(clicked_last("opening hours", "d#a", ("s", "t", "u"), 10))
    ]
    assert curate([*gang, *burst], TEXTS.get).examples  # three clicks of one minute are one voice


def unlike(number):
    """A question that reads like no other."""
    return "".join(chr(0x4E00 + 97 * number + 13 * place) for place in range(6))


def test_where_most_find_nothing_a_few_are_not_believed():
    rows = [(f"p{n}", "answer", unlike(q), f"d#{q}") for q in range(5) for n in range(4)]
    rows += [(name, "answer", "opening hours", "d#h") for name in "xy"]
    found = curate(votes(*rows), lambda name: f"text {name}")
    assert len(found.examples) == 5
    assert said(found.dropped) == {"positives that far fewer visitors chose than is usual": 1}
    assert len(curate(votes(*rows, ("z", "answer", "opening hours", "d#h")), lambda name: name).examples) == 6
    assert len(curate(votes(*rows), lambda name: name, ONE_PERSON).examples) == 6


def test_what_many_chose_is_no_negative_because_a_few_judged_it_down():
    rows = [(name, "answer", "opening hours", "d#a") for name in "abcd"]
    down = [(name, "thumb_down", "opening hours", "d#b") for name in "xyz"]
    assert run(*rows, *down).examples[0].row.neg == ("passage b",)
    clicked = clicked_last("opening hours", "d#b", ("s", "t"), 100)
    found = curate([*votes(*rows, *down), *clicked], TEXTS.get)
    assert found.examples[0].row.neg == ()
    assert said(found.dropped)["negatives that some of the query's visitors chose"] == 1


@pytest.mark.parametrize("also", [False, True])
def test_one_document_pushed_for_many_questions_is_dropped_when_others_disagree(also):
    rows = []
    for number in range(5):
        query = unlike(number)
        rows += [(f"p{n}", "answer", query, f"d#{number}") for n in range(3)]
        rows += [(f"x{number}{n}", "answer", query, "d#hub") for n in range(4)]
        rows += [(f"p{n}", "answer", query, "d#hub") for n in range(3 if also else 0)]  # it does answer them
    found = curate(votes(*rows), lambda name: name)
    named = {name for example in found.examples for name in example.row.pos}
    assert named == ({"d#hub"} if also else set())
    assert said(found.dropped).get("positives of passages that are pushed for many queries", 0) == (0 if also else 5)


def test_fresh_names_cannot_have_an_honest_voter_taken_for_a_saboteur():
    rows = []
    for number in range(6):
        query = unlike(number)
        rows += [("honest", "answer", query, f"d#{number}")]
        rows += [(f"x{number}{n}", "thumb_down", query, f"d#{number}") for n in range(2)]
    assert run(*rows).contrary == ("honest",)  # two against one, and nobody else was there
    visits = [
        event
        for number in range(6)
        for event in clicked_last(
            unlike(number),
            f"d#{number}",
            [f"s{number}{n}" for n in range(3)],
            100 + 10 * number,
        )
    ]
    assert curate([*votes(*rows), *visits], TEXTS.get).contrary == ()
