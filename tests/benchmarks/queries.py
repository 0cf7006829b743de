"""What `quarry tune --what queries` and `--what search` bring, and how long they take: `python -m tests.benchmarks.queries WORK CACHE WHAT [--judged 50] [--draws 3] [--search] [--set NAME ...]`.

    build            a small index of each set below WORK, with the offline model; vectors out of CACHE
    run              the loop on copies of the indexes with so many judged questions, drawn so many times; the table of docs/tuning.md
    null             the loop with answers that are drawn at random from the first ten results
    choose           the strength that other families choose, for each family: its change in nDCG@10 and those of other strengths

`--search` tunes the whole search, on indexes with token states; without it how questions move and how much BM25 counts.

Needs ../shared/data and the offline model. Sets are those of `tests.benchmarks.fusion_sets`; where a set has train judgements (SETS), these
are what is judged, and its other questions are asked afterwards; elsewhere the questions of a set are parted, none that shares an answer
on both sides. The gate sees the judged questions alone. The general set is that of the gate, its change that of the shift which was
learned, promoted or not.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from quarry.app.wiring import choose_model
from quarry.demo_corpus import general_path
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.retriever.data.datasets import Dataset
from quarry.retriever.evaluation.bootstrap import mean_intervals
from quarry.retriever.evaluation.evaluate import evaluate
from quarry.retriever.evaluation.routes import RERANKED, route_options
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import Searcher
from quarry.retriever.stages.query_shift import QueryShift
from quarry.training.examples.rows import TrainingRow, write_training_rows
from quarry.training.tuning import tune
from quarry.training.tuning.loop import TuningReport
from quarry.training.tuning.plan import TuningPlan, TuningSources
from quarry.training.tuning.query_shift.learning import JudgedQuestion, Steps
from quarry.training.tuning.query_shift.spec import QueryShiftSpec
from quarry.training.tuning.search.parts import SearchParts
from quarry.training.tuning.search.spec import SearchSpec
from quarry.training.tuning.trials import MEASURES
from tests.benchmarks.fusion_sets import JudgedSet
from tests.benchmarks.kept_vectors import KeptEmbedder, Vectors
from tests.benchmarks.sides import rows_of, sets, sides

ACROSS = (
    "xquad-zh2en",
    "xquad-en2zh",
    "writerhelp-zh2en",
)  # with token states; elsewhere words are shared, and these do not act
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Given:
    """How many questions are judged, how often they are drawn, on which sets (all for none), and whether the whole search is tuned, from which seed on."""

    judged: int
    draws: int
    names: tuple[str, ...]
    search: bool = False
    seed: int = 0


class Bench:
    """Indexes of the sets, and searches with kept vectors."""

    def __init__(self, work: Path, cache: Path, *, states: bool) -> None:
        """Indexes lie below `work`, vectors below `cache`; `states` says whether all indexes have token states."""
        work.mkdir(parents=True, exist_ok=True)
        cache.mkdir(parents=True, exist_ok=True)
        self.work, self.vectors, self.states = work, Vectors("offline", cache), states
        chosen = choose_model("auto", device="cpu")
        self.vectors._embedder, self.folder = (
            chosen.embedder,
            chosen.folder,
        )  # as an index names it, for the loop to find it
        self.embedder = KeptEmbedder(self.vectors)

    def index(self, one: JudgedSet) -> Path:
        """Return the index of a set; built when it is not there."""
        root = self.work / (f"{one.name}-states" if self.states else one.name)
        if not (root / "quarry-index.json").is_file():
            documents = [Document(name, text, title) for name, title, text in one.documents]
            options = BuildOptions(model_folder=self.folder, rerank_vectors=self.states or one.name in ACROSS)
            index_documents(root, documents, self.embedder, options)  # type: ignore[arg-type]
            print(f"{one.name}: {len(documents)} documents", file=sys.stderr, flush=True)
        return root

    def lend_general(self, copy: Path) -> None:
        """Put the general set, indexed and asked by runs before, where a run looks for it: it is the same for all sets."""
        (self.work / "general").mkdir(exist_ok=True)
        shutil.copytree(self.work / "general", copy / "tuning" / ".general", dirs_exist_ok=True)

    def keep_general(self, copy: Path) -> None:
        """Keep the general set for later runs."""
        shutil.copytree(copy / "tuning" / ".general", self.work / "general", dirs_exist_ok=True)

    def searcher(self, root: Path) -> Searcher:
        """Open an index with kept vectors."""
        return Searcher.open(root, embedder=self.embedder)  # type: ignore[arg-type]


def scores(searcher: Searcher, dataset: Dataset) -> np.ndarray:
    """Return nDCG@10 of each question, as a search answers it."""
    late = RERANKED if searcher.pipeline.late is not None else ""
    _, run = document_run(searcher, dataset.queries, 10, route_options(f"hybrid{late}", 50))
    found = evaluate(run, dataset.qrels, MEASURES[:1], queries=dataset.queries)
    return np.array(list(found.values("nDCG@10").values()))


def plan_of(pairs: Path, seed: int, *, search: bool) -> TuningPlan:
    """Return the plan of `quarry tune --what queries (or search) --no-feedback --no-promote --pairs PAIRS --seed SEED`."""
    sources = TuningSources(feedback=False, pairs=(pairs,))
    spec = SearchSpec(seed=seed) if search else QueryShiftSpec(seed=seed)
    return TuningPlan(general_path(), sources, spec=spec, promote=False, device="cpu")


def tuned(
    bench: Bench, one: JudgedSet, rows: Sequence[TrainingRow], seed: int
) -> tuple[TuningReport, tuple[float, float], Path]:
    """Run the loop on a copy of the index; returns the report, the seconds (on the clock, of processors) and the copy."""
    root = bench.index(one)
    copy = bench.work / "copies" / one.name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root, copy)
    bench.lend_general(copy)
    write_training_rows(bench.work / "pairs.jsonl", rows)
    began, worked = perf_counter(), process_time()
    report = tune(copy, plan_of(bench.work / "pairs.jsonl", seed, search=bench.states), run="benchmark")
    seconds = perf_counter() - began, process_time() - worked
    bench.keep_general(copy)
    return report, seconds, copy


def run(bench: Bench, given: Given) -> None:
    """Print the table."""
    print(
        "| set | judged, asked | before | after | difference | verdicts | general set | s on the clock (of processors) | parts |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for one in sets(given.names):
        lines, verdicts, general, took, learned, counts = [], [], [], [], [], (0, 0)
        for seed in range(given.seed, given.seed + given.draws):
            part = sides(one, given.judged, seed)
            if part is None:
                break
            report, seconds, copy = tuned(bench, one, rows_of(part), seed)
            dataset = part.dataset(part.asked)
            still, parts = bench.searcher(copy), SearchParts.load(report.model)
            before, after = scores(still, dataset), scores(parts.on(still), dataset)
            learned.append(" and ".join(map(str, parts.named())) or "none")
            lines.append((before.mean(), after.mean(), after - before))
            verdicts.append(report.verdict.promote)
            general.append(report.verdict.general.difference)
            took.append(seconds)
            counts = len(part.judged), len(part.asked)
            shutil.rmtree(copy)
        if not lines:
            continue
        deltas = np.concatenate([line[2] for line in lines])
        low, high = mean_intervals(deltas[:, None], resamples=2000, seed=0)
        print(
            f"| {one.name} | {counts[0]}, {counts[1]} | {np.mean([line[0] for line in lines]):.3f} "
            f"| {np.mean([line[1] for line in lines]):.3f} | {deltas.mean():+.4f} ({low[0]:+.4f} to {high[0]:+.4f}) "
            f"| {sum(verdicts)} of {len(verdicts)} | {np.mean(general):+.4f} | {' '.join(f'{wall:.0f} ({work:.0f})' for wall, work in took)} "
            f"| {'; '.join(learned)} |",
            flush=True,
        )


def null(bench: Bench, given: Given) -> None:
    """Print how often the gate promotes what answers at random teach."""
    promoted = asked = 0
    for one in sets(given.names):
        searcher = bench.searcher(bench.index(one))
        for seed in range(given.seed, given.seed + given.draws):
            part = sides(one, given.judged, seed)
            if part is None:
                break
            _, found = document_run(searcher, part.dataset(part.judged).queries, 10, route_options("hybrid", 50))
            draws = np.random.default_rng(seed)
            answers = {
                name: [found[name][draws.integers(len(found[name]))][0]] if found[name] else [] for name in part.judged
            }
            report, seconds, copy = tuned(bench, one, rows_of(part, answers), seed)
            parts = SearchParts.load(report.model)  # before the copy goes, where a promoted model would be
            shutil.rmtree(copy)
            promoted += report.verdict.promote
            asked += 1
            print(
                json.dumps(
                    {
                        "set": one.name,
                        "seed": seed,
                        "promote": report.verdict.promote,
                        "evidence": round(report.verdict.evidence, 3),
                        "parts": list(map(str, parts.named())),
                        "seconds": [round(value, 1) for value in seconds],  # on the clock, of processors
                    }
                ),
                flush=True,
            )
    print(f"{promoted} of {asked} promoted")


def choose(bench: Bench, given: Given) -> None:
    """Print for each family the strength that the others choose, and what each strength changes."""
    changes: dict[str, tuple[str, dict[float, float]]] = {}
    for one in sets(given.names):
        searcher = bench.searcher(bench.index(one))
        found: dict[float, list[float]] = {strength: [] for strength in STRENGTHS}
        for seed in range(given.seed, given.seed + given.draws):
            part = sides(one, given.judged, seed)
            if part is None:
                break
            steps = Steps(Index.open(bench.index(one)), bench.embedder, QueryShiftSpec())  # type: ignore[arg-type]
            questions = [
                JudgedQuestion(one.queries[name], frozenset(doc for doc, grade in one.qrels[name].items() if grade > 0))
                for name in part.judged
            ]
            learned, dataset = steps.learned(questions), part.dataset(part.asked)
            if learned is None:
                break
            before = scores(searcher, dataset).mean()
            for strength in STRENGTHS:
                moved = searcher.with_query_shift(QueryShift(strength * learned.shift))
                found[strength].append(float(scores(moved, dataset).mean() - before))
        if found[1.0]:
            changes[one.name] = one.family, {strength: float(np.mean(values)) for strength, values in found.items()}
            print(one.name, *(f"{value:+.4f}" for value in changes[one.name][1].values()), flush=True)
    print("\n| family | chosen by the others | its change | with " + " | ".join(map(str, STRENGTHS)) + " |")
    for family in sorted({family for family, _ in changes.values()}):
        own = [values for name, values in changes.values() if name == family]
        others = [values for name, values in changes.values() if name != family]
        means = {strength: float(np.mean([values[strength] for values in others])) for strength in STRENGTHS}
        best = max(STRENGTHS, key=lambda strength: means[strength])
        cells = " | ".join(f"{np.mean([values[strength] for values in own]):+.4f}" for strength in STRENGTHS)
        print(f"| {family} | {best} | {np.mean([values[best] for values in own]):+.4f} | {cells} |")


def main() -> None:
    """Do what was asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("what", choices=["build", "run", "null", "choose"])
    parser.add_argument("--judged", type=int, default=50)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--set", action="append", dest="names", default=[])
    parser.add_argument("--seed", type=int, default=0, help="of the first draw")
    parser.add_argument("--search", action="store_true")
    options = parser.parse_args()
    given = Given(options.judged, options.draws, tuple(options.names), options.search, options.seed)
    bench = Bench(options.work, options.cache, states=given.search)
    if options.what == "build":
        for one in sets(given.names):
            bench.index(one)
    else:
        {"run": run, "null": null, "choose": choose}[options.what](bench, given)


if __name__ == "__main__":
    main()
