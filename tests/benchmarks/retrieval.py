"""nDCG@10 and Recall@100 of every route on six real sets: `python -m tests.benchmarks.retrieval WORK build|evaluate|tables|latency`.

Needs ../shared/data and the offline model. `build` makes one index per set below the folder WORK with the defaults (about 45
minutes on two cores; it resumes), `evaluate` asks all judged queries and prints the tables of docs/results/retrieval.md,
`tables` prints them again, `latency` times the routes. `--device cuda` encodes on a GPU, `--sets A,B` takes some sets only;
every set leaves WORK/SET/evaluation.json. Three corpora are subsampled to what two cores can encode: every judged document
and others by hash of their ids.
"""

import argparse
import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from quarry.app.wiring import choose_model
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.evaluation.ceiling import candidate_ceiling
from quarry.retriever.evaluation.compare import compare, holm
from quarry.retriever.evaluation.evaluate import Evaluation, evaluate
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.evaluation.routes import route_options
from quarry.retriever.ranking import Ranking
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import Searcher, SearchOptions, document_of
from quarry.retriever.shown.collapse import by_document
from quarry.retriever.stages.fusion import reciprocal_rank_fusion

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MAIN = "nDCG@10"
MEASURES = (MAIN, "R@100")
RRF, DEFAULT = "plain RRF", "default"
ROUTES = {"bm25": "bm25", "dense": "dense", "hybrid": "hybrid", DEFAULT: "hybrid+rerank"}
COLUMNS = ("bm25", "dense", RRF, "hybrid", DEFAULT)
OTHERS = COLUMNS[:-1]
_FACTS = "evaluation.json"


@dataclass(frozen=True)
class JudgedSet:
    """A data set and a split of it; `documents` are kept of its corpus, None for all."""

    name: str
    split: str
    documents: int | None = None


SETS = (
    JudgedSet("writerhelp-zh2en", "test"),
    JudgedSet("cmrc2018sent-zh", "test"),
    JudgedSet("scifact-en", "test"),
    JudgedSet("sqlfaq-zh", "test", 5000),
    JudgedSet("winfaq-en", "test", 5000),
    JudgedSet("nq-qed-en", "dev", 5000),
)


@dataclass(frozen=True)
class Options:
    """Where the indexes are, what the model runs on, and which sets are wanted."""

    work: Path
    device: str
    sets: tuple[JudgedSet, ...]

    def built(self) -> tuple[JudgedSet, ...]:
        """Those whose index is there."""
        return tuple(one for one in self.sets if (self.work / one.name / "index" / "quarry-index.json").is_file())


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


