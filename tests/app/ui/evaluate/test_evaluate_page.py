"""The page of evaluations: which data sets may be read, running and stopping, golden rows, the page itself."""

import os
import time
from dataclasses import replace
from datetime import UTC, timedelta, timezone

import pytest

from quarry.app.ui.evaluate import groups, queries
from quarry.app.ui.evaluate import presenter as shown
from quarry.app.ui.evaluate.job import EvaluationOptions, run_evaluation
from quarry.app.ui.shared.clock import Clock
from quarry.app.ui.shared.data_folders import DATA_VARIABLE, allowed_roots, data_choices
from quarry.app.ui.shared.jobs import Job, JobCancelledError
from quarry.app.ui.shared.session import evaluations_path
from quarry.demo_corpus import queries_path
from quarry.indexer.errors import SettingsError
from quarry.indexer.storage.generations import Generations
from quarry.retriever.data.datasets import UnknownDocuments, load_dataset
from quarry.retriever.evaluation.evaluate import evaluate
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.evaluation.saved import Meta, Questions, SavedEvaluation, load_evaluation, save_evaluation
from quarry.retriever.ranking import Query
from quarry.retriever.searcher import Searcher
from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.log import FeedbackLog, feedback_path
from tests.app.ui.languages import chinese, english
from tests.app.ui.pages_support import POISON, demo_index, markdown, open_page, texts
from tests.indexer.older import part_of

BM25, HYBRID = "Words (BM25)", "Hybrid (meaning + words)"
QUESTIONS = Questions(
    queries=(Query("q1", "how to renew a book"), Query("q2", "怎么续借"), Query("q3", "opening hours on holidays")),
    qrels={"q1": {"d1": 1, "d9": 0}, "q2": {"d2": 2, "d3": 1}, "q3": {"d4": 1}},
    metadata={"q1": {"topic": "loans"}, "q2": {"topic": "loans"}, "q3": {"topic": "hours"}},
)
BEFORE = {"q1": [("d9", 2.0), ("d1", 1.0)], "q2": [("d2", 3.0), ("d3", 1.0)], "q3": []}
AFTER = {"q1": [("d1", 2.0), ("d9", 1.0)], "q2": [("d3", 3.0), ("d2", 1.0)], "q3": []}


def saved(run, *, route="bm25", generation="000001", questions=QUESTIONS, digest="a" * 16, **more) -> SavedEvaluation:
    measures = parse_measures(["nDCG@10", "RR@10"])
    facts = {"bm25_ms": 1.5, "dense_ms": 10.0, "ceiling": 0.66666, "degraded": ""} | more
    meta = Meta(
        "library", "test", digest, generation, "tests/words 1", route, created="2026-11-21T07:40:12+00:00", more=facts
    )
    return SavedEvaluation(meta, evaluate(run, questions.qrels, measures, queries=questions.queries), run, questions)


@pytest.fixture
def pair():
    return shown.named_runs([saved(BEFORE), saved(AFTER, route="hybrid")], english, Clock(UTC))


# Data sets


def test_only_folders_below_the_named_ones_are_read(tmp_path, monkeypatch):
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    for folder in (allowed / "library", outside / "secret"):
        folder.mkdir(parents=True)
        (folder / "qrels.txt").write_text("q1 0 d1 1\n")
    (allowed / "notes").mkdir()
    (allowed / "link").symlink_to(outside / "secret")
    monkeypatch.setenv(DATA_VARIABLE, os.pathsep.join([str(allowed), str(tmp_path / "more")]))
    roots = allowed_roots()
    assert roots == (allowed.resolve(), (tmp_path / "more").resolve())
    assert [choice.name for choice in data_choices("", roots)] == ["demo_corpus"]
    assert [choice.name for choice in data_choices(".", roots)] == ["demo_corpus", "library"]
    assert [choice.name for choice in data_choices(str(allowed / "library"), roots)] == ["demo_corpus", "library"]
    for typed in (str(outside), "../outside", "/", "link", "a\0b", "~"):
        with pytest.raises(SettingsError, match="is not below|cannot be listed"):
            data_choices(typed, roots)
    with pytest.raises(SettingsError, match=r"nowhere cannot be listed .*expected a folder"):
        data_choices("nowhere", roots)


