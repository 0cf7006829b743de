"""The queries behind a difference, with what both sides showed."""

from quarry.indexer.records import Document
from quarry.retriever.evaluation.cases import cases, documents_to_show, known_and_wanted
from quarry.retriever.evaluation.compare import compare
from quarry.retriever.evaluation.evaluate import evaluate
from quarry.retriever.evaluation.judged_runs import JudgedRun
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.evaluation.saved import Questions
from quarry.retriever.ranking import Query

QUERIES = (Query("1", "怎么续借"), Query("2", "renew"), Query("3", "same"), Query("4", "lost"))
QRELS = {"1": {"a": 1, "b": 0}, "2": {"a": 2}, "3": {"a": 1}, "4": {"a": 1}}
BEFORE = {"1": [("b", 9.0), ("x", 8.0)], "2": [("b", 1.0), ("a", 0.5)], "3": [("a", 1.0)], "4": [("a", 1.0)]}
AFTER = {"1": [("a", 0.9), ("b", 0.8)], "2": [("a", 0.9)], "3": [("a", 1.0)], "4": []}
CORPUS = [Document("a", "# Loans\n\nBorrow  ten books", "Loans"), Document("b", "b" * 900), Document("c", "c")]


def sides():
    questions = Questions(QUERIES, QRELS)
    return tuple(
        JudgedRun(name, evaluate(run, QRELS, parse_measures(["RR"]), queries=QUERIES), run, questions)
        for name, run in (("before", BEFORE), ("after", AFTER))
    )


def test_wins_and_losses_come_largest_first_with_texts_grades_and_ranks():
    before, after = sides()
    comparison = compare(before.evaluation, after.evaluation, "RR")
    known, found = known_and_wanted(CORPUS, documents_to_show(comparison, (before, after)))
    assert (known, set(found)) == ({"a", "b", "c"}, {"a", "b"})
    result = cases(comparison, (before, after), found, count=1)
    (win,), (loss,) = result.wins, result.losses
    assert (win.query_id, win.text, win.delta, win.rank_before, win.rank_after) == ("1", "怎么续借", 1.0, None, 1)
    assert [(one.rank, one.doc_id, one.grade) for one in win.documents_before] == [(1, "b", 0), (2, "x", None)]
    assert (win.documents_after[0].title, win.documents_after[0].text) == ("Loans", "Borrow ten books")
    assert len(win.documents_before[0].text) == 200
    assert win.documents_before[1].text == ""
    assert (loss.query_id, loss.before, loss.after, loss.rank_after, loss.documents_after) == ("4", 1.0, 0.0, None, ())


def test_count_and_depth_limit_what_is_shown():
    before, after = sides()
    comparison = compare(before.evaluation, after.evaluation, "RR")
    assert documents_to_show(comparison, (before, after), count=5, depth=1) == {"a", "b"}
    result = cases(comparison, (before, after), {}, count=5, depth=1)
    assert [case.query_id for case in result.wins] == ["1", "2"]
    assert all(len(case.documents_before) == 1 for case in result.wins)
    assert cases(comparison, (before, after), {}, count=0).wins == ()
