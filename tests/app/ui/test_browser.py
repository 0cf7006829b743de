"""The app as a person meets it: `quarry ui` in a process of its own, driven through headless chromium."""

import json
import re
from urllib.parse import quote

import pytest

pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install 'quarry-search[test]')")

from quarry.app.documents.page_worker import WIDTH
from quarry.app.ui.shared.session import feedback_path
from quarry.app.ui.shared.shown_text import safe
from quarry.indexer.build import build_index, index_documents
from quarry.indexer.models.offline_bundle import absence
from quarry.indexer.records import Document
from quarry.training.feedback.log import FeedbackLog
from tests.app.ui.browser import chromium, served, visitor, without_its_model
from tests.app.ui.poison import MORE, PAYLOADS

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ENGLISH = "How long ago did cyanobacteria enter a cell?"
CHINESE = "什么是最有效的抗炎药?"
# answered in the other language: the second stage compares it word by word
ACROSS = 'What is the nickname for the "Millennial Northern Hemisphere temperature reconstruction" graph?'
_FOREIGN_MARKUP = """() => [...document.querySelectorAll('.q-hit, .q-place, .q-context, .q-times')].flatMap(
    (shown) => [...shown.querySelectorAll('*')].filter(
        (element) => !['DIV', 'SPAN', 'B', 'MARK'].includes(element.tagName)
            || [...element.attributes].some((attribute) => attribute.name !== 'class' && !(
                element.className === 'q-info' && ['title', 'aria-label'].includes(attribute.name)
                && /^(characters [0-9,]+–[0-9,]+$|generation [0-9]+)/.test(attribute.value)))
    ).map((element) => element.outerHTML.slice(0, 200)))"""