def test_without_a_named_folder_it_is_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    assert allowed_roots() == (tmp_path.resolve(),)


# Running


class StoppingJob(Job):
    """A job whose user presses the button after some reports."""

    def __init__(self, after: int) -> None:
        super().__init__("evaluation")
        self.seen: list[tuple[int, int, str]] = []
        self.after = after

    def report(self, done: int, total: int, doing: str) -> None:
        self.seen.append((done, total, doing))
        if len(self.seen) > self.after:
            self.cancel()
        super().report(done, total, doing)


@pytest.fixture
def index(tmp_path):
    return demo_index(tmp_path)


@pytest.fixture
def order(tmp_path):
    dataset = load_dataset(queries_path().parent)
    return EvaluationOptions(dataset, ("bm25",), parse_measures(["nDCG@10"]), 50, tmp_path / "saved")


def test_what_is_run_is_saved_with_its_questions_and_is_the_same_as_in_one_batch(index, order):
    from quarry.retriever.evaluation.routes import evaluate_route

    searcher, job = Searcher.open(index), StoppingJob(after=1000)
    (name,) = run_evaluation(job, searcher, order)
    found = load_evaluation(order.into / name)
    whole = evaluate_route(searcher, order.dataset, "bm25", order.measures)
    assert found.evaluation.means == whole.evaluation.means
    assert found.run.keys() == {query_id for query_id, hits in whole.run.items() if hits}
    assert found.questions is not None
    assert name.endswith("-demo_corpus-test-bm25-000002")
    assert job.seen[0] == (0, 68, "bm25")
    assert job.seen[1] == (8, 68, "bm25")
    assert job.seen[-1] == (68, 68, "bm25")


def test_a_stopped_run_keeps_the_routes_that_were_finished(index, order):
    job = StoppingJob(after=12)  # ten reports for each route
    with pytest.raises(JobCancelledError):
        run_evaluation(job, Searcher.open(index), replace(order, routes=("bm25", "dense", "hybrid")))
    assert [path.name[-11:] for path in order.into.iterdir()] == ["bm25-000002"]


# Rows


def test_the_table_in_both_languages(pair):
    before, after = shown.table_rows(pair, english)
    assert list(before)[:5] == ["Search method", "nDCG@10", "RR@10", "Ceiling", "ms per question"]
    # q1: 1/log2(3) = 0.6309, q2: 1, q3: 0; after it q1: 1, q2: (1 + 2/log2(3)) / (2 + 1/log2(3)) = 0.8597, q3: 0
    assert before["nDCG@10"].startswith("0.5436 (0.00-1.00)")
    assert after["nDCG@10"].startswith("0.6199 (")
    assert (before["Ceiling"], before["ms per question"], before["judged@10"]) == ("0.6667", "11.5", "67%")
    # what all runs share stands below, so that the table fits
    assert "Model" not in before
    assert shown.shared_words(pair, english) == "Questions: 3 · Unanswered: 1 · Generation: 000001 · Model: tests/words"
    assert shown.shared_words(pair, chinese).startswith("问题数：3 · 无结果：1 · 版本：000001")
    other = replace(pair[1], saved=saved(AFTER, route="hybrid", generation="000002"))
    assert [row["Generation"] for row in shown.table_rows([pair[0], other], english)] == ["000001", "000002"]
    assert "检索方式" in shown.table_rows(pair, chinese)[0]


def test_labels_are_as_short_as_they_can_be():
    def labels(*runs):
        return [run.label for run in shown.named_runs(runs, english, Clock(UTC))]

    assert labels(saved(BEFORE), saved(AFTER, route="hybrid")) == [BM25, HYBRID]
    assert labels(saved(BEFORE), saved(AFTER, generation="000002")) == [f"{BM25} 000001", f"{BM25} 000002"]
    assert labels(saved(BEFORE), saved(AFTER)) == [f"1. {BM25}", f"2. {BM25}"]
    reranked = saved(BEFORE)
    assert labels(replace(reranked, meta=replace(reranked.meta, rerank="rerank"))) == [f"{BM25} + rerank"]


