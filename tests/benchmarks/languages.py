"""BM25 in other languages: the analyzer that a new index chooses, against the usual one, on question and paragraph.

    python -m tests.benchmarks.languages FOLDER

FOLDER has files in SQuAD's layout named `NAME.CODE.json`: XQuAD (github.com/google-deepmind/xquad: ar de el en es hi ro ru th tr vi zh),
JSQuAD (yahoojapan/JGLUE, valid, as `jsquad.ja.json`), KorQuAD 1.0 (dev, as `korquad.ko.json`). Each paragraph is a document, every question
looks for its own; at most 400 questions of a file. The last rows are collections of two languages in one index, by the language of
the question. Prints nDCG@10 of both analyzers, and a 95 % interval of the difference (10,000 draws of questions).
"""

import json
import sys
from dataclasses import dataclass
from math import log2
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.lexical.choice import USUAL
from quarry.indexer.records import Document
from quarry.retriever import Searcher, SearchOptions
from quarry.retriever.evaluation.bootstrap import mean_intervals

MOST_QUESTIONS = 400
PAIRS = (("ru", "en"), ("th", "en"), ("ar", "zh"), ("de", "en"), ("es", "zh"), ("ja", "zh"))


@dataclass(frozen=True)
class Collection:
    """Paragraphs by id, and questions with the id of their paragraph."""

    paragraphs: dict[str, str]
    questions: list[tuple[str, str]]

    @classmethod
    def read(cls, path: Path) -> "Collection":
        """Read a file in SQuAD's layout."""
        code, paragraphs, questions = path.suffixes[-2][1:], {}, []
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                name = f"{code}{len(paragraphs)}"
                paragraphs[name] = paragraph["context"]
                questions += [(each["question"], name) for each in paragraph["qas"]]
        return cls(paragraphs, Random(0).sample(questions, min(len(questions), MOST_QUESTIONS)))


def gains(found: Collection, analyzer: str | None) -> tuple[str, dict[str, list[float]]]:
    """Return the analyzer of an index of these paragraphs, and nDCG@10 of each question, by its language."""
    by_language: dict[str, list[float]] = {}
    with TemporaryDirectory(prefix="quarry-benchmark-") as folder:
        documents = [Document(name, text) for name, text in found.paragraphs.items()]
        index_documents(Path(folder) / "ix", documents, None, BuildOptions(analyzer=analyzer))
        searcher = Searcher.open(Path(folder) / "ix")
        for question, wanted in found.questions:
            results = searcher.search(question, k=10, options=SearchOptions(route="bm25")).results
            places = [place for place, result in enumerate(results) if result.doc_id == wanted]
            by_language.setdefault(wanted[:2], []).append(1 / log2(2 + places[0]) if places else 0.0)
        return searcher.index.manifest.lexical.analyzer, by_language


def main(folder: Path) -> None:
    """Print a row per collection and language of the questions."""
    files = {path.suffixes[-2][1:]: Collection.read(path) for path in sorted(folder.glob("*.json"))}
    asked = {name: found for name, found in files.items() if name != "en"}
    for first, second in PAIRS:
        if first in files and second in files:
            one, two = files[first], files[second]
            both = Collection({**one.paragraphs, **two.paragraphs}, one.questions + two.questions)
            asked[f"{first}+{second}"] = both
    print("| collection | questions | analyzer | usual | chosen | difference |\n|---|---|---|---:|---:|---:|")
    for name, found in asked.items():
        chosen, after = gains(found, None)
        _, before = gains(found, USUAL)
        for language, values in before.items():
            change = np.array(after[language]) - np.array(values)
            low, high = mean_intervals(change[:, None], resamples=10_000, seed=0)
            told = f"{change.mean():+.3f} ({low[0]:+.3f} to {high[0]:+.3f})"
            row = (
                name,
                f"{len(values)} {language}",
                chosen,
                f"{np.mean(values):.3f}",
                f"{np.mean(after[language]):.3f}",
                told,
            )
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
