"""The reranker as the loop tunes it: fine-tuned, judged by the reranked route, recorded in the index; no vector changes.

Rivals are what answers now and, when that is another one, the reranker that was tuned: the tuned one goes live only when it is
shown to be better than each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.lake.relabel import with_reranker
from quarry.indexer.messages import Message
from quarry.indexer.models.digest import content_digest
from quarry.indexer.models.folder import read_json
from quarry.indexer.opened import Index
from quarry.indexer.storage.facts import EmbedderFacts, RerankerFacts
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.retriever.data.datasets import Dataset, load_dataset
from quarry.retriever.models.recorded import recorded_embedder, usable_device
from quarry.training.fit.spec import RerankerSpec
from quarry.training.tuning.candidates import MODELS
from quarry.training.tuning.data import TuningData
from quarry.training.tuning.embedder.subject import training_begins
from quarry.training.tuning.gate import GateVerdict, Trial, judge
from quarry.training.tuning.plan import Exam, TuningObserver
from quarry.training.tuning.reranker.base import BaseReranker, base_reranker, loaded_ranker, rivals_of
from quarry.training.tuning.reranker.trials import FirstStage, Ranker, general_evaluation, held_out_evaluation
from quarry.training.tuning.run import TuningRun
from quarry.training.tuning.subject import Fitted, Judged

FEW_FOR_A_HEAD = 1000  # 425 taught it next to nothing: docs/results.md


@dataclass(frozen=True, slots=True)
class TunedRanker:
    """The tuned reranker, loaded, and its folder inside the index."""

    ranker: Ranker
    folder: Path


class RerankerSubject:
    """The reranker of an index; see `quarry.training.tuning.subject.Subject`."""

    def __init__(self, root: Path, spec: RerankerSpec, wanted: str, exam: Exam, device: str) -> None:
        """Take what a run is asked for.

        Args:
            root: The index folder.
            spec: How it is trained.
            wanted: The reranker to begin with: `auto`, `from-encoder`, an id or a folder.
            exam: What the verdict is about.
            device: Where models run.
        """
        self.root = root
        self._spec = spec
        self._wanted = wanted
        self._exam = exam
        self._device = device
        self._base: BaseReranker | None = None

    @property
    def base(self) -> BaseReranker:
        """The model that is tuned, found once: a switch meanwhile does not change it."""
        if self._base is None:
            manifest = Manifest.read(Generations(self.root).live())
            self._base = base_reranker(self.root, manifest, self._wanted)
        return self._base

    def check(self) -> Manifest:
        """Return the live manifest; the base reranker is on this machine."""
        live = Manifest.read(Generations(self.root).live())
        _searchable(self.root, live)
        _ = self.base
        return live

    def open_live(self) -> FirstStage:
        """Open the live generation with its embedder, which finds the candidates."""
        opened = Index.open(self.root)
        facts = _searchable(self.root, opened.manifest)
        return FirstStage(opened, recorded_embedder(self.root, facts, usable_device(self._device)[0]))

    def announced(self, live: FirstStage, run: str) -> Message:
        """Name the reranker and the generation."""
        named = {"run": run, "model": self.base.name, "generation": live.index.generation}
        if self.base.ranks:
            return Message.of(
                "tuning.begins_reranker",
                "run {run}: tuning the reranker {model} for generation {generation}",
                **named,
            )
        return Message.of(
            "tuning.begins_head",
            "run {run}: tuning the reranker {model}, with a new head for generation {generation}",
            **named,
        )

    def train(self, live: FirstStage, data: TuningData, run: TuningRun, watch: TuningObserver) -> Fitted:  # noqa: ARG002 (Subject)
        """Fine-tune the cross-encoder."""
        from quarry.training.fit.reranker import finetune_reranker

        if not self.base.ranks and len(data.train) < FEW_FOR_A_HEAD:
            watch.stage(
                Message.of(
                    "tuning.few_for_head",
                    "a new head learns little from {count:example|examples}, so a refusal is likely",
                    do="Give more pairs, or begin with a released reranker (--reranker FOLDER)",
                    count=len(data.train),
                )
            )
        watch.stage(training_begins(len(data.train)))
        trained = finetune_reranker(
            self.base.folder,
            data.train,
            self._spec,
            run.finetune,
            dev=data.dev,
            observer=watch.training,
            device=self._device,
        )
        return Fitted(trained.folder, 1.0, trained.dev_before, trained.dev_after)

    def contender(self, model: Path, watch: TuningObserver) -> TunedRanker:  # noqa: ARG002 (Subject)
        """Load the tuned reranker."""
        return TunedRanker(loaded_ranker(model, f"the tuned {self.base.name}", self._device), model)

    def judge(
        self, live: FirstStage, tuned: TunedRanker, held_out: Dataset, run: TuningRun, watch: TuningObserver
    ) -> Judged:
        """Compare with each rival; returns the verdict against the hardest."""
        exam = self._exam
        rivals = rivals_of(self.base, self.root, live.index.manifest, self._device)
        rankers = [*rivals, tuned.ranker]
        watch.stage(
            Message.of(
                "tuning.asking_rerankers",
                "asking {count} held-out queries by {route}, reranked by {rankers}",
                count=len(held_out.queries),
                route=exam.route,
                rankers=_names(rankers),
            )
        )
        held = {one.key: held_out_evaluation(one, live, held_out, exam, run.trials) for one in rankers}
        watch.stage(
            Message.of("tuning.general_rerankers", "reranking the general set by {rankers}", rankers=_names(rankers))
        )
        general_set = load_dataset(exam.general)
        watch.phase("reranking", None)
        general = {
            one.key: general_evaluation(one, live.embedder, general_set, run.general, watch.advance) for one in rankers
        }
        own = tuned.ranker.key

        def verdict(rival: Ranker) -> GateVerdict:
            return judge(
                Trial(held[rival.key], held[own], held_out.queries),
                Trial(general[rival.key], general[own], general_set.queries),
                exam.rule,
                exam.share,
            )

        verdicts = [Judged(verdict(rival), rival.name) for rival in rivals]
        return min(verdicts, key=lambda one: (one.verdict.promote, one.verdict.held_out.difference))

    def promote(self, live: FirstStage, tuned: TunedRanker, judged: Judged, run: str) -> str:
        """Record the tuned reranker in a generation that is otherwise the live one."""
        manifest = live.index.manifest
        facts = RerankerFacts(
            model=str(read_json(tuned.folder / "training.json").get("model") or self.base.name),
            digest=content_digest(tuned.folder.absolute()),
            folder=f"{MODELS}/{tuned.folder.name}",
            base=self.base.name,
            parent=live.index.generation,
            run=run,
            verdict=Message.of(
                "tuning.against",
                "Against {rival}: {verdict}",
                rival=judged.against,
                verdict=judged.verdict.message(),
            ),
            forced=not judged.verdict.promote,
            promoted=datetime.now(UTC).isoformat(timespec="seconds"),
            before=manifest.reranker,
        )
        reason = (
            Message.of("tuning.reranker_anyway", "promoted the reranker against the verdict")
            if facts.forced
            else Message.of("tuning.reranker_promoted", "promoted the reranker")
        )
        return with_reranker(self.root, facts, reason, expected=manifest)


def _searchable(index: Path, manifest: Manifest) -> EmbedderFacts:
    if manifest.embedder is None:
        raise IndexFormatError(
            "tuning.no_first_stage",
            "{index} has no vectors, so the general set cannot be searched",
            expected="an index with a model",
            do="Build it with `quarry index PATH --into {index} --model auto --rebuild`",
            index=index,
        )
    return manifest.embedder


def _names(rankers: Sequence[Ranker]) -> list[str]:
    return [ranker.name for ranker in rankers]
