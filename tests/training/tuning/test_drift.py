"""The shadow comparison: how differently real queries are answered after a promotion."""

import pytest

from quarry.indexer.build import build_candidate, index_documents
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.retriever.ranking import Query
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.judgements import query_id
from quarry.training.feedback.log import FeedbackLog
from quarry.training.tuning.drift import drift, logged_queries
from tests.fakes import WordEmbedder

DENSE = SearchOptions(route="dense", rerank=False)


@pytest.fixture(scope="module")
def searchers(tmp_path_factory):
    root = tmp_path_factory.mktemp("shadow") / "index"
    documents = [Document(f"d{n}", f"第{n}号文件 说明编号 word{n}") for n in range(30)]
    index_documents(root, documents, WordEmbedder("1"))
    name = build_candidate(
        root, WordEmbedder("2", dim=4)
    ).generation  # four dimensions: another order of what does not match
    Generations(root).switch(name, "promoted")
    before = Searcher.open(root, generation="000001", embedder=WordEmbedder("1"))
    return before, Searcher.open(root, embedder=WordEmbedder("2", dim=4))


def queries(*texts):
    return tuple(Query(query_id(text), text) for text in texts)


def test_a_model_against_itself_has_not_moved(searchers):
    before, _ = searchers
    same = drift(before, before, queries("word3", "第5号"), {"word3": {"d3": 1}}, DENSE)
    assert (same.queries, same.overlap, same.same_first, same.moved) == (2, 1.0, 1.0, ())
    assert same.judged.difference == 0


def test_overlap_and_judged_queries_against_counting_by_hand(searchers):
    before, after = searchers
    asked = queries("word3", "word7")
    found = drift(before, after, asked, {"word3": {"d3": 1}, "not asked": {"d1": 1}}, DENSE)
    shares = []
    for query in asked:
        old, new = ({r.doc_id for r in s.search(query.text, 10, DENSE).results} for s in searchers)
        shares.append(len(old & new) / 10)
    assert found.overlap == pytest.approx(sum(shares) / 2)
    assert 0 < found.overlap < 1
    assert [text for text, _ in found.moved] == [
        q.text for _, q in sorted(zip(shares, asked, strict=True), key=lambda p: (p[0], p[1].query_id))
    ]
    assert found.judged.count == 1
    assert found.judged.verdict == "too few queries"


def test_nothing_judged_and_nothing_logged(searchers):
    assert drift(*searchers, queries("word3"), {}, DENSE).judged is None
    with pytest.raises(ValueError, match="there are no logged queries"):
        drift(*searchers, (), {}, DENSE)


def test_the_newest_different_queries_are_taken(tmp_path):
    with FeedbackLog.open(tmp_path / "f.sqlite") as log:
        for text in ("一", "two", "三", "TWO", "four"):
            log.append(FeedbackEvent(text, "click", "s", "000001", "c#0-1", "c"))
        assert [query.text for query in logged_queries(log)] == ["一", "三", "TWO", "four"]
        assert [query.text for query in logged_queries(log, 2)] == ["TWO", "four"]
