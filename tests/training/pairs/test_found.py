"""Which pairs documents and rows give."""

import pytest

from quarry.indexer.records import Document
from quarry.training.pairs.documents import pairs_of_document
from quarry.training.pairs.fields import holds_pairs, pairs_of_row


def of(text, title=""):
    return [(pair.kind, pair.query, pair.passage) for pair in pairs_of_document(Document("d", text, title))]


def row(**fields):
    return [(pair.kind, pair.query, pair.passage) for pair in pairs_of_row(fields, "x:1")]


def test_titles_headings_questions_and_answers():
    found = of("Books are lent to all.\n\n## Renewal\nTwice online.\n\nQ: How long?\nA: Thirty days.", "Loans")
    assert ("title", "Loans", "Books are lent to all.") in found
    assert ("question", "How long?", "Thirty days.") in found
    assert next(one for one in found if one[0] == "heading")[1] == "Renewal"


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("# Report\n\n## Summary\nLoans doubled.\n\n## Method\nWe counted all loans.", "Loans doubled."),
        ("TL;DR: Loans doubled.\n\nWe counted all loans.", "Loans doubled."),
        ("# 报告\n\n摘要：借阅量翻了一番。\n\n我们统计了全部借阅。", "借阅量翻了一番。"),
        ("## 摘要\n借阅量翻了一番。\n## 方法\n我们统计了全部借阅。", "借阅量翻了一番。"),
    ],
)
def test_a_summary_stands_for_the_rest_of_its_document(text, summary):
    (found,) = [one for one in of(text, "Report") if one[0] == "summary"]
    assert found[1] == summary
    assert summary not in found[2]
    assert not [one for one in of(text, "Report") if one[1] in ("Summary", "摘要")]


@pytest.mark.parametrize(
    "text",
    [
        "Q: How long are loans?\nSimilar questions: When is a book due?; How many days?\nA: Thirty days.",
        "## How long are loans?\nAlso asked as:\n- When is a book due?\n- How many days?\n\nThirty days.",
    ],
)
def test_similar_questions_belong_to_the_question_above_them(text):
    found = [one[1:] for one in of(text) if one[0] == "similar question"]
    assert found == [("How long are loans?", "When is a book due?"), ("How long are loans?", "How many days?")]


def test_chinese_similar_questions():
    found = of("问：怎么续借？\n相似问：如何延长借期？/ 书到期了还想看怎么办？\n答：在网上续借。")
    assert [one[1:] for one in found if one[0] == "similar question"] == [
        ("怎么续借？", "如何延长借期？"),
        ("怎么续借？", "书到期了还想看怎么办？"),
    ]


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        (
            "The loan is not renewable. In other words, the book must come back.",
            ("The loan is not renewable", "the book must come back."),
        ),
        (
            "借期结束后不能再次续借图书。换句话说，这本书必须按时归还图书馆。",
            ("借期结束后不能再次续借图书", "这本书必须按时归还图书馆。"),
        ),
    ],
)
def test_a_sentence_said_in_other_words_is_a_paraphrase(text, pair):
    assert [one[1:] for one in of(text) if one[0] == "paraphrase"] == [pair]


@pytest.mark.parametrize(
    ("fields", "pairs"),
    [
        ({"question": "Q", "answer": "A"}, [("question", "Q", "A")]),
        (
            {"问题": "问", "答案": "答", "相似问": ["一", "二"]},
            [("question", "问", "答"), ("similar question", "问", "一"), ("similar question", "问", "二")],
        ),
        ({"query": "Q", "pos": ["A", "B"], "neg": ["N"]}, [("question", "Q", "A"), ("question", "Q", "B")]),
        ({"query": "Q", "positive_passages": [{"title": "T", "text": "A"}]}, [("question", "Q", "T\nA")]),
        ({"sentence1": "S", "sentence2": "T", "label": 1}, [("paraphrase", "S", "T")]),
        ({"sentence1": "S", "sentence2": "T", "label": 0}, []),
        ({"sentence1": "S", "sentence2": "T", "score": 4.4}, [("paraphrase", "S", "T")]),
        ({"sentence1": "S", "sentence2": "T", "score": 2.4}, []),
        ({"question1": "Q", "question2": "R", "is_duplicate": "1"}, [("similar question", "Q", "R")]),
        ({"title": "T", "abstract": "A"}, [("title", "T", "A")]),
        ({"摘要": "短", "正文": "长"}, [("summary", "短", "长")]),
        ({"标题": "题", "正文": "文"}, [("title", "题", "文")]),
        ({"id": 7, "name": "N"}, []),
    ],
)
def test_rows_give_pairs_by_the_names_of_their_fields(fields, pairs):
    assert row(**fields) == pairs


def test_a_file_is_structured_when_its_names_can_give_a_pair():
    assert holds_pairs(["Sentence1", "sentence2", "label"])
    assert holds_pairs(["标题", "正文"])
    assert not holds_pairs(["text", "label"])
    assert not holds_pairs(["_id", "text"])
