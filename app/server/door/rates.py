"""How often a client may ask: a bucket of tokens per key or address, refilled all the time (RFC 2697's committed rate, in requests)."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

_REMEMBERED = 10_000  # clients; the one that asked longest ago is dropped, to bound memory


class Rate:
    """Counts requests per client. Used in one thread, that of the event loop."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = monotonic) -> None:
        """Start with full buckets.

        Args:
            per_minute: Requests that a client may make in a minute, all at once or spread; 0 for any number.
            clock: The time in seconds.
        """
        self._most, self._clock = per_minute, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests left, and when that was

    def wait(self, client: str) -> float:
        """Count a request of a client; return 0 if it may be made, else after how many seconds (it is not counted then).

        Example:
            >>> rate = Rate(2, clock=lambda: 0.0)
            >>> rate.wait("10.0.0.7"), rate.wait("10.0.0.7"), rate.wait("10.0.0.7"), rate.wait("10.0.0.8")
            (0.0, 0.0, 30.0, 0.0)
        """
        if not self._most:
            return 0.0
        now, per_second = self._clock(), self._most / 60
        left, since = self._left.pop(client, (float(self._most), now))
        left = min(float(self._most), left + (now - since) * per_second)
        allowed = left >= 1
        self._left[client] = (left - 1 if allowed else left, now)
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / per_second
