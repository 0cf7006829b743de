"""The loop with careless users and with a gang among them: no promotion makes the truth worse, and lies do not become examples."""

from collections import Counter

import pytest

from quarry.training.examples.from_feedback import Curated, curate
from quarry.training.feedback.events import FeedbackEvent, ShownHit, StoredEvent
from tests.benchmarks.users import Setting, simulate
from tests.training.reasons import said
from tests.training.simulated_users import ATTACKS, Crowd, Shown, feedback_of

DOCUMENTS = 40


def hits(number: int) -> tuple[ShownHit, ...]:
    """Ten results, the right one on a place that varies."""
    names = [(number * 7 + place * 3) % 400 + DOCUMENTS for place in range(9)]
    names.insert(number % 4, number)
    return tuple(ShownHit(f"d{n}#0-9", f"d{n}", rank, 1 / rank, "fusion") for rank, n in enumerate(names, start=1))


QUESTIONS = ["".join(chr(0x4E00 + 97 * n + 13 * place) for place in range(6)) for n in range(DOCUMENTS)]
RIGHT = {question: f"d{n}" for n, question in enumerate(QUESTIONS)}
LIES = (
    "positives that far fewer visitors chose than is usual",
    "positives that few of the query's visitors chose",
    "events of sessions that contradict the others",
)
SPAM = ShownHit("spam#0-9", "spam", 1, 1.0, "fusion")


def ask(question: str) -> Shown:
    return Shown("000001", hits(QUESTIONS.index(question)))


def events_of(**habits: object) -> list[FeedbackEvent]:
    return feedback_of(Crowd(**habits), RIGHT, ask, spam=SPAM)  # type: ignore[arg-type]


def curated(**habits: object) -> Curated:
    return curate([StoredEvent(n, e) for n, e in enumerate(events_of(**habits), start=1)], lambda name: name)


def wrong(found: Curated) -> int:
    return sum(f"{RIGHT[e.row.query]}#0-9" not in e.row.pos or len(e.row.pos) > 1 for e in found.examples)


def test_the_crowd_follows_from_its_seed_and_reads_from_the_top():
    assert events_of(seed=1) == events_of(seed=1) != events_of(seed=2)
    places = Counter(
        next(hit.rank for hit in event.shown if hit.chunk_id == event.chunk_id)
        for event in events_of(noise=0.3, voices=60)
        if event.action == "click"
    )
    assert places[5] > 1.3 * places[10] > 0  # attention (1/r)^0.7: 0.32 against 0.20


def test_users_without_noise_open_nothing_wrong():
    assert {event.doc_id == RIGHT[event.query] for event in events_of(noise=0.0)} == {True}


def test_a_gang_has_its_share_of_the_voices():
    per_question = Counter(
        e.query for e in events_of(gang=0.2, attack="spam") if e.doc_id == "spam" and e.action == "answer"
    )
    assert set(per_question.values()) == {2}
    focused = Counter(
        e.query for e in events_of(gang=0.2, attack="spam", focus=0.5) if e.action == "answer" and e.doc_id == "spam"
    )
    assert set(focused.values()) == {4}
    assert len(focused) < 0.8 * DOCUMENTS


@pytest.mark.parametrize("noise", [0.0, 0.15, 0.3])
def test_careless_users_give_examples_that_are_mostly_right(noise):
    found = curated(noise=noise)
    assert len(found.examples) >= 0.4 * DOCUMENTS
    assert wrong(found) <= noise * len(found.examples)


@pytest.mark.parametrize("names", [0, 8])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_fifth_of_the_voices_gets_few_lies_into_the_examples(attack, names):
    runs = [curated(gang=0.2, attack=attack, gang_names=names, seed=seed) for seed in range(3)]
    examples = [example for found in runs for example in found.examples]
    assert len(examples) >= 0.3 * DOCUMENTS * len(runs)
    assert sum(wrong(found) for found in runs) <= 0.15 * len(examples)
    assert sum(f"{RIGHT[e.row.query]}#0-9" in e.row.neg for e in examples) <= 1
    gone = sum(said(found.dropped).get(reason, 0) for found in runs for reason in LIES)
    assert gone >= 0.8 * DOCUMENTS * len(runs)


def test_one_document_everywhere_is_dropped_even_where_the_gang_is_the_majority():
    found = curated(gang=0.2, attack="spam", focus=0.25, seed=1)
    assert said(found.dropped)["positives of passages that are pushed for many queries"] >= 5
    assert not any("spam#0-9" in example.row.pos for example in found.examples)


def check_promises(facts, *, wrong_at_most):
    for row in facts["rounds"]:
        truth, told = row["truth"]["dense"], row["tuning"]
        assert truth["high"] >= 0  # never worse beyond chance
        assert told["promoted"] or (told["refusals"] and truth["difference"] == 0)
        assert row["labels"]["train"][1] <= wrong_at_most * row["labels"]["train"][0]


@pytest.mark.slow
def test_each_round_of_careless_users_makes_the_index_better_or_is_refused(tmp_path):
    facts = simulate(tmp_path, Setting.of("tiny-0.15"), rounds=2)
    assert len(facts["rounds"]) == 2
    check_promises(facts, wrong_at_most=0.1)
    first, second = (row["tuning"] for row in facts["rounds"])  # of 15 and 34 held-out questions, some judged wrongly
    assert 0 < first["evidence"] < second["evidence"]
    assert facts["rounds"][1]["refused"]["difference"] > 0.1  # a few more would have shown it


@pytest.mark.slow
def test_a_gang_with_one_document_neither_gets_it_in_nor_spoils_the_truth(tmp_path):
    check_promises(simulate(tmp_path, Setting.of("tiny-0.15-spam"), rounds=1), wrong_at_most=0.2)
