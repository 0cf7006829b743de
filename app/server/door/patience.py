"""Connections that keep a server waiting: what has no request after ten seconds is closed, and the oldest such one makes room.

uvicorn has a time limit between two requests but none for the first one or for headers that never end. So a thousand silent
connections, which cost a client nothing, would use up every file descriptor of the server.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
HEAD_BYTES = 32 * 1024  # of the request line and all headers together
_SPARE_FILES = 192  # descriptors for the index, models and databases, and for connections accepted at once
_MOST_CONNECTIONS = 1024


def most_connections() -> int:
    """Return how many connections may be open: what the limit of open files leaves, at most 1,024."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return _MOST_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_CONNECTIONS if soft < 0 else max(16, min(_MOST_CONNECTIONS, soft - _SPARE_FILES))


class PatientProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn, with a time limit for the head of every request and room for new connections."""

    _late: asyncio.TimerHandle | None = None
    _most = most_connections()

    def connection_made(self, transport: Any) -> None:
        """Start the clock, and close the connection that has been silent longest where there are too many."""
        super().connection_made(transport)
        self._expect_head()
        if len(self.connections) > self._most:
            waiting = [each for each in self.connections if isinstance(each, PatientProtocol) and each.is_waiting()]
            oldest = min(waiting, key=lambda each: each.deadline, default=self)
            oldest.give_up()

    def data_received(self, data: bytes) -> None:
        """Read what arrived; a head that is whole stops the clock, and the beginning of one starts it."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._expect_head()
        else:
            self._stop_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def is_waiting(self) -> bool:
        """Whether no request is being read or answered."""
        return self.conn.their_state is h11.IDLE and (self.cycle is None or self.cycle.response_complete)

    @property
    def deadline(self) -> float:
        """When the head has to be there, on the loop's clock."""
        return self._late.when() if self._late else 0.0

    def give_up(self) -> None:
        """Close the connection without an answer."""
        self._stop_clock()
        self.transport.abort()

    def _expect_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self.give_up)

    def _stop_clock(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


LIMITS: dict[str, Any] = {
    "http": PatientProtocol,
    "backlog": 64,  # so many are accepted at once, before any can be closed
    "h11_max_incomplete_event_size": HEAD_BYTES,
    "timeout_keep_alive": 10,
}
"""Settings of uvicorn that every server of ours is run with."""
