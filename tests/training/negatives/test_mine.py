"""Mined negatives against brute force: windows, margins, known good passages, copies, rerankers, and the consistency filter."""

import random
from dataclasses import replace

import numpy as np
import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import IndexMismatchError, ModelError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.training.examples.example import Example
from quarry.training.examples.rows import TrainingRow
from quarry.training.negatives.choice import COPIES, GIVEN_POSITIVE, RELEVANT
from quarry.training.negatives.corpus import MiningCorpus
from quarry.training.negatives.mine import KNOWN, LIKE_QUERY, TOO_SIMILAR, mine_negatives
from quarry.training.negatives.spec import NegativeSpec, rank_window
from tests.fakes import WordEmbedder

PLAIN = NegativeSpec(ranks=(0, 100), number=5, relative=None, consistent_within=None, fill=False)


class CosineEmbedder(WordEmbedder):
    """A passage that ends in a number has that cosine to every query."""

    calls = ()

    def __init__(self):
        self.spec = EmbedderSpec("tests/cosine", "1", 300, 512, "mean")
        self.calls = []

    def embed_queries(self, texts):
        self.calls.append(len(texts))
        out = np.zeros((len(texts), 300), dtype=np.float32)
        out[:, 0] = 1
        return out

    def embed_documents(self, texts, *, progress=None):
        out = np.zeros((len(texts), 300), dtype=np.float32)
        for row, text in enumerate(texts):
            cosine = float(text.rpartition(" ")[2])
            out[row, 0] = cosine
            out[row, 1 + row % 299] = np.sqrt(1 - cosine**2)
        return out


def passages(count, rng):
    """Texts without common n-grams, with cosines from 0.999 downwards."""
    cosines = sorted((round(rng.random(), 4) for _ in range(count)), reverse=True)
    return [f"{''.join(chr(rng.randrange(0x4E00, 0x9F00)) for _ in range(12))} {cosine}" for cosine in cosines]


def cosine(text):
    return float(text.rpartition(" ")[2])


def ask(query, *pos, **fields):
    return Example.of(TrainingRow(query, pos, tuple(fields.pop("neg", ()))), **fields)


@pytest.mark.parametrize("seed", range(4))
def test_negatives_are_those_of_brute_force(seed):
    rng = random.Random(seed)
    texts = passages(120, rng)
    corpus = MiningCorpus.from_texts(texts, CosineEmbedder())
    examples = [ask(f"query {n}", *rng.sample(texts[:60], rng.choice([1, 2]))) for n in range(70)]
    spec = NegativeSpec(ranks=(5, 60), number=200, relative=0.9, above_random=False, consistent_within=30, fill=False)
    mined = mine_negatives(examples, corpus, spec)
    expected, dropped, margin, good = {}, [], 0, 0
    for example in examples:
        ranks = [texts.index(text) for text in example.row.pos]
        if min(ranks) >= 30:
            dropped.append((example, min(ranks) + 1))
            continue
        limit = 0.9 * max(cosine(text) for text in example.row.pos)
        window = texts[5:60]
        good += sum(text in example.row.pos for text in window)
        margin += sum(cosine(text) > limit for text in window if text not in example.row.pos)
        expected[example.key] = {text for text in window if text not in example.row.pos and cosine(text) <= limit}
    assert {one.example.key: set(one.example.row.neg) for one in mined.kept} == expected
    assert mined.dropped == tuple(dropped)
    assert dropped
    assert mined.removed == {KNOWN: good, TOO_SIMILAR: margin}
    assert mined.candidates == 55 * len(mined.kept)
    assert all(n.rank == texts.index(n.text) + 1 for one in mined.kept for n in one.negatives)
    assert all(n.score == pytest.approx(cosine(n.text), abs=1e-5) for one in mined.kept for n in one.negatives)


def test_a_few_are_drawn_by_seed_whatever_the_order_of_the_examples():
    rng = random.Random(0)
    texts = passages(100, rng)
    examples = [ask(f"问题 {n}", texts[n]) for n in range(90)]
    found = [
        {one.example.key: one.example.row.neg for one in mine_negatives(some, corpus, spec).kept}
        for corpus in [MiningCorpus.from_texts(texts, CosineEmbedder())]
        for some, spec in (
            (examples, PLAIN),
            (rng.sample(examples, 90), PLAIN),
            (examples, replace(PLAIN, seed=1)),
        )
    ]
    assert found[0] == found[1]
    assert sum(found[0][key] != found[2][key] for key in found[0]) > 80
    assert all(len(set(neg)) == 5 for neg in found[0].values())
    ranks = [texts.index(text) for neg in found[0].values() for text in neg]
    assert 40 < np.mean(ranks) < 60  # drawn from the whole window, not its top