_FOREIGN_ANYWHERE = """() => [...document.querySelectorAll('#root *')].filter(
    (element) => [...element.attributes].some((attribute) => attribute.name.startsWith('on')
        || /evil|pwned|javascript:/.test(attribute.value))
        || ['IFRAME', 'OBJECT', 'EMBED', 'BASE', 'MATH', 'TEMPLATE'].includes(element.tagName)
    ).filter((element) => element.tagName !== 'INPUT' && element.getAttribute('aria-label') === null)
    .map((element) => element.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def demo_index(tmp_path_factory):
    if reason := absence():
        pytest.skip(reason)
    from quarry.app.wiring import choose_model
    from quarry.demo_corpus import documents_path
    from quarry.indexer.build.plan import BuildOptions

    chosen = choose_model("intfloat/multilingual-e5-small", device="cpu")
    folder = tmp_path_factory.mktemp("demo") / "index"
    build_index(folder, [documents_path()], chosen.embedder, BuildOptions(model_folder=chosen.folder))
    return folder


@pytest.fixture(scope="module")
def demo(demo_index):
    with served(demo_index) as url:
        yield url


def events(index):
    with FeedbackLog.open(feedback_path(index)) as log:
        return [stored.event for stored in log.events()]


@pytest.mark.model
def test_a_visitor_searches_reads_and_judges_in_english(browser, demo, demo_index):
    with visitor(browser, demo) as person:
        person.go()
        person.click(ENGLISH)
        assert person.hits()[0] == "Chloroplast (1)"
        assert "documents/en/chloroplast-1.md" in person.page.locator(".q-place").first.inner_text()
        assert person.page.locator(".q-hit mark").first.inner_text() == "ago"
        assert "q=How" in person.page.url

        person.click("Open the original")
        shown = person.page.get_by_role("dialog").inner_text()
        assert "Chloroplasts have their own DNA" in shown, "what stands after the passage"
        assert "Save the original file" in shown
        person.close_dialog()
        person.page.locator(".q-title b").first.click()
        assert "Chloroplasts have their own DNA" in person.page.get_by_role("dialog").inner_text(), "titles open it too"
        person.close_dialog()
        person.page.keyboard.press("/")
        assert person.page.evaluate("document.activeElement.type") == "search"
        focused = (
            "document.activeElement.closest('[class*=st-key-hit-]')?.querySelector('.q-rank').innerText ?? 'question'"
        )
        walked = []
        for key in ("ArrowUp", "ArrowDown", "ArrowDown", "ArrowUp", "ArrowUp"):
            person.page.keyboard.press(key)
            walked.append(person.page.evaluate(focused))
        assert walked == ["question", "1", "2", "1", "question"]
        person.page.keyboard.press("ArrowDown")
        person.page.keyboard.press("Enter")
        assert "Chloroplasts have their own DNA" in person.page.get_by_role("dialog").inner_text()
        person.close_dialog()

        person.page.locator("[data-testid=stFeedback] button").first.click()
        person.page.get_by_text("Saved: relevant.").wait_for()
        stored = events(demo_index)
        assert [event.action for event in stored] == ["click", "click", "click", "thumb_up"]
        assert stored[3].query == ENGLISH
        assert stored[3].shown[0].doc_id == "documents/en/chloroplast-1.md"

        person.click("Why this result?")
        person.page.locator("canvas, svg.marks").first.wait_for()
        person.page.reload()
        person.settle()
        assert person.page.locator("input[type=search]").input_value() == ENGLISH
        assert person.hits()[0] == "Chloroplast (1)"
        assert person.page.locator(".q-fit").first.inner_text().strip() in ("fits well", "may fit", "fits weakly")

        person.page.locator("[data-testid=stFeedback] button").first.click()  # it is still pressed, so this lets go
        person.page.get_by_text("Withdrawn.").wait_for()
        stored = events(demo_index)
        assert stored[-1].action == "withdraw"
        assert len({event.session for event in stored}) == 1, "the same visitor before and after the reload"
        assert person.troubles == []


@pytest.mark.model
@pytest.mark.parametrize(("width", "height", "whole"), [(1366, 768, 2), (1920, 1080, 5), (390, 844, 1)])
def test_whole_hits_stand_on_the_first_screen_and_a_question_can_be_typed_at_once(browser, demo, width, height, whole):
    with visitor(browser, demo, width=width, height=height) as person:
        person.go()
        person.page.keyboard.type(ENGLISH)
        person.page.keyboard.press("Enter")
        person.settle()
        bottoms = person.page.locator("[class*=st-key-hit-]").evaluate_all(
            "cards => cards.map(card => card.getBoundingClientRect().bottom)"
        )
        assert sum(bottom <= height for bottom in bottoms) >= whole
        assert person.troubles == []


@pytest.mark.model
@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_all_options_stand_in_one_row_on_a_small_laptop(browser, demo, locale):
    with visitor(browser, demo, locale=locale, width=1280, height=800) as person:
        person.go(f"/?q={quote(ENGLISH)}")
        tops = person.page.locator(".st-key-options > *").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect()).map(box => box.top + box.height / 2)"
        )
        assert len(tops) >= 5
        assert max(tops) - min(tops) < 10, "Filters are on a row of their own"
        assert person.troubles == []


@pytest.mark.model
def test_a_pdf_opens_at_its_page_with_the_passage_marked(browser, demo):
    with visitor(browser, demo, locale="zh-CN") as person:
        person.go(f"/?q={quote(CHINESE)}")
        title = person.page.locator(".q-hit", has_text="免疫系统").first
        title.locator(".q-title b").click()
        picture = person.page.get_by_role("dialog").locator("[data-testid=stImage] img")
        picture.wait_for()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == WIDTH
        assert re.search(r"第 \d 页", person.page.get_by_role("dialog").inner_text())
        assert person.troubles == []


@pytest.mark.model
def test_a_visitor_searches_in_chinese_and_changes_the_options(browser, demo):
    with visitor(browser, demo, locale="zh-CN") as person:
        person.go()
        assert person.page.get_by_role("heading", name="搜索您的文档").is_visible()
        assert "索引与模型" in person.page.locator("[data-testid=stSidebarNav]").inner_text()
        person.ask(CHINESE)
        assert person.hits()[0].startswith("免疫系统")
        person.page.get_by_text("关键词（BM25）", exact=True).first.click()
        person.settle()
        assert "route=bm25" in person.page.url
        person.page.go_back()
        person.settle()
        person.page.get_by_text("English", exact=True).click()
        person.settle()
        assert person.page.get_by_role("heading", name="Search your documents").is_visible()
        assert person.page.locator("input[type=search]").input_value() == CHINESE, "the question stays"
        person.page.reload()
        person.settle()
        assert person.page.get_by_role("heading", name="Search your documents").is_visible(), "the language stays"
        assert person.troubles == []


@pytest.mark.model
def test_another_language_takes_back_nothing_that_was_chosen(browser, demo):
    """The browser knows an option by its name, which differs."""
    with visitor(browser, demo) as person:
        person.go(f"/?q={quote(ENGLISH)}")
        person.click("Filters")
        person.page.get_by_label("Modified").click()
        person.page.get_by_role("option").first.click()
        person.settle()
        person.page.keyboard.press("Escape")
        person.page.get_by_text("中文", exact=True).click()
        person.settle()
        person.ask(CHINESE)
        assert "f=modified" in person.page.url
        person.page.get_by_role("link", name="反馈与训练").click()
        person.settle()
        person.page.get_by_text("检索方式（一分钟）", exact=True).click()
        person.settle()
        person.page.get_by_text("English", exact=True).click()
        person.settle()
        assert person.page.get_by_role("radio", name="the search itself").is_checked()
        assert person.troubles == []


@pytest.mark.model
def test_an_uploaded_file_is_found_at_once(browser, demo):
    note = "# 水泵\n\n地下室的水泵每年五月检查一次，负责人是周工程师。"
    with visitor(browser, demo) as person:
        person.go()
        person.click("Add documents")
        person.page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(
            [
                {"name": "../../泵.md", "mimeType": "text/markdown", "buffer": note.encode()},
                {"name": "broken.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 nothing"},
            ]
        )
        person.page.get_by_text("broken.pdf").first.wait_for()
        person.click("Add to the index")
        person.page.get_by_text("1 document added; the index now has 69 documents").wait_for()
        left_out = person.page.inner_text("[data-testid=stPopoverBody]")
        assert re.search(r"damaged or not what its name says \(1\)\s+broken.pdf: ", left_out)
        person.page.keyboard.press("Escape")
        person.ask("谁负责检查水泵")
        assert person.hits()[0] == "水泵"
        assert "upload/泵.md" in person.page.locator(".q-place").first.inner_text()
        assert person.troubles == []


@pytest.mark.model
def test_an_answer_without_its_model_says_so_and_still_finds_words(browser, demo_index, tmp_path):
    moved = without_its_model(demo_index, tmp_path / "moved")
    with served(moved) as url, visitor(browser, url, locale="zh-CN") as person:
        person.go(f"/?q={CHINESE}")
        assert "语义检索没有运行" in person.page.locator(".q-degraded").inner_text()
        assert person.hits()
        assert person.troubles == []


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    documents = [
        Document(f"{number:02d}", f"text {payload} poisonword", payload, {"lang": payload, "source": payload})
        for number, payload in enumerate(PAYLOADS)
    ]
    folder = tmp_path_factory.mktemp("poisoned") / "index"
    index_documents(folder, documents, None)
    with served(folder) as url:
        yield url


def plainly(text: str) -> str:
    return re.sub(r"\s+", " ", safe(text)).strip()


def test_poisoned_documents_are_shown_as_text(browser, poisoned):
    assert len(PAYLOADS) >= 40
    with visitor(browser, poisoned) as person:
        person.go("/?q=poisonword&k=50")
        assert len(person.hits()) == len(PAYLOADS)
        shown = {plainly(text) for text in person.page.locator(".q-hit .q-title b").all_text_contents()}
        assert shown == {plainly(payload) for payload in PAYLOADS}
        texts = plainly(" ".join(person.page.locator(".q-hit .q-text").all_text_contents()))
        sources = plainly(" ".join(person.page.locator(".q-source").all_text_contents()))
        for payload in PAYLOADS:
            assert plainly(payload) in sources
            assert plainly(payload) in texts
        assert person.page.evaluate(_FOREIGN_MARKUP) == []
        assert person.page.evaluate(_FOREIGN_ANYWHERE) == []
        assert not re.search("[\x1b\u202a-\u202e\u2066-\u2069]", person.page.inner_text("[data-testid=stMain]"))
        assert person.page.evaluate("window.pwned") is None
        assert person.page.url.startswith(poisoned)
        assert person.troubles == []


@pytest.mark.parametrize("poison", [(*MORE[:20], *PAYLOADS[:9]), MORE[20:]], ids=["first", "second"])
def test_poison_in_the_names_of_files_and_in_their_text_is_shown_as_text(browser, tmp_path, poison):
    files = tmp_path / "files"
    files.mkdir()
    for number, payload in enumerate(poison):
        name = f"{number:02d} {payload}".replace("/", "∕").encode()[:200].decode("utf-8", "ignore")
        (files / f"{name}.txt").write_text(f"text {payload} poisonword", encoding="utf-8")
    build_index(tmp_path / "index", [files], None)
    with served(tmp_path / "index") as url, visitor(browser, url) as person:
        person.go("/?q=poisonword&k=50")
        assert len(person.hits()) == len(poison)
        assert person.page.evaluate(_FOREIGN_MARKUP) == []
        assert person.page.evaluate(_FOREIGN_ANYWHERE) == []
        person.go("/documents")
        foreign = person.page.evaluate(_FOREIGN_ANYWHERE)
        assert [
            html for html in foreign if not html.startswith('<template><div class="st-emotion')
        ] == []  # Streamlit's own
        assert not re.search(
            "[\x1b\u009b\u202a-\u202e\u2066-\u2069\U000e0041-\U000e005a]",
            person.page.inner_text("[data-testid=stMain]"),
        )
        assert person.page.evaluate("window.pwned") is None
        # below the address of a page Streamlit looks for its server in vain first
        assert [trouble for trouble in person.troubles if "404 (Not Found)" not in trouble] == []


def test_poison_is_inert_in_the_context_the_explanation_the_menus_and_the_examples(browser, poisoned):
    with visitor(browser, poisoned) as person:
        person.go()
        examples = person.page.locator("[data-testid=stMain] [data-testid=stButton] button").all_inner_texts()
        for payload in PAYLOADS[:4]:
            assert any(plainly(payload) in example.replace("\u2060", "").replace("\n", " ") for example in examples), (
                examples
            )
        buttons = person.page.locator("[data-testid=stMain] [data-testid=stButton]")
        assert buttons.locator("img, a, [style*=color], .katex").count() == 0
        for number in (5, 23, 26, 42):
            word = PAYLOADS[number]
            person.go("/?q=poisonword&k=50")
            card = person.page.locator(".q-hit").all_text_contents()
            place = next(i for i, text in enumerate(card) if plainly(word) in plainly(text))
            person.click("Open the original", nth=place)
            assert plainly(word) in plainly(person.page.get_by_role("dialog").inner_text())
            assert person.page.evaluate(_FOREIGN_MARKUP) == []
            person.page.keyboard.press("Escape")
        person.click("Why this result?")
        person.page.locator("canvas, svg.marks").first.wait_for()
        person.click("Filters")
        person.page.locator("[data-testid=stMultiSelect] input").first.click()
        person.page.locator("[role=option]").first.wait_for()
        assert person.page.locator("[role=listbox] :is(img, a, iframe, script)").count() == 0
        assert person.page.evaluate("window.pwned") is None
        assert person.troubles == []


def test_a_poisoned_question_is_text_as_well(browser, poisoned):
    with visitor(browser, poisoned) as person:
        person.go()
        for payload in PAYLOADS[2:9]:
            person.ask(f"{payload} poisonword")
            assert person.page.locator(".q-hit").count() > 0
        assert person.page.evaluate("window.pwned") is None
        assert person.troubles == []


def test_the_password_stands_before_every_address(browser, tmp_path):
    index_documents(tmp_path / "index", [Document("a", "Secret text of the board.", "Secret")], None)
    with served(tmp_path / "index", QUARRY_UI_PASSWORD="correct horse") as url, visitor(browser, url) as person:
        for path in (
            "/search?q=secret",
            "/?q=secret",
            "/index",
        ):  # the first visitor of all asks for a page by its file
            person.go(path)
            assert "Secret text" not in person.page.content()
            assert person.page.locator("input[type=password]").is_visible()
        person.go("/?q=secret")
        for _ in range(3):
            person.page.locator("input[type=password]").fill("wrong")
            person.click("Open")
        assert "Try again in" in person.page.inner_text("[data-testid=stMain]")
        person.page.wait_for_timeout(1500)
        person.page.locator("input[type=password]").fill("correct horse")
        person.click("Open")
        assert person.hits() == ["Secret"]


@pytest.mark.model
@pytest.mark.parametrize(
    ("locale", "why", "width"), [("en-US", "Why this result?", 1280), ("zh-CN", "为什么是它？", 390)]
)
def test_the_words_that_met_across_languages_are_shown_with_bars_and_numbers(browser, demo, locale, why, width):
    with visitor(browser, demo, locale=locale, width=width) as person:
        person.go(f"/?q={quote(ACROSS)}")
        person.click(why, nth=1)
        met = person.page.locator(".q-met li")
        met.first.wait_for()
        words = [line.split("\n") for line in met.all_inner_texts()]
        assert [word for word, *_ in words][-2:] == ["reconstruction", "graph"]
        assert all(sign in "=→" and -1 <= float(number) <= 1 for _, sign, _, number in words)
        bars = met.locator(".q-met-bar span")
        longest = max(range(len(words)), key=lambda place: float(words[place][-1]))
        widths = [bars.nth(place).bounding_box()["width"] for place in range(len(words))]
        assert widths[longest] == max(widths) > 0
        assert person.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_narrow_screen_is_usable(browser, poisoned):
    with visitor(browser, poisoned, width=390, height=800) as person:
        person.go("/?q=poisonword")
        assert person.page.evaluate("document.documentElement.scrollWidth") <= 390
        card = person.page.locator(".q-hit").first.bounding_box()
        assert card["width"] > 250


def test_results_are_taken_away_as_json(browser, poisoned, tmp_path):
    with visitor(browser, poisoned) as person:
        person.go("/?q=poisonword&k=5")
        with person.page.expect_download() as waiting:
            person.page.get_by_role("button", name="JSON").click()
        waiting.value.save_as(tmp_path / "results.json")
        assert len(json.loads((tmp_path / "results.json").read_text())["results"]) == 5
