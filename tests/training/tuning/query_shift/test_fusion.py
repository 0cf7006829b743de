"""How much BM25 counts is learned from judged questions: only where the gain is more than its error, and then every search uses it."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.retriever.evaluation.routes import route_options
from quarry.retriever.ranking import Query
from quarry.retriever.searcher import Searcher
from quarry.retriever.stages.query_shift import NAME, QueryShift
from quarry.training.tuning.query_shift.fusion import MOVES, FusionMoves, best_move
from quarry.training.tuning.query_shift.learning import JudgedQuestion
from tests.fakes import WordEmbedder

WORDS = ["valve", "pump", "drain", "gate", "seal", "motor", "belt"]


class Misled(WordEmbedder):
    """Puts a question where the passage about the next word is."""

    def embed_queries(self, texts):
        following = dict(zip(WORDS, WORDS[1:] + WORDS[:1], strict=True))
        return self.embed_documents([" ".join(following.get(word, word) for word in text.split()) for text in texts])


@pytest.fixture
def searcher(tmp_path):
    documents = [Document(f"d{number}", f"the {word} of plant {number}") for number, word in enumerate(WORDS)]
    index_documents(tmp_path / "index", documents, Misled())
    return Searcher.open(tmp_path / "index", embedder=Misled(), rerank=None)


def questions():
    return [JudgedQuestion(f"the {word}", frozenset({f"d{number}"})) for number, word in enumerate(WORDS)]


def test_a_route_that_is_right_comes_to_count_more_in_every_search(searcher):
    before = [searcher.search(one.text, 1).results[0].doc_id for one in questions()]
    assert sum(doc in one.documents for doc, one in zip(before, questions(), strict=True)) < 4
    move = FusionMoves(searcher).learned(questions())
    assert move > 0
    moved = searcher.with_query_shift(QueryShift(np.zeros(64, dtype=np.float32), move))
    for one in questions():
        answer = moved.search(one.text, 1)
        assert answer.results[0].doc_id in one.documents
        (fusion,) = [report for report in answer.stages if report.stage == "fusion"]
        assert fusion.reason.code == "stages.weight_learned"


def test_a_move_is_none_where_questions_say_nothing_or_there_are_no_vectors(searcher, tmp_path):
    assert FusionMoves(searcher).learned([JudgedQuestion("the valve", frozenset({"gone"}))] * 5) == 0
    assert FusionMoves(searcher).learned(questions()[:1]) == 0
    index_documents(tmp_path / "words", [Document("a", "the valve")], None)
    assert FusionMoves(Searcher.open(tmp_path / "words")).learned(questions()) == 0


def test_one_lucky_question_moves_nothing_and_many_do():
    quality = np.full((50, len(MOVES)), 0.5)
    quality[0, -1] = 1.0
    assert best_move(quality) == 0
    quality[:10, -1] = 1.0
    assert best_move(quality) == MOVES[-1]
    quality[:10, 0] = 0.0  # what loses is not taken
    assert best_move(quality[:, ::-1]) == MOVES[0]


def test_candidates_are_looked_for_once_and_no_move_is_the_search_as_it_is(searcher):
    queries = [Query(str(number), one.text) for number, one in enumerate(questions())]
    still, more = searcher.pipeline.hybrid(route_options("hybrid", 50)).retrieve_moved(queries, 5, [0.0, 2.0])
    as_it_is = searcher.rank(queries, 5, route_options("hybrid", 50))
    assert [ranking.hits for ranking in still] == [ranking.hits for ranking in as_it_is]
    assert [ranking.hits for ranking in more] != [ranking.hits for ranking in still]


def test_what_was_learned_before_there_was_a_weight_still_opens(tmp_path):
    shift = np.array([0.5, 0.0], dtype=np.float32)
    (tmp_path / "old").mkdir()
    save_file({"shift": shift}, tmp_path / "old" / NAME)
    assert QueryShift.load(tmp_path / "old", 2).fusion == 0
    assert QueryShift.load(QueryShift(shift, -0.5).save(tmp_path / "new"), 2).fusion == -0.5
