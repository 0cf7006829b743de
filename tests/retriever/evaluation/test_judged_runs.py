"""Runs from anywhere: what does not fit is an error that names it, or is counted and said."""

import pytest

from quarry.indexer.errors import CorpusError
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.evaluation.evaluate import evaluate
from quarry.retriever.evaluation.judged_runs import (
    foreign_documents,
    foreign_judgements,
    judged_dataset,
    judged_files,
    judged_run,
    texts_of,
)
from quarry.retriever.evaluation.measures import Measure, parse_measures
from quarry.retriever.evaluation.saved import Meta, Questions, SavedEvaluation, save_evaluation
from quarry.retriever.ranking import Query

NDCG, RR = Measure("nDCG", 10), Measure("RR")
QUERIES = (Query("1", "怎么续借"), Query("2", "renew"))
QRELS = {"1": {"a": 1, "b": 0}, "2": {"c": 2}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "qrels.tsv").write_text("1\ta\t1\n1\tb\t0\n2\tc\t2\n")
    (tmp_path / "queries.tsv").write_text("1\t怎么续借\n2\trenew\n")
    (tmp_path / "run.trec").write_text("1 Q0 b 1 2.0 t\n1 Q0 a 2 1.0 t\n2 Q0 c 1 1.0 t\n")
    return tmp_path


def saved(folder, run, questions=None):
    evaluation = evaluate(run, QRELS, [NDCG], queries=QUERIES)
    save_evaluation(folder, SavedEvaluation(Meta("set", "test", "d"), evaluation, run, questions))
    return folder


def test_a_run_file_is_measured_on_the_judgements(folder):
    judged = judged_files(folder / "qrels.tsv", folder / "queries.tsv")
    side = judged_run(folder / "run.trec", RR, judged)
    assert side.evaluation.values("RR") == {"1": 0.5, "2": 1.0}
    assert (side.name, side.notes, judged.notes, judged.has_texts) == ("run.trec", (), (), True)
    assert texts_of([side]) == {"1": "怎么续借", "2": "renew"}


def test_without_a_file_of_queries_ids_stand_for_texts(folder):
    judged = judged_files(folder / "qrels.tsv", None)
    assert not judged.has_texts
    assert judged.questions.queries == (Query("1", "1"), Query("2", "2"))


def test_oddities_of_a_run_are_counted(folder):
    (folder / "qrels.tsv").write_text("1\ta\t1\n2\tc\t2\n3\td\t0\n2\tc\t2\n4\te\t1\n")
    (folder / "queries.tsv").write_text("1\tx\n2\ty\n3\tz\n5\tw\n")
    (folder / "run.trec").write_text("1 Q0 a 1 1.0 t\n9 Q0 a 1 1.0 t\n")
    judged = judged_files(folder / "qrels.tsv", folder / "queries.tsv")
    assert tuple(map(str, judged.notes)) == (
        f"1 duplicate judgement: left out ({folder / 'qrels.tsv'}:4)",
        "1 judged query has no text: left out (4)",
        "1 query has no judgements: left out (5)",
    )
    assert tuple(map(str, judged_run(folder / "run.trec", RR, judged).notes)) == (
        "1 query has no result and score 0 (2)",
        "1 query of the run is not judged: left out (9)",
        "1 query has no relevant document among the judgements: left out (3)",
    )


def test_an_empty_run_scores_nothing_and_says_so(folder):
    (folder / "run.trec").write_text("")
    side = judged_run(folder / "run.trec", RR, judged_files(folder / "qrels.tsv", None))
    assert side.evaluation.means["RR"].value == 0
    assert tuple(map(str, side.notes)) == ("the run is empty: every query scores 0",)


def test_a_run_without_any_judged_document_is_suspect(folder):
    (folder / "run.trec").write_text("1 Q0 x 1 1.0 t\n")
    side = judged_run(folder / "run.trec", RR, judged_files(folder / "qrels.tsv", None))
    assert "the run may be from another corpus" in str(side.notes[-1])


