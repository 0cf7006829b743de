"""The endpoint of the tests."""

import pytest

from tests.app.answers.gullible import Gullible
from training.chat_endpoint import KEY_VARIABLE


@pytest.fixture
def gullible(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    running = Gullible()
    yield running
    running.close()
