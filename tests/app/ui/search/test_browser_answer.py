"""The answer panel as a person meets it: switched on, kept over a reload, its sources opened, nothing of a document active."""

import pytest

pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install 'quarry-search[test]')")

from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from tests.app.ui.browser import chromium, served, visitor
from tests.app.ui.poison import PAYLOADS

pytestmark = [pytest.mark.browser, pytest.mark.slow]
_FOREIGN = """() => [...document.querySelectorAll('.q-answer, .q-hit, .q-context')].flatMap(
    (shown) => [...shown.querySelectorAll('*')].filter(
        (element) => !['DIV', 'SPAN', 'B', 'MARK'].includes(element.tagName)
            || [...element.attributes].some((attribute) => attribute.name !== 'class')
    ).map((element) => element.outerHTML.slice(0, 200)))"""


def test_answers_are_shown_with_sources_that_open_and_nothing_in_them_acts(tmp_path):
    poison = "\n\n".join(f"Zirconium lattice number {n}: {payload}" for n, payload in enumerate(PAYLOADS))
    documents = [
        Document("loans.md", "# Loans\n\nBorrow ten books for thirty days. Renew books twice online.", "Loans"),
        Document("借书.md", "# 借书\n\n每位读者可以借十本书，可以在网上续借两次。", "借书"),
        Document("poison.md", poison, "<img src=x onerror=window.pwned=1>"),
    ]
    index_documents(tmp_path / "index", documents, None)
    no_model = {"QUARRY_LLM_ENDPOINT": "", "QUARRY_LLM_MODEL": ""}
    with chromium() as browser, served(tmp_path / "index", **no_model) as url, visitor(browser, url) as person:
        person.go()
        person.ask("renew books online")
        assert person.page.locator(".q-answer").count() == 0, "off until asked for"
        person.page.get_by_text("Answer", exact=True).first.click()
        person.settle()
        assert "Renew books twice online" in person.page.locator(".q-answer").inner_text()
        assert person.page.locator(".q-cite").first.inner_text() == "[1]"
        assert "answer=1" in person.page.url
        person.page.reload()
        person.settle()
        assert person.page.locator(".q-answer").count() == 1, "kept"
        person.click("1 · Loans")
        assert "Borrow ten books" in person.page.get_by_role("dialog").inner_text()
        person.page.keyboard.press("Escape")
        person.settle()
        person.page.locator(".q-cite").first.click()
        assert "Borrow ten books" in person.page.get_by_role("dialog").inner_text(), "a citation opens its source"
        person.settle()
        person.page.keyboard.press("Escape")

        person.ask("zirconium lattice number")
        assert "Zirconium lattice" in person.page.locator(".q-answer").inner_text()
        assert person.page.evaluate(_FOREIGN) == []
        assert person.page.evaluate("() => window.pwned") is None
        person.ask("谁发明了火星上的蒸汽机车")
        assert "Not in your documents" in person.page.inner_text("body")
        assert person.troubles == []
