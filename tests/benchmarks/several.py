"""A corpus cut into two to four indexes against the whole: `python -m tests.benchmarks.several CACHE [--set NAME ...]` prints Markdown rows.

Needs ../shared/data and the offline model. nDCG@10 of several indexes: `joined` as `quarry.retriever.several` searches them, as one index
with the statistics of all. Beside it ways to merge the hits of each, as indexes with different encoders must be: `strength` by the calibrated strength of each hit, `ordered` by the same without changing the order within an index, `scores` by z-scores of
each index's own scores, `rrf` by reciprocal rank (Cormack 2009). One way was chosen on the sets in CHOSEN_ON; the others are the test.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import fmean, pstdev
from tempfile import TemporaryDirectory

from quarry.indexer.build import index_documents
from quarry.indexer.embedder import Embedder
from quarry.indexer.records import Document
from quarry.retriever.answers.refusals.fit import fit_of
from quarry.retriever.evaluation.measures import ndcg
from quarry.retriever.searcher import Searcher
from quarry.retriever.several import Several
from tests.benchmarks.fusion_sets import SOURCES, JudgedSet, judged_set
from tests.benchmarks.kept_vectors import KeptEmbedder, Vectors

CHOSEN_ON = ("cranfield-en", "sqlfaq-zh")
TESTED_ON = ("scifact-en", "nq-qed-en", "xquad-zh", "med-en", "csl-zh", "xquad-en")
PARTS = (2, 4)
_DEPTH = 10


@dataclass(frozen=True)
class Found:
    """A hit of one index: its document, its place there, its strength and that index's z-score."""

    doc_id: str
    rank: int
    strength: float
    ordered: float
    z: float


def merged(lists: Sequence[Sequence[Found]], key: Callable[[Found], float]) -> list[str]:
    """Return documents by a key, best first; equal ones by rank."""
    every = sorted((found for one in lists for found in one), key=lambda found: (-key(found), found.rank, found.doc_id))
    return [found.doc_id for found in every][:_DEPTH]


WAYS: Mapping[str, Callable[[Found], float]] = {
    "strength": lambda found: found.strength,
    "ordered": lambda found: found.ordered,
    "scores": lambda found: found.z,
    "rrf": lambda found: 1 / (60 + found.rank),
}


def found_in(searcher: Searcher, question: str) -> list[Found]:
    """Search one index."""
    answer = searcher.search(question, _DEPTH)
    strengths = [each.value for each in fit_of(answer, searcher).hits]
    scores = [result.score for result in answer.results]
    spread = pstdev(scores) if len(scores) > 1 else 0.0
    lowest, out = 1.0, []
    for result, strength in zip(answer.results, strengths, strict=True):
        lowest = min(lowest, strength)
        z = (result.score - fmean(scores)) / spread if spread else 0.0
        out.append(Found(result.doc_id, result.rank, strength, lowest, z))
    return out


def joined(several: Several, question: str) -> list[str]:
    """Search all indexes as one."""
    return [result.doc_id for result in several.search(question, _DEPTH)[0].results]


def quality(ranked: Mapping[str, Sequence[str]], judged: JudgedSet) -> float:
    """Return the mean nDCG@10."""
    return fmean(ndcg(ranked[key], judged.qrels[key], _DEPTH) for key in judged.queries)


def indexes(judged: JudgedSet, count: int, folder: Path, embedder: Embedder) -> list[Searcher]:
    """Cut a corpus into some indexes, by the digests of its ids."""
    parts: list[list[Document]] = [[] for _ in range(count)]
    for doc_id, title, text in judged.documents:
        parts[int(sha256(doc_id.encode()).hexdigest(), 16) % count].append(Document(doc_id, text, title))
    for number, documents in enumerate(parts):
        index_documents(folder / f"{count}-{number}", documents, embedder)
    return [Searcher.open(folder / f"{count}-{number}", embedder=embedder) for number in range(count)]


def measure(judged: JudgedSet, vectors: Vectors) -> dict[str, float]:
    """Return nDCG@10 of the whole index, and of each way for each number of parts."""
    embedder = KeptEmbedder(vectors)
    out: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        (whole,) = indexes(judged, 1, Path(folder), embedder)
        ranked = {key: [one.doc_id for one in found_in(whole, text)] for key, text in judged.queries.items()}
        out["whole"] = quality(ranked, judged)
        for count in PARTS:
            parts = indexes(judged, count, Path(folder), embedder)
            several = Several({str(number): part for number, part in enumerate(parts)})
            out[f"joined {count}"] = quality(
                {key: joined(several, text) for key, text in judged.queries.items()}, judged
            )
            lists = {key: [found_in(part, text) for part in parts] for key, text in judged.queries.items()}
            for name, way in WAYS.items():
                out[f"{name} {count}"] = quality({key: merged(found, way) for key, found in lists.items()}, judged)
    return {name: round(value, 4) for name, value in out.items()}


def main() -> None:
    """Measure the sets that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--set", action="append", dest="sets", choices=[*CHOSEN_ON, *TESTED_ON])
    given = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    given.cache.mkdir(parents=True, exist_ok=True)
    columns = ["whole", *(f"{way} {count}" for count in PARTS for way in ("joined", *WAYS))]
    print(f"| set | documents, questions | {' | '.join(columns)} |")
    print("|---" * (2 + len(columns)) + "|", flush=True)
    for name in given.sets or (*CHOSEN_ON, *TESTED_ON):
        judged = judged_set(name, replace(SOURCES[name], documents=400, asked=100))
        row = measure(judged, Vectors("offline", given.cache))
        sizes = f"{len(judged.documents)}, {len(judged.queries)}"
        cells = " | ".join(f"{row[column]:.3f}" for column in columns)
        print(f"| {name}{' (chosen on)' if name in CHOSEN_ON else ''} | {sizes} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
