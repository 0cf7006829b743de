"""Waiting for one's turn to write to an index: hours of training are not lost because somebody indexes at their end."""

import time
from collections.abc import Callable
from typing import TypeVar

from quarry.indexer.errors import IndexBusyError
from quarry.indexer.messages import Message
from quarry.training.tuning.plan import TuningObserver

LONGEST_WAIT = 3600.0  # seconds; longer than that something hangs, and the run can be gone on with
_PAUSE = 0.5  # seconds between two tries
T = TypeVar("T")


def in_turn(act: Callable[[], T], watch: TuningObserver) -> T:
    """Do something that takes the writer lock, after whoever holds it now.

    Args:
        act: What to do; it is tried again as long as the index is busy.
        watch: Receives one event when there is a wait; it may raise to end it.

    Raises:
        IndexBusyError: If the index is still busy after an hour.
    """
    until, told = time.monotonic() + LONGEST_WAIT, False
    while True:
        try:
            return act()
        except IndexBusyError as err:
            if time.monotonic() > until:
                raise
            if not told:
                watch.stage(Message.of("tuning.waiting", "waiting: {why}", why=err.message))
                told = True
            watch.advance(0)
            time.sleep(_PAUSE)
