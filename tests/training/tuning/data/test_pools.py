"""Negatives are written like the positive: those of the index for its passages, those of the file for its pairs."""

from dataclasses import replace

import pytest

from quarry.demo_corpus import general_path
from quarry.indexer.build import index_documents
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.training.examples.example import Example
from quarry.training.examples.rows import TrainingRow
from quarry.training.negatives.mine import KNOWN
from quarry.training.negatives.spec import NegativeSpec
from quarry.training.tuning.data.pools import MiningPools, Sides
from quarry.training.tuning.plan import TuningPlan, Unwatched
from tests.fakes import WordEmbedder

DOCUMENTS = [
    Document(f"d{n}", f"{place} opens at {n} o'clock. {place}{n} 点开门。", f"Hours 开放时间 {n}")
    for n, place in enumerate(["library", "museum", "pool", "park", "zoo", "garden", "station", "archive"])
]
PAIRS = [Example.of(TrainingRow(f"rule {n} 规定{n}", (f"rule {n} says 规定{n}是 {n} days",))) for n in range(12)]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    root = tmp_path_factory.mktemp("pools") / "index"
    index_documents(root, DOCUMENTS, WordEmbedder())
    return Index.open(root)


@pytest.fixture(scope="module")
def judged(index):
    """What people judged: passages as the index embeds them, title first."""
    ids, _ = index.chunks.digests()
    texts = index.chunks.texts(ids)
    assert all(text.startswith("Hours") for text in texts)
    return [
        Example.of(TrainingRow(f"when does {n} open", (text,)), positive_ids=[name], origin="feedback")
        for n, (name, text) in enumerate(zip(ids, texts, strict=True))
    ]


@pytest.fixture(scope="module")
def plan():
    return TuningPlan(general_path(), negatives=NegativeSpec(ranks=(0, 20), number=3, relative=None))


def test_only_passages_as_they_stand_are_in_the_index(index, judged):
    bare = Example.of(TrainingRow("library hours", (DOCUMENTS[0].text,)), positive_ids=["d0"])
    sides = Sides.of([*judged, bare, *PAIRS], index)
    assert sides.inside == tuple(judged)
    assert sides.outside == (bare, *PAIRS)


def test_negatives_come_from_where_the_positive_stands(index, judged, plan):
    pools = MiningPools(index, WordEmbedder(), [*judged, *PAIRS], Unwatched())
    mined = pools.mine([*judged, *PAIRS], plan.negatives)
    assert len(mined.kept) + len(mined.dropped) == 20
    seen = {True: 0, False: 0}
    for example in mined.examples:
        titled = example.row.pos[0].startswith("Hours")
        assert example.row.neg
        assert all(text.startswith("Hours") == titled for text in example.row.neg)
        seen[titled] += 1
    assert min(seen.values()) >= 8
    assert mined.candidates >= 20


def test_the_nearest_of_the_whole_file_come_first_and_count_as_neighbours(index, plan):
    drawn = PAIRS[:4]
    sibling = "rule 2 says 规定2 does not hold on holidays 节假日不适用"
    copy = "Rule 2 says 规定2是 2 days!"  # reads like the positive
    passages = [sibling, copy, *(f"unrelated remark {chr(97 + n)}x 无关" for n in range(20))]
    four = replace(plan.negatives, number=4)
    pools = MiningPools(index, WordEmbedder(), drawn, Unwatched(), passages=passages)
    mined = pools.mine(drawn, four)
    (second,) = (one for one in mined.kept if one.example.row.query == "rule 2 规定2")
    assert sibling in second.example.row.neg
    assert copy not in second.example.row.neg
    (found,) = (negative for negative in second.negatives if negative.text == sibling)
    assert (found.kind, found.rank, found.score) == ("neighbour", 0, None)
    assert len(second.example.row.neg) == 4
    assert not any(text.startswith("Hours") for text in second.example.row.neg)
    assert mined.removed[KNOWN] > 0
    without = MiningPools(index, WordEmbedder(), drawn, Unwatched()).mine(drawn, four)
    assert not any(sibling in one.example.row.neg for one in without.kept)


def test_dev_candidates_follow_the_dev_examples(index, judged, plan):
    pools = MiningPools(index, WordEmbedder(), [*judged, *PAIRS], Unwatched())
    mixed = pools.others([*judged[:4], *PAIRS[:4]], 8, seed=1)
    assert [text.startswith("Hours") for text in mixed].count(True) == 4
    assert len(mixed) == 8
    assert mixed == pools.others([*judged[:4], *PAIRS[:4]], 8, seed=1)
    assert not any(text.startswith("Hours") for text in pools.others(PAIRS, 8, seed=1))
    assert pools.beyond_index
    alone = MiningPools(index, WordEmbedder(), judged, Unwatched(), passages=["rule 9 规定9"])
    assert not alone.beyond_index
    assert all(text.startswith("Hours") for text in alone.others(judged, 5, seed=0))
    assert len(alone.mine(judged, plan.negatives).kept) == 8


def test_a_rank_range_of_ones_own_is_obeyed_for_pairs_of_a_file(index):
    spec = NegativeSpec(ranks=(5, 9), number=3, relative=None, consistent_within=None, fill=False, neighbours=False)
    pools = MiningPools(index, WordEmbedder(), PAIRS, Unwatched(), passages=["rule 2 says 规定2 does not hold"])
    mined = pools.mine(PAIRS, spec)
    ranks = [negative.rank for one in mined.kept for negative in one.negatives]
    assert len(ranks) == 36
    assert set(ranks) <= {6, 7, 8, 9}
    assert {negative.kind for one in mined.kept for negative in one.negatives} == {"mined"}
