"""One order for all: score descending, then id; no duplicates; no NaN."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.indexer.messages import Message
from quarry.retriever.ranking import Hit, Query, Ranking, StageReport

QUERY = Query("q", "q")
hits = st.lists(
    st.builds(
        Hit,
        chunk_id=st.sampled_from(["a#0-1", "b#0-1", "c#0-1", "d#0-1"]),
        score=st.floats(-5, 5, allow_nan=False).map(lambda value: round(value, 1)),
        stage=st.just("dense"),
    )
)


@given(hits, st.integers(0, 10_000), st.integers(1, 6))
def test_the_result_does_not_depend_on_the_order_of_the_input(given_hits, seed, k):
    shuffled = list(given_hits)
    random.Random(seed).shuffle(shuffled)
    one = [(hit.chunk_id, hit.score) for hit in Ranking.of(QUERY, given_hits, k).hits]
    assert one == [(hit.chunk_id, hit.score) for hit in Ranking.of(QUERY, shuffled, k).hits]
    assert one == sorted(one, key=lambda pair: (-pair[1], pair[0]))
    assert len({chunk_id for chunk_id, _ in one}) == len(one) <= k
    best = {
        hit.chunk_id: max(other.score for other in given_hits if other.chunk_id == hit.chunk_id) for hit in given_hits
    }
    assert all(best[chunk_id] == score for chunk_id, score in one)


def test_nan_is_refused():
    with pytest.raises(ValueError, match="score of 'a' is nan; expected a finite number"):
        Ranking.of(QUERY, [Hit("a", float("nan"), "bm25")], 3)


def test_k_zero_is_refused():
    with pytest.raises(ValueError, match="k is 0; expected at least 1"):
        Ranking.of(QUERY, [], 0)


def test_only_stages_that_were_wanted_and_did_not_fully_run_degrade_an_answer():
    ranking = Ranking(QUERY, ()).with_stages(
        StageReport("dense", "failed", Message.plain("no memory")),
        StageReport("bm25", "ran"),
        StageReport("rerank", "off", Message.plain("not asked for")),
    )
    assert [str(loss) for loss in ranking.degraded] == ["dense: no memory"]
