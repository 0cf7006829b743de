"""The section of training in the page: the whole loop with a tiny real model, stopping and going on, rollback, drift, faults."""

import json
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quarry.app.ui.shared.data_folders import DATA_VARIABLE
from quarry.app.ui.shared.jobs import board
from quarry.app.ui.shared.session import feedback_path
from quarry.app.ui.training import job as training_job
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import MissingExtraError
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.source import resolve_model
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.training.examples.rows import write_training_rows
from quarry.training.examples.split import SplitSpec
from quarry.training.feedback.log import FeedbackEvent, FeedbackLog
from quarry.training.fit.spec import TrainSpec
from quarry.training.negatives.spec import NegativeSpec
from quarry.training.tuning.gate import GateSpec
from quarry.training.tuning.plan import TuningPlan
from tests.app.ui.pages_support import POISON, demo_index, markdown, open_page, texts
from tests.training.tiny_model import tiny_model
from tests.training.tuning.test_embedder import rows

LEARNS = {"epochs": 4, "batch_size": 16, "learning_rate": 5e-3, "eval_steps": 6, "checkpoint_steps": 6, "patience": 0}
LEARNS_NOTHING = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-7}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """An index of a tiny model, and beside it the general set and pairs."""
    base = tmp_path_factory.mktemp("built")
    source = resolve_model(str(tiny_model(base / "model")))
    embedder = load_embedder(source.folder, model_id=source.model, revision=source.revision, device="cpu")
    made = rows(160)
    documents = [Document(f"d{number}", row.pos[0]) for number, row in enumerate(made)]
    index_documents(base / "index", documents, embedder, BuildOptions(model_folder=str(base / "model")))
    (base / "data").mkdir()
    write_training_rows(base / "data" / "pairs.jsonl", made)
    general = base / "general"
    (general / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": f"g{n}", "title": "", "text": row.pos[0]}) for n, row in enumerate(made[:40])]
    (general / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (general / "queries.jsonl").write_text("\n".join(lines), encoding="utf-8")
    judged = "".join(f"g{n}\tg{n}\t1\n" for n in range(40))
    (general / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged, encoding="utf-8")
    return base


@pytest.fixture
def index(built, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("QUARRY_UI_DEVICE", "cpu")
    monkeypatch.setenv(DATA_VARIABLE, str(built / "data"))
    return Path(shutil.copytree(built / "index", tmp_path / "index"))


@pytest.fixture
def small(built, monkeypatch):
    """Makes plans small; what it is given goes into the settings of training."""

    def set_to(spec):
        def plan_of(order, device):
            return TuningPlan(
                general=built / "general",
                sources=order.sources,
                split=SplitSpec(dev=0.15, test=0.3, seed=order.seed),
                negatives=NegativeSpec(number=2, ranks=(0, 40), consistent_within=None),
                spec=TrainSpec(**spec, seed=order.seed),
                merge=(1.0,),
                route="dense",
                rule=GateSpec(general_drop=1.0, language_drop=1.0),
                promote=order.promote,
                device=device,
            )

        monkeypatch.setattr(training_job, "plan_of", plan_of)

    return set_to


def write_log(index: Path, count: int = 12) -> None:
    """Two visitors name the same answer for each query; not in one burst."""
    with FeedbackLog.open(feedback_path(index)) as log:
        for number, row in enumerate(rows(count)):
            chunk_id = f"d{number}#0-{len(row.pos[0])}"
            for day, voter in enumerate(("a", "b")):
                at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day, minutes=number)
                log.append(FeedbackEvent(row.query, "answer", voter, "000001", chunk_id, f"d{number}", at=at))


def finished(at, index, kind="training", *, seconds=120):
    """Wait for the end of a job, then draw as the page's own timer would."""
    job = board(index).latest(kind)
    deadline = time.monotonic() + seconds
    while job.state == "running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not at.run().exception
    return job


def start(at, pairs="pairs.jsonl"):
    at.text_area(key="training.pairs").set_value(pairs)
    at.checkbox(key="training.feedback").uncheck().run()
    return at.button(key="training.go").click().run()


def table_with(at, column):
    return next((table.value for table in at.dataframe if column in table.value), None)


def has_button(at, key):
    return any(button.key == key for button in at.button)


@pytest.mark.slow
def test_a_better_model_goes_live_drift_is_shown_and_it_is_taken_back(index, small, monkeypatch):
    small(LEARNS)
    write_log(index)
    at = open_page(index, monkeypatch, "feedback")
    assert not at.exception
    assert "The feedback log (24 events) gives 12 examples now, 0 of them from clicks alone." in texts(at)
    start(at)
    job = finished(at, index)
    assert (job.state, job.error) == ("done", None)
    assert job.result.promoted
    runs = table_with(at, "Outcome")
    assert runs["Outcome"].tolist() == ["promoted"]
    assert "Promoted: it is better on unseen questions." in texts(at)
    assert all(str(figures) in texts(at) for figures in job.result.verdict.figures())
    assert len(at.get("vega_lite_chart")) >= 2
    assert (job.result.folder / "data" / "mining.md").read_text(encoding="utf-8").strip() in [
        code.value.strip() for code in at.code
    ]
    models = table_with(at, "Reason")
    assert models["Reason"].tolist() == ["promoted", "built"]
    assert models["State"].tolist() == ["live", ""]
    at.button(key="training.drift").click().run()
    assert finished(at, index, "drift").error is None
    at.run()
    assert "Generations 000001 and 000002 on the newest 12 questions of the log:" in texts(at)
    at.button(key="training.rollback").click().run()
    assert Generations(index).pointer().generation == "000002"
    at.button(key="training.no").click().run()
    assert not has_button(at, "training.yes")
    at.button(key="training.rollback").click().run()
    assert "replaces the model of generation 000002" in texts(at)
    at.button(key="training.yes").click().run()
    assert finished(at, index, "rollback").result == "000001" == Generations(index).pointer().generation
    at.run()
    assert not has_button(at, "training.rollback") and not has_button(at, "training.drift")
    assert "generation 000001 is live" in texts(at)
    assert "<script>" not in markdown(at)


@pytest.mark.slow
def test_a_refused_model_is_said_in_chinese_and_searching_goes_on(index, small, monkeypatch):
    small(LEARNS_NOTHING)
    (index / "tuning" / "earlier").mkdir(parents=True)
    (index / "tuning" / "earlier" / "plan.json").write_text("{}", encoding="utf-8")
    at = open_page(index, monkeypatch, "feedback", "zh")
    assert at.selectbox(key="training.run").value == "earlier"
    start(at)
    answers = 0
    searcher = Searcher.open(index, embedder=None)
    while board(index).latest("training").state == "running":
        assert searcher.search("printer", 3, SearchOptions(route="bm25", rerank=False)).results
        answers += 1
        time.sleep(0.05)
    assert answers
    job = finished(at, index)
    assert job.error is None
    assert not job.result.promoted
    assert table_with(at, "结果")["结果"].tolist() == ["不上线", "未完成"]
    assert at.selectbox(key="training.run").value == job.result.run  # the run that was started is looked at
    assert "运行已结束，结论见下方。" in [told.value for told in at.success]
    assert "不上线：在留出查询上没有显示出提升" in texts(at)
    assert "来源：pairs.jsonl" in texts(at)
    assert Generations(index).finished() == ["000001"]
    assert not has_button(at, "training.rollback")


@pytest.mark.slow
def test_a_stopped_run_goes_on_where_it_was(index, small, monkeypatch):
    small(LEARNS)
    at = open_page(index, monkeypatch, "feedback")
    reached, go_on = threading.Event(), threading.Event()
    tell = training_job._Watch.training

    def slow(self, progress):
        if progress.step == 8:  # past the checkpoint of step 6
            reached.set()
            go_on.wait(30)
        tell(self, progress)

    monkeypatch.setattr(training_job._Watch, "training", slow)
    start(at)
    assert reached.wait(60)
    at.run()
    assert "step 7 of" in texts(at)
    assert at.button(key="training.go").disabled
    at.button(key="training.cancel").click().run()
    assert "It stops after the current step" in texts(at)
    go_on.set()
    assert finished(at, index).state == "cancelled"
    assert "Stopped. Finished work is kept" in texts(at)
    (folder,) = (index / "tuning").iterdir()
    assert (folder / "finetune" / "checkpoints" / "checkpoint-6").is_dir()
    data = (folder / "data" / "train.jsonl").read_bytes()
    steps = []
    monkeypatch.setattr(training_job._Watch, "training", lambda _self, progress: steps.append(progress.step))
    assert table_with(at, "Outcome")["Outcome"].tolist() == ["not finished"]
    at.button(key="training.continue").click().run()
    assert finished(at, index).result.promoted
    assert min(steps) > 6
    assert (folder / "data" / "train.jsonl").read_bytes() == data
    assert table_with(at, "Outcome")["Outcome"].tolist() == ["promoted"]


def test_too_few_examples_and_paths_outside_are_said(index, monkeypatch):
    write_log(index, 2)
    at = open_page(index, monkeypatch, "feedback")
    assert "at least 10 are needed" in texts(at)
    start(at, "../../etc/passwd")
    assert "Training cannot start." in texts(at)
    assert any("is not below" in code.value for code in at.code)
    at.text_area(key="training.pairs").set_value("")
    at.button(key="training.go").click().run()
    assert "Choose something to learn from" in at.warning[-1].value
    assert board(index).latest("training") is None
    at.checkbox(key="training.feedback").check().run()
    assert at.button(key="training.go").disabled, "two examples are too few, and there is no other source"
    monkeypatch.setenv(DATA_VARIABLE, str(index.parent))
    (index.parent / "few.jsonl").write_text(
        '{"query": "where", "pos": ["here"], "neg": []}\n{"query": "when", "pos": ["now"], "neg": []}\n'
    )
    start(at, "few.jsonl")
    job = finished(at, index)
    assert "there are 2 examples; expected at least 10" in str(job.error)
    assert "The last run failed. The live model is unchanged." in texts(at)
    assert any(str(job.error) == code.value for code in at.code)


def test_one_voice_counts_where_one_person_uses_the_index(index, monkeypatch):
    with FeedbackLog.open(feedback_path(index)) as log:
        text = rows(1)[0].pos[0]
        log.append(FeedbackEvent("how", "answer", "a", "000001", f"d0#0-{len(text)}", "d0"))
    at = open_page(index, monkeypatch, "feedback")
    assert "gives 0 examples now" in texts(at)
    assert table_with(at, "What")["What"].tolist() == ["judgements with fewer than 2 voters"]
    at.toggle(key="training.alone").set_value(True).run()
    assert "gives 1 example now" in texts(at)


def test_without_a_log_the_sources_are_named(index, monkeypatch):
    at = open_page(index, monkeypatch, "feedback")
    assert "There is no feedback yet: choose the documents or files as the source." in texts(at)
    assert not at.toggle
    at.button(key="training.go").click().run()
    assert "Choose something to learn from" in at.warning[-1].value
    assert board(index).latest("training") is None


def test_without_the_packages_it_says_how_to_get_them(index, monkeypatch):
    def missing():
        raise MissingExtraError("training needs accelerate; install it with `pip install 'quarry-search[train]'`")

    monkeypatch.setattr("quarry.training.fit.models.trainable.require_training", missing)
    at = open_page(index, monkeypatch, "feedback", "zh")
    assert not at.exception
    assert "未安装训练所需的软件包。" in texts(at)
    assert any("pip install 'quarry-search[train]'" in code.value for code in at.code)
    assert at.radio(key="training.what.zh").options == ["检索方式（一分钟）"]  # which needs none of them


def test_runs_that_somebody_wrote_into_stay_text(index, monkeypatch):
    folder = index / "tuning" / "**x** <script>"
    (folder / "data").mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"sources": {"pairs": [POISON]}}), encoding="utf-8")
    (folder / "data" / "mining.md").write_text(POISON, encoding="utf-8")
    at = open_page(index, monkeypatch, "feedback")
    assert not at.exception
    assert "<script>" not in markdown(at) and "**" not in markdown(at)
    at.button(key="training.continue").click().run()
    assert not at.exception
    assert "It cannot be continued here." in texts(at)


