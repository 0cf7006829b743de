"""Three rounds of simulated users and tuning on a real index: `python -m tests.benchmarks.users WORK SETTING ...`.

Each round, users ask the live index questions that were not asked before; what they do goes into the index's own log; `tune`
runs once and promotes or refuses. How good the index is is measured on questions that nobody asks. Everything is seeded.

A setting is KIND-NOISE, KIND-NOISE-ATTACK for a gang of a fifth of the voices with a new name for every vote, or
KIND-NOISE-ATTACK-FOCUS for one that works with all its voices on that share of the questions: `zh-0.15`, `tiny-0.3-spam`,
`zh-0.15-wrong-0.5`. With KIND-NOISE-editor somebody writes the answers that were not among the ten results into a file, and `tune`
reads it too (`--pairs`). Kinds: `zh` and `en` are documentation with the offline model and hybrid search (../shared/data, about five
minutes of one core a round); `tiny` is made-up text with a small random model and dense search (seconds a round). Results are in
WORK/SETTING.json; `python -m tests.benchmarks.users WORK table` prints those there are.
"""

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from time import process_time
from typing import Any

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.messages import Message
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.offline_bundle import bundle_folder
from quarry.indexer.models.source import resolve_model
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.evaluation.compare import compare
from quarry.retriever.evaluation.embedder import evaluate_embedder
from quarry.retriever.evaluation.evaluate import Evaluation
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.evaluation.routes import evaluate_route
from quarry.retriever.ranking import Route
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.training.examples.example import text_key
from quarry.training.examples.rows import read_training_rows, write_beir
from quarry.training.feedback.events import ShownHit
from quarry.training.feedback.log import FeedbackLog, feedback_path
from quarry.training.tuning import TuningReport, tune
from quarry.training.tuning.plan import TuningSources, Unwatched
from tests.benchmarks.users_plan import plan_of
from tests.benchmarks.users_world import SPAM, SPAM_TEXT, TINY, World, make_world
from tests.training.simulated_users import ATTACKS, Crowd, Shown, feedback_of
from tests.training.tiny_model import tiny_model

GANG = 0.2
PER_ROUND, TRUTH, OTHERS = 150, 150, 50
EDITOR = "editor"
MEASURES = parse_measures(["nDCG@10"])


class Told(Unwatched):
    """Prints the stages."""

    def stage(self, message: Message) -> None:
        print(f"  [{process_time():.0f} s] {message}", flush=True)


@dataclass(frozen=True, slots=True)
class Setting:
    """One simulation; `route` is how users' questions are answered, `edited` whether somebody answers those left open."""

    name: str
    kind: str
    crowd: Crowd
    edited: bool = False

    @classmethod
    def of(cls, name: str) -> "Setting":
        kind, noise, *rest = name.split("-")
        if not rest or rest == [EDITOR]:
            return cls(name, kind, Crowd(noise=float(noise)), edited=bool(rest))
        attack = next(attack for attack in ATTACKS if attack == rest[0])
        focus = float(rest[1]) if len(rest) > 1 else 1.0
        return cls(name, kind, Crowd(noise=float(noise), gang=GANG, attack=attack, focus=focus))

    @property
    def route(self) -> Route:
        return "dense" if self.kind == TINY else "hybrid"


def simulate(work: Path, setting: Setting, rounds: int = 3) -> dict[str, Any]:
    """Run the rounds of one setting from a fresh index, writing results after each; return them."""
    folder = work / setting.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    world = make_world(setting.kind, per_round=PER_ROUND, truth=TRUTH, others=OTHERS)
    index = fresh_index(work, folder, setting.kind, world)
    plan = plan_of(setting.kind, setting.route, folder / "general")
    write_beir(folder / "truth", {question: {doc_id: 1} for question, doc_id in world.truth.items()})
    before = _truth(index, folder / "truth")
    facts: dict[str, Any] = {"setting": setting.name, "rounds": []}
    for number, right in enumerate(world.rounds[:rounds], start=1):
        ask = lru_cache(maxsize=None)(shown_by(Searcher.open(index), setting.route))
        if setting.edited:
            plan = replace(plan, sources=TuningSources(pairs=(_edited(ask, right, world, folder),)))
        events = _ask(index, setting, right, ask, number)
        report = tune(index, plan, run=f"round{number}", observer=Told())
        after = _truth(index, folder / "truth") if report.promoted else before
        facts["rounds"].append(
            {
                "round": number,
                "events": events,
                "cpu_s": round(process_time()),
                "labels": _labels(index / "tuning" / f"round{number}" / "data", world),
                "tuning": _told(report),
                "truth": {route: _change(before[route], after[route]) for route in ("dense", "hybrid")},
                "refused": None
                if report.promoted
                else _change(before["dense"], _truth_of_refused(report, world, folder)),
            }
        )
        before = after
        (work / f"{setting.name}.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")
        print(table([facts]), flush=True)
    return facts


def fresh_index(work: Path, folder: Path, kind: str, world: World) -> Path:
    """Copy the index of the kind, which is built once."""
    built = work / f"built-{kind}"
    if not (built / "index" / "quarry-index.json").is_file():
        model = tiny_model(built / "model") if kind == TINY else bundle_folder()
        source = resolve_model(str(model))
        if source is None:
            raise SystemExit(f"{model} is no model; expected the offline bundle. Install '.[offline]'")
        embedder = load_embedder(source.folder, model_id=source.model, revision=source.revision, device="cpu")
        index_documents(built / "index", world.documents, embedder, BuildOptions(model_folder=str(model)))
    shutil.copytree(built / "index", folder / "index", dirs_exist_ok=True)
    return folder / "index"