def test_runs_of_other_data_sets_are_refused_with_the_reason(pair):
    other = shown.named_runs([pair[0].saved, saved(AFTER, route="dense", digest="b" * 16)], english, Clock(UTC))
    reason = shown.why_not_comparable(other, english)
    assert f"{BM25} was measured on library/test (aaaaaaaa) and Meaning (dense) on library/test (bbbbbbbb)" in reason
    assert "没有可比性" in shown.why_not_comparable(other, chinese)
    assert shown.why_not_comparable(pair, english) == ""
    evaluation = evaluate(AFTER, QUESTIONS.qrels, parse_measures(["AP"]), queries=QUESTIONS.queries)
    without = shown.named_runs([pair[0].saved, replace(pair[1].saved, evaluation=evaluation)], english, Clock(UTC))
    assert shown.why_not_comparable(without, english) == "These runs have no metric in common."


def test_remarks_count_what_is_odd(pair):
    one = saved(BEFORE, degraded="dense: no model", unjudged=3)
    found = shown.remarks(
        shown.named_runs([one], english, Clock(UTC)), QUESTIONS, UnknownDocuments(2, ("d3",), 1, 5), english
    )
    assert found == [
        f"{BM25} was degraded: dense: no model",
        "3 questions without a judgement in the data set; left out.",
        "2 of 5 judged documents are not in the live index; questions that they answer score 0.",
    ]
    assert shown.remarks(pair, QUESTIONS, None, english) == []
    assert "saved without its questions" in shown.remarks(pair, None, None, english)[0]


def test_differences_per_query_the_largest_gain_first(pair):
    comparison = shown.comparisons(pair, "nDCG@10")[HYBRID]
    rows = shown.delta_rows(comparison, {"q1": "how to renew a book"}, english)
    assert [(row["place"], row["query"], row["outcome"]) for row in rows] == [
        (1, "how to renew a book", "better"),
        (2, "q3", "same"),
        (3, "q2", "worse"),
    ]
    assert [round(row["delta"], 4) for row in rows] == [0.3691, 0.0, -0.1403]


def test_rows_of_the_charts(pair):
    first = shown.latency_rows(pair, "nDCG@10")[0]
    assert (first["run"], first["ms"], round(first["value"], 4), first["low"], first["high"]) == (
        BM25,
        11.5,
        0.5436,
        0.0,
        1.0,
    )
    recall = {(row["run"], row["k"]): round(row["recall"], 4) for row in shown.depth_rows(pair, QUESTIONS)}
    assert recall[BM25, 1] == 0.1667  # of q1 nothing, of q2 one of two, of q3 nothing
    assert recall[HYBRID, 1] == 0.5
    assert recall[BM25, 100] == 0.6667
    assert groups.slice_properties(QUESTIONS) == ("language", "length", "topic")
    by_topic = {
        (row["run"], row["slice"]): round(row["value"], 4)
        for row in groups.slice_rows(pair, QUESTIONS, "topic", "nDCG@10")
    }
    assert by_topic == {
        (BM25, "loans (2)"): 0.8155,
        (BM25, "hours (1)"): 0.0,
        (HYBRID, "loans (2)"): 0.9299,
        (HYBRID, "hours (1)"): 0.0,
    }
    verdicts = groups.slice_verdicts(pair, QUESTIONS, "language", "nDCG@10", chinese)
    assert [(row["分组"], row["结论"], row["问题数"]) for row in verdicts] == [
        ("en", "问题太少", "2"),
        ("zh", "问题太少", "1"),
    ]


def test_the_worst_queries_first(pair):
    words = {query.query_id: query.text for query in QUESTIONS.queries}

    def ids(runs, how):
        return [row["id"] for row in queries.query_rows(runs, "nDCG@10", words, how, english)]

    assert ids(pair, "losses") == ["q2", "q3", "q1"]
    assert ids(pair, "wins") == ["q1", "q3", "q2"]
    assert ids(pair[:1], "lowest") == ["q3", "q1", "q2"]
    row = queries.query_rows(pair, "nDCG@10", words, "losses", english)[0]
    assert row == {"id": "q2", "Question": "怎么续借", BM25: 1.0, HYBRID: 0.8597, "Difference": -0.1403}


