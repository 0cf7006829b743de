"""Mined pairs: each filter takes out what it names, counts add up, and the model's threshold comes from random pairs."""

import numpy as np
import pytest

from quarry.indexer.records import Document
from quarry.training.examples.corpus_pairs import PairOptions, mine_pairs
from tests.fakes import WordEmbedder
from tests.training.reasons import said

LONG = "This passage has enough words to be kept as the answer here, number {}."
ZH = "这一段文字足够长，可以作为第{}个答案保留下来，内容各不相同。"
NO_MODEL = PairOptions(random_quantile=0.0, same_passage=1.0)


def mine(*documents, rules=NO_MODEL, embedder=None):
    return mine_pairs([Document(f"d{n}", text, title) for n, (title, text) in enumerate(documents)], embedder, rules)


def words(n):
    rng = np.random.default_rng(n)
    return " ".join("".join(chr(97 + letter) for letter in rng.integers(0, 26, 6)) for _ in range(12))


def test_pairs_of_both_languages_become_examples():
    found = mine(
        ("Renewing loans", words(1)),
        ("怎么续借图书", ZH.format(1) + "\n\n## 借期多长\n\n" + "三十天，节假日顺延，教师六十天，其他读者十五天。"),
    )
    assert [(e.row.query, e.origin, e.language, e.source) for e in found.examples] == [
        ("Renewing loans", "mined", "en", "title of d0"),
        ("怎么续借图书", "mined", "zh", "title of d1"),
        ("借期多长", "mined", "zh", "heading of d1"),
    ]
    assert found.found == found.kept == {"title": 2, "heading": 1}
    assert (said(found.dropped), found.threshold) == ({}, None)


@pytest.mark.parametrize(
    ("title", "text", "reason"),
    [
        ("Loans", words(1), "query too short"),
        ("word " * 80, words(1), "query too long"),
        ("Renewing loans", "At the desk.", "passage too short"),
        ("借书规则", "到服务台。", "passage too short"),
        ("Table of values", "1 2 3 4 5 6 7 8 9 10 11 12 a", "mostly signs or digits, or broken characters"),
        ("Broken text here", words(1) + "\ufffd", "mostly signs or digits, or broken characters"),
        (
            "Правила библиотеки",
            "Правила выдачи книг в читальном зале библиотеки для всех",
            "neither Chinese nor Latin script",
        ),
    ],
)
def test_general_filters(title, text, reason):
    found = mine((title, text))
    assert (found.examples, said(found.dropped)) == ((), {reason: 1})


def test_generic_headings_get_the_title_and_unspecific_queries_go():
    pages = [
        (f"Function {name}", f"# Remarks\n\n{words(n)}") for n, name in enumerate(["Open", "Close", "Read", "Write"])
    ]
    assert [e.row.query for e in mine(*pages).examples] == [
        f"Function {name} Remarks" for name in ("Open", "Close", "Read", "Write")
    ]
    same = [("Release notes", words(n)) for n in range(9)]
    found = mine(*same[:3])
    assert [len(e.row.pos) for e in found.examples] == [3]
    assert said(mine(*same).dropped) == {"query stands for too many passages": 9}


def test_copies_of_passages_go_and_long_ones_are_cut_at_a_sentence():
    text = "The first sentence is here for everybody to read. " + "续借请到服务台办理。" * 30
    found = mine(
        ("Page one", text), ("Page two", text + "!"), rules=PairOptions(random_quantile=0.0, passage_chars=120)
    )
    assert said(found.dropped) == {"passage is a copy of another one": 1}
    (passage,) = found.examples[0].row.pos
    assert len(passage) <= 120
    assert passage.endswith("。")


def test_the_query_is_taken_off_the_beginning():
    assert mine(("Renewing loans", f"Renewing loans: {words(3)}")).examples[0].row.pos == (words(3),)


def related(count, noise):
    """Documents whose title is made of words of their text, and some with a title of other words."""
    out = []
    for n in range(count):
        text = words(n)
        title = " ".join(words(n + 10_000).split()[:6]) if n < noise else " ".join(text.split()[2:8])
        out.append((title, text))
    return out


def test_the_model_filter_takes_out_what_is_like_random_pairs():
    seen = []
    documents = [Document(f"d{n}", text, title) for n, (title, text) in enumerate(related(600, 60))]
    found = mine_pairs(documents, WordEmbedder(dim=256), PairOptions(), progress=seen.append)
    kept = {int(e.source.removeprefix("title of d")) for e in found.examples}
    assert sum(n < 60 for n in kept) <= 14  # one in ten of the unrelated pairs may pass
    assert sum(n >= 60 for n in kept) >= 535
    assert said(found.dropped)["no more similar to the model than random texts"] == 600 - len(kept)
    assert found.random_scores.mean < found.threshold < found.scores.median
    assert seen == [512, 88]
    assert len(found.weakest) == 10
    assert all(score < found.threshold for *_, score in found.weakest)


def test_the_last_pair_alone_in_a_block_has_another_to_compare_with():
    documents = [Document(f"d{n}", text, title) for n, (title, text) in enumerate(related(513, 0))]
    found = mine_pairs(documents, WordEmbedder(dim=64))
    assert sum(found.scores.counts) == sum(found.random_scores.counts) == 513


def test_a_limit_draws_by_seed():
    documents = related(50, 0)
    one, again, other = (
        mine(*documents, rules=PairOptions(random_quantile=0, limit=10, seed=seed)) for seed in (0, 0, 1)
    )
    assert len(one.examples) == 10
    assert one == again
    assert one.examples != other.examples
    assert said(one.dropped) == {"beyond the limit, drawn at random": 40}


def test_nothing_gives_nothing_and_shares_must_be_shares():
    assert mine().examples == ()
    assert mine(("One title", words(1)), rules=PairOptions(), embedder=WordEmbedder()).threshold is None
    with pytest.raises(ValueError, match="expected shares between 0 and 1"):
        PairOptions(random_quantile=1.0)
