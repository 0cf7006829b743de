"""What the tests of lakes share."""

import pytest


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Views of lakes go into the test's own folder; the dictionary stays where it is."""
    from quarry.indexer.stores.lake import view

    monkeypatch.setattr(view, "cache_folder", lambda: tmp_path / "cache")
