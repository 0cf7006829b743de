"""A stage that fails or hangs costs its time budget, never the query."""

import threading
from time import perf_counter, sleep

from quarry.indexer.errors import ModelError
from quarry.retriever.stages.guard import DENSE_SEARCH, Guard


def test_a_value_comes_through():
    assert Guard(DENSE_SEARCH).run(lambda: 41 + 1, 5.0).value == 42


def test_a_failure_becomes_a_reason():
    def fail():
        raise ModelError("the weights are gone")

    outcome = Guard(DENSE_SEARCH).run(fail, 5.0)
    assert outcome.value is None
    assert str(outcome.reason) == "dense search failed: the weights are gone"


def test_an_unexpected_failure_names_its_type():
    outcome = Guard(DENSE_SEARCH).run(lambda: [][1], 5.0)
    assert str(outcome.reason) == "dense search failed: IndexError: list index out of range"


def test_a_hanging_stage_is_left_behind_and_then_reported_busy_at_once():
    release = threading.Event()
    guard = Guard(DENSE_SEARCH)
    started = perf_counter()
    for _ in range(2):
        assert "longer than the time budget of 0.1 s" in str(guard.run(release.wait, 0.1).reason)
    busy = guard.run(release.wait, 60.0)
    assert "still busy" in str(busy.reason)
    assert perf_counter() - started < 30
    release.set()
    for thread in threading.enumerate():
        if thread.name == "quarry-stages.dense_search":
            thread.join(10)
    assert guard.run(lambda: 7, 5.0).value == 7


def test_the_caller_works_while_the_stage_runs_and_its_time_counts_from_its_start():
    both = threading.Barrier(2)

    def work():
        both.wait(10)
        return 41 + 1

    waiting = Guard(DENSE_SEARCH).start(work, 30.0)
    both.wait(10)  # only passes while the stage is running
    outcome = waiting()
    assert outcome.value == 42
    slow = Guard(DENSE_SEARCH).start(threading.Event().wait, 0.2)
    started = perf_counter()
    sleep(0.3)
    assert "longer than the time budget" in str(slow().reason)
    assert perf_counter() - started < 5
