"""Texts of every page can be read in both themes: their contrast is computed from the colors that a real browser paints."""

from urllib.parse import quote

import pytest

pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install 'quarry-search[test]')")

from quarry.app.ui.shared.session import feedback_path
from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.log import FeedbackLog
from tests.app.ui.browser import chromium, served, visitor
from tests.app.ui.contrast import cut_tables, faint_texts, measured_texts
from tests.app.ui.pages_support import demo_index

pytestmark = [pytest.mark.browser, pytest.mark.slow]
QUESTION = "How long ago did cyanobacteria enter a cell?"
PAGES = (f"/?q={quote(QUESTION)}", "/", "/documents", "/evaluate", "/feedback", "/index")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    index = demo_index(tmp_path_factory.mktemp("contrast"))
    with FeedbackLog.open(feedback_path(index)) as log:
        log.append(FeedbackEvent(QUESTION, "thumb_up", "a", "000001", "c1", "documents/en/chloroplast-1.md"))
        log.append(FeedbackEvent("谁给植物浇水？", "note", "b", "000001", note="没有找到"))
    with served(index, "--rerank", "none") as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_every_text_of_every_page_has_the_contrast_of_wcag_aa_in_both_themes(browser, address, locale):
    with visitor(browser, address, locale=locale, width=1366, height=768) as person:
        for path in PAGES:
            person.go(path)
            for theme in ("light", "dark"):
                person.page.emulate_media(color_scheme=theme)
                person.settle()
                assert measured_texts(person.page) > 3, path
                assert faint_texts(person.page) == [], f"{path} {theme}"


def test_the_password_and_what_opens_above_a_page_have_it_too(browser, tmp_path):
    with (
        served(demo_index(tmp_path), "--rerank", "none", QUARRY_UI_PASSWORD="correct horse") as url,
        visitor(browser, url) as person,
    ):
        for theme in ("dark", "light"):
            person.page.emulate_media(color_scheme=theme)
            person.go()  # a visit of its own, which asks for the password again
            assert faint_texts(person.page) == [], f"password, {theme}"
            person.page.locator("input[type=password]").fill("correct horse")
            person.click("Open")
            person.click("Add documents")
            assert faint_texts(person.page) == [], f"uploads, {theme}"


def test_faint_text_is_found(browser, address):
    """The measure itself: gray on white has 2.32, black on white nothing to report, a disabled button is exempt."""
    with visitor(browser, address) as person:
        person.page.set_content(
            "<p style='color:#aaa;background:#fff'>faint</p><p style='color:#000;opacity:.3'>as faint</p>"
            "<p style='color:#000'>plain</p><button disabled style='color:#ccc'>off</button>"
            "<p style='color:#888;font-size:30px'>large</p>"
        )
        found = {faint["text"]: faint["ratio"] for faint in faint_texts(person.page)}
        assert found.keys() == {"faint", "as faint"}
        assert found["faint"] == pytest.approx(2.32, abs=0.01)


def test_the_table_of_documents_shows_its_last_column_on_a_laptop(browser, address):
    with visitor(browser, address, width=1366, height=768) as person:
        person.go("/documents")
        person.page.locator(".dvn-scroller").first.wait_for(state="attached")
        assert cut_tables(person.page) == []
