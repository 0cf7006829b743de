"""Training in the background: the order, its progress, rollback, and drift between generations. It draws nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quarry.app.ui.shared.data_folders import allowed_path, inside
from quarry.app.ui.shared.jobs import Doing, Job
from quarry.demo_corpus import general_path
from quarry.indexer.errors import SettingsError
from quarry.indexer.messages import Message
from quarry.indexer.models.loading import choose_device
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.retriever.models.recorded import recorded_embedder, usable_device
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.training.examples.split import SplitSpec
from quarry.training.feedback.log import FeedbackLog
from quarry.training.fit.loop.progress import TrainProgress
from quarry.training.fit.spec import train_preset
from quarry.training.negatives.spec import NegativeSpec, rank_window
from quarry.training.tuning import tune
from quarry.training.tuning.drift import Drift, drift, logged_queries
from quarry.training.tuning.loop import TuningReport
from quarry.training.tuning.plan import TuningPlan, TuningSources
from quarry.training.tuning.promotion import roll_back
from quarry.training.tuning.search.spec import SearchSpec
from quarry.training.tuning.steps import What


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """A training run to start or continue.

    Attributes:
        sources: Where examples come from.
        seed: Seed of split, negatives and order, at least 0.
        promote: Whether a model that proves better goes live.
        run: Name of the run; the name of an interrupted run continues it.
        reranker: Empty to tune the embedder; otherwise what the reranker is made from: `auto` or `from-encoder`.
        search: Whether the search is tuned on what is stored, which takes a minute and no package for training.
    """

    sources: TuningSources
    seed: int
    promote: bool
    run: str
    reranker: str = ""
    search: bool = False


@dataclass(frozen=True, slots=True)
class TrainingState:
    """The progress of a run.

    Attributes:
        run: Its name.
        stages: The reported stages, oldest first.
        step: The last training step; None outside training.
        dev: The last nDCG@10 on the dev questions; None before the first.
        what: What is tuned.
    """

    run: str
    stages: tuple[Message, ...] = ()
    step: TrainProgress | None = None
    dev: float | None = None
    what: What = "embedder"


@dataclass(frozen=True, slots=True)
class MeasuredDrift:
    """Drift between two generations; `other_documents` when documents were indexed in between, which changes results too."""

    before: str
    after: str
    other_documents: bool
    drift: Drift


def new_run_name() -> str:
    """Return a name made from the time, like `quarry tune`."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")


def plan_of(order: TrainingOptions, device: str) -> TuningPlan:
    """Return the plan that `quarry tune` makes for the same order, so that a run can move between page and terminal."""
    preset = train_preset(
        reranker=bool(order.reranker), device=choose_device(usable_device(device)[0]), seed=order.seed
    )
    return TuningPlan(
        general=general_path(),
        sources=order.sources,
        split=SplitSpec(seed=order.seed),
        negatives=NegativeSpec(ranks=rank_window("2-200"), number=4, seed=order.seed),
        spec=SearchSpec(seed=order.seed) if order.search else preset,
        reranker=order.reranker or "auto",
        promote=order.promote,
        device=device,
    )


def order_of(run: str, facts: Mapping[str, Any], promote: bool, roots: Sequence[Path], device: str) -> TrainingOptions:
    """Return the order of an interrupted run, from the plan in its folder.

    Raises:
        SettingsError: If it has settings that this page does not offer, or reads files outside `roots`.
    """
    try:
        kept = dict(facts["sources"])
        if kept.get("synthetic"):
            raise SettingsError(
                "ui.run_asks_model",
                "run {run} asks a language model",
                expected="a run of this page",
                do="Continue it in a terminal, with the options it was started with: quarry tune INDEX --run {run}",
                run=run,
            )
        files = {name: tuple(Path(path) for path in kept[name]) for name in ("pairs", "candidate_pool")}
        sources = TuningSources(**{**kept, **files})
        reranker = str(facts["reranker"]) if facts.get("what") == "reranker" else ""
        search = facts.get("what") == "search"
        order = TrainingOptions(sources, int(facts["split"]["seed"]), promote, run, reranker, search)
        same = _as_json(plan_of(order, device).facts()) == _as_json(facts)
    except (KeyError, TypeError, ValueError) as err:
        raise SettingsError(
            "ui.run_plan_unreadable",
            "the plan of run {run} cannot be read ({reason})",
            expected="a plan of `quarry tune`",
            do="Continue it in a terminal, with the options it was started with: quarry tune INDEX --run {run}",
            run=run,
            reason=repr(err),
        ) from err
    if not same:
        raise SettingsError(
            "ui.run_settings_differ",
            "run {run} has settings that this page does not offer",
            expected="a run of this page",
            do="Continue it in a terminal, with the options it was started with: quarry tune INDEX --run {run}",
            run=run,
        )
    if not all(inside(path, roots) for path in (*sources.pairs, *sources.candidate_pool)):
        raise SettingsError(
            "ui.run_files_outside",
            "run {run} reads files outside the data folders",
            expected="files inside them",
            do="Continue it in a terminal, with the options it was started with: quarry tune INDEX --run {run}",
            run=run,
        )
    return order