def test_a_run_from_another_corpus_is_refused_and_strays_are_counted(folder):
    side = judged_run(folder / "run.trec", RR, judged_files(folder / "qrels.tsv", None))
    with pytest.raises(
        CorpusError, match=r"run.trec: none of its 3 documents is in the corpus of 1 documents .first 'a'."
    ):
        foreign_documents(side, {"z"})
    assert str(foreign_documents(side, {"a", "z"})) == "2 of its 3 documents are not in the corpus (b, c)"
    assert foreign_documents(side, {"a", "b", "c"}) is None
    assert str(foreign_judgements(side.questions, {"a", "b"})) == (
        "1 of 3 judged documents are not in the corpus (first c); 1 of them are relevant and cannot be found"
    )
    assert foreign_judgements(side.questions, {"a", "b", "c"}) is None


@pytest.mark.parametrize(
    ("qrels", "queries", "reason"),
    [
        ("1\ta\tyes\n", "1\tx\n", r"qrels.tsv:1: grade is 'yes', not a whole number"),
        ("1\ta\t1\n1\ta\t0\n", "1\tx\n", r"qrels.tsv:2: .*has grade 0, but 1 in line 1"),
        ("", "1\tx\n", "qrels.tsv: no judgements in the file"),
        ("7\ta\t1\n", "1\tx\n", "none of its 1 queries is among the 1 of"),
    ],
)
def test_bad_judgements_are_named(folder, qrels, queries, reason):
    (folder / "qrels.tsv").write_text(qrels)
    (folder / "queries.tsv").write_text(queries)
    with pytest.raises(CorpusError, match=reason):
        judged_files(folder / "qrels.tsv", folder / "queries.tsv")


def test_paths_that_are_neither_and_runs_without_judgements(folder):
    with pytest.raises(CorpusError, match="nowhere does not exist; expected a saved evaluation"):
        judged_run(folder / "nowhere", RR, None)
    with pytest.raises(CorpusError, match="run.trec is a run file and there are no judgements"):
        judged_run(folder / "run.trec", RR, None)
    (folder / "run.trec").write_text("8 Q0 a 1 1.0 t\n")
    with pytest.raises(CorpusError, match="none of the 2 asked"):
        judged_run(folder / "run.trec", RR, judged_files(folder / "qrels.tsv", None))


def test_a_saved_evaluation_is_taken_as_it_is_or_measured_anew(folder):
    run = {"1": [("b", 2.0), ("a", 1.0)], "2": []}
    questions = Questions(QUERIES, QRELS)
    one = judged_run(saved(folder / "all" / "one", run, questions), NDCG, None)
    assert (one.questions.queries, one.meta.dataset, one.name) == (QUERIES, "set", "one")
    assert [str(note) for note in one.notes] == ["1 query has no result and score 0 (2)"]
    assert judged_run(folder / "all" / "one", RR, None).evaluation.values("RR") == {"1": 0.5, "2": 0.0}
    (folder / "qrels.tsv").write_text("1\tb\t1\n")
    other = judged_run(folder / "all" / "one", RR, judged_files(folder / "qrels.tsv", None))
    assert other.evaluation.values("RR") == {"1": 1.0}
    assert "it was saved with other judgements and is measured on those given" in [str(note) for note in other.notes]
    old = judged_run(saved(folder / "all" / "old", run), NDCG, None)
    assert (old.questions, old.evaluation.values("nDCG@10")["2"]) == (None, 0.0)
    with pytest.raises(CorpusError, match="all holds 2 saved evaluations .old, one.; expected one"):
        judged_run(folder / "all", NDCG, None)


def test_a_data_set_gives_judgements_texts_and_metadata(folder):
    (folder / "queries.tsv").unlink()
    (folder / "queries.jsonl").write_text('{"_id": "1", "text": "x", "topic": "t"}\n{"_id": "2", "text": "y"}\n')
    judged = judged_dataset(load_dataset(folder))
    assert judged.questions.metadata["1"] == {"topic": "t"}
    assert judged_run(folder / "run.trec", parse_measures(["AP"])[0], judged).evaluation.means["AP"].count == 2
