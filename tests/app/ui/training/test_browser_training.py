"""Training in a real browser: a run is started and followed to its verdict, and the model of an earlier one is taken back."""

import json
from pathlib import Path

import pytest

from quarry.app.ui.shared.data_folders import DATA_VARIABLE
from quarry.indexer.build import build_candidate, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.source import resolve_model
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.training.examples.rows import write_training_rows
from quarry.training.tuning.promotion import lineage_of, promote
from quarry.training.tuning.run import tuning_runs
from tests.app.ui.browser import chromium, served, visitor
from tests.training.tiny_model import tiny_model
from tests.training.tuning.test_embedder import rows

pytestmark = [pytest.mark.browser, pytest.mark.slow]
COUNT = 160  # pairs: 112 to train on in four steps, 32 for the verdict
PATIENCE = (
    240_000  # milliseconds; all of it is 45 s of one core, mostly of loading libraries, and others may want the core
)


def embedder(folder: Path):
    source = resolve_model(str(folder))
    return load_embedder(source.folder, model_id=source.model, revision=source.revision, device="cpu")


@pytest.fixture
def index(tmp_path) -> Path:
    """An index that answers with a model of its own, promoted by the run `earlier`, whose report is there too."""
    folder = tmp_path / "index"
    base, tuned = tiny_model(tmp_path / "base"), tiny_model(folder / "models" / "earlier", seed=1)
    documents = [Document(f"d{number}", row.pos[0]) for number, row in enumerate(rows(COUNT))]
    index_documents(folder, documents, embedder(base), BuildOptions(model_folder=str(base)))
    candidate = build_candidate(folder, embedder(tuned), BuildOptions(model_folder="models/earlier"))
    lineage = lineage_of(Index.open(folder).manifest, "earlier", "Promote", forced=False, calibration={})
    promote(folder, candidate.generation, lineage)
    run = folder / "tuning" / "earlier"
    run.mkdir(parents=True)
    (run / "plan.json").write_text(json.dumps({"sources": {"feedback": True}}), encoding="utf-8")
    report = {
        "promoted": True, "forced": False, "dev": [0.5, 0.6], "examples": {"to train on": 80}, "words": {"en": "Promote.", "zh": "可以上线。"},
        "verdict": {"promote": True, "general": {"difference": 0.0}, "held_out": {"difference": 0.05, "low": 0.02, "high": 0.08, "p": 0.001}},
    }  # fmt: skip  # a table
    (run / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return folder


def test_a_run_is_followed_to_its_verdict_and_a_promoted_model_is_taken_back(index, tmp_path):
    (tmp_path / "data").mkdir()
    write_training_rows(tmp_path / "data" / "pairs.jsonl", rows(COUNT))
    with (
        chromium() as browser,
        served(index, "--rerank", "none", **{DATA_VARIABLE: str(tmp_path / "data")}) as url,
        visitor(browser, url, height=2600) as person,
    ):
        page = person.page
        page.set_default_timeout(PATIENCE)
        person.go()
        page.get_by_role("link", name="Feedback and training").click()
        page.get_by_text("Promoted: it is better on unseen questions.").wait_for()
        page.get_by_text("Learn from the feedback log").click()
        field = page.get_by_role("textbox", name="Also learn from these files, one per line (optional)")
        field.fill("pairs.jsonl")
        field.press("Control+Enter")
        person.settle()
        page.get_by_role("button", name="Start training").click()
        page.get_by_role("button", name="Stop", exact=True).wait_for()
        page.get_by_text("elapsed").wait_for()
        page.get_by_text("Refused: no gain is shown").wait_for()  # the new run, not the earlier one
        person.settle()
        page.get_by_text("The run has finished; its verdict is below.").wait_for()
        assert page.get_by_test_id("stVegaLiteChart").count() == 2
        earlier, own = tuning_runs(index)
        assert earlier.name == "earlier" and own.report()["generation"] == "000002"
        assert Generations(index).pointer().generation == "000002"

        person.click("Roll back the model")
        page.get_by_text("replaces the model of generation 000002 (run earlier) again").wait_for()
        person.click("Roll back for everyone")
        page.get_by_text("Rolled back: generation 000001 is live.").wait_for()
        assert Index.open(index).manifest.lineage is None
        assert str(Generations(index).pointer().history[-1].reason) == "rolled back the model of 000002"

        page.get_by_text("中文", exact=True).click()
        page.get_by_text("不上线：在留出查询上没有显示出提升").wait_for()
        assert person.troubles == []