def _as_json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False, sort_keys=True)


def pair_paths(typed: str, roots: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files and folders that a user typed, one per line, absolute or relative to the first root.

    Raises:
        SettingsError: If one is outside the roots or does not exist.
    """
    found = []
    for line in typed.splitlines():
        if not (name := line.strip()):
            continue
        path = allowed_path(name, roots)
        if not path.exists():
            raise SettingsError(
                "ui.no_pairs_file",
                "{path} does not exist",
                expected="a file of pairs, or a BEIR folder",
                do="Check the spelling",
                path=name,
            )
        found.append(path.resolve())
    return tuple(dict.fromkeys(found))


def run_training(job: Job, index: Path, order: TrainingOptions, device: str) -> TuningReport:
    """Run the loop; the job's `detail` is a `TrainingState`.

    Raises:
        JobCancelledError: If the job was asked to stop; finished work is kept.
        SearchError: As `quarry.training.tuning.loop.tune`.
    """
    plan = plan_of(order, device)
    return tune(index, plan, run=order.run, observer=_Watch(job, order.run, plan.what))


def run_rollback(job: Job, index: Path, device: str) -> str:
    """Roll back the newest promotion, whatever it was of, and return the live generation.

    Raises:
        JobCancelledError: If the job was asked to stop.
        SearchError: As `quarry.training.tuning.promotion.roll_back`.
    """
    chosen = usable_device(device)[0]
    return roll_back(index, lambda facts: recorded_embedder(index, facts, chosen), observer=_Watch(job, ""))


def drift_parent(index: Path) -> str:
    """Return the generation whose model the live one was tuned from, while it is kept; otherwise an empty string.

    Raises:
        IndexFormatError: If the index cannot be read.
    """
    generations = Generations(index)
    lineage = Manifest.read(generations.live()).lineage
    return lineage.parent if lineage and lineage.parent in generations.finished() else ""


def run_drift(index: Path, live: Searcher, parent: str, log: FeedbackLog, device: str) -> MeasuredDrift:
    """Compare the live generation with an earlier one on the logged queries, without a reranker.

    Raises:
        ModelError: If the earlier model is no longer on this machine.
        ValueError: If nothing was logged.
    """
    before = Manifest.read(Generations(index).folder / parent)
    embedder = recorded_embedder(index, before.embedder, usable_device(device)[0]) if before.embedder else None
    older = Searcher.open(index, embedder=embedder, generation=parent)
    found = drift(older, live, logged_queries(log), log.document_grades(), SearchOptions(rerank=False))
    after = live.index.manifest
    return MeasuredDrift(parent, after.generation, before.corpus_sha256 != after.corpus_sha256, found)


class _Watch:
    """Reports a run's progress to its job; a cancelled job ends at a report."""

    def __init__(self, job: Job, run: str, what: What = "embedder") -> None:
        self._job, self._state = job, TrainingState(run, what=what)
        self._doing: Doing = ""
        self._done, self._total = 0, 0
        job.detail = self._state

    def stage(self, message: Message) -> None:
        """Record a stage."""
        self._state = replace(self._state, stages=(*self._state.stages, message), step=None)
        self._job.detail, self._doing = self._state, message
        self._report(0, 0)

    def training(self, progress: TrainProgress) -> None:
        """Record a training step."""
        dev = self._state.dev if progress.dev is None else progress.dev
        self._state = self._job.detail = replace(self._state, step=progress, dev=dev)
        self._report(progress.step, progress.steps)

    def phase(self, name: str, total: int | None) -> None:
        """Restart the count."""
        self._doing = self._state.stages[-1] if self._state.stages else name
        self._report(0, total or 0)

    def advance(self, amount: int) -> None:
        """Advance the count."""
        self._report(self._done + amount, self._total)

    def _report(self, done: int, total: int) -> None:
        self._done, self._total = done, total
        self._job.report(done, total, self._doing)
