"""Late interaction: hand-made cases, equality with the naive loop, and what happens when states are missing."""

import numpy as np
import pytest

from quarry.indexer.errors import IndexFormatError, ModelError
from quarry.indexer.tokens.cache import TokenCache
from quarry.indexer.tokens.projection import Projection
from quarry.retriever.ranking import Evidence, Hit
from quarry.retriever.rerankers.late_interaction import LateInteraction, maxsim, maxsims, token_weight, z_scores
from quarry.retriever.rerankers.stored_states import StoredStates


def naive(query, passage):
    best = []
    for token in query:
        cosines = [float(token @ (other / np.linalg.norm(other))) for other in passage.astype(np.float64)]
        best.append(max(cosines))
    return sum(best) / len(best)


def test_maxsim_is_the_mean_of_the_best_cosines():
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, 40):
        query = rng.standard_normal((5, 16)).astype(np.float32)
        query /= np.linalg.norm(query, axis=1, keepdims=True)
        passage = rng.integers(-127, 128, (size, 16)).astype(np.int8)
        assert maxsim(query, passage) == pytest.approx(naive(query, passage), abs=1e-5)


def test_a_passage_finds_itself_and_more_tokens_never_lower_its_score():
    rng = np.random.default_rng(1)
    passage = rng.integers(-127, 128, (9, 16)).astype(np.int8)
    own = passage[:4].astype(np.float32)
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    assert maxsim(own, passage) == pytest.approx(1, abs=1e-5)
    asked = rng.standard_normal((3, 16)).astype(np.float32)
    assert maxsim(asked, passage) >= maxsim(asked, passage[:5])


def test_many_passages_at_once_get_the_scores_of_each():
    draws = np.random.default_rng(0)
    query = draws.standard_normal((5, 16)).astype(np.float32)
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    passages = [draws.integers(-127, 128, (size, 16)).astype(np.int8) for size in (3, 0, 40, 1, 0)]
    assert maxsims(query, passages) == pytest.approx([maxsim(query, one) for one in passages], abs=1e-6)
    assert maxsims(query[:0], passages).tolist() == [-1.0] * 5 and maxsims(query, []).tolist() == []


def test_no_tokens_on_one_side_is_the_lowest_score():
    none, some = np.zeros((0, 2)), np.ones((1, 2))
    assert maxsim(none.astype(np.float32), some.astype(np.int8)) == -1
    assert maxsim(some.astype(np.float32), none.astype(np.int8)) == -1


def test_equal_scores_have_no_spread_and_decide_nothing():
    assert z_scores(np.full(4, 0.7, np.float32)).tolist() == [0, 0, 0, 0]


class Tokens:
    """A TokenEmbedder whose tokens are letters: `a` is one axis, `b` the other."""

    width = 2
    spec = tokens = None

    def embed_queries(self, texts):
        raise NotImplementedError

    embed_documents = embed_documents_and_tokens = state_spans = embed_queries

    def query_tokens(self, text):
        return np.array([[letter == "a", letter == "b"] for letter in text], np.float32)


class Chunks:
    def digests_of(self, chunk_ids):
        return [chunk_id.encode() for chunk_id in chunk_ids]


def late_interaction(root, embedder, fingerprint="f00d"):
    return LateInteraction({"": StoredStates(root, Chunks(), fingerprint, "tests/letters")}, embedder)


@pytest.fixture
def reranker(tmp_path):
    cache = TokenCache.open(tmp_path, "f00d")
    cache.keep(Projection(np.zeros(2, np.float32), np.eye(2, dtype=np.float32)))
    cache.put(
        [b"d1", b"d2", b"d3"], [np.array(rows, np.int8) for rows in ([[127, 0]], [[0, 127]], [[127, 0], [0, 127]])]
    )
    yield late_interaction(tmp_path, Tokens)
    cache.close()


def test_tokens_decide_between_equals_and_the_first_stage_has_its_say(reranker):
    flat = [Hit("d1", 0.5, "fusion"), Hit("d2", 0.5, "fusion"), Hit("d3", 0.5, "fusion")]
    scores = reranker.rerank("ab", flat)
    assert scores.argmax() == 2 and scores[0] == scores[1]
    pair = [Hit("d1", 0.9, "fusion"), Hit("d2", 0.1, "fusion")]
    np.testing.assert_allclose(
        reranker.rerank("b", pair), [-0.5, 0.5], atol=1e-6
    )  # z: 1 and -1, and 1.5 times -1 and 1
    assert reranker.rerank("a", pair).argmax() == 0
    assert reranker.name == "tests/letters, token by token"


def test_where_words_are_shared_the_first_order_stands_and_the_answer_says_so(reranker):
    word = Evidence(terms=("a",))
    shared = [Hit("d1", 0.9, "fusion", word), Hit("d2", 0.1, "fusion")]
    assert token_weight(shared) == 0
    assert reranker.rerank("b", shared).code == "rerankers.words_shared"
    few = [Hit(f"d{row}", 0.5, "fusion", word if row == 0 else Evidence()) for row in range(20)]
    assert token_weight(few) == pytest.approx(1.5 * (1 - 0.05 / 0.15))
    assert token_weight(few[1:]) == 1.5


def test_missing_states_are_an_error_that_names_the_command(reranker, tmp_path):
    with pytest.raises(IndexFormatError, match=r"are missing from .*--rerank-vectors"):
        reranker.rerank("a", [Hit("d1", 1, "fusion"), Hit("d8", 1, "fusion"), Hit("d9", 1, "fusion")])
    with pytest.raises(IndexFormatError, match="are missing"):
        late_interaction(tmp_path, Tokens, "beef").rerank("a", [Hit("d1", 1, "fusion")])


def test_an_embedder_without_token_states_is_refused(tmp_path):
    with pytest.raises(ModelError, match="gives no token states"):
        late_interaction(tmp_path, object).rerank("a", [Hit("d1", 1, "fusion")])
