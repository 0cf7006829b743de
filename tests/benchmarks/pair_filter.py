"""Share of the true pairs of data sets that the filter of `quarry pairs` keeps: `python -m tests.benchmarks.pair_filter FOLDER...`.

A FOLDER holds a BEIR set (`corpus.jsonl`, `queries.jsonl`, `qrels/`) or `test.jsonl` with sentences (those that mean the same are used).
At most 160 pairs of a set, each text once, passages cut to 800 characters; the threshold keeps 3 of 100 random pairs of the set.
"""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.app.wiring import choose_model
from quarry.indexer.embedder import Embedder
from quarry.indexer.language import language_of
from quarry.training.pairs.filters.relatedness import across_languages, classes_of_cells, random_cells, relatedness
from quarry.training.pairs.lexical import shares_held

_PAIRS, _CHARACTERS, _RANDOM = 160, 800, 0.97


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    packed = path.with_name(f"{path.name}.gz")
    with path.open(encoding="utf-8") if path.exists() else gzip.open(packed, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _found(folder: Path) -> list[tuple[str, str]]:
    if (folder / "test.jsonl").exists():
        rows = [row for row in _rows(folder / "test.jsonl") if row.get("score", 5) >= 4 and row.get("label", 1) == 1]
        return [(row["sentence1"], row["sentence2"]) for row in rows]
    texts = {row["_id"]: f"{row.get('title', '')}\n{row['text']}".strip() for row in _rows(folder / "corpus.jsonl")}
    queries = {row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl")}
    found = []
    for file in sorted((folder / "qrels").glob("*.tsv")):
        for line in file.read_text(encoding="utf-8").splitlines()[1:]:
            query, document, grade = line.split("\t")
            if int(grade) > 0 and document in texts and query in queries:
                found.append((queries[query], texts[document]))
    return found


def pairs_of(folder: Path) -> list[tuple[str, str]]:
    """Return pairs of a set in random order, each text once."""
    found, seen, out = _found(folder), set[str](), list[tuple[str, str]]()
    for place in np.random.default_rng(0).permutation(len(found)).tolist():
        query, passage = (" ".join(text.split()) for text in found[place])
        if query and passage and not seen & {query, passage}:
            seen |= {query, passage}
            out.append((query, passage[:_CHARACTERS]))
    return out[:_PAIRS]


def shares_kept(pairs: list[tuple[str, str]], embedder: Embedder, *, symmetric: bool) -> list[float]:
    """Return two shares: kept by the cosine alone, less half of what each text has with others, and by the filter."""
    asked, said = [query for query, _ in pairs], [passage for _, passage in pairs]
    embed = embedder.embed_queries if symmetric else embedder.embed_documents
    queries, passages = embedder.embed_queries(asked), embed(said)
    cosines = (queries @ passages.T).astype(np.float64)
    chinese = [[language_of(text) in ("zh", "mixed") for text in texts] for texts in (asked, said)]
    classes = (np.array(chinese[0]) + 2 * np.array(chinese[1])).astype(np.int8)
    random = random_cells(asked, said)
    others = np.where(random, cosines, np.nan)
    alone = cosines - np.nanmean(others, 1)[:, None] / 2 - np.nanmean(others, 0)[None] / 2
    across = across_languages(queries, passages, classes)
    now = relatedness(across, shares_held(asked, said).astype(np.float64), classes, random)
    return [_kept(scores, classes, random) for scores in (alone, now)]


def _kept(scores: NDArray[np.float64], classes: NDArray[np.int8], random: NDArray[np.bool_]) -> float:
    cells, kept = classes_of_cells(classes), np.zeros(len(scores), np.bool_)
    for number in np.unique(classes):
        own = classes == number
        beside = scores[(cells == number) & random]
        kept[own] = np.diag(scores)[own] >= np.quantile(beside if len(beside) else scores[random], _RANDOM)
    return float(kept.mean())


def main() -> None:
    """Print a line for each set."""
    embedder = choose_model("auto", device="cpu").embedder
    assert embedder is not None, "no model is on this machine"
    for name in sys.argv[1:]:
        folder = Path(name)
        pairs = pairs_of(folder)
        alone, now = shares_kept(pairs, embedder, symmetric=(folder / "test.jsonl").exists())
        print(f"{folder.name}: {len(pairs)} pairs, cosine alone {alone:.3f}, now {now:.3f}", flush=True)


if __name__ == "__main__":
    main()