def test_results_of_a_query_side_by_side(pair):
    found = queries.result_rows(pair[0], "q1", QUESTIONS.qrels["q1"], {"d1": "Loans"}, english)
    assert [(row["#"], row["Relevant"], row["Document"], row["Id"]) for row in found] == [
        ("1", "✗ 0", "d9", "d9"),
        ("2", "✓ 1", "Loans", "d1"),
    ]
    missed = queries.missed_rows(pair, "q3", QUESTIONS.qrels["q3"], {}, english)
    assert missed == [{"Relevant document": "d4", "Id": "d4", "Grade": "1", BM25: "-", HYBRID: "-"}]
    assert queries.missed_rows(pair, "q2", QUESTIONS.qrels["q2"], {}, english)[0][HYBRID] == "2"


def test_saved_evaluations_are_listed_newest_first_and_bad_ones_with_their_reason(tmp_path):
    save_evaluation(tmp_path / "one", saved(BEFORE))
    later = saved(AFTER, route="hybrid")
    save_evaluation(tmp_path / "two", replace(later, meta=replace(later.meta, created="2026-11-21T09:00:00+00:00")))
    save_evaluation(tmp_path / "bad", saved(BEFORE))
    (tmp_path / "bad" / "run.trec").write_text("")
    labels, faults = shown.read_saved(tmp_path, english, Clock(UTC))
    assert list(labels) == ["two", "one"]
    assert labels["one"] == "2026-11-21 07:40  library/test  Words (BM25)  000001  nDCG@10 0.5436"
    shanghai = shown.read_saved(tmp_path, chinese, Clock(timezone(timedelta(hours=8))))[0]
    assert shanghai["one"].startswith("2026-11-21 15:40  library/test  关键词（BM25）")
    assert list(faults) == ["bad"]
    assert "not the run" in faults["bad"]
    assert shown.read_saved(tmp_path / "nowhere", english, Clock(UTC)) == ({}, {})


def test_what_users_judged_has_its_name_in_both_languages():
    own = saved(BEFORE)
    own = replace(own, meta=replace(own.meta, dataset=shown.OWN_JUDGEMENTS))
    assert "  What your users judged  " in shown.long_label(own, english, Clock(UTC))
    assert "  您的用户的标注  " in shown.long_label(own, chinese, Clock(UTC))


def test_routes_depend_on_what_is_there():
    assert shown.offered_routes(dense=False, rerank=False) == ("bm25",)
    assert shown.offered_routes(dense=True, rerank=True) == (
        "bm25",
        "dense",
        "hybrid",
        "bm25+rerank",
        "dense+rerank",
        "hybrid+rerank",
    )


# The page


def evaluate_once(at):
    """Press the button and wait for the end, as the page's own timer would."""
    at.button(key="evaluate.go").click().run()
    deadline = time.monotonic() + 90
    while any(button.key == "evaluate.cancel" for button in at.button):
        assert time.monotonic() < deadline
        time.sleep(0.2)
        at.run()
    return at.run()


def table_with(at, column):
    return next((table.value for table in at.dataframe if column in table.value), None)


def test_an_empty_page_says_what_to_do(index, monkeypatch):
    at = open_page(index, monkeypatch, "evaluate")
    assert not at.exception
    assert "None yet" in at.info[0].value
    assert "only words (BM25) can be measured" in texts(at)


def test_what_users_judged_is_the_first_data_set_and_is_up_to_date(index, monkeypatch):
    def offered():
        at = open_page(index, monkeypatch, "evaluate")
        assert not at.exception
        return at.selectbox(key="evaluate.dataset.en").options

    def judge(action, query):
        with FeedbackLog.open(feedback_path(index)) as log:
            log.append(FeedbackEvent(query, action, "a" * 32, "000001", doc_id=doc_id))

    grades = load_dataset(queries_path().parent, None).qrels
    doc_id = next(iter(next(iter(grades.values()))))
    judge("thumb_down", "nothing relevant")
    assert offered() == ["demo_corpus"], "without a relevant document there is nothing to measure"
    for query in ("how to renew", "怎么续借"):
        judge("thumb_up", query)
        assert offered() == ["What your users judged", "demo_corpus"]
        assert query in [asked.text for asked in load_dataset(index / shown.OWN_JUDGEMENTS, None).queries]


