"""`quarry feedback`: a log that three sessions wrote about the demo corpus, shown, exported and added to."""

import json

import pytest

from quarry.demo_corpus import documents_path
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.training.examples.rows import read_training_rows
from quarry.training.feedback.log import FeedbackEvent, FeedbackLog
from tests.app.running import quarry

ENGLISH = "How long ago did cyanobacteria enter a cell?"
CHINESE = "什么是最有效的抗炎药?"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    index = tmp_path_factory.mktemp("feedback") / "index"
    done = quarry("index", documents_path(), "--into", index, "--model", "none", "--quiet")
    assert done.returncode == 0, done.stderr
    return index


@pytest.fixture
def index(built):
    yield built
    for path in built.glob("feedback.sqlite*"):
        path.unlink()


def results(index, query):
    searcher = Searcher.open(index)
    return searcher.search(query, 3, SearchOptions(route="bm25", rerank=False)).results


def fill(index):
    good, other, _ = results(index, ENGLISH)
    with FeedbackLog.open(index / "feedback.sqlite") as log:
        for session, action, hit in (
            ("s1", "answer", good),
            ("s2", "thumb_up", good),
            ("s3", "thumb_down", good),
            ("s1", "thumb_down", other),
        ):
            log.append(FeedbackEvent(ENGLISH, action, session, "000001", hit.chunk_id, hit.doc_id))
        log.append(FeedbackEvent(CHINESE, "note", "s1", "000001", note="没有答案"))
        log.append(FeedbackEvent(CHINESE, "thumb_up", "s2", "000001", "gone#0-1", "gone"))
    return good, other


def test_the_summary_has_agreement_and_queries_without_a_good_answer(index):
    good, _ = fill(index)
    with FeedbackLog.open(index / "feedback.sqlite") as log:
        log.append(FeedbackEvent("无人回答", "note", "s3", "000001", note="nothing fits"))
    done = quarry("feedback", index)
    assert done.returncode == 0, done.stderr
    assert "7 events of 3 sessions" in done.stdout
    assert "agreement between sessions: 33% (3 pairs), 0 disputed" in done.stdout
    assert "queries without a good answer:\n    无人回答\n" in done.stdout
    assert good.chunk_id in done.stdout
    report = json.loads(quarry("feedback", index, "--json").stdout)
    assert report["unanswered"] == ["无人回答"]
    assert {one["chunk_id"]: one["grade"] for one in report["judgements"]}[good.chunk_id] == 1


def test_exports_are_training_rows_and_a_data_set_that_evaluate_reads(index, tmp_path):
    good, other = fill(index)
    done = quarry("feedback", index, "--export", tmp_path / "rows.jsonl", "--qrels", tmp_path / "set", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = read_training_rows(tmp_path / "rows.jsonl")
    assert row.query == ENGLISH
    assert good.text in row.pos[0]
    assert other.text in row.neg[0]
    assert json.loads(done.stdout)["exports"]["training"] == {
        "rows": 1,
        "without_negatives": 0,
        "without_positives": 0,
        "missing": 1,
        "unwritable": 0,
    }
    data = load_dataset(tmp_path / "set")
    assert {query.text: dict(data.qrels[query.query_id]) for query in data.queries}[ENGLISH] == {
        good.doc_id: 1,
        other.doc_id: 0,
    }
    assert quarry("evaluate", tmp_path / "set", "--index", index, "--routes", "bm25").returncode == 0


def test_the_latest_word_can_be_preferred_to_the_majority(index):
    good, _ = fill(index)
    report = json.loads(quarry("feedback", index, "--conflict", "latest", "--json").stdout)
    assert {one["chunk_id"]: one["grade"] for one in report["judgements"]}[good.chunk_id] == 0


@pytest.mark.parametrize(("grade", "action"), [(0, "thumb_down"), (1, "thumb_up"), (3, "answer")])
def test_a_judgement_is_recorded_from_the_command_line(index, grade, action):
    hit = results(index, CHINESE)[0]
    done = quarry("feedback", index, "--add", "--query", CHINESE, "--chunk", hit.chunk_id, "--grade", grade)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert f"event 1 stored: {action}, grade {grade}" in done.stderr
    with FeedbackLog.open(index / "feedback.sqlite") as log:
        (stored,) = log.events()
    assert (stored.event.grade, stored.event.doc_id, stored.event.language) == (grade, hit.doc_id, "zh")
    assert stored.event.generation == "000001"


def test_an_index_without_feedback_says_so_and_stays_as_it_is(index):
    done = quarry("feedback", index)
    assert done.returncode == 0
    assert "no judgments yet" in done.stdout
    assert json.loads(quarry("feedback", index, "--json").stdout)["events"] == 0
    assert not (index / "feedback.sqlite").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--export", "ROWS"], 1, "was not written: none of 0 judgments is a relevant passage"),
        (["--qrels", "ROWS"], 1, "was not written: there are no judgments"),
        (["--add", "--query", "x"], 2, "--add requires --query, --chunk and --grade"),
        (["--grade", "1"], 2, "require --add"),
        (["--conflict", "loudest"], 2, "Invalid value for '--conflict'"),
        (["--add", "--query", "x", "--chunk", "no#0-1", "--grade", "1"], 1, "the index has no passage no#0-1"),
        (["--add", "--query", " ", "--chunk", "CHUNK", "--grade", "1"], 1, "query is empty"),
        (["--add", "--query", "x", "--chunk", "CHUNK", "--grade", "4"], 1, "expected a whole number from 1 to 3"),
        (["--add", "--query", "x", "--chunk", "CHUNK", "--grade", "-1"], 1, "expected a whole number from 1 to 3"),
    ],
)
def test_mistakes_are_named(index, tmp_path, arguments, code, message):
    places = {"ROWS": tmp_path / "rows", "CHUNK": results(index, ENGLISH)[0].chunk_id}
    done = quarry("feedback", index, *[places.get(argument, argument) for argument in arguments])
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert not (tmp_path / "rows").exists()


def test_a_folder_that_is_no_index_or_a_log_that_is_none_is_an_error(index, tmp_path):
    assert "expected an index" in quarry("feedback", tmp_path / "nowhere").stderr
    (index / "feedback.sqlite").write_text("not a database, and longer than its header")
    done = quarry("feedback", index)
    assert (done.returncode, "could not be used" in done.stderr) == (1, True)
