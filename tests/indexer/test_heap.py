"""Freed memory goes back to the operating system."""

from pathlib import Path

import pytest

from indexer import heap


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
