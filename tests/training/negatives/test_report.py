"""The report says what was done in both languages, survives JSON, and no text breaks its form."""

import json
import re

import pytest

from quarry.app.words import words
from quarry.indexer.errors import FeedbackError
from quarry.training.examples.example import Example
from quarry.training.examples.rows import TrainingRow
from quarry.training.negatives.corpus import MiningCorpus
from quarry.training.negatives.mine import mine_negatives
from quarry.training.negatives.report import MiningReport, mining_report
from quarry.training.negatives.report_page import markdown, write_report
from quarry.training.negatives.spec import NegativeSpec
from tests.fakes import WordEmbedder

TEXTS = [
    f"The {word} of the library is on floor {n}." for n, word in enumerate(["archive", "cinema", "garden", "museum"])
]
TEXTS += [
    "续借图书请到服务台办理",
    "停车场在图书馆后面的街上",
    "食堂中午十二点开门营业",
    "Renew loans | at <b>the desk</b> `now`.",
]


@pytest.fixture
def mined():
    examples = [
        Example.of(TrainingRow("renew loans at the desk", (TEXTS[7],)), source="a.jsonl:1"),
        Example.of(TrainingRow("怎么续借图书", (TEXTS[4],)), source="a.jsonl:2"),
        Example.of(TrainingRow("zebra quagga", (TEXTS[5],)), source="a.jsonl:3"),
    ]
    spec = NegativeSpec(ranks=(0, 8), number=3, consistent_within=2, relative=None)
    return mine_negatives(examples, MiningCorpus.from_texts(TEXTS, WordEmbedder()), spec)


def figures(report):
    return {str(what): figure for what, figure in report.facts.items()}


def test_facts_and_shares(mined):
    report = mining_report(mined)
    facts = figures(report)
    assert facts["examples"] == 3
    assert facts["kept"] + facts["dropped: positive not within the first ranks"] == 3
    assert facts["negatives mined"] == sum(len(one.negatives) for one in mined.kept)
    assert report.left_out == mined.removed
    distributions = {str(what): found for what, found in report.distributions.items()}
    assert sum(distributions["Similarity of negatives"].counts) == facts["negatives mined"]
    assert len(report.dropped) == len(mined.dropped) == 1


def test_markdown_shows_examples_in_both_languages_and_breaks_on_none(mined):
    text = markdown(mining_report(mined))
    assert "**怎么续借图书**" in text
    assert "+ 续借图书请到服务台办理" in text
    assert r"Renew loans \| at \<b\>the desk\</b\> \`now\`." in text
    assert "| share dropped |" in text
    assert "█" in text
    assert "- mined #" in text


def test_the_report_can_be_read_in_chinese(mined):
    text = markdown(mining_report(mined), lambda message: words(message, "zh"))
    assert text.startswith("# 挖掘的负例\n\n| 内容 | 数值 |")
    assert "| 挖掘的负例 |" in text and "| 语言 zh | 1 |" in text
    assert "（文件，zh，权重 1，a.jsonl:2；正例排第 1 位，相似度 " in text.replace(" (", "（")
    ours = [line for line in text.splitlines() if line.startswith("#") and re.search("[A-Za-z]", line)]
    assert ours == []  # no heading is left in English


def test_a_report_is_written_twice_and_comes_back(tmp_path, mined):
    report = mining_report(mined, shown=1)
    page, data = write_report(tmp_path / "run", "negatives", report)
    assert page.read_text(encoding="utf-8") == markdown(report)
    again = MiningReport.from_json(json.loads(data.read_text(encoding="utf-8")))
    assert markdown(again) == markdown(report)
    assert figures(again) == figures(report)
    (tmp_path / "file").write_text("x")
    with pytest.raises(FeedbackError, match="could not be written"):
        write_report(tmp_path / "file", "negatives", report)


def test_nothing_mined_is_a_report_too():
    nothing = mine_negatives([], MiningCorpus.from_texts(["a"], WordEmbedder()))
    assert "| examples | 0 |" in markdown(mining_report(nothing))
