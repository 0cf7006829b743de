"""Made-up sentences and pairs of them, as rows of a file; true pairs out of the demo corpus."""

import gzip
import json
import random

from tests import ROOT

NOUNS = [
    "loan",
    "desk",
    "card",
    "hall",
    "queue",
    "letter",
    "phone",
    "journal",
    "map",
    "atlas",
    "poster",
    "record",
    "reader",
    "tower",
    "garden",
    "bridge",
    "river",
    "lamp",
    "engine",
    "valley",
]
VERBS = [
    "renew",
    "return",
    "reserve",
    "print",
    "order",
    "repair",
    "open",
    "close",
    "borrow",
    "lend",
    "copy",
    "collect",
    "cancel",
    "move",
    "paint",
]


def sentences(count, seed=0):
    """Questions and answers that share their words, each its own."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        noun, verb, other = draw.choice(NOUNS), draw.choice(VERBS), draw.choice(NOUNS)
        word = f"{noun}{number:04d}"
        rows.append(
            (
                f"How do I {verb} the {word}?",
                f"You {verb} the {word} at the {other} number {draw.randrange(999)}, "
                f"beside the {draw.choice(NOUNS)} of {draw.choice(VERBS)}ed {draw.choice(NOUNS)}s.",
            )
        )
    return rows


def jsonl(path, rows):
    path.write_text(
        "".join(json.dumps({"question": q, "answer": a}, ensure_ascii=False) + "\n" for q, a in rows), encoding="utf-8"
    )
    return path


def kept(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def adds_up(report):
    found = sum(report.found.values())
    for step in report.steps:
        assert step.given == found
        assert step.given == step.kept + sum(step.dropped.values())
        found = step.kept
    assert found == sum(report.kept.values())


GENERAL = ROOT / "demo_corpus" / "general"


def true_pairs(query, passage, count=60, seed=0):
    """Questions with the paragraphs that answer them (XQuAD), each paragraph once, in two languages or one."""
    with gzip.open(GENERAL / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = {row["_id"]: row["text"] for row in map(json.loads, file)}
    queries = {row["_id"]: row["text"] for row in kept(GENERAL / "queries.jsonl")}
    found, seen = [], set()
    for line in (GENERAL / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        asked, said, grade = line.split("\t")
        fits = asked.endswith(query) and said.endswith(passage) and asked in queries and said in texts
        if int(grade) > 0 and fits and said not in seen and asked not in seen:
            seen |= {said, asked}
            found.append((queries[asked], " ".join(texts[said].split())))
    return random.Random(seed).sample(found, min(count, len(found)))
