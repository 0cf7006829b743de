"""Fixtures shared by all tests: where the real data is, and the offline model."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# A worker of pytest-xdist has one core for itself: threads of torch and NumPy beyond one wait, spinning, for the core of the next
# worker (39 tests of encoders, two cores: 13 s of a processor with one thread, 27 s with two). Tests about threads set their own.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A deadline of wall time fails on a busy machine, not on wrong code.
hypothesis.settings.register_profile("quarry", deadline=None)
hypothesis.settings.load_profile("quarry")

_OPEN_FILES, _MANY_FILES = Path("/proc/self/fd"), 200  # 1,024 are what many systems allow a process
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real retrieval sets and difficult files; skips where it is not at hand."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the real data sets, which are not on this machine (../shared/data beside the checkout)")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def same_main_module():
    """Put `__main__` back: streamlit's AppTest leaves its script there, which processes started later would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(autouse=True)
def few_open_files() -> Iterator[None]:
    """Close what earlier tests left open: an opened index holds about ten files and goes with the next collection of cycles."""
    yield
    if _OPEN_FILES.is_dir() and len(list(_OPEN_FILES.iterdir())) > _MANY_FILES:
        gc.collect()


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT as in a terminal, here and in processes started here: a job in the background inherits that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