def test_evaluate_reopen_and_compare_across_generations(index, monkeypatch):
    at = open_page(index, monkeypatch, "evaluate", "zh")
    at = evaluate_once(at)
    assert not at.exception
    table = table_with(at, "检索方式")
    assert table["检索方式"].tolist() == ["关键词（BM25）"]
    assert "问题数：68 · 无结果：" in texts(at)
    assert "版本：000002" in texts(at)
    Generations(index).switch("000001", "rolled back")
    at = evaluate_once(at)
    (newest, older) = list(shown.read_saved(evaluations_path(index), english, Clock(UTC))[0])
    at.multiselect(key="evaluate.shown").set_value([older, newest]).run()
    assert not at.exception
    assert table_with(at, "检索方式")["检索方式"].tolist() == ["关键词（BM25） 000002", "关键词（BM25） 000001"]
    assert "差异不显著" in texts(at)
    again = open_page(index, monkeypatch, "evaluate")  # another visitor finds both
    assert len(again.multiselect(key="evaluate.shown").options) == 2
    assert again.multiselect(key="evaluate.shown").value == []


@pytest.mark.parametrize(
    ("language", "menu", "name"),
    [
        ("en", "Group by", "language of question → of document"),
        ("zh", "分组依据", "问题的语言 → 文档的语言"),
    ],
)
def test_questions_are_grouped_by_their_language_and_that_of_the_document(index, monkeypatch, language, menu, name):
    at = evaluate_once(open_page(index, monkeypatch, "evaluate", language))
    assert not at.exception
    (choice,) = [box for box in at.selectbox if box.label == menu]
    assert name in choice.options
    choice.select("language-pair").run()
    assert not at.exception
    (saved_name,) = shown.read_saved(evaluations_path(index), english, Clock(UTC))[0]
    kept = load_evaluation(evaluations_path(index) / saved_name)
    rows = groups.slice_rows(shown.named_runs([kept], english, Clock(UTC)), kept.questions, "language-pair", "nDCG@10")
    assert [row["slice"] for row in rows] == ["en->en (17)", "en->zh (17)", "zh->en (17)", "zh->zh (17)"]
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)


def test_what_is_open_survives_a_visit_to_another_page(index, monkeypatch):
    save_evaluation(evaluations_path(index) / "one", saved(BEFORE))
    at = open_page(index, monkeypatch, "evaluate")
    at.multiselect(key="evaluate.shown").set_value(["one"]).run()
    at.switch_page("../pages/index.py").run()
    at.switch_page("../pages/evaluate.py").run()
    assert at.multiselect(key="evaluate.shown").value == ["one"]
    assert table_with(at, "Search method") is not None


def test_different_data_sets_are_refused_on_the_page(index, monkeypatch):
    save_evaluation(evaluations_path(index) / "one", saved(BEFORE))
    save_evaluation(evaluations_path(index) / "two", saved(AFTER, digest="b" * 16))
    at = open_page(index, monkeypatch, "evaluate")
    at.multiselect(key="evaluate.shown").set_value(["one", "two"]).run()
    assert not at.exception
    assert at.error[0].value == "These runs cannot be compared."
    assert "Choose runs of one data set" in texts(at)
    assert table_with(at, "Search method") is None


