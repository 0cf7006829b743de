"""How the fusion's constants were chosen: `python -m tests.benchmarks.fusion CACHE` (needs ../shared/data, the offline model).

Twelve development sets, none of them a test set of docs/results.md: queries of train splits, other collections, pairs of
the training data, and both cross-language directions of XQuAD. Each corpus is subsampled to what two cores encode in a few
minutes (documents cut at 1,500 characters); the vectors are kept below CACHE, so that a second run, after a change of
the terms or of the fusion, takes a minute.
"""

import gzip
import json
import random
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import quarry.retriever.stages.fusion as fusion
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.lexical.bm25 import Bm25sIndex
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.offline_bundle import bundle_folder
from quarry.retriever.evaluation.measures import ndcg
from quarry.retriever.ranking import Evidence, Hit, Query, StageScore
from quarry.retriever.stages.fusion import LexicalEvidence, fuse, lexical_evidence, reciprocal_rank_fusion

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CHARACTERS = 1500  # of a document that are encoded
Vectors = NDArray[np.float32]


class DevSet(NamedTuple):
    documents: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


def rows(path: Path) -> list[dict]:
    opener = gzip.open(f"{path}.gz", "rt", encoding="utf-8") if not path.is_file() else path.open(encoding="utf-8")
    with opener as handle:
        return [json.loads(line) for line in handle]