def test_margins():
    texts = [
        f"{chr(0x4E00 + 7 * n) * 3}甲{chr(0x6E00 + 7 * n) * 3} {value}"
        for n, value in enumerate([0.9, 0.88, 0.8, 0.5, 0.4])
    ]
    corpus = MiningCorpus.from_texts(texts, CosineEmbedder())
    example = [ask("q", texts[0])]

    def kept(**changes):
        return {
            cosine(text) for text in mine_negatives(example, corpus, replace(PLAIN, **changes)).kept[0].example.row.neg
        }

    assert kept() == {0.88, 0.8, 0.5, 0.4}
    assert kept(absolute=0.05) == {0.8, 0.5, 0.4}
    assert kept(relative=0.95, above_random=False) == {0.8, 0.5, 0.4}
    assert kept(relative=0.6, above_random=False) == {0.5, 0.4}
    mined = mine_negatives(example, corpus, replace(PLAIN, relative=0.5))
    assert mined.floor == pytest.approx(np.mean([0.9, 0.88, 0.8, 0.5, 0.4]), abs=1e-5)
    assert {cosine(text) for text in mined.kept[0].example.row.neg} == {0.8, 0.5, 0.4}.intersection(
        value for value in (0.88, 0.8, 0.5, 0.4) if value <= mined.floor + 0.5 * (0.9 - mined.floor)
    )


def test_positives_that_are_not_in_the_corpus_are_scored_by_their_text():
    texts = passages(50, random.Random(3))
    corpus = MiningCorpus.from_texts(texts, CosineEmbedder())
    spec = replace(PLAIN, relative=0.95, above_random=False, consistent_within=10)
    mined = mine_negatives([ask("near", "完全另外的回答 0.97"), ask("far", "毫无关系的文字 0.01")], corpus, spec)
    (kept,) = mined.kept
    assert kept.positive_score == pytest.approx(0.97, abs=1e-5)
    assert kept.positive_rank == 1 + sum(cosine(text) > 0.97 for text in texts)
    assert all(cosine(text) <= 0.95 * 0.97 for text in kept.example.row.neg)
    assert [example.key for example, _ in mined.dropped] == ["far"]


def test_a_positive_of_another_row_of_the_query_is_no_negative_nor_is_a_copy_or_the_query():
    texts = [
        "Renew at the desk please 0.9",
        "renew at the desk, please! 0.9",
        "书书书 0.7",
        "query 0.6",
        "门门门 0.5",
        "门门门！ 0.5",
    ]
    corpus = MiningCorpus.from_texts(texts, CosineEmbedder())
    examples = [ask("query 0.6", texts[0]), ask("QUERY 0.6", texts[2])]
    mined = mine_negatives(examples, corpus, PLAIN)
    assert [len(one.example.row.neg) for one in mined.kept] == [1, 1]
    assert all(one.example.row.neg[0].startswith("门门门") for one in mined.kept)
    assert mined.removed[LIKE_QUERY] == 2
    assert mined.removed[COPIES] >= 3


def test_given_negatives_stay_and_count():
    texts = passages(30, random.Random(1))
    corpus = MiningCorpus.from_texts(texts, CosineEmbedder())
    example = ask("q", texts[0], neg=["judged bad", texts[0], "judged bad"])
    (kept,) = mine_negatives([example], corpus, PLAIN).kept
    assert [n.kind for n in kept.negatives] == ["given"] + ["mined"] * 4
    assert kept.example.row.neg[0] == "judged bad"
    assert texts[0] not in kept.example.row.neg
    assert mine_negatives([example], corpus, PLAIN).removed[GIVEN_POSITIVE] == 1


def test_a_short_window_is_made_up_by_random_passages_below_the_limit():
    texts = passages(60, random.Random(2))
    corpus = MiningCorpus.from_texts(texts, CosineEmbedder())
    spec = replace(PLAIN, ranks=(2, 4), relative=0.95, above_random=False, fill=True)
    mined = mine_negatives([ask("q", texts[0])], corpus, spec)
    kinds = [n.kind for n in mined.kept[0].negatives]
    assert (mined.short, len(kinds), kinds.count("random") >= 3) == (1, 5, True)
    assert all(texts.index(n.text) >= 4 for n in mined.kept[0].negatives if n.kind == "random")
    short = mine_negatives([ask("q", texts[0])], corpus, replace(spec, fill=False))
    assert len(short.kept[0].negatives) <= 2


class OddReranker:
    """Finds every passage with an odd last digit relevant."""

    name = "tests/odd"

    def score(self, query, passages):
        return np.array([5.0 if int(text[-1]) % 2 else -5.0 for text in passages], dtype=np.float32)


def test_the_reranker_takes_out_what_it_finds_relevant_and_teaches():
    texts = [f"{chr(0x4E00 + 9 * n)}天{chr(0x6E00 + 9 * n)}地 0.{99 - n}" for n in range(60)]
    corpus = MiningCorpus.from_texts(texts, CosineEmbedder())
    mined = mine_negatives(
        [ask("q", texts[0], neg=["judged 0.2"])], corpus, replace(PLAIN, number=20), reranker=OddReranker()
    )
    row = mined.kept[0].example.row
    assert len(row.neg) == 20
    assert all(int(text[-1]) % 2 == 0 for text in row.neg)
    assert (row.pos_scores, set(row.neg_scores), len(row.neg_scores)) == ((5.0,), {-5.0}, 20)
    assert mined.removed[RELEVANT] > 5