def test_a_data_set_of_another_corpus_is_not_started(index, tmp_path, monkeypatch):
    folder = tmp_path / "data" / "foreign"
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "hours"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tnowhere\t1\n")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "data"))
    at = open_page(index, monkeypatch, "evaluate")
    at.text_input(key="evaluate.folder").set_value(".").run()
    at.selectbox(key="evaluate.dataset.en").set_value(1).run()
    for language in ("zh", "en"):
        at.session_state["language"] = language
        at.run()
        assert at.selectbox(key=f"evaluate.dataset.{language}").value == 1
    at.button(key="evaluate.go").click().run()
    assert not at.exception
    assert at.error[0].value == "The evaluation was not started."
    assert "none of the 1 judged documents is in this index (the first is nowhere)" in at.code[0].value


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("evaluate.folder", "/", "is not below"),
        ("evaluate.measures", ["nDGC@10"], "did you mean nDCG@10"),
        ("evaluate.split", "train", "there is no split 'train'"),
    ],
)
def test_wrong_input_is_answered_in_words(index, monkeypatch, key, value, words):
    at = open_page(index, monkeypatch, "evaluate")
    kind = at.multiselect if key == "evaluate.measures" else at.text_input
    kind(key=key).set_value(value).run()
    if key != "evaluate.folder":
        at.button(key="evaluate.go").click().run()
    assert not at.exception
    assert words in at.code[0].value


def test_a_damaged_index_can_still_show_what_was_saved(index, monkeypatch):
    save_evaluation(evaluations_path(index) / "one", saved(BEFORE))
    part_of(index, "chunks.sqlite").write_bytes(b"no database")
    (index / "generations" / "000002" / "manifest.json").write_text("{")
    at = open_page(index, monkeypatch, "evaluate")
    at.multiselect(key="evaluate.shown").set_value(["one"]).run()
    assert not at.exception
    assert at.error[0].value == "The index cannot be opened."
    assert table_with(at, "Search method")["nDCG@10"].tolist()[0].startswith("0.5436")


def test_an_evaluation_without_questions_and_with_a_damaged_neighbour(index, monkeypatch):
    save_evaluation(evaluations_path(index) / "one", replace(saved(BEFORE), questions=None))
    save_evaluation(evaluations_path(index) / "two", saved(AFTER))
    (evaluations_path(index) / "two" / "evaluation.json").write_text("[]")
    at = open_page(index, monkeypatch, "evaluate")
    assert at.warning[0].value == "A saved evaluation cannot be read."
    at.multiselect(key="evaluate.shown").set_value(["one"]).run()
    assert not at.exception
    assert "saved without its questions" in texts(at)


def test_poisoned_questions_and_titles_stay_text(index, monkeypatch):
    asked = Questions(
        (Query("q1", POISON), Query("**q2**", POISON)),
        {"q1": {POISON: 1}, "**q2**": {"d2": 1}},
        {"q1": {"**f**": POISON}},
    )
    for name, run in (
        ("one", {"q1": [("d1", 1.0)], "**q2**": []}),
        ("two", {"q1": [("d2", 1.0)], "**q2**": [("d2", 1.0)]}),
    ):
        one = saved(run, questions=asked, degraded=POISON, route="bm25" if name == "one" else "hybrid")
        save_evaluation(evaluations_path(index) / name, replace(one, meta=replace(one.meta, dataset=POISON[:40])))
    at = open_page(index, monkeypatch, "evaluate")
    at.multiselect(key="evaluate.shown").set_value(["one", "two"]).run()
    assert not at.exception
    assert "<script>" not in markdown(at)
    assert "**" not in markdown(at)
    assert any(POISON in text.value for text in at.text)


def test_results_of_model_benchmarks_stand_below_with_their_numbers_of_tasks(tmp_path):
    pytest.importorskip("mteb")
    from quarry.app.ui.evaluate.benchmarks import average_rows, benchmark_averages, kind_rows
    from quarry.retriever.benchmark.run import run_benchmark
    from quarry.retriever.benchmark.tasks.task_data import choose_tasks
    from tests.fakes import WordEmbedder
    from tests.retriever.benchmark.native_data import sts, write_jsonl

    write_jsonl(tmp_path / "data" / "pairs" / "test.jsonl", sts(1, 30))
    list(run_benchmark(WordEmbedder(), choose_tasks(tmp_path / "data", ["pairs"]), tmp_path / "benchmarks"))
    found = benchmark_averages(tmp_path / "benchmarks")
    (row,) = average_rows(found, lambda english, _chinese: english)
    assert row["model"] == "tests/words 1"
    assert row["STS"] == row["average"] == f"{found['tests/words 1'].overall:.2f} (1)"
    assert [(one["kind"], one["tasks"]) for one in kind_rows(found)] == [("STS", 1)]
