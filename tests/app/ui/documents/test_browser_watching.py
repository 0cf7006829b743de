"""The watch switch in a real browser: turned on, a new file can be found; turned off, it cannot."""

from time import monotonic

import pytest

pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install 'quarry-search[test]')")

from quarry.app.watched import watched
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from tests.app.cli.watched_folders import wait_for
from tests.app.ui.browser import chromium, served, visitor

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def hits_within(person, question: str, seconds: float) -> list[str]:
    """Ask again until there are results; an index takes a moment to take a file in."""
    end = monotonic() + seconds
    while True:
        person.ask(question)
        if (hits := person.hits()) or monotonic() > end:
            return hits
        person.go()


def test_a_file_put_into_a_watched_folder_is_found_and_one_put_there_afterwards_is_not(tmp_path):
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    (docs / "loans.md").write_text("# Loans\n\nTen books for thirty days.", encoding="utf-8")
    build_index(index, [docs], None, BuildOptions())
    with chromium() as browser, served(index, "--rerank", "none") as url, visitor(browser, url) as person:
        person.go("/?route=bm25")
        assert hits_within(person, "wolpertinger", 0) == []
        person.go("/documents")
        assert "Nobody watches" in person.page.inner_text("body")
        person.click("Watch the folders")
        person.page.get_by_text("Watched since").wait_for()
        (docs / "hare.md").write_text("# Hare\n\nThe wolpertinger is a hare with antlers.", encoding="utf-8")
        person.go("/?route=bm25")
        assert hits_within(person, "wolpertinger", 60) == ["Hare"]
        person.go("/documents")
        person.click("Stop watching")
        person.page.get_by_text("Nobody watches").wait_for()
        wait_for(lambda: watched(index) is None)
        (docs / "late.md").write_text("# Late\n\nThe basilisk came too late.", encoding="utf-8")
        person.page.wait_for_timeout(3_000)  # a watch takes a file in after one quiet second
        person.go("/?route=bm25")
        assert hits_within(person, "basilisk", 0) == []
        assert [trouble for trouble in person.troubles if "404" not in trouble] == []
