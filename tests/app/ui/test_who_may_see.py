"""The app shows no index with documents that not everybody may see, unless it was told to show everything."""

import pytest

from quarry.app.cli.commands.ui import check_everybody_may_see
from quarry.app.ui.shared.everyone import EVERYTHING_VARIABLE
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import SettingsError
from quarry.indexer.records import Document
from tests.app.ui.pages_support import open_page, texts

OPEN = [Document("a", "Books can be renewed twice."), Document("b", "Tea is free.", meta={"allow": "*"})]
SECRET = Document("c", "The salary of the director is 9,000.", meta={"allow": ["ann"]})


def build(root, documents):
    index_documents(root, documents, None, BuildOptions())
    return root


@pytest.mark.parametrize("page", ["search", "documents", "evaluate", "feedback", "index"])
def test_no_page_shows_an_index_with_hidden_documents(tmp_path, monkeypatch, page):
    at = open_page(build(tmp_path / "index", [*OPEN, SECRET]), monkeypatch, page)
    assert "cannot tell its visitors apart" in texts(at) and "salary" not in texts(at)
    assert not at.text_input and not at.button


def test_documents_that_everybody_may_see_are_shown_until_others_come(tmp_path, monkeypatch):
    root = build(tmp_path / "index", OPEN)
    at = open_page(root, monkeypatch, "search")
    at.text_input(key="q").set_value("books renewed").run()
    assert not at.exception and "cannot tell" not in texts(at)
    build(root, [SECRET])
    at.text_input(key="q").set_value("salary director").run()
    assert "cannot tell its visitors apart" in texts(at) and "9,000" not in texts(at)


def test_it_shows_everything_where_it_was_started_to(tmp_path, monkeypatch):
    monkeypatch.setenv(EVERYTHING_VARIABLE, "1")
    at = open_page(build(tmp_path / "index", [*OPEN, SECRET]), monkeypatch, "search")
    assert at.text_input(key="q") is not None and "cannot tell" not in texts(at)


def test_the_command_refuses_at_its_start(tmp_path):
    check_everybody_may_see(tmp_path / "nothing-yet")
    check_everybody_may_see(build(tmp_path / "open", OPEN))
    with pytest.raises(SettingsError, match="--everything"):
        check_everybody_may_see(build(tmp_path / "secret", [*OPEN, SECRET]))
