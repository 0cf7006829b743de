"""Patterns in both languages: what a document's structure pairs, and what it does not."""

import pytest

from quarry.indexer.records import Document
from quarry.training.examples.patterns import is_question, raw_pairs


def pairs(text, title=""):
    return [(p.query, p.passage, p.pattern) for p in raw_pairs(Document("d", text, title))]


def test_title_and_headings():
    text = "# Library\n\nOpen to all.\n\n## Loans\n\nTen books.\n\n```\n## not a heading\n```\n\n## How to renew books\n\nOnline.\n\n## Empty\n\n"
    assert pairs(text, "Library") == [
        ("Library", "Open to all.", "title"),
        ("Loans", "Ten books.\n\n```\n## not a heading\n```", "heading"),
        ("How to renew books", "Online.", "question heading"),
    ]
    chinese = "读者须知。\n\n## 借书\n\n可借十本。\n\n## 如何续借？\n\n到服务台。"
    assert pairs(chinese, "图书馆") == [
        ("图书馆", "读者须知。", "title"),
        ("借书", "可借十本。", "heading"),
        ("如何续借？", "到服务台。", "question heading"),
    ]
    assert [p.specific for p in raw_pairs(Document("d", chinese, "图书馆"))] == [
        "图书馆",
        "图书馆 借书",
        "图书馆 如何续借？",
    ]
    assert pairs("Just text.") == []


def test_a_title_has_one_passage():
    assert pairs("Lead.\n\n# Library\n\nMore.", "Library") == [("Library", "Lead.", "title")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Q: How do I renew?\nA: At the desk.\nOr online.\n\nQ2. Where is it?\nA2. In the hall.",
            [("How do I renew?", "At the desk.\nOr online."), ("Where is it?", "In the hall.")],
        ),
        ("**问：**怎么续借？\n**答：**到服务台办理。", [("怎么续借？", "到服务台办理。")]),
        ("问题1：怎么续借\n图书？\n\n回答：到服务台。\n\n\n其他内容。", [("怎么续借 图书？", "到服务台。")]),
        ("Question: lonely\n\nplain\nmore\nmore\nmore", []),
        ("Quality: good\nAnswers vary: yes", []),
    ],
)
def test_marked_questions(text, expected):
    assert pairs(text) == [(*pair, "question and answer") for pair in expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "- How do I renew a book? Ask at the desk.\n- 怎么续借？到服务台办理。",
            [("How do I renew a book?", "Ask at the desk."), ("怎么续借？", "到服务台办理。")],
        ),
        (
            "1. How do I renew a book?\n   Ask at the desk.\n2. Where?\n",
            [("How do I renew a book?", "Ask at the desk.")],
        ),
        (
            "**如何办理借书证？**\n\n带身份证到服务台。\n十分钟办好。\n\n别的。",
            [("如何办理借书证？", "带身份证到服务台。\n十分钟办好。")],
        ),
        ("一、能否代借图书？\n可以，请出示双方证件。", [("能否代借图书？", "可以，请出示双方证件。")]),
        ("Can I bring my dog?\n\nNo, only guide dogs.\n\nText.", [("Can I bring my dog?", "No, only guide dogs.")]),
        ("He asked: what now? Then he left.\nNobody knew.", []),
        ("Really, you said so?\nYes.", []),
    ],
)
def test_questions_in_lists_in_bold_and_alone(text, expected):
    assert pairs(text) == [(*pair, "faq") for pair in expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How to renew", True), ("Why it fails today", True), ("什么是续借", True), ("续借可以吗", True), ("Renewal?", True),
        ("Loans", False), ("However it may be", False), ("借书规则", False), ("Isolation levels in use", False), ("**Where to go**", True),
    ],
)  # fmt: skip  # a table
def test_what_a_question_is(text, expected):
    assert is_question(text) is expected
