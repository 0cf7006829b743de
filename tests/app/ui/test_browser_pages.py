"""The pages of evaluations, feedback and index in a real browser: evaluate, reopen, compare, roll back; poison stays text."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from quarry.app.ui.shared.session import evaluations_path, feedback_path
from quarry.indexer.storage.generations import Generations
from quarry.retriever.evaluation.evaluate import evaluate
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.evaluation.saved import Meta, Questions, SavedEvaluation, save_evaluation
from quarry.retriever.ranking import Query
from quarry.training.feedback.log import FeedbackEvent, FeedbackLog
from tests.app.ui.browser import wait_until_drawn
from tests.app.ui.pages_support import POISON, demo_index

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT = 180_000  # milliseconds; the machine may be busy with other tests


@contextmanager
def served(index: Path):
    """Run `quarry ui` on an index and give its address."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "quarry.app.cli",
        "ui",
        str(index),
        "--port",
        "0",
        "--rerank",
        "none",
        "--no-browser",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
    ) as server:
        try:
            for line in server.stdout:
                if found := re.search(r"http://\S+", line):
                    break
            else:
                pytest.fail("the server did not say where it is")
            for line in server.stdout:
                if "started" in line:
                    break
            yield found[0]
        finally:
            server.terminate()
            server.communicate(timeout=60)  # read on: its farewell would hang on a pipe that is closed


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium (apt-get install chromium), which is not on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install -e '.[test]')")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def index(tmp_path):
    return demo_index(tmp_path)


def open_at(browser, address: str, path: str):
    page = browser.new_page(viewport={"width": 1280, "height": 1600}, locale="en-GB")
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/{path}")
    return page


def run_one_evaluation(page):
    wait_until_drawn(page)
    page.get_by_role("button", name="Evaluate", exact=True).click()
    page.get_by_text("What the columns mean").wait_for()


def test_evaluate_reopen_compare_and_roll_back(index, chromium):
    with served(index) as address:
        page = open_at(chromium, address, "evaluate")
        page.get_by_text("None yet.").wait_for()
        run_one_evaluation(page)
        page.get_by_text("Quality and time").wait_for()

        page.goto(f"{address}/index")
        page.get_by_role("button", name="Roll back").click()
        page.get_by_text("From generation 000002 to 000001.").wait_for()
        assert Generations(index).pointer().generation == "000002"
        page.get_by_role("button", name="Switch", exact=True).click()
        page.get_by_text("Generation 000001 is live.").wait_for()
        assert Generations(index).pointer().generation == "000001"

        page.goto(f"{address}/evaluate")  # a new visit: nothing is open, what was saved is offered
        page.get_by_label("Open one, or compare several").wait_for()
        assert not page.get_by_text("What the columns mean").count()
        page.get_by_text("New evaluation").click()
        run_one_evaluation(page)
        page.get_by_label("Open one, or compare several").click()
        page.get_by_role("option").filter(has_text="000002").click()
        page.keyboard.press("Escape")
        page.get_by_text("Words (BM25) 000002 against Words (BM25) 000001").wait_for()
        page.get_by_text("No difference shown").wait_for()

        page.get_by_text("中文", exact=True).click()
        page.get_by_text("差异不显著").first.wait_for()

        page.goto(f"{address}/index")  # a reload keeps the language
        page.get_by_role("button", name="切换到此版本").click()
        page.get_by_role("button", name="确认切换", exact=True).click()
        page.get_by_text("版本 000002 已启用。").wait_for()
        assert [step.generation for step in Generations(index).pointer().history] == [
            "000001",
            "000002",
            "000001",
            "000002",
        ]


def poison(index: Path) -> None:
    asked = Questions(
        (Query("q1", POISON), Query("q2", POISON)), {"q1": {POISON: 1}, "q2": {"d2": 1}}, {"q1": {"**f**": POISON}}
    )
    for name, run in (("one", {"q1": [(POISON, 1.0)], "q2": []}), ("two", {"q1": [], "q2": [("d2", 1.0)]})):
        measured = evaluate(run, asked.qrels, parse_measures(["nDCG@10"]), queries=asked.queries)
        meta = Meta(POISON[:40], "test", "a" * 16, name, "**m** 1", "bm25", more={"degraded": POISON})
        save_evaluation(evaluations_path(index) / name, replace(SavedEvaluation(meta, measured, run, asked)))
    with FeedbackLog.open(feedback_path(index)) as log:
        log.append(FeedbackEvent(POISON, "thumb_up", POISON[:30], "000002", POISON, POISON, note=POISON))
        log.append(FeedbackEvent(POISON, "note", "s", "000002", note=POISON))


def assert_inert(page) -> None:
    """Nothing of the poisoned text became an element, and no script ran."""
    assert page.title() != "owned"
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("a[href*='x.invalid']").count() == 0
    assert page.locator("[data-testid=stMain] strong").count() == 0
    assert page.locator("[data-testid=stMain] .katex").count() == 0


def test_poisoned_texts_are_inert_in_a_browser(index, chromium):
    poison(index)
    with served(index) as address:
        page = open_at(chromium, address, "feedback")
        alerts: list[str] = []
        page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
        page.get_by_role("button", name="Download training rows").wait_for()
        for name in ("Judgements", "Open questions", "Notes"):
            page.get_by_role("tab", name=name).click()
        assert_inert(page)
        with page.expect_download() as downloading:
            page.get_by_role("button", name="Download judgements").click()
        assert downloading.value.suggested_filename == "feedback-beir.zip"

        page.goto(f"{address}/evaluate")
        for name in ("one", "two"):
            page.get_by_label("Open one, or compare several").click()
            option = page.get_by_role("option").filter(has_text=f"  {name}  ")
            assert POISON[:40] in option.inner_text().replace("\u00a0", " ")
            option.click()
        page.keyboard.press("Escape")
        page.get_by_text("Too few queries").first.wait_for()
        assert POISON[:30] in page.get_by_test_id("stMain").inner_text()
        assert_inert(page)
        page.get_by_role("tab", name="Gains and losses").click()
        chart = page.get_by_test_id("stVegaLiteChart").locator("visible=true").first
        chart.wait_for()
        box = chart.bounding_box()
        tooltip = page.locator("#vg-tooltip-element")
        for share in (0.2, 0.3, 0.4):  # the first bar is somewhere on the left
            page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * 0.3)
            page.wait_for_timeout(700)
            if tooltip.count() and "<script>" in tooltip.inner_text():
                break
        assert "<script>" in tooltip.inner_text()
        assert tooltip.locator("script, img, a, strong").count() == 0
        assert_inert(page)
        assert alerts == []
