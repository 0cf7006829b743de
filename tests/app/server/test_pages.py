"""What a person sees who opens the server in a browser."""

import re

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.settings import ServeOptions
from tests.app.server.serving import served, small_index
from tests.app.ui.browser import chromium

TOKEN = "a-token-of-enough-letters"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    index = small_index(tmp_path_factory.mktemp("pages") / "index")
    with served(ServeOptions(index, token=TOKEN, rerank="none")) as running:
        yield running


def test_the_start_page_leads_on_and_tells_nothing_of_the_index(server):
    page = server.client.get("/", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "href='/docs'" in page.text
    assert f"{server.url}/v1" in page.text
    assert "library" not in page.text
    assert server.client.get("/").json()["docs"] == "/docs"
    assert server.client.get("/openapi.json").status_code == 401  # pages alone are open


def test_every_operation_is_documented_with_its_fields(server):
    page = server.client.get("/docs").text
    described = server.client.get("/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).json()
    for path, operations in described["paths"].items():
        for method in operations:
            assert f"<span class='method'>{method.upper()}</span><code>{path}</code>" in page
    for field in ("top_k", "input_type", "messages", "files", "dry_run"):
        assert f"<code>{field}</code>" in page


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_load_nothing_and_run_nothing(server, path):
    page = server.client.get(path, headers={"Accept": "text/html"})
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script|<link|<img|@import|url\(", page.text)


@pytest.mark.browser
def test_a_browser_shows_them_styled_and_without_complaints(server):
    with chromium() as browser:
        page = browser.new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(server.url)
        page.click("text=/docs")
        page.click("summary:has-text('/search')")
        assert page.locator("details[open] code:text-is('top_k')").is_visible()
        assert page.evaluate("getComputedStyle(document.body).maxWidth") == "896px"
    assert [text for text in complaints if "favicon" not in text] == []