def build(options: Options) -> None:
    chosen = choose_model("auto", device=options.device)
    for one in options.sets:
        dataset = load_dataset(DATA / one.name, one.split)
        needed = {doc_id for judged in dataset.qrels.values() for doc_id in judged}
        folder = options.work / one.name
        folder.mkdir(parents=True, exist_ok=True)
        lines = subsample(corpus_lines(one.name), needed, one.documents)
        (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        started = perf_counter()
        settings = BuildOptions(model_folder=chosen.folder, notes=chosen.notes)
        report = build_index(folder / "index", [folder / "corpus.jsonl"], chosen.embedder, settings)
        seconds = perf_counter() - started
        print(f"{one.name}: {report.documents} documents, {report.chunks} passages, {seconds:.0f} s", flush=True)


def score(options: Options) -> None:
    for one in options.built():
        facts = measured(one, options)
        (options.work / one.name / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
    tables(options)


def tables(options: Options) -> None:
    """Print what was measured: means of every column, and the default with its interval against the others."""
    paths = [options.work / one.name / _FACTS for one in options.sets]
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
    columns = " | ".join(f"{name} {MAIN} | R@100" for name in COLUMNS)
    print(f"\n| set | documents | passages | queries | {columns} |\n" + "|---" * (4 + 2 * len(COLUMNS)) + "|")
    for facts in found:
        means = [f"{facts['means'][column][name]['value']:.4f}" for column in COLUMNS for name in MEASURES]
        counts = (facts["set"], *(f"{facts[name]:,}" for name in ("documents", "passages", "queries")))
        print(f"| {' | '.join((*counts, *means))} |")
    print(
        f"\n| set | default {MAIN}, 95 % interval | ceiling@50 | {' | '.join(f'against {name}' for name in OTHERS)} |"
    )
    print("|---" * (3 + len(OTHERS)) + "|")
    for facts in found:
        mean = facts["means"][DEFAULT][MAIN]
        interval = f"{mean['value']:.4f}, {mean['low']:.4f} to {mean['high']:.4f}"
        verdicts = " | ".join(facts["against"][name] for name in OTHERS)
        print(f"| {facts['set']} | {interval} | {facts['ceiling']:.4f} | {verdicts} |", flush=True)


def measured(one: JudgedSet, options: Options) -> dict[str, Any]:
    """Ask all judged queries by every route; returns means, verdicts and the main measure of every query."""
    dataset = load_dataset(DATA / one.name, one.split)
    searcher = Searcher.open(options.work / one.name / "index", device=options.device)
    runs, rankings = {}, {}
    for column, route in ROUTES.items():
        rankings[column], runs[column] = document_run(searcher, dataset.queries, 100, route_options(route, 50))
    runs[RRF] = {
        dense.query.query_id: by_document(
            Ranking.of(dense.query, reciprocal_rank_fusion(dense.hits[:100], bm25.hits[:100], k=200), 200),
            document_of,
            100,
        )
        for dense, bm25 in zip(rankings["dense"], rankings["bm25"], strict=True)
    }
    wanted = parse_measures(MEASURES)
    found = {column: evaluate(runs[column], dataset.qrels, wanted, queries=dataset.queries) for column in COLUMNS}
    ceiling = candidate_ceiling(runs["hybrid"], dataset.qrels, 50, wanted[0], queries=dataset.queries)
    manifest = searcher.index.manifest
    return {
        "set": one.name,
        "documents": manifest.documents,
        "passages": manifest.chunks,
        "queries": found[DEFAULT].means[MAIN].count,
        "means": {column: {name: asdict(mean) for name, mean in each.means.items()} for column, each in found.items()},
        "ceiling": ceiling.value,
        "against": _verdicts(found),
        "per_query": {column: each.values(MAIN) for column, each in found.items()},
    }


def _verdicts(found: dict[str, Evaluation]) -> dict[str, str]:
    """Compare the default with every other column; p is corrected for their number."""
    compared = {column: compare(found[column], found[DEFAULT], MAIN) for column in OTHERS}
    corrected = holm([one.p for one in compared.values()])
    shown = {}
    for (column, one), p in zip(compared.items(), corrected, strict=True):
        verdict = replace(one, p_adjusted=p, compared=len(compared)).verdict
        shown[column] = f"{verdict}: {one.difference:+.4f} ({one.low:+.4f} to {one.high:+.4f}), p {p:.4f}"
    return shown


def latency(options: Options) -> None:
    print("| set | passages | route | p50 ms | p95 ms |")
    for one in options.built():
        queries = load_dataset(DATA / one.name, one.split).queries[:200]
        searcher = Searcher.open(options.work / one.name / "index", device=options.device)
        searcher.warm()
        for column in ("bm25", "dense", "hybrid"):
            times = []
            for query in queries:
                started = perf_counter()
                searcher.search(query.text, 10, SearchOptions(route=column, rerank=False))
                times.append((perf_counter() - started) * 1000)
            p50, p95 = np.percentile(times[5:], [50, 95])
            print(f"| {one.name} | {searcher.index.manifest.chunks} | {column} | {p50:.1f} | {p95:.1f} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("step", choices=("build", "evaluate", "tables", "latency"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sets", default=",".join(one.name for one in SETS))
    given = parser.parse_args(arguments)
    wanted = tuple(one for one in SETS if one.name in given.sets.split(","))
    options = Options(given.work, given.device, wanted)
    {"build": build, "evaluate": score, "tables": tables, "latency": latency}[given.step](options)


if __name__ == "__main__":
    main()