def shown_by(searcher: Searcher, route: Route) -> Callable[[str], Shown]:
    """Return how a question is answered, as users see it."""
    options = SearchOptions(route=route)

    def ask(question: str) -> Shown:
        answer = searcher.search(question, k=10, options=options)
        return Shown(
            answer.generation,
            tuple(ShownHit(r.chunk_id, r.doc_id, r.rank, float(r.score), r.stage) for r in answer.results),
        )

    return ask


def _ask(index: Path, setting: Setting, right: Mapping[str, str], ask: Callable[[str], Shown], number: int) -> int:
    """Let the crowd ask the live index, and put what it does into the log."""
    spam = ShownHit(f"{SPAM}#0-{len(SPAM_TEXT[setting.kind])}", SPAM, 1, 1.0, "fusion")
    events = feedback_of(setting.crowd, right, ask, spam=spam, day=30 * (number - 1))
    with FeedbackLog.open(feedback_path(index)) as log:
        for event in events:
            log.append(event)
    return len(events)


def _edited(ask: Callable[[str], Shown], right: Mapping[str, str], world: World, folder: Path) -> Path:
    """Add the questions of a round that the index does not answer, with their answers, to the editor's file."""
    texts = {document.doc_id: document.text for document in world.documents}
    open_questions = [
        {"query": question, "pos": [texts[doc_id]]}
        for question, doc_id in right.items()
        if doc_id not in {hit.doc_id for hit in ask(question).hits}
    ]
    path = folder / "editor.jsonl"
    with path.open("a", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in open_questions)
    return path


def _truth(index: Path, folder: Path) -> dict[str, Evaluation]:
    searcher, dataset = Searcher.open(index), load_dataset(folder)
    return {name: evaluate_route(searcher, dataset, name, MEASURES).evaluation for name in ("dense", "hybrid")}


def _truth_of_refused(report: TuningReport, world: World, folder: Path) -> Evaluation:
    """Measure, on questions that nobody asks, the model that the gate refused: the gate itself cannot know."""
    tuned = report.folder / ("finetune/model" if report.share == 1 else "merged")
    embedder = load_embedder(tuned, model_id="refused", revision=report.run, device="cpu")
    return evaluate_embedder(embedder, world.documents, load_dataset(folder / "truth"), MEASURES)[0]


def _change(before: Evaluation, after: Evaluation) -> dict[str, float]:
    found = compare(before, after, "nDCG@10")
    return {name: round(getattr(found, name), 4) for name in ("before", "after", "difference", "low", "high", "p")}


def _labels(data: Path, world: World) -> dict[str, list[int]]:
    """Count, per side of the split, the questions and those whose positives leave out the right document."""
    texts = {document.doc_id: text_key(document.text) for document in world.documents}
    right = {text_key(question): doc_id for found in world.rounds for question, doc_id in found.items()}
    found = {}
    for side in ("train", "dev"):
        rows = read_training_rows(data / f"{side}.jsonl")
        wrong = sum(texts[right[text_key(row.query)]] not in {text_key(text) for text in row.pos} for row in rows)
        found[side] = [len(rows), wrong]
    held = load_dataset(data / "held-out")
    wrong = sum(right[text_key(query.text)] not in held.qrels[query.query_id] for query in held.queries)
    found["held-out"] = [len(held.queries), wrong]
    return found


def _told(report: TuningReport) -> dict[str, Any]:
    verdict = report.verdict
    return {
        "promoted": report.promoted,
        "share": report.share,
        "held_out": [verdict.held_out.count, round(verdict.held_out.before, 4), round(verdict.held_out.after, 4)],
        "evidence": float(f"{verdict.evidence:.3g}"),
        "general": round(verdict.general.difference, 4),
        "refusals": [str(refusal) for refusal in verdict.refusals],
        "examples": {str(what): count for what, count in report.examples.items()},
    }


def table(results: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| setting | round | trained on (wrong) | held out (wrong) | held-out nDCG@10 | gate | true nDCG@10, dense | change, 95 % interval "
        "| the refused model's |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for row in result["rounds"]:
            told, truth, labels = row["tuning"], row["truth"]["dense"], row["labels"]
            cells = (
                result["setting"],
                row["round"],
                "{} ({})".format(*labels["train"]),
                "{} ({})".format(*labels["held-out"]),
                f"{told['held_out'][1]:.4f} to {told['held_out'][2]:.4f}, evidence {told['evidence']:g}",
                "promoted" if told["promoted"] else "refused",
                f"{truth['before']:.4f} to {truth['after']:.4f}",
                _gain(truth) if told["promoted"] else "none",
                _gain(row["refused"]) if row["refused"] else "",
            )
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _gain(change: Mapping[str, float]) -> str:
    return f"{change['difference']:+.4f} ({change['low']:+.4f} to {change['high']:+.4f})"


def main(arguments: list[str]) -> None:
    if len(arguments) < 2:
        raise SystemExit(__doc__)
    work = Path(arguments[0])
    if arguments[1:] == ["table"]:
        found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(work.glob("*.json"))]
        print(table(found))
        return
    for name in arguments[1:]:
        print(name, flush=True)
        simulate(work, Setting.of(name))


if __name__ == "__main__":
    main(sys.argv[1:])
