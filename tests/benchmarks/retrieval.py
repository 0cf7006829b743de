"""nDCG@10 and Recall@100 of every route on six real sets: `python -m tests.benchmarks.retrieval WORK [build|evaluate|latency]`.

Needs ../shared/data and the offline model. `build` makes one index per set below the folder WORK (about 45 minutes on two
cores; it resumes), `evaluate` asks all judged queries and prints the table of docs/results.md, `latency` times the routes.
Three corpora are subsampled to what two cores can encode: every judged document and others by hash of their ids.
"""

import gzip
import json
import sys
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import numpy as np

from quarry.app.wiring import choose_model
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.retriever.collapse import by_document
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.evaluation.evaluate import evaluate
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.ranking import Ranking
from quarry.retriever.searcher import Searcher, SearchOptions, document_of, document_run
from quarry.retriever.stages.fusion import reciprocal_rank_fusion

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
# data set, split, documents kept (None: all)
SETS = (
    ("writerhelp-zh2en", "test", None),
    ("cmrc2018sent-zh", "test", None),
    ("scifact-en", "test", None),
    ("sqlfaq-zh", "test", 5000),
    ("winfaq-en", "test", 5000),
    ("nq-qed-en", "dev", 5000),
)
ROUTES = ("bm25", "dense", "hybrid")


def corpus_lines(name: str) -> list[str]:
    """Return the lines of a corpus, plain or gzipped."""
    path = DATA / name / "corpus.jsonl"
    if path.is_file():
        return path.read_text(encoding="utf-8").splitlines()
    with gzip.open(f"{path}.gz", "rt", encoding="utf-8") as handle:
        return handle.read().splitlines()


def subsample(lines: list[str], needed: set[str], size: int | None) -> list[str]:
    """Keep the needed documents and fill up with others in the order of their hashed ids."""
    if size is None or size >= len(lines):
        return lines
    ids = [json.loads(line)["_id"] for line in lines]
    kept = {doc_id for doc_id in ids if doc_id in needed}
    others = sorted(
        (doc_id for doc_id in ids if doc_id not in kept), key=lambda doc_id: sha256(doc_id.encode()).hexdigest()
    )
    kept.update(others[: max(0, size - len(kept))])
    return [line for line, doc_id in zip(lines, ids, strict=True) if doc_id in kept]


def build(work: Path) -> None:
    chosen = choose_model("auto", device="cpu")
    for name, split, size in SETS:
        dataset = load_dataset(DATA / name, split)
        needed = {doc_id for judged in dataset.qrels.values() for doc_id in judged}
        folder = work / name
        folder.mkdir(parents=True, exist_ok=True)
        lines = subsample(corpus_lines(name), needed, size)
        (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        started = perf_counter()
        settings = BuildOptions(model_folder=chosen.folder, notes=chosen.notes)
        report = build_index(folder / "index", [folder / "corpus.jsonl"], chosen.embedder, settings)
        print(
            f"{name}: {report.documents} documents, {report.chunks} passages, {perf_counter() - started:.0f} s",
            flush=True,
        )


def score(work: Path) -> None:
    measures = parse_measures(["nDCG@10", "R@100"])
    names = ("bm25", "dense", "plain RRF", "hybrid")
    print("| set | documents | queries | " + " | ".join(f"{name} nDCG@10 | R@100" for name in names) + " |")
    print("|---" * (3 + 2 * len(names)) + "|")
    for name, split, _ in SETS:
        if not (work / name / "index" / "quarry-index.json").is_file():
            continue
        dataset = load_dataset(DATA / name, split)
        searcher = Searcher.open(work / name / "index")
        runs, rankings = {}, {}
        for route in ROUTES:
            options = SearchOptions(route=route, rerank=False, dense_budget_ms=1e7)
            rankings[route], runs[route] = document_run(searcher, dataset.queries, 100, options)
        runs["plain RRF"] = {
            dense.query.query_id: by_document(
                Ranking.of(dense.query, reciprocal_rank_fusion(dense.hits[:100], bm25.hits[:100], k=200), 200),
                document_of,
                100,
            )
            for dense, bm25 in zip(rankings["dense"], rankings["bm25"], strict=True)
        }
        cells = []
        for route in names:
            found = evaluate(runs[route], dataset.qrels, measures, queries=dataset.queries)
            cells += [f"{found.means[str(measure)].value:.4f}" for measure in measures]
        documents = searcher.index.manifest.documents
        print(f"| {name} | {documents} | {len(dataset.queries)} | " + " | ".join(cells) + " |", flush=True)


def latency(work: Path) -> None:
    print("| set | passages | route | p50 ms | p95 ms |")
    for name, split, _ in SETS:
        if not (work / name / "index" / "quarry-index.json").is_file():
            continue
        queries = load_dataset(DATA / name, split).queries[:200]
        searcher = Searcher.open(work / name / "index")
        searcher.warm()
        for route in ROUTES:
            options = SearchOptions(route=route, rerank=False)
            times = []
            for query in queries:
                started = perf_counter()
                searcher.search(query.text, 10, options)
                times.append((perf_counter() - started) * 1000)
            p50, p95 = np.percentile(times[5:], [50, 95])
            print(f"| {name} | {searcher.index.manifest.chunks} | {route} | {p50:.1f} | {p95:.1f} |", flush=True)


if __name__ == "__main__":
    {"build": build, "evaluate": score, "latency": latency}[sys.argv[2]](Path(sys.argv[1]))