def beir(name: str, split: str, queries: int = 400, documents: int | None = None, corpus: str = "") -> DevSet:
    rng = random.Random(0)
    qrels: dict[str, dict[str, int]] = {}
    for line in (DATA / name / "qrels" / f"{split}.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query_id, doc_id, grade = line.split("\t")
        if int(grade) > 0:
            qrels.setdefault(query_id, {})[doc_id] = int(grade)
    chosen = sorted(qrels)
    rng.shuffle(chosen)
    qrels = {query_id: qrels[query_id] for query_id in chosen[:queries]}
    texts = {row["_id"]: row["text"] for row in rows(DATA / name / "queries.jsonl")}
    entries = rows(DATA / (corpus or name) / "corpus.jsonl")
    if documents is not None:
        needed = {doc_id for judged in qrels.values() for doc_id in judged}
        others = [row for row in entries if row["_id"] not in needed]
        rng.shuffle(others)
        entries = [row for row in entries if row["_id"] in needed] + others[: max(0, documents - len(needed))]
    contents = {row["_id"]: f"{row.get('title', '')}\n{row['text']}".strip() for row in entries}
    return DevSet(contents, {query_id: texts[query_id] for query_id in qrels}, qrels)


def pairs(name: str, source: str, queries: int, documents: int) -> DevSet:
    entries = [row for row in rows(DATA / name / "dev.jsonl") if source in row["source"]]
    random.Random(0).shuffle(entries)
    entries = entries[:documents]
    asked = range(min(queries, len(entries)))
    contents = {f"d{i}": row["pos"][0] for i, row in enumerate(entries)}
    return DevSet(contents, {f"q{i}": entries[i]["query"] for i in asked}, {f"q{i}": {f"d{i}": 1} for i in asked})


DEV_SETS: dict[str, Callable[[], DevSet]] = {
    "xquad zh->en": lambda: beir("xquad-zh", "test", corpus="xquad-en"),
    "xquad en->zh": lambda: beir("xquad-en", "test", corpus="xquad-zh"),
    "xquad-zh": lambda: beir("xquad-zh", "test"),
    "xquad-en": lambda: beir("xquad-en", "test"),
    "productdocs-en": lambda: beir("productdocs-en", "test"),
    "codebase-en": lambda: beir("codebase-en", "test"),
    "nq-qed-en train": lambda: beir("nq-qed-en", "train", documents=2500),
    "cmrc2018sent-zh train": lambda: beir("cmrc2018sent-zh", "train", documents=3500),
    "cmrc2018-zh train": lambda: beir("cmrc2018-zh", "train"),
    "scifact-en train": lambda: beir("scifact-en", "train", documents=1500),
    "train-pairs-zh dev, sql": lambda: pairs("train-pairs-zh", "sql", 300, 1500),
    "csl-zh dev": lambda: beir("csl-zh", "dev", 300, 1500),
}


class Candidates(NamedTuple):
    query: Query
    dense: list[Hit]
    bm25: list[Hit]
    coverage: float
    grades: dict[str, int]


def candidates(name: str, cache: Path) -> list[Candidates]:
    dev, words = DEV_SETS[name](), analyzer("jieba")
    ids = sorted(dev.documents)
    documents, queries = vectors(name, dev, ids, cache)
    index = Bm25sIndex.build(ids, [words.tokens(dev.documents[doc_id]) for doc_id in ids])
    out = []
    for (query_id, text), line in zip(dev.queries.items(), queries @ documents.T, strict=True):
        bm25 = [
            Hit(found.chunk_id, found.score, "bm25", Evidence(bm25=StageScore(rank, found.score), terms=found.terms))
            for rank, found in enumerate(index.search(words.query_tokens(text), 100), 1)
        ]
        dense = [
            Hit(ids[row], float(line[row]), "dense", Evidence(dense=StageScore(rank, float(line[row]))))
            for rank, row in enumerate(np.argsort(-line, kind="stable")[:100], 1)
        ]
        evidence = lexical_evidence(words.tokens(text), index, bm25)
        out.append(Candidates(Query(query_id, text), dense, bm25, evidence.coverage, dev.qrels[query_id]))
    return out


def vectors(name: str, dev: DevSet, ids: list[str], cache: Path) -> tuple[Vectors, Vectors]:
    """Embeddings of documents and queries, kept below CACHE under the digest of what was encoded."""
    texts, asked = [dev.documents[doc_id][:CHARACTERS] for doc_id in ids], list(dev.queries.values())
    digest = sha256("\0".join([*texts, *asked]).encode()).hexdigest()[:12]
    path = cache / f"{name.replace(' ', '-').replace('>', '').replace(',', '')}-{digest}.npz"
    if not path.is_file():
        embedder = load_embedder(bundle_folder())
        np.savez(path, documents=embedder.embed_documents(texts), queries=embedder.embed_queries(asked))
    with np.load(path) as kept:
        return kept["documents"], kept["queries"]


def mean_ndcg(entries: list[Candidates], order: Callable[[Candidates], list[Hit]]) -> float:
    return float(np.mean([ndcg([hit.chunk_id for hit in order(entry)], entry.grades, 10) for entry in entries]))


def fused(entry: Candidates) -> list[Hit]:
    return fuse(entry.dense, entry.bm25, k=10, evidence=LexicalEvidence(entry.coverage))


def main() -> None:
    cache = Path(sys.argv[1])
    cache.mkdir(parents=True, exist_ok=True)
    sets = {name: candidates(name, cache) for name in DEV_SETS}
    best: dict[str, float] = {}
    print("| development set | BM25 | dense | RRF | ours |\n|---|---|---|---|---|")
    for name, entries in sets.items():
        bm25, dense = mean_ndcg(entries, lambda entry: entry.bm25), mean_ndcg(entries, lambda entry: entry.dense)
        plain = mean_ndcg(entries, lambda entry: reciprocal_rank_fusion(entry.dense, entry.bm25, k=10))
        best[name] = max(bm25, dense)
        print(f"| {name} | {bm25:.4f} | {dense:.4f} | {plain:.4f} | {mean_ndcg(entries, fused):.4f} |", flush=True)
    print("\n| weight | full coverage | mean nDCG@10 | worst loss against the better side |\n|---|---|---|---|")
    for weight in (0.3, 0.35, 0.4, 0.45, 0.5):
        for full in (0.2, 0.3, 0.4, 0.5):
            fusion.LEXICAL_WEIGHT, fusion.FULL_COVERAGE = weight, full
            scores = {name: mean_ndcg(entries, fused) for name, entries in sets.items()}
            worst = min(scores[name] - best[name] for name in scores)
            print(f"| {weight} | {full} | {np.mean(list(scores.values())):.4f} | {worst:+.4f} |")


if __name__ == "__main__":
    main()
