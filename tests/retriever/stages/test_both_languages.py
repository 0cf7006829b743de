"""The second stage in two languages: the other language's passages are ordered and raised, the question's own keep their order."""

import numpy as np
import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.opened import Index
from quarry.retriever.ranking import Evidence, Hit, Query, Ranking, StageReport, StageScore
from quarry.retriever.stages.both_languages import BothLanguages
from quarry.retriever.stages.languages import Languages
from quarry.retriever.stages.rerank import RerankOptions, TwoStage
from tests.retriever.stages.test_languages import TwoTongues, documents

CHINESE, ENGLISH, NEITHER = "哪里有答案？", "Where is the answer?", "где ответ"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    root = tmp_path_factory.mktemp("both")
    index_documents(root, documents(), TwoTongues())
    return Index.open(root)


class Late:
    """Compares tokens by a table, as late interaction would by states."""

    name = "tests/tokens"

    def __init__(self, found, heads=False):
        self.found, self.heads, self.asked = found, heads, []

    def has_heads(self):
        return self.heads

    def similarities(self, query, chunk_ids):
        self.asked = list(chunk_ids)
        if self.found is None:
            raise OSError("the disk is gone")
        return np.array([self.found.get(chunk_id, 0.5) for chunk_id in chunk_ids], np.float32)

    def rerank(self, query, candidates):
        return np.arange(len(candidates), 0, -1).astype(np.float32)


class First:
    """The passages of the index, Chinese ones first."""

    def __init__(self, index, english=True):
        ids = sorted(index.chunks.digests()[0], key=lambda one: (one.startswith("en"), one))
        kept = [one for one in ids if english or one.startswith("zh")]
        self.hits = [
            Hit(one, 1 - row / 100, "fusion", Evidence(dense=StageScore(row + 1, 0.9 - row / 1000)))
            for row, one in enumerate(kept)
        ]

    def retrieve(self, queries, k, *, allowed=None):
        return [Ranking.of(query, self.hits, k, (StageReport("fusion", "ran"),)) for query in queries]


def asked(index, late, question=CHINESE, first=None, k=40, **plan):
    stage = TwoStage(first or First(index), late, index.chunks, RerankOptions(**plan))
    languages, probes = Languages.of(index), index.manifest.probes
    both = BothLanguages(stage, late, languages, probes, index.lexical, index.analyzer)
    (ranking,) = both.retrieve([Query("q", question)], k)
    return ranking, ranking.stages[-1]


def names(ranking, language):
    return [hit.chunk_id for hit in ranking.hits if hit.chunk_id.startswith(language)]


def test_the_other_languages_passage_whose_tokens_meet_comes_up_and_the_own_order_stands(index):
    last = First(index).hits[-1].chunk_id
    ranking, report = asked(index, Late({last: 0.9}))
    assert ranking.hits[0].chunk_id == last and last.startswith("en")
    assert names(ranking, "zh") == sorted(names(ranking, "zh"))
    assert report.status == "ran" and report.candidates == 40
    assert str(report.reason).startswith("passages in the other language were ordered by their tokens and raised by ")
    assert {hit.stage for hit in ranking.hits} == {"rerank"}
    assert [hit.evidence.rerank.rank for hit in ranking.hits] == list(range(1, 41))


def test_where_the_own_language_stands_out_the_first_order_stands(index):
    first = First(index)
    ranking, report = asked(index, Late({first.hits[0].chunk_id: 0.9}))
    assert [hit.chunk_id for hit in ranking.hits] == [hit.chunk_id for hit in first.hits]
    assert report.status == "ran" and report.reason is None


def test_an_english_question_has_it_the_other_way_round(index):
    chinese = First(index).hits[5].chunk_id
    ranking, _ = asked(index, Late({chinese: 0.9}), ENGLISH)
    assert ranking.hits[0].chunk_id == chinese
    assert names(ranking, "en") == sorted(names(ranking, "en"))


def test_the_depth_is_shared_by_the_languages(index):
    late = Late({})
    _, report = asked(index, late, depth=12)
    assert report.candidates == 12 and sum(one.startswith("en") for one in late.asked) == 6


@pytest.mark.parametrize("case", ["neither language", "one language found", "a model with heads", "a small depth"])
def test_the_ordinary_second_stage_has_the_rest(index, case):
    late = Late({}, heads=case == "a model with heads")
    first = First(index, english=case != "one language found")
    question = NEITHER if case == "neither language" else CHINESE
    ranking, report = asked(index, late, question, first, depth=8 if case == "a small depth" else 50)
    assert late.asked == [] and report.candidates == min(len(first.hits), 8 if case == "a small depth" else 50)
    assert [hit.score for hit in ranking.hits][:2] == [report.candidates, report.candidates - 1]


def test_a_failure_leaves_the_first_order_and_the_ranking_says_why(index):
    first = First(index)
    ranking, report = asked(index, Late(None), k=10)
    assert [hit.chunk_id for hit in ranking.hits] == [hit.chunk_id for hit in first.hits[:10]]
    assert report.status == "failed" and "the disk is gone" in str(report.reason)
