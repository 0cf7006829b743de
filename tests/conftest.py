"""Fixtures shared by all tests: where the real data is, and the offline model."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real retrieval sets and difficult files; skips where it is not at hand."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the real data sets of ../shared/data, which are not on this machine")
    return SHARED_DATA
