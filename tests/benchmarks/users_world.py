"""The world of the simulated users: documents, questions with known answers for three rounds, and others that nobody asks."""

import gzip
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from quarry.indexer.records import Document
from quarry.training.examples.near_duplicates import near_duplicates
from tests.training.tiny_model import TOPICS

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ROUNDS = 3
SPAM = "spam"
TINY = "tiny"
# language: folder, source, what a page must speak of (a narrow field, so that its passages can be confused), characters kept
FIELDS = {
    "zh": ("train-pairs-zh", "sql-docs.zh-cn", r"复制|订阅|发布服务器|镜像|可用性", 150),
    "en": ("train-pairs-en", "win32", r"(?i)media|audio|video|stream|codec", 330),
}
SPAM_TEXT = {
    "zh": "本店全场五折，名牌手表、皮包、香水一应俱全，今日下单免运费，详情请添加客服微信。",
    "en": "Everything half price in our shop today: watches, bags and perfume, free delivery, order now and tell your friends.",
    "tiny": "notes about the kitchen buy now buy now.",
}


@dataclass(frozen=True, slots=True)
class World:
    """What there is to find.

    Attributes:
        documents: One short passage each; the spam document is the last.
        rounds: Per round, question to the document that answers it.
        truth: The same for questions that are never asked: how good the index really is.
    """

    documents: tuple[Document, ...]
    rounds: tuple[Mapping[str, str], ...]
    truth: Mapping[str, str]


def make_world(language: str, *, per_round: int, truth: int, others: int) -> World:
    """Take pairs of one field in the order of their hashes; no two questions are alike, and each has a passage of its own.

    Args:
        language: `zh`, `en`, or `tiny` for made-up texts.
        per_round: Questions of each of the three rounds.
        truth: Questions that nobody asks.
        others: Passages that answer none of them.
    """
    asked = per_round * ROUNDS + truth
    pairs = _made_up(asked + others) if language == TINY else _pairs_of(language, asked + others)
    documents = [Document(f"d{number}", text) for number, (_, text) in enumerate(pairs)]
    right = [(question, f"d{number}") for number, (question, _) in enumerate(pairs[:asked])]
    return World(
        (*documents, Document(SPAM, SPAM_TEXT[language])),
        tuple(dict(right[per_round * place : per_round * (place + 1)]) for place in range(ROUNDS)),
        dict(right[per_round * ROUNDS :]),
    )


def _made_up(count: int) -> list[tuple[str, str]]:
    """Questions and passages that share a topic and a code word, half of them Chinese: what a tiny model can learn."""
    rng = random.Random(0)
    pairs = []
    for number in range(count):
        code = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(9))
        topic = TOPICS[number % len(TOPICS)]
        chinese = ord(topic[0]) > 255
        text = f"{topic}的说明 第{code}号" if chinese else f"notes about the {topic} {code}."
        pairs.append((f"怎么修理{topic} {code}" if chinese else f"{code} {topic} how", text))
    return pairs


def _pairs_of(language: str, count: int) -> list[tuple[str, str]]:
    folder, source, field, length = FIELDS[language]
    with gzip.open(DATA / folder / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    found = [
        (row["query"].strip(), row["pos"][0][:length])
        for row in rows
        if row["source"] == source and re.search(field, row["query"]) and 8 <= len(row["query"]) <= 80
    ]
    found.sort(key=lambda pair: sha256(pair[0].encode()).hexdigest())
    pairs = _distinct(found[: 2 * count])
    if len(pairs) < count:
        raise SystemExit(f"{folder} has {len(pairs)} pairs of this field; expected {count}. Ask for fewer")
    return pairs[:count]


def _distinct(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out questions that are near duplicates of an earlier one, and texts that begin alike."""
    alike = {max(pair.first, pair.second) for pair in near_duplicates([question for question, _ in pairs], 0.6)}
    seen: dict[str, None] = {}
    kept = []
    for place, (question, text) in enumerate(pairs):
        if place not in alike and text not in seen:
            seen[text] = None
            kept.append((question, text))
    return kept
