"""Training in a real browser: a run is started and followed to its verdict, and the model of an earlier one is taken back."""

import pytest

from app.ui.data_folders import DATA_VARIABLE
from indexer.generations import Generations
from indexer.opened import Index
from tests.app.ui.browser import chromium, served, visitor
from tests.training.test_tuning import general, index, model, pairs, plan
from training.tuning import tune
from training.tuning_run import tuning_runs

__all__ = ["general", "index", "model", "pairs"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_run_is_followed_to_its_verdict_and_a_promoted_model_is_taken_back(index, general, pairs, tmp_path):
    assert tune(index, plan(general, pairs), run="first").promoted
    with chromium() as browser, served(index, "--rerank", "none", **{DATA_VARIABLE: str(tmp_path)}) as url:
        with visitor(browser, url, height=2600) as person:
            page = person.page
            person.go("/feedback")
            page.get_by_role("button", name="Roll back the model").wait_for()
            page.get_by_text("Learn from the feedback log").click()
            pages_pairs = page.get_by_label("Also learn from these files, one a line (optional)")
            pages_pairs.fill(pairs.name)
            pages_pairs.press("Control+Enter")
            person.settle()
            page.get_by_role("button", name="Start training").click()
            page.get_by_role("button", name="Stop", exact=True).wait_for()
            page.get_by_text("since the start").wait_for()
            page.get_by_text("Refused: ").first.wait_for(timeout=600_000)
            person.settle()
            assert page.get_by_test_id("stVegaLiteChart").count() >= 2
            assert len(tuning_runs(index)) == 2
            assert Generations(index).pointer().generation == "000002"

            person.click("Roll back the model")
            page.get_by_text("The model of generation 000002 (run first) stops answering").wait_for()
            person.click("Yes, roll back for everybody")
            page.get_by_text("Rolled back: generation 000001 answers.").wait_for()
            assert Index.open(index).manifest.lineage is None
            assert Generations(index).pointer().history[-1].reason == "rolled back the model of 000002"
            assert person.troubles == []
        with visitor(browser, url, locale="zh-CN", height=2600) as person:
            person.go("/feedback")
            person.page.get_by_text("不上线：").first.wait_for()
            assert person.troubles == []
