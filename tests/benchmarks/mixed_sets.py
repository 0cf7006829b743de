"""Corpora of two languages, made of judged sets of one language and of questions in the other one.

Needs ../shared/data. Documents are cut to 800 characters (350 of Chinese) and subsampled: those that are judged for the questions
and others by the hashes of their ids.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from quarry.demo_corpus import documents_path, qrels_path, queries_path
from quarry.indexer.language import language_of
from quarry.indexer.records import Document
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.ranking import Query
from tests.benchmarks.retrieval import DATA, corpus_lines

QUESTIONS = 120  # of each direction at most
_CUT = {"zh": 350, "en": 800}


@dataclass(frozen=True)
class Asked:
    """A judged question, the languages of it and of its documents (`zh>en`), and the set that it comes from."""

    query: Query
    relevant: frozenset[str]
    direction: str
    family: str


@dataclass(frozen=True)
class Mixed:
    """A corpus of two languages, documents or a folder of them, with its questions."""

    documents: Sequence[Document] | Path
    asked: Sequence[Asked]


def _hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _document(name: str, row: dict[str, str], language: str) -> Document:
    return Document(f"{name}-{row['_id']}", row["text"][: _CUT[language]], title=(row.get("title") or "")[:200])


def part(name: str, split: str, direction: str, documents: int, questions: int = QUESTIONS) -> Mixed:
    """One judged set, subsampled; the direction is that of all its questions."""
    data = load_dataset(DATA / name, split)
    relevant = {query: {doc for doc, grade in grades.items() if grade > 0} for query, grades in data.qrels.items()}
    chosen = sorted((query for query in data.queries if relevant[query.query_id]), key=lambda q: _hashed(q.query_id))
    chosen = chosen[:questions]
    needed = set().union(*(relevant[query.query_id] for query in chosen))
    rows = [json.loads(line) for line in corpus_lines(name)]
    rows.sort(key=lambda row: (row["_id"] not in needed, _hashed(row["_id"])))
    return Mixed(
        [_document(name, row, direction[-2:]) for row in rows[: max(documents, len(needed))]],
        [
            Asked(
                Query(f"{name}-{query.query_id}", query.text),
                frozenset(f"{name}-{doc}" for doc in relevant[query.query_id]),
                direction,
                name.split("-", maxsplit=1)[0].removesuffix("sent"),
            )
            for query in chosen
        ],
    )


def together(*parts: Mixed) -> Mixed:
    """Put sets of documents into one corpus."""
    documents = [doc for each in parts if not isinstance(each.documents, Path) for doc in each.documents]
    return Mixed(documents, [one for each in parts for one in each.asked])


def xquad() -> Mixed:
    """Half of the paragraphs in English, the others in Chinese; questions in both languages on all of them."""
    english = {json.loads(line)["_id"] for line in corpus_lines("xquad-en") if int(_hashed(line)[:4], 16) % 2}
    documents, asked = [], []
    for language in ("en", "zh"):
        name = f"xquad-{language}"
        rows = [json.loads(line) for line in corpus_lines(name)]
        kept = [row for row in rows if (row["_id"] in english) == (language == "en")]
        documents += [_document("xquad", row, language) for row in kept]
        data = load_dataset(DATA / name, "test")
        for own in (True, False):
            there = language if own else {"en": "zh", "zh": "en"}[language]
            group = [
                Asked(
                    Query(f"{language}-{q.query_id}", q.text),
                    frozenset(f"xquad-{doc}" for doc in data.qrels[q.query_id]),
                    f"{language}>{there}",
                    "xquad",
                )
                for q in data.queries
                if (next(iter(data.qrels[q.query_id])) in english) == (there == "en")
            ]
            asked += sorted(group, key=lambda one: _hashed(one.query.query_id))[:QUESTIONS]
    return Mixed(documents, asked)


def tatoeba() -> Mixed:
    """Sentences whose translation is the question: half of them English, half Chinese."""
    lines = (DATA / "tatoeba-zh-en" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:600]
    documents, asked = [], []
    for number, line in enumerate(lines):
        chinese, english = json.loads(line)["sentence1"], json.loads(line)["sentence2"]
        question, text, direction = (chinese, english, "zh>en") if number % 2 else (english, chinese, "en>zh")
        documents.append(Document(f"tatoeba-{number}", text))
        if number < 2 * QUESTIONS and language_of(question) == direction[:2]:
            asked.append(
                Asked(Query(f"tatoeba-{number}", question), frozenset([f"tatoeba-{number}"]), direction, "tatoeba")
            )
    return Mixed(documents, asked)


def demo() -> Mixed:
    """The demo corpus."""
    relevant: dict[str, set[str]] = {}
    for line in qrels_path().read_text(encoding="utf-8").splitlines()[1:]:
        query, doc, grade = line.split("\t")
        if int(grade) > 0:
            relevant.setdefault(query, set()).add(doc)
    asked = []
    for line in queries_path().read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        there = "zh" if "/zh/" in min(relevant[row["_id"]]) else "en"
        direction = f"{language_of(row['text'])}>{there}"
        asked.append(Asked(Query(row["_id"], row["text"]), frozenset(relevant[row["_id"]]), direction, "xquad"))
    return Mixed(documents_path(), asked)


SETS: dict[str, Callable[[], Mixed]] = {
    "xquad": xquad,
    "demo": demo,
    "tatoeba + cmrc sentences": lambda: together(tatoeba(), part("cmrc2018sent-zh", "test", "zh>zh", 300)),
    "writerhelp + cmrc": lambda: together(
        part("writerhelp-zh2en", "test", "zh>en", 400), part("cmrc2018-zh", "test", "zh>zh", 300)
    ),
    "sqlfaq + writerhelp": lambda: together(
        part("sqlfaq-zh", "test", "zh>zh", 300), part("writerhelp-zh2en", "test", "zh>en", 250)
    ),
    "cmrc + nq": lambda: together(part("cmrc2018-zh", "test", "zh>zh", 300), part("nq-qed-en", "dev", "en>en", 300)),
    "sqlfaq + winfaq": lambda: together(
        part("sqlfaq-zh", "test", "zh>zh", 300), part("winfaq-en", "test", "en>en", 300)
    ),
    "csl + scifact": lambda: together(part("csl-zh", "test", "zh>zh", 250), part("scifact-en", "test", "en>en", 250)),
    "cmrc sentences + codebase": lambda: together(
        part("cmrc2018sent-zh", "test", "zh>zh", 300), part("codebase-en", "test", "en>en", 300)
    ),
}
