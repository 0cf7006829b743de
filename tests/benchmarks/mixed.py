"""Questions and documents in two languages, in one index: `python -m tests.benchmarks.mixed WORK [SET ...]` prints Markdown rows.

Needs ../shared/data and the offline model. An index of each corpus of `tests.benchmarks.mixed_sets` is made below WORK (about a
minute each) and asked by the routes `hybrid` and `hybrid` with the second stage; a row is a direction `question>document`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from quarry.app.wiring import choose_model
from quarry.indexer.build import build_index, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.embedder import Embedder
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.benchmarks.mixed_sets import SETS, Asked, Mixed

_DISCOUNTS = 1 / np.log2(np.arange(2, 12))
_PATIENT_MS = 1e7


def opened(work: Path, name: str, mixed: Mixed, embedder: Embedder) -> Searcher:
    """Open the index of a corpus; it is built when it is not there."""
    root = work / name.replace(" ", "-")
    if not (root / "quarry-index.json").is_file():
        options = BuildOptions(rerank_vectors=True)
        if isinstance(mixed.documents, Path):
            build_index(root, [mixed.documents], embedder, options)
        else:
            index_documents(root, mixed.documents, embedder, options)
    return Searcher.open(root, embedder=embedder)


def measured(searcher: Searcher, asked: Sequence[Asked], *, rerank: bool) -> list[tuple[float, bool, bool]]:
    """Return nDCG@10, and whether a relevant document is among the first three and ten, for each question."""
    options = SearchOptions(rerank=rerank, dense_budget_ms=_PATIENT_MS, rerank_budget_ms=_PATIENT_MS)
    _, run = document_run(searcher, [one.query for one in asked], 10, options)
    out = []
    for one in asked:
        found = np.array([doc_id in one.relevant for doc_id, _ in run[one.query.query_id]], dtype=float)
        best = _DISCOUNTS[: min(10, len(one.relevant))].sum()
        out.append((float(found @ _DISCOUNTS[: len(found)] / best), bool(found[:3].any()), bool(found.any())))
    return out


def rows(work: Path, name: str, embedder: Embedder) -> list[str]:
    """Ask all questions of a corpus."""
    mixed = SETS[name]()
    searcher = opened(work, name, mixed, embedder)
    first, second = (measured(searcher, mixed.asked, rerank=rerank) for rerank in (False, True))
    out = []
    for direction in sorted({one.direction for one in mixed.asked}):
        rows_of = [row for row, one in enumerate(mixed.asked) if one.direction == direction]
        cells = [
            " | ".join(
                f"{mean:.{digits}f}"
                for mean, digits in zip(np.mean([kind[r] for r in rows_of], axis=0), (4, 2, 2), strict=True)
            )
            for kind in (first, second)
        ]
        out.append(f"| {name} | {direction} | {len(rows_of)} | {' | '.join(cells)} |")
    return out


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    work, *names = arguments
    embedder = choose_model("auto", device="cpu").embedder
    if embedder is None:
        raise SystemExit("no embedding model on this machine; expected the offline model")
    print("| corpus | direction | questions | hybrid | first 3 | first 10 | second stage | first 3 | first 10 |")
    print("|---" * 9 + "|")
    for name in names or SETS:
        print("\n".join(rows(Path(work), name, embedder)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
