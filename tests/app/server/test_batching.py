import threading
from concurrent.futures import CancelledError

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.models.batching import BatchQueue, QueueClosedError, QueueFullError


class Blocked:
    """A queue whose thread is busy until `free` is set."""

    def __init__(self, capacity, batch):
        self.sizes, self.free, started = [], threading.Event(), threading.Event()
        self.queue = BatchQueue(capacity, batch, self.sizes.append)

        def block(items):
            started.set()
            self.free.wait(10)
            return items

        self.first = self.queue.submit("block", block, 0)
        assert started.wait(5)


def double(items):
    return [2 * item for item in items]


def test_equal_keys_go_together_in_order_and_others_apart():
    blocked = Blocked(100, 4)
    even = [blocked.queue.submit("a", double, number) for number in range(6)]
    other = blocked.queue.submit("b", double, 50)
    blocked.free.set()
    assert [future.result(5) for future in even] == [0, 2, 4, 6, 8, 10]
    assert other.result(5) == 100
    assert sorted(blocked.sizes) == [1, 1, 2, 4]
    blocked.queue.close()


def test_one_wrong_item_fails_alone():
    blocked = Blocked(100, 8)

    def invert(items):
        return [1 / item for item in items]

    futures = [blocked.queue.submit("a", invert, number) for number in (1, 0, 2)]
    blocked.free.set()
    assert futures[0].result(5) == 1
    assert futures[2].result(5) == 0.5
    with pytest.raises(ZeroDivisionError, match="division"):
        futures[1].result(5)
    blocked.queue.close()


def test_a_full_queue_refuses_and_forgets_those_that_left():
    blocked = Blocked(2, 8)
    first = blocked.queue.submit("a", double, 1)
    blocked.queue.submit("a", double, 2)
    with pytest.raises(QueueFullError):
        blocked.queue.submit("a", double, 3)
    assert first.cancel()
    assert not blocked.free.is_set()
    third = blocked.queue.submit("a", double, 3)
    blocked.free.set()
    assert third.result(5) == 6
    with pytest.raises(CancelledError):
        first.result(1)
    blocked.queue.close()


def test_closing_refuses_what_waits_and_what_comes():
    blocked = Blocked(5, 8)
    waits = blocked.queue.submit("a", double, 1)
    threading.Timer(0.1, blocked.free.set).start()
    blocked.queue.close()
    with pytest.raises(QueueClosedError):
        waits.result(5)
    with pytest.raises(QueueClosedError):
        blocked.queue.submit("a", double, 1)
    assert blocked.first.result(5) == 0


def test_batches_are_measured_in_weight_and_a_heavy_item_goes_alone():
    blocked = Blocked(100, 10)
    weights = [4, 4, 4, 25, 2]
    futures = [blocked.queue.submit("a", double, number, weight) for number, weight in enumerate(weights)]
    blocked.free.set()
    assert [future.result(5) for future in futures] == [0, 2, 4, 6, 8]
    assert blocked.sizes == [1, 3, 1, 1]  # 4 + 4 + 2, then 4, then 25
    blocked.queue.close()


def test_threads_compute_batches_beside_each_other():
    queue, meeting = BatchQueue(10, 1, threads=3), threading.Barrier(3, timeout=5)
    futures = [queue.submit(object(), lambda _: [meeting.wait()], None) for _ in range(3)]
    assert sorted(future.result(5) for future in futures) == [0, 1, 2]
    queue.close()
    assert not any(thread.is_alive() for thread in queue._threads)
