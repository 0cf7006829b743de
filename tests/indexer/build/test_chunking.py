"""Passages: exact offsets, whole sentences in both languages, a hard cap, nothing lost."""

from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarry.indexer.build.cutting.chunking import ChunkSpec, split
from quarry.indexer.models.token_spans import ScriptTokens
from quarry.indexer.records import Document, passage_text

TOKENS = ScriptTokens()


def cut(text: str, max_tokens: int = 32, overlap: int = 0):
    return split(Document("d", text), ChunkSpec(max_tokens, overlap), TOKENS)


pieces = st.sampled_from(
    [
        "知识就是力量。",
        "你好吗？",
        "她说：“好！”",
        "A short sentence. ",
        "Dr. Smith paid 3.14 dollars. ",
        "\n\n",
        "\n",
        "# Heading\n",
        "## 小标题\n",
        "- item\n",
        "| a | b |\n",
        "\f",
        "x" * 90,
        "超" * 60,
        "👩‍👩‍👧 e\u0301 ",
        "```\n# no heading\n```\n",
        " ",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(pieces, max_size=60).map("".join), st.integers(16, 64), st.integers(0, 8))
def test_passages_are_exact_ordered_capped_and_cover_the_text(text, max_tokens, overlap):
    chunks = cut(text, max_tokens, overlap)
    covered = set()
    for chunk in chunks:
        assert chunk.text == text[chunk.start : chunk.end] == chunk.text.strip()
        assert chunk.text
        assert chunk.chunk_id == f"d#{chunk.start}-{chunk.end}"
        assert len(TOKENS.spans(chunk.text)) <= max_tokens
        covered.update(range(chunk.start, chunk.end))
    assert all(character.isspace() for place, character in enumerate(text) if place not in covered)
    assert [c.start for c in chunks] == sorted({c.start for c in chunks})
    assert [c.end for c in chunks] == sorted({c.end for c in chunks})


def test_chinese_sentences_are_kept_whole_without_spaces():
    text = "图书馆周一闭馆。读者可以借十本书！他说：“真的吗？”当然是真的。" * 6
    for chunk in cut(text):
        assert chunk.text[-1] in "。！”"
        assert chunk.text[0] in "图读他当"


def test_english_sentences_are_kept_whole_and_abbreviations_do_not_end_them():
    text = "Dr. J. Smith of the U.S. office paid 3.14 dollars, e.g. for tea. The library is closed. " * 8
    for chunk in cut(text, 48):
        assert chunk.text.startswith(("Dr. J. Smith", "The library"))
        assert chunk.text.endswith(("tea.", "closed."))


def test_headings_open_sections_and_are_inherited():
    body = "Words in a sentence of some length that fill the passage. " * 8
    text = f"# Guide\n\n{body}\n## Loans\n\n{body}\n# 规则\n\n{body}"
    headings = [chunk.heading for chunk in cut(text, 200)]
    assert headings == ["Guide", "Guide > Loans", "规则"]
    assert [c.heading for c in cut(f"```\n# no\n```\n{body}", 200)] == [""]


def test_a_heading_alone_is_joined_with_what_follows():
    (chunk,) = cut("# Title\n\n## Sub\n\nOne sentence.", 64)
    assert chunk.text.startswith("# Title")
    assert chunk.heading == "Title > Sub"


def test_overlap_repeats_whole_sentences():
    text = "".join(f"第{number}句话说的是图书馆里的事情。" for number in range(40))
    chunks = cut(text, 64, 24)
    for before, after in zip(chunks, chunks[1:], strict=False):
        assert after.start < before.end
        assert text[after.start - 1] == "。"
        assert before.end - after.start <= 24 + 4


def test_a_text_without_boundaries_is_cut_in_linear_time():
    for text in ("知识就是力量" * 500_000, "x" * 3_000_000, "word " * 600_000):
        started = perf_counter()
        chunks = cut(text, 320, 64)
        assert chunks[-1].end == len(text.rstrip())
        assert perf_counter() - started < 60  # about 2 s here; quadratic work would take hours


def test_white_space_gives_nothing():
    assert cut("") == cut(" \n\f ") == []


@pytest.mark.parametrize(
    ("max_tokens", "overlap", "message"),
    [
        (15, 0, "chunk tokens is 15; expected at least 16"),
        (32, 17, "overlap is 17 tokens; expected 0 to 16"),
        (32, -1, "overlap is -1"),
    ],
)
def test_impossible_lengths_are_refused(max_tokens, overlap, message):
    with pytest.raises(ValueError, match=message):
        ChunkSpec(max_tokens, overlap)


def test_the_passage_text_names_title_and_headings_once():
    assert passage_text("Guide", "Guide > Loans", "## Loans\n\nTen books.") == "Guide\n## Loans\n\nTen books."
    assert passage_text("Guide", "Rules > Loans", "Ten books.") == "Guide\nRules > Loans\nTen books."
    assert passage_text("", "", "text") == "text"
    assert passage_text("# x", "", "x y") == "# x\nx y"
