"""From nothing to the first result, in a real browser: no index, a folder on the command line, and an index that is empty."""

import pytest

pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install 'quarry-search[test]')")

from quarry.app.ui.shared.data_folders import DATA_VARIABLE
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from tests.app.running import quarry
from tests.app.ui.browser import chromium, served, visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def documents(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "loans.md").write_text("# Loans\n\nBorrow ten books for thirty days.", encoding="utf-8")
    (folder / "水泵.md").write_text("# 水泵\n\n地下室的水泵每年五月检查一次。", encoding="utf-8")
    return folder


def test_without_an_index_a_folder_is_chosen_indexed_and_searched(browser, documents, tmp_path):
    with (
        served(None, "--rerank", "none", cwd=tmp_path, **{DATA_VARIABLE: str(tmp_path)}) as url,
        visitor(browser, url) as person,
    ):
        person.go()
        assert person.page.get_by_role("heading", name="Index your documents").is_visible()
        field = person.page.get_by_label("Folder")
        field.fill("documents")
        field.press("Tab")
        person.settle()
        person.page.get_by_role("button", name="Index this folder").click()
        person.page.locator("input[type=search]").wait_for()
        person.settle()
        person.ask("books")
        assert person.hits()[0] == "Loans"
        assert Generations(tmp_path / "quarry-index").exists()


def test_a_folder_on_the_command_line_is_indexed_at_once_in_chinese(browser, documents, tmp_path):
    with (
        served(documents, "--rerank", "none", cwd=tmp_path) as url,
        visitor(browser, url, locale="zh-CN") as person,
    ):
        person.page.goto(url)
        person.page.locator("input[type=search]").wait_for()
        person.settle()
        person.ask("水泵什么时候检查")
        assert person.hits()[0] == "水泵"
        assert Generations(tmp_path / "documents-index").exists()


def test_an_index_of_no_documents_is_a_state_and_takes_uploads(browser, tmp_path):
    index = tmp_path / "index"
    index_documents(index, [Document("a", "Some text.", "A")], None)
    assert quarry("index", index, "--remove", "a").returncode == 0
    with served(index, "--rerank", "none") as url, visitor(browser, url) as person:
        person.go()
        shown = person.page.inner_text("[data-testid=stMain]")
        assert "This index has no documents yet." in shown
        assert f"quarry index FOLDER --into {index}" in shown, "the command can be copied as it stands"
        person.click("Add documents")
        person.page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(
            [{"name": "loans.md", "mimeType": "text/markdown", "buffer": b"# Loans\n\nBorrow ten books."}]
        )
        person.settle()
        person.click("Add to the index")
        person.page.get_by_text("1 document added").wait_for()
        person.page.keyboard.press("Escape")
        person.ask("books")
        assert person.hits() == ["Loans"]
