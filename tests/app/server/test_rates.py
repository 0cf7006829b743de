"""How often a client may ask."""

from quarry.app.server.door.rates import _REMEMBERED, Rate


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_bucket_fills_again_with_time():
    clock = Clock()
    rate = Rate(60, clock)
    assert [rate.wait("a") for _ in range(60)] == [0.0] * 60
    assert rate.wait("a") == 1.0
    clock.now = 0.5
    assert rate.wait("a") == 0.5
    clock.now = 1.0
    assert (rate.wait("a"), rate.wait("a")) == (0.0, 1.0)
    clock.now = 1e6
    assert [rate.wait("a") for _ in range(61)] == [0.0] * 60 + [1.0]


def test_clients_have_buckets_of_their_own_and_memory_is_bounded():
    rate = Rate(1, Clock())
    assert [rate.wait(str(number)) for number in range(_REMEMBERED + 10)] == [0.0] * (_REMEMBERED + 10)
    assert rate.wait(str(_REMEMBERED + 9)) == 60.0
    assert rate.wait("0") == 0.0  # forgotten
    assert len(rate._left) == _REMEMBERED


def test_no_limit_counts_nothing():
    rate = Rate(0)
    assert [rate.wait("a") for _ in range(1000)] == [0.0] * 1000
    assert not rate._left
