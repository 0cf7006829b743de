"""Evaluations on disk: whole or not at all, never overwritten, damage noticed."""

import json
from dataclasses import replace

import pytest

from quarry.indexer.errors import CorpusError
from quarry.indexer.messages import Message
from quarry.retriever.evaluation.evaluate import evaluate
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.evaluation.saved import (
    Meta,
    Questions,
    SavedEvaluation,
    list_evaluations,
    load_evaluation,
    save_evaluation,
)
from quarry.retriever.ranking import Query

META = Meta("集合", "test", "abc", generation="g1", model="m@1", route="hybrid", rerank="none", more={"p50 ms": 3.5})


def saved(run=None):
    run = {"q1": [("文 档.md", 0.3), ("b", 0.2)], "q9": [("b", 1.0)]} if run is None else run
    queries = [Query("q1", "一"), Query("q2", "二"), Query("q3", "三")]
    qrels = {"q1": {"b": 1}, "q2": {"b": 2}}
    return SavedEvaluation(META, evaluate(run, qrels, parse_measures(["RR", "nDCG@10"]), queries=queries), run)


def test_what_was_saved_is_what_is_loaded(tmp_path):
    save_evaluation(tmp_path / "runs" / "one", saved())
    assert load_evaluation(tmp_path / "runs" / "one") == saved()
    assert sorted(path.name for path in (tmp_path / "runs" / "one").iterdir()) == ["evaluation.json", "run.trec"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["one"]  # nothing temporary is left


def test_one_query_without_interval_survives(tmp_path):
    run = {"q1": [("b", 1.0)]}
    one = SavedEvaluation(
        META, evaluate(run, {"q1": {"b": 1}}, parse_measures(["AP"]), queries=[Query("q1", "一")]), run
    )
    save_evaluation(tmp_path / "one", one)
    assert load_evaluation(tmp_path / "one").evaluation.means["AP"].low is None


def with_questions():
    one = saved()
    queries = (Query("q1", "一\n二"), Query("q2", "two"), Query("q3", "三"))
    questions = Questions(
        queries, {"q1": {"b": 1, "文 档.md": 0}, "q2": {"b": 2}}, {"q1": {"topic": "数"}, "q2": {}, "q3": {}}
    )
    return SavedEvaluation(META, one.evaluation, one.run, questions)


def test_the_questions_are_kept_for_later_comparisons(tmp_path):
    save_evaluation(tmp_path / "one", with_questions())
    assert load_evaluation(tmp_path / "one") == with_questions()


@pytest.mark.parametrize("name", ["queries.jsonl", "qrels.tsv"])
def test_changed_or_missing_questions_are_noticed(tmp_path, name):
    save_evaluation(tmp_path / "one", with_questions())
    path = tmp_path / "one" / name
    path.write_text(path.read_text() + " ")
    with pytest.raises(CorpusError, match="is missing, or not that of evaluation.json"):
        load_evaluation(tmp_path / "one")
    path.unlink()
    with pytest.raises(CorpusError, match="is missing, or not that of evaluation.json"):
        load_evaluation(tmp_path / "one")


def test_the_time_is_noted():
    assert META.created.endswith("+00:00")


def test_nothing_is_overwritten(tmp_path):
    save_evaluation(tmp_path / "one", saved())
    with pytest.raises(ValueError, match="one exists already; expected a new folder"):
        save_evaluation(tmp_path / "one", saved({"q1": [("b", 9.0)]}))
    assert load_evaluation(tmp_path / "one") == saved()


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="duplicate document"):
        save_evaluation(tmp_path / "one", saved({"q1": [("b", 1.0), ("b", 0.5)]}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interrupted", ["sync_tree", "write_run"])
def test_an_interruption_leaves_nothing(tmp_path, monkeypatch, interrupted):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"quarry.retriever.evaluation.saved.{interrupted}", stop)
    with pytest.raises(KeyboardInterrupt):
        save_evaluation(tmp_path / "one", saved())
    assert list(tmp_path.iterdir()) == []


def change(report, **changes):
    return {**report, **changes}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda report: change(report, format=2), "format is 2; expected 1. Evaluate again with this version"),
        (lambda report: [], "format is None; expected 1"),
        (lambda report: change(report, meta={"who": 1}), "damaged"),
        (lambda report: {key: report[key] for key in ("format", "meta", "run_sha256")}, "damaged .KeyError"),
        (
            lambda report: change(report, evaluation={**report["evaluation"], "per_query": []}),
            "damaged .AttributeError",
        ),
        (lambda report: change(report, run_sha256="0"), "run.trec: missing, or not the run of evaluation.json"),
    ],
)
def test_damage_is_noticed(tmp_path, damage, reason):
    save_evaluation(tmp_path / "one", saved())
    path = tmp_path / "one" / "evaluation.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(CorpusError, match=reason):
        load_evaluation(tmp_path / "one")


def test_a_changed_or_missing_run_is_noticed(tmp_path):
    save_evaluation(tmp_path / "one", saved())
    run = tmp_path / "one" / "run.trec"
    run.write_text(run.read_text().replace("0.3", "0.1"))
    with pytest.raises(CorpusError, match=r"run\.trec: missing, or not the run"):
        load_evaluation(tmp_path / "one")
    run.unlink()
    with pytest.raises(CorpusError, match=r"run\.trec: missing"):
        load_evaluation(tmp_path / "one")


def test_what_is_no_evaluation(tmp_path):
    with pytest.raises(CorpusError, match=r"cannot be read .*expected a saved evaluation"):
        load_evaluation(tmp_path)
    (tmp_path / "evaluation.json").write_text("{")
    with pytest.raises(CorpusError, match=r"cannot be read .*expected a saved evaluation"):
        load_evaluation(tmp_path)


def test_saved_ones_are_listed(tmp_path):
    assert list_evaluations(tmp_path / "absent") == []
    for name in ("b", "a", ".c"):
        save_evaluation(tmp_path / name, saved())
    (tmp_path / "other").mkdir()
    assert [path.name for path in list_evaluations(tmp_path)] == ["a", "b"]


def test_the_losses_of_stages_come_back_as_messages_and_an_older_text_as_one(tmp_path):
    loss = Message.of("search.degraded", "{stage}: {reason}", stage="dense", reason="no model")
    meta = replace(META, losses=(loss,), more={"degraded": str(loss)})
    save_evaluation(tmp_path / "new", replace(saved(), meta=meta))
    assert load_evaluation(tmp_path / "new").meta.degraded() == (loss,)
    save_evaluation(tmp_path / "old", replace(saved(), meta=replace(meta, losses=())))
    assert [str(one) for one in load_evaluation(tmp_path / "old").meta.degraded()] == ["dense: no model"]
