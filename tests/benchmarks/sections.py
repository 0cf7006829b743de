"""What is read of an answer when passages come with what stands around them: `python -m tests.benchmarks.sections WORK [TOKENS]`.

Needs ../shared/data (chunkspans-en) and the offline model; indexes of passages of 320 and of 128 tokens are made below WORK. Results of the default
search are read, best first, until TOKENS (1,200) are spent; one that does not fit whole ends the reading. Recall is the share of an answer's characters
that was read, precision the share of what was read that belongs to an answer (Chroma, "Evaluating chunking"). Intervals are 95 % of a
paired bootstrap against the passages alone.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quarry.app.wiring import choose_model
from quarry.indexer.build import index_documents
from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.embedder import Embedder
from quarry.indexer.records import Document
from quarry.retriever.options import Expand, SearchOptions
from quarry.retriever.results import Result
from quarry.retriever.searcher import Searcher
from quarry.retriever.sections.context import read_large, with_contexts
from quarry.retriever.sentences import tokens_at_most
from tests.benchmarks.chunking import FOLDER, questions

_RESULTS = 30
_RESAMPLES = 2_000
_WAYS: tuple[tuple[Expand, int], ...] = (
    ("none", 0),
    *((how, budget) for how in ("section", "neighbors") for budget in (256, 400, 600, 1_200)),  # type: ignore[misc]
)


def opened(work: Path, size: int, embedder: Embedder) -> Searcher:
    """Open the index of the five documents, cut in passages of a size."""
    root = work / f"chunkspans-{size}"
    if not (root / "quarry-index.json").is_file():
        documents = [
            Document(path.stem, path.read_text(encoding="utf-8")) for path in sorted((FOLDER / "docs").glob("*.md"))
        ]
        chunking = ChunkSpec(size, min(64, size // 4))
        index_documents(root, documents, embedder, BuildOptions(chunking=chunking, rerank_vectors=True))
    return Searcher.open(root, embedder=embedder)


def read(results: Sequence[Result], tokens: int) -> Iterator[tuple[str, int]]:
    """Yield the characters that are read, by document."""
    for result in results:
        tokens -= tokens_at_most(result.text)
        if tokens < 0:
            return
        yield from ((result.doc_id, place) for place in range(result.start, result.end))


@dataclass(frozen=True, slots=True)
class Found:
    """The results of one question, and where its answer stands."""

    results: tuple[Result, ...]
    answer: frozenset[tuple[str, int]]


def asked(searcher: Searcher) -> list[Found]:
    """Ask all questions."""
    options = SearchOptions(dense_budget_ms=1e7, rerank_budget_ms=1e7, rerank_depth=_RESULTS)
    return [
        Found(
            searcher.search(question["text"], _RESULTS, options).results,
            frozenset((question["doc"], place) for start, end in question["spans"] for place in range(start, end)),
        )
        for question in questions()
    ]


def measured(searcher: Searcher, found: Sequence[Found], how: Expand, budget: int, tokens: int) -> NDArray[np.float64]:
    """Return recall and precision of each question, shape (questions, 2)."""
    out = []
    for one in found:
        large = read_large(with_contexts(one.results, searcher.index.chunks, how, budget or 1))
        seen = set(read(large, tokens))
        out.append((len(one.answer & seen) / len(one.answer), len(one.answer & seen) / max(1, len(seen))))
    return np.array(out)


def interval(mine: NDArray[np.float64], theirs: NDArray[np.float64]) -> str:
    """Return the mean difference with its interval."""
    chance = np.random.default_rng(0)
    difference = mine - theirs
    means = difference[chance.integers(0, len(difference), (_RESAMPLES, len(difference)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return f"{difference.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    work, *rest = arguments
    tokens = int(rest[0]) if rest else 1_200
    embedder = choose_model("auto", device="cpu").embedder
    if embedder is None:
        raise SystemExit("no embedding model on this machine; expected the offline model")
    print(f"{sum(1 for _ in questions())} questions, {tokens} tokens read for each\n")
    print("| passages | around them | recall | against none | precision |")
    print("|---" * 5 + "|")
    for size in (320, 128):
        searcher = opened(Path(work), size, embedder)
        found = asked(searcher)
        alone: NDArray[np.float64] | None = None
        for how, budget in _WAYS:
            shares = measured(searcher, found, how, budget, tokens)
            alone = shares if alone is None else alone
            recall, precision = shares.mean(axis=0)
            name = how if how == "none" else f"{how}, {budget} tokens"
            print(
                f"| {size} | {name} | {recall:.3f} | {interval(shares[:, 0], alone[:, 0])} | {precision:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
