"""Follow-up questions and rewritten ones against a recording endpoint: `python -m tests.benchmarks.asking WORK [--asked 60]`.

Needs ../shared/data (xquad-en, xquad-zh) and the offline model. No language model is at hand, so this does not measure how well one
rewrites. It measures what Quarry makes of what a model says, at both ends: a model that knows (it says what the set knows), one that fails
(status 404), and one that makes things up (what belongs to another passage). A figure is the share of questions whose passages are all
among what an answer is written from, out of four results.

    follow-up    the end of a question (two words, four characters), asked after another question on the same passage
    two in one   two questions on two passages, asked as one; the model that knows takes them apart
    made up      one question; the model writes an answer to search for (HyDE): the passage's first sentence, or that of another passage
"""

import argparse
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from quarry.app.wiring import choose_model
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.embedder import Embedder
from quarry.indexer.records import Document
from quarry.retriever.answers.answer import AskOptions, prepared
from quarry.retriever.answers.generate import endpoint_for
from quarry.retriever.answers.refusals.questions import Turn
from quarry.retriever.searcher import Searcher
from quarry.retriever.sentences import sentence_spans
from tests.benchmarks.fusion_sets import DATA
from tests.retriever.answers.gullible import Gullible

K = 4
SETS = ("xquad-en", "xquad-zh")
Said = Callable[["Case"], str]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is asked: the question, what was asked before, the passages that answer it, and what two models say."""

    question: str
    right: frozenset[str]
    known: str
    made_up: str
    before: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Corpus:
    """The passages and the questions of a set, with the passage of each question."""

    documents: dict[str, Document]
    questions: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, name: str) -> "Corpus":
        """Read a set of ../shared/data."""
        folder = DATA / name
        documents = {
            row["_id"]: Document(row["_id"], row["text"], row.get("title", "")) for row in _rows(folder, "corpus")
        }
        judged = [
            line.split("\t") for line in (folder / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]
        ]
        passage_of = {query: passage for query, passage, _ in judged}
        return cls(documents, tuple((row["text"], passage_of[row["_id"]]) for row in _rows(folder, "queries")))

    def pairs(self, *, same: bool) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
        """Yield pairs of questions, each question at most once: two on the same passage, or on passages far apart."""
        if same:
            rest = iter(self.questions)
            for one, other in zip(rest, rest, strict=False):
                if one[1] == other[1]:
                    yield one, other
            return
        half = len(self.questions) // 2
        yield from zip(self.questions[:half], self.questions[half:], strict=False)

    def first_sentence(self, doc_id: str) -> str:
        """Return how a passage begins."""
        text = self.documents[doc_id].text
        start, end = sentence_spans(text)[0]
        return text[start:end]


def follow_ups(corpus: Corpus, most: int) -> list[Case]:
    """Return the ends of questions, after another question on the same passage."""
    pairs = _spread(list(corpus.pairs(same=True)), most)
    wrong = [other[0] for _, other in pairs[1:] + pairs[:1]]
    return [
        Case(_end(text), frozenset({passage}), text, made_up, (Turn(first[0], "", ()),))
        for (first, (text, passage)), made_up in zip(pairs, wrong, strict=True)
    ]


def two_in_one(corpus: Corpus, most: int) -> list[Case]:
    """Return two questions on two passages as one."""
    pairs = _spread(list(corpus.pairs(same=False)), most)
    wrong = pairs[1:] + pairs[:1]
    return [
        Case(
            f"{one[0]} {other[0]}",
            frozenset({one[1], other[1]}),
            _parts(one[0], other[0]),
            _parts(*(w[0] for w in made_up)),
        )
        for (one, other), made_up in zip(pairs, wrong, strict=True)
    ]


def answers_made_up(corpus: Corpus, most: int) -> list[Case]:
    """Return questions with the first sentence of their passage, or of another one."""
    asked = _spread(list(corpus.questions), most)
    wrong = asked[1:] + asked[:1]
    return [
        Case(text, frozenset({passage}), *(f"A: {corpus.first_sentence(doc)}" for doc in (passage, other)))
        for (text, passage), (_, other) in zip(asked, wrong, strict=True)
    ]


KINDS = {"follow-up": follow_ups, "two in one": two_in_one, "made up": answers_made_up}


def measure(searcher: Searcher, cases: Sequence[Case], kind: str, model: Gullible) -> list[float]:
    """Return the share of cases whose passages are read: without a model, and with each of three."""
    endpoint = endpoint_for(model.url, "recorded")

    def share(said: Said | None, *, writer: bool, before: bool = True) -> float:
        found = []
        for case in cases:
            if said is not None:
                body = json.dumps({"choices": [{"message": {"content": said(case)}}]})
                model.answers = [(200, "application/json", [body], {})]
            else:
                model.sends("no", status=404, kind="text/plain")
            settings = AskOptions(
                endpoint if writer else None,
                k=K,
                before=case.before if before else (),
                rewrite=writer and kind != "follow-up",
            )
            read = prepared(searcher, case.question, settings).packing.passages
            found.append(case.right <= {passage.doc_id for passage in read})
        return fmean(found)

    alone = share(None, writer=False, before=False)
    plain = share(None, writer=False)
    return [
        alone,
        plain,
        share(lambda case: case.known, writer=True),
        share(None, writer=True),
        share(lambda case: case.made_up, writer=True),
    ]


def opened(work: Path, name: str, corpus: Corpus, embedder: Embedder) -> Searcher:
    """Open the index of a set; it is built when it is not there."""
    root = work / name
    if not (root / "quarry-index.json").is_file():
        index_documents(root, corpus.documents.values(), embedder, BuildOptions(rerank_vectors=True))
    return Searcher.open(root, embedder=embedder)


def _rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    plain = folder / f"{name}.jsonl"
    text = (
        plain.read_text(encoding="utf-8")
        if plain.is_file()
        else gzip.open(f"{plain}.gz", "rt", encoding="utf-8").read()
    )
    yield from map(json.loads, text.splitlines())


def _spread(every: Sequence[Case] | list, most: int) -> list:  # type: ignore[type-arg]
    step = max(1, len(every) // most)
    return list(every[::step][:most])


def _end(question: str) -> str:
    if question.isascii():
        return f"And {' '.join(question.rstrip('?').split()[-2:])}?"
    return f"那{question.rstrip('？?')[-4:]}呢？"


def _parts(one: str, other: str) -> str:
    return f"Q: {one}\nQ: {other}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--asked", type=int, default=60)
    given = parser.parse_args()
    embedder = choose_model("auto", device="cpu").embedder
    if embedder is None:
        raise SystemExit("no embedding model on this machine; expected the offline model")
    model = Gullible()
    print("| set | questions | asked | alone | no model | knows | fails | makes things up |")
    print("|---" * 8 + "|", flush=True)
    for name in SETS:
        corpus = Corpus.read(name)
        searcher = opened(given.work, name, corpus, embedder)
        for kind, cases_of in KINDS.items():
            cases = cases_of(corpus, given.asked)
            shares = " | ".join(f"{share:.2f}" for share in measure(searcher, cases, kind, model))
            print(f"| {name} | {kind} | {len(cases)} | {shares} |", flush=True)
    model.close()


if __name__ == "__main__":
    main()
