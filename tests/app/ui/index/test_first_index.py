"""From nothing to the first search: no index yet, a folder typed or given on the command line."""

from time import monotonic, sleep

import pytest

from quarry.app.cli.commands.ui import index_of
from quarry.app.ui.index.first import FOLDER_VARIABLE, chosen_folder
from quarry.app.ui.shared.data_folders import DATA_VARIABLE
from quarry.app.ui.shared.jobs import board
from quarry.indexer.build import index_documents
from quarry.indexer.errors import IndexFormatError, SettingsError
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations


@pytest.fixture
def documents(tmp_path, monkeypatch):
    """A folder of two documents, the only one that may be read; no model is on this machine."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "loans.md").write_text("# Loans\n\nBorrow ten books.", encoding="utf-8")
    (folder / "借书.md").write_text("# 借书\n\n可以借十本书。", encoding="utf-8")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    monkeypatch.setattr("quarry.indexer.models.source.resolve_model", lambda *_a, **_k: None)
    return folder


def ended(index):
    until = monotonic() + 60
    while board(index).latest("first index").state == "running" and monotonic() < until:
        sleep(0.05)
    return board(index).latest("first index")


def test_a_folder_is_chosen_indexed_and_searched(app, documents, tmp_path):
    index = tmp_path / "new"
    test = app(index)
    assert test.title[0].value == "Index your documents"
    test.text_input(key="first.folder").set_value("/etc").run()
    test.button(key="first.go").click().run()
    assert "is not below" in test.code[0].value
    assert not Generations(index).exists()
    test.text_input(key="first.folder").set_value("documents").run()
    test.button(key="first.go").click().run()
    assert ended(index).state == "done"
    test.run()
    assert not test.exception
    assert test.header[0].value == "Search your documents"


def test_a_folder_of_the_command_line_is_indexed_at_once(app, documents, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(documents))
    test = app(tmp_path / "new")
    assert ended(tmp_path / "new").result.documents == 2
    test.run()
    assert test.header[0].value == "Search your documents"


def test_a_folder_without_documents_is_said_and_another_can_be_chosen(app, tmp_path, documents, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "empty"))
    test = app(tmp_path / "new")
    assert ended(tmp_path / "new").state == "failed"
    test.run()
    assert "The folder was not indexed." in [error.value for error in test.error]
    assert test.button(key="first.go")


def test_only_folders_below_the_allowed_ones_are_taken(tmp_path, documents):
    assert chosen_folder("documents", (tmp_path,)) == documents.resolve()
    for typed, reason in (
        ("", "is not a folder"),
        ("../..", "is not below"),
        ("documents/loans.md", "is not a folder"),
    ):
        with pytest.raises(SettingsError, match=reason):
            chosen_folder(typed, (tmp_path,))


def test_the_command_tells_indexes_folders_and_nothing_apart(tmp_path, documents, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [str(path) for path in index_of(documents)] == ["documents-index", str(documents)]
    assert index_of(None)[0].name == "quarry-index" and index_of(None)[1] is None
    index_documents(tmp_path / "documents-index", [Document("d", "text")], None)
    assert index_of(documents)[1] is None, "it is indexed already"
    assert index_of(tmp_path / "documents-index") == (tmp_path / "documents-index", None)
    with pytest.raises(IndexFormatError, match="does not exist"):
        index_of(tmp_path / "nothing")
