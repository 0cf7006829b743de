"""Freed memory goes back to the operating system."""

import gc
import threading
import weakref
from pathlib import Path

import pytest

from quarry.indexer.models import batching as heap


def megabytes():
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20


@pytest.mark.skipif(heap._malloc_trim() is None, reason="needs glibc")
def test_memory_that_was_freed_between_what_stays_goes_back():
    blocks = [bytearray(60_000) for _ in range(3000)]
    stays = blocks[::50]
    full = megabytes()
    del blocks
    kept = megabytes()
    heap.give_back()
    assert len(stays) == 60
    assert kept > full - 40  # the C library keeps it ...
    assert megabytes() < full - 120  # ... until it is told


def test_a_c_library_without_it_does_no_harm(monkeypatch):
    monkeypatch.setattr(heap, "_malloc_trim", lambda: None)
    heap.give_back()


def test_a_collection_beside_another_one_is_not_skipped():
    entered, leave = threading.Event(), threading.Event()

    class Circle:
        def __init__(self, last_words=None):
            self.itself, self.last_words = self, last_words

        def __del__(self):
            if self.last_words:
                self.last_words()

    def wait():
        entered.set()
        leave.wait(10)

    gc.disable()
    try:
        Circle(wait)
        first = threading.Thread(target=heap.collect)
        first.start()
        assert entered.wait(10)  # it is within a collection, and lets other threads run
        left = weakref.ref(Circle())
        second = threading.Thread(target=heap.collect)
        second.start()
        second.join(0.2)
        leave.set()
        first.join(10)
        second.join(10)
        assert left() is None
    finally:
        gc.enable()