def test_an_index_without_a_model_has_nothing_to_train(tmp_path, monkeypatch):
    at = open_page(demo_index(tmp_path), monkeypatch, "feedback")
    assert "there is no model to tune" in at.info[-1].value
    assert not has_button(at, "training.go")


def test_what_is_tuned_can_be_chosen_in_both_languages(index, monkeypatch):
    asked = []
    monkeypatch.setattr(training_job, "tune", lambda _index, plan, **_more: asked.append(plan))
    at = open_page(index, monkeypatch, "feedback", "zh")
    assert "重排模型" in at.radio(key="training.what.zh").options
    at.radio(key="training.what.zh").set_value("search").run()
    at.session_state["language"] = "en"
    at.run()
    assert [option.split(" (")[0] for option in at.radio(key="training.what.en").options] == [
        "the embedder, which finds passages",
        "the search itself",
        "the reranker",
        "a new reranker made from this index's model",
    ]
    assert at.radio(key="training.what.en").value == "search"
    at.checkbox(key="training.corpus").check()
    at.radio(key="training.what.en").set_value("from-encoder").run()
    assert "orders the best candidates" in texts(at)
    at.button(key="training.go").click().run()
    ends = time.monotonic() + 60
    while not asked and time.monotonic() < ends:
        time.sleep(0.05)
    assert (asked[0].what, asked[0].reranker) == ("reranker", "from-encoder")