def test_queries_are_searched_in_blocks_and_encoded_once():
    texts = passages(150, random.Random(5))
    embedder = CosineEmbedder()
    seen = []
    mine_negatives(
        [ask(f"q {n}", texts[n]) for n in range(150)],
        MiningCorpus.from_texts(texts, embedder),
        PLAIN,
        progress=seen.append,
    )
    assert seen == [64, 64, 22]
    assert embedder.calls == [64, 64, 22]


DOCUMENTS = [
    Document("loans.md", "Renew books twice online, or at the service desk in the hall.", "Loans"),
    Document("借书.md", "每位读者可以借十本书，借期三十天，可以在网上续借两次。", "借书"),
    *[Document(f"en{n}.md", f"The books of room {n} are shelved by subject {n * 7919} and colour.") for n in range(12)],
    *[Document(f"zh{n}.md", f"第{n}阅览室的图书按学科{n * 7919}排列，不外借。") for n in range(12)],
]


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS, WordEmbedder())
    return Index.open(tmp_path / "index")


@pytest.mark.parametrize("pool", ["dense", "bm25", "hybrid"])
def test_an_index_is_mined_by_every_route(index, pool):
    examples = [
        ask("renew books twice online, or at the service desk", "Renew books twice online", positive_ids=["loans.md"]),
        ask("借期三十天，可以在网上续借两次吗", "可以在网上续借两次。", positive_ids=["借书.md"]),
    ]
    spec = NegativeSpec(pool=pool, ranks=(0, 10), number=3, consistent_within=5)
    mined = mine_negatives(examples, MiningCorpus.from_index(index, WordEmbedder()), spec)
    assert [one.positive_rank for one in mined.kept] == [1, 1]
    for one in mined.kept:
        assert len({n.text for n in one.negatives}) == 3
        assert not any(one.example.row.pos[0] in n.text for n in one.negatives)
        assert all(-1 <= n.score < one.positive_score <= 1 for n in one.negatives)


def test_an_index_without_vectors_is_mined_by_bm25_with_its_scores(index):
    corpus = MiningCorpus.from_index(index, None)
    examples = [ask("how can I renew books", "x", positive_ids=["loans.md#0-62"]), ask("图书", "甲")]
    mined = mine_negatives(examples, corpus, NegativeSpec(pool="bm25", ranks=(0, 10), number=3))
    assert mined.floor == 0
    assert mined.kept[0].positive_score > 1
    assert mined.kept[1].positive_score is None  # nothing to compare with: kept, no margin
    assert all("阅览室" in n.text for n in mined.kept[1].negatives)
    with pytest.raises(ModelError, match="the pool 'dense' needs vectors and an embedder"):
        mine_negatives(examples, corpus, NegativeSpec())


def test_a_positive_deep_in_the_index_is_dropped(index):
    corpus = MiningCorpus.from_index(index, WordEmbedder())
    example = ask("books of room shelved by subject and colour", "每位读者", positive_ids=["借书.md"])
    mined = mine_negatives([example], corpus, NegativeSpec(ranks=(0, 5), consistent_within=5))
    assert (mined.kept, mined.dropped) == ((), ((example, None),))


def test_the_embedder_must_be_the_indexs_and_must_not_fail(index):
    with pytest.raises(IndexMismatchError, match="built with tests/words"):
        MiningCorpus.from_index(index, WordEmbedder(revision="2"))

    class Broken(WordEmbedder):
        def embed_queries(self, texts):
            raise RuntimeError("no memory")

    with pytest.raises(ModelError, match="mining from the pool 'hybrid' failed: dense: .*no memory"):
        MiningCorpus.from_index(index, Broken()).rankings(["q"], "hybrid", 5)


def test_nothing_to_mine_from_is_an_error():
    with pytest.raises(ValueError, match="no texts to mine from"):
        MiningCorpus.from_texts([" "], None)
    assert mine_negatives([], MiningCorpus.from_texts(["a"], None), NegativeSpec(pool="bm25")).kept == ()


def test_windows_and_presets():
    assert rank_window("2-200") == (2, 200)
    assert NegativeSpec(ranks=(10, 210), consistent_within=None).depth == 210
    for text in ("200-2", "2", "a-b", "-1-5", "5-5"):
        with pytest.raises(ValueError, match="expected two whole numbers like 2-200"):
            rank_window(text)
    for changes, message in (
        ({"ranks": (5, 2)}, "rank window is 5-2"),
        ({"number": 0}, "number is 0"),
        ({"consistent_within": 0}, "consistent_within 0"),
        ({"relative": 1.5}, "relative is 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(PLAIN, **changes)
