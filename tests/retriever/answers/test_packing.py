"""Packing against documents of which every character is known."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarry.indexer.records import Document
from quarry.retriever.answers.packing import pack
from quarry.retriever.ranking import Evidence
from quarry.retriever.results import Result
from quarry.retriever.sentences import sentence_spans, tokens_at_most


class Documents(dict):
    def document(self, doc_id):
        return Document(doc_id, self[doc_id])


def hit(documents, doc_id, start, end, rank, **changes):
    fields = {
        "rank": rank, "score": 1 / rank, "stage": "fusion", "chunk_id": f"{doc_id}#{start}-{end}", "doc_id": doc_id,
        "title": doc_id, "heading": "", "source": f"{doc_id}.md", "page": None, "start": start, "end": end,
        "text": documents[doc_id][start:end], "highlights": (), "meta": {}, "evidence": Evidence(),
    }  # fmt: skip  # a table
    return Result(**{**fields, **changes})


EN = "Books may be renewed twice. Fines are fifty cents a day. The hall opens at nine. Ask at the desk."
ZH = "图书可以续借两次。逾期每天罚款五角。大厅九点开门。请在前台询问。"


def test_hits_become_numbered_passages_best_first():
    texts = Documents(en=EN, zh=ZH)
    packing = pack([hit(texts, "zh", 0, len(ZH), 1, page=3), hit(texts, "en", 0, 27, 2)], texts)
    first, second = packing.passages
    assert (first.number, first.doc_id, first.title, first.path, first.page) == (1, "zh", "zh", "zh.md", 3)
    assert (first.text, first.start, first.end, first.chunk_ids) == (ZH, 0, len(ZH), (f"zh#0-{len(ZH)}",))
    assert (second.number, second.text, second.score, second.cut) == (2, "Books may be renewed twice.", 0.5, "")
    assert packing.left_out == 0


def test_overlapping_and_adjacent_hits_of_one_document_are_one_passage():
    texts = Documents(en=EN, zh=ZH)
    # ranks 1 and 3 overlap, rank 4 begins after one space; rank 2 is of another document
    hits = [
        hit(texts, "en", 28, 56, 1),
        hit(texts, "zh", 0, 9, 2),
        hit(texts, "en", 10, 40, 3),
        hit(texts, "en", 57, 80, 4),
    ]
    first, second = pack(hits, texts).passages
    assert (first.doc_id, first.start, first.end, first.text) == ("en", 10, 80, EN[10:80])
    assert first.chunk_ids == ("en#28-56", "en#10-40", "en#57-80")
    assert second.doc_id == "zh"


def test_a_hit_between_two_joins_both():
    texts = Documents(en=EN)
    hits = [hit(texts, "en", 57, 80, 1), hit(texts, "en", 0, 27, 2), hit(texts, "en", 28, 56, 3)]
    (only,) = pack(hits, texts).passages
    assert (only.start, only.end, only.score) == (0, 80, 1.0)


def test_neighbours_with_words_between_stay_apart():
    texts = Documents(d="one two three four")
    assert len(pack([hit(texts, "d", 0, 3, 1), hit(texts, "d", 8, 13, 2)], texts).passages) == 2


def test_the_same_text_is_given_once_and_says_where_else_it_stands():
    texts = Documents(a=EN, b=EN.replace(". ", ".\n"), c=ZH)
    packing = pack([hit(texts, name, 0, len(texts[name]), n) for n, name in enumerate("abc", 1)], texts)
    assert [(p.doc_id, p.also_in) for p in packing.passages] == [("a", ("b",)), ("c", ())]
    assert packing.left_out == 0


@pytest.mark.parametrize("text", [EN * 12, ZH * 12])
def test_what_does_not_fit_is_cut_between_sentences_around_the_best_one_and_says_so(text):
    texts = Documents(d=text)
    at = text.index("nine" if text.isascii() else "九点", len(text) // 2)
    (only,) = pack([hit(texts, "d", 0, len(text), 1, highlights=((at, at + 2),))], texts, 256).passages
    assert only.cut == "between sentences"
    assert only.start <= at < only.end
    assert only.text == text[only.start : only.end]
    spans = sentence_spans(text)
    assert only.start in {a for a, _ in spans}
    assert only.end in {b for _, b in spans}
    assert tokens_at_most(only.text) > 100


def test_one_sentence_above_the_budget_is_cut_inside_and_says_so_but_only_when_it_is_the_best():
    texts = Documents(long="很" * 900, en=EN)
    (only,) = pack([hit(texts, "long", 0, 900, 1)], texts, 256).passages
    assert only.cut == "inside a sentence"
    assert only.text == texts["long"][only.start : only.end]
    packing = pack([hit(texts, "en", 0, len(EN), 1), hit(texts, "long", 0, 900, 2)], texts, 256)
    assert ([p.doc_id for p in packing.passages], packing.left_out) == (["en"], 1)


def test_a_page_is_that_of_the_first_character():
    text = "First page says so. \fSecond page: the library opens at nine." + " Filler sentence here." * 60
    texts = Documents(d=text)
    at = text.index("nine")
    (only,) = pack([hit(texts, "d", 0, len(text), 1, page=4, highlights=((at, at + 4),))], texts, 256).passages
    assert only.page == 4 + text.count("\f", 0, only.start)
    joined = pack([hit(texts, "d", 21, 60, 1, page=5), hit(texts, "d", 0, 19, 2, page=4)], texts).passages
    assert [p.page for p in joined] == [4]


def test_nothing_gives_nothing_and_a_tiny_budget_is_refused():
    assert pack([], Documents()).passages == ()
    with pytest.raises(ValueError, match="budget is 10 tokens; expected at least 256"):
        pack([], Documents(), 10)


spans = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 300), st.integers(1, 200)), max_size=8)


@settings(max_examples=150, deadline=None)
@given(spans, st.integers(256, 900))
def test_whatever_the_hits_the_budget_holds_and_every_passage_is_its_place_in_the_document(wanted, budget):
    texts = Documents(a=EN * 5, b=ZH * 12)
    hits = [
        hit(texts, name, start, min(start + length, len(texts[name])), rank)
        for rank, (name, start, length) in enumerate(wanted, 1)
        if start < len(texts[name])
    ]
    packing = pack(hits, texts, budget)
    assert packing.tokens <= budget
    assert [p.number for p in packing.passages] == list(range(1, len(packing.passages) + 1))
    for passage in packing.passages:
        assert passage.text == texts[passage.doc_id][passage.start : passage.end]
    by_document = sorted((p.doc_id, p.start, p.end) for p in packing.passages)
    assert all(x[0] != y[0] or x[2] <= y[1] for x, y in zip(by_document, by_document[1:], strict=False))
    if any(found.text.strip() for found in hits):
        assert packing.passages
