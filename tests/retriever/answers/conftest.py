"""The endpoint of the tests."""

import pytest

from quarry.retriever.llm.endpoint import KEY_VARIABLE
from tests.retriever.answers.gullible import Gullible


@pytest.fixture
def gullible(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    running = Gullible()
    yield running
    running.close()
