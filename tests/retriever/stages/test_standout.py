"""Two languages in one ranking: who is raised, how high, and that nothing is lowered."""

import pytest

from quarry.retriever.ranking import Evidence, Hit, StageScore
from quarry.retriever.stages.standout import RAISED, Sides, ahead, fused_again, raise_other


def ranking(own, other, scores=None):
    """Hits of an own and another language from their cosines; fused scores are the cosines unless given."""
    cosines = {f"o{n}": value for n, value in enumerate(own)} | {f"f{n}": value for n, value in enumerate(other)}
    order = sorted(cosines, key=lambda name: -cosines[name])
    scores = scores or cosines
    hits = [
        Hit(name, scores[name], "fusion", Evidence(dense=StageScore(rank, cosines[name])))
        for rank, name in enumerate(order, start=1)
    ]
    return sorted(hits, key=lambda hit: -hit.score), {f"f{n}" for n in range(len(other))}


FLAT = [0.80, 0.79, 0.79, 0.79, 0.79, 0.79]  # no answer in the question's own language
STANDING = [0.78, 0.60, 0.60, 0.60, 0.60, 0.60, 0.59]  # one in the other


def test_what_stands_out_is_ahead_of_its_like_and_not_of_the_other_language():
    hits, foreign = ranking(FLAT, STANDING)
    sides = Sides.of(hits, foreign)
    assert sides.own[0].chunk_id == "o0" and sides.other[0].chunk_id == "f0"
    assert sides.lead() == pytest.approx(ahead(STANDING) - ahead(FLAT))
    assert sides.lead() > 0.1  # although each cosine of the own language is higher
    swapped = Sides.of(*ranking(STANDING, FLAT))
    assert swapped.lead() == pytest.approx(-sides.lead())


def test_the_best_of_the_other_language_stands_by_the_target_above_the_best_of_the_own():
    hits, foreign = ranking(FLAT, STANDING)
    found, by = raise_other(hits, Sides.of(hits, foreign), 0.5)
    assert by == pytest.approx(0.80 + 0.5 - 0.78)
    assert found[0].chunk_id == "f0" and found[0].score == pytest.approx(1.3)
    scores = {hit.chunk_id: hit.score for hit in found}
    assert sum(scores[f"f{n}"] > STANDING[n] for n in range(7)) == RAISED
    assert [scores[f"o{n}"] for n in range(6)] == FLAT


@pytest.mark.parametrize("target", [-0.1, -5.0])
def test_nothing_is_ever_lowered(target):
    hits, foreign = ranking(FLAT, STANDING)
    found, by = raise_other(hits, Sides.of(hits, foreign), target)
    assert by == 0 and found == hits


def test_a_target_is_at_most_the_length_of_the_scale():
    hits, foreign = ranking(FLAT, STANDING)
    assert raise_other(hits, Sides.of(hits, foreign), 70.0)[1] == raise_other(hits, Sides.of(hits, foreign), 1.0)[1]


@pytest.mark.parametrize(("own", "other"), [(FLAT[:4], STANDING), (FLAT, STANDING[:4])])
def test_among_too_few_nothing_can_stand_out(own, other):
    assert Sides.of(*ranking(own, other)) is None


def test_what_only_bm25_found_counts_as_no_nearer_than_what_dense_search_found():
    hits, foreign = ranking(FLAT, STANDING)
    blind = [Hit(f"b{n}", 0.9, "fusion", Evidence(bm25=StageScore(1, 3.0))) for n in range(4)]
    sides = Sides.of([*blind, *hits], foreign)
    assert len(sides.own) == 10
    assert sides.lead() == pytest.approx(ahead(STANDING) - ahead([*FLAT, *[0.79] * 4]))
    assert Sides.of([*blind, *blind, *[hit for hit in hits if hit.chunk_id in foreign]], foreign) is None


def test_fused_scores_stay_in_their_range_with_ranks_in_order():
    hits, foreign = ranking(FLAT, STANDING)
    found = fused_again(raise_other(hits, Sides.of(hits, foreign), 0.5)[0])
    assert found[0].score == 1 and all(0 <= hit.score <= 1 for hit in found)
    assert [hit.evidence.fusion.rank for hit in found] == list(range(1, 14))
    assert all(hit.evidence.fusion.score == hit.score for hit in found)
    assert fused_again([]) == []
