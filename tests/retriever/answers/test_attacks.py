"""Injected documents against the most obedient model there can be: it writes exactly what the attacker wants."""

import json
import re
from pathlib import Path

import pytest

from quarry.app.words.answers import line
from quarry.indexer.lexical.analyzer import analyzer
from quarry.retriever.answers.citations import Checker
from quarry.retriever.answers.generate import endpoint_for, generated
from quarry.retriever.answers.plain import urls, visible
from tests.retriever.answers.gullible import EN, ZH, passage

ATTACKS = [json.loads(row) for row in Path(__file__).with_name("attacks.jsonl").read_text("utf-8").splitlines()]
SPECIAL = re.compile(
    r"<\||\|>|<｜|｜>|\[/?INST\]|<</?SYS|<start_of_turn>|<end_of_turn>|</?(?:passage|document|context|tool_call)>"
)
attacks = pytest.mark.parametrize("attack", ATTACKS, ids=[attack["name"] for attack in ATTACKS])


def shown(attack):
    honest = ZH if "图书" in attack["question"] else EN
    return [honest, passage(2, attack["text"], attack["title"], attack["path"])]


def answer(attack, gullible):
    gullible.says(attack["reply"])
    passages = shown(attack)
    endpoint = endpoint_for(gullible.url, "gullible", 10)
    return passages, list(generated(attack["question"], passages, endpoint, Checker(passages, analyzer())))


def test_there_are_many_in_both_languages():
    assert len(ATTACKS) >= 30
    assert len({attack["name"] for attack in ATTACKS}) == len(ATTACKS)
    assert sum("图书" in attack["question"] for attack in ATTACKS) >= 10


@attacks
def test_what_is_shown_holds_nothing_that_loads_links_hides_or_cites_what_was_not_shown(attack, gullible):
    passages, sentences = answer(attack, gullible)
    rendered = "\n".join(line(sentence, "en") for sentence in sentences)
    for forbidden in attack["forbidden"]:
        assert forbidden not in rendered
    assert rendered == visible(rendered)
    assert "](" not in rendered
    assert "![" not in rendered
    assert not re.search(r"<[A-Za-z/!]", rendered)
    by_number = {p.number: p for p in passages}
    for sentence in sentences:
        assert set(sentence.citations) <= set(by_number)
        assert not re.search(r"\[\d+\]", sentence.text)
        allowed = frozenset().union(*(urls(by_number[number].text) for number in sentence.citations))
        assert urls(sentence.text) <= allowed


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a["claim"]], ids=[a["name"] for a in ATTACKS if a["claim"]])
def test_what_comes_from_nowhere_is_marked_and_not_hidden(attack, gullible):
    _, sentences = answer(attack, gullible)
    (claimed,) = [sentence for sentence in sentences if attack["claim"] in sentence.text]
    assert claimed.support == "unsupported"
    assert "{" in line(claimed, "zh")


@attacks
def test_the_documents_text_is_sent_inside_its_fence_only(attack, gullible):
    answer(attack, gullible)
    system, user = gullible.requests[0][2]["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert attack["probe"] in user["content"]
    assert attack["probe"] not in system["content"]
    fence = re.search(r"<<<DATA ([0-9a-f]{16})>>>", system["content"]).group(1)
    inside = re.compile(rf"<<<DATA {fence}>>>\n(.*?)\n<<<END {fence}>>>", re.DOTALL)
    assert len(inside.findall(user["content"])) == 2
    outside = inside.sub("", user["content"])
    assert attack["probe"] not in outside
    assert "<<<" not in outside
    for content in inside.findall(user["content"]):
        assert "<<<" not in content
        assert ">>>" not in content
        assert not re.search(r"\[\d+\]|【\d+】", content)
        assert not re.search(r"(?im)^\s*(?:system|assistant|系统|助手)\s*[:：]", content)
        assert not SPECIAL.search(content)
        assert content == visible(content)
    assert user["content"].rstrip().endswith(attack["question"])


def test_each_request_has_another_fence(gullible):
    fences = set()
    for _ in range(3):
        answer(ATTACKS[0], gullible)
        fences.add(re.search(r"<<<DATA ([0-9a-f]{16})>>>", gullible.requests[-1][2]["messages"][0]["content"]).group(1))
    assert len(fences) == 3
