"""The second stage as `quarry.training.tuning.loop` tunes it: learned from stored token vectors, judged, recorded in a manifest."""

from dataclasses import dataclass
from pathlib import Path

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import FeedbackError, ModelError, SettingsError
from quarry.indexer.lake.relabel import with_second_stage
from quarry.indexer.messages import Message
from quarry.indexer.models.digest import content_digest
from quarry.indexer.opened import Index
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.retriever.data.datasets import Dataset, load_dataset
from quarry.retriever.models.lazy import LATE, LazyEmbedder, LazyReranker
from quarry.retriever.rerankers.token_map import TokenMap
from quarry.retriever.searcher import Searcher
from quarry.training.examples.example import Example
from quarry.training.examples.held_out import Places
from quarry.training.examples.row import TrainingRow
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.tuning.data import TuningData
from quarry.training.tuning.embedder.subject import model_of, training_begins
from quarry.training.tuning.gate import Trial, judge
from quarry.training.tuning.live_search import LiveSearch
from quarry.training.tuning.plan import Exam, TuningObserver
from quarry.training.tuning.run import TuningRun
from quarry.training.tuning.second_stage.fitting import fit_map
from quarry.training.tuning.second_stage.lists import candidate_lists, no_token_states
from quarry.training.tuning.second_stage.spec import SecondStageSpec
from quarry.training.tuning.second_stage.trials import general_index, second_stage_evaluation
from quarry.training.tuning.subject import Fitted, Judged

_NAME = "second stage"


@dataclass(frozen=True, slots=True)
class TunedSecondStage:
    """The tuned map, and its folder inside the index."""

    tuned: TokenMap
    folder: Path


@dataclass(frozen=True, slots=True)
class SecondStageSubject:
    """The second stage of an index; see `quarry.training.tuning.subject.Subject`.

    Attributes:
        root: The index folder.
        spec: How it is tuned.
        exam: What the verdict is about.
        device: Where the model runs.
    """

    root: Path
    spec: SecondStageSpec
    exam: Exam
    device: str

    def check(self) -> Manifest:
        """Return the live manifest, which has token states.

        Raises:
            ModelError: If it has none.
            SettingsError: If the verdict is to be by a route that has no second stage.
        """
        live = Manifest.read(Generations(self.root).live())
        model_of(self.root, live)
        if self.exam.route != "hybrid":
            raise SettingsError(
                "tuning.route_without_second_stage",
                "route {route} has no second stage on token states",
                expected="hybrid",
                do="Leave --route out",
                route=self.exam.route,
            )
        if not live.token_states:
            raise no_token_states(self.root)
        return live

    def open_live(self) -> LiveSearch:
        """Open the live generation with its model and its second stage; no cross-encoder has a say.

        Raises:
            ModelError: If the model cannot be loaded, or the index is in several languages.
        """
        live = LiveSearch.open(self.root, self.device)
        if live.searcher.pipeline.languages is not None:
            raise ModelError(
                "tuning.second_stage_of_two_languages",
                "{index} is in several languages, which have a second stage of their own; it cannot be tuned",
                expected="an index in one language",
                do="Tune the embedding model instead (--what embedder)",
                index=self.root,
            )
        return live

    def announced(self, live: LiveSearch, run: str) -> Message:
        """Name the model and the generation."""
        return Message.of(
            "tuning.begins_second_stage",
            "run {run}: tuning the second stage of generation {generation}, on token states of {model}",
            run=run,
            generation=live.index.generation,
            model=live.embedder.spec.model,
        )

    def train(self, live: LiveSearch, data: TuningData, run: TuningRun, watch: TuningObserver) -> Fitted:
        """Learn the map. It takes seconds, so an interrupted run learns it again.

        Raises:
            FeedbackError: If no example has its answer among the index's own candidates.
        """
        watch.stage(training_begins(len(data.train)))
        places = Places(live.index)
        train = candidate_lists(live.searcher, [Example.of(row) for row in data.train], places, self.spec.depth)
        dev = candidate_lists(live.searcher, _examples(data.dev), places, self.spec.depth)
        usable = sum(one.positive() is not None for one in train)
        watch.stage(
            Message.of(
                "tuning.second_stage_lists",
                "{usable} of {count:example|examples} have their answer among the first {depth} candidates",
                usable=usable,
                count=len(data.train),
                depth=self.spec.depth,
            )
        )
        if not usable:
            raise FeedbackError(
                "tuning.second_stage_nothing",
                "none of {count:example|examples} has its answer among the first {depth} candidates of the index",
                expected="at least one, because the second stage only orders candidates",
                do="Give pairs whose passages are in the index",
                count=len(data.train),
                depth=self.spec.depth,
            )
        chosen = fit_map(train, dev, self.spec)
        return Fitted(chosen.tuned.save(run.finetune / "second-stage"), chosen.tuned.gain, chosen.before, chosen.after)

    def contender(self, model: Path, watch: TuningObserver) -> TunedSecondStage:  # noqa: ARG002 (Subject)
        """Read the map."""
        return TunedSecondStage(TokenMap.load(model), model)

    def judge(
        self, live: LiveSearch, tuned: TunedSecondStage, held_out: Dataset, run: TuningRun, watch: TuningObserver
    ) -> Judged:
        """Ask the held-out queries and the general set of both; everything but the map is the same."""
        watch.stage(
            Message.of(
                "tuning.asking_second_stages",
                "asking {count} held-out queries of both second stages",
                count=len(held_out.queries),
            )
        )
        depth, manifest = self.exam.rerank_depth, live.index.manifest
        keys = (
            f"live-{manifest.second_stage.digest[:16] if manifest.second_stage else 'plain'}",
            content_digest(tuned.folder)[:16],
        )
        asked = (live.searcher, live.searcher.with_second_stage(tuned.tuned))
        held = [
            second_stage_evaluation(
                searcher, held_out, depth, run.trials / f"held-out-{live.index.generation}-{depth}-{key}"
            )
            for searcher, key in zip(asked, keys, strict=True)
        ]
        watch.stage(Message.of("tuning.general_second_stages", "asking the general set of both second stages"))
        general_set = load_dataset(self.exam.general)
        index = general_index(general_set, live.embedder, run.general)
        recorded = self.root / manifest.second_stage.folder if manifest.second_stage else None
        maps = (TokenMap.load(recorded) if recorded else None, tuned.tuned)
        name = f"second-stage-{live.embedder.spec.fingerprint[:16]}-{general_set.digest[:16]}-{depth}"
        general = [
            second_stage_evaluation(
                _searcher(index, live.embedder, one), general_set, depth, run.general / f"{name}-{key}"
            )
            for one, key in zip(maps, keys, strict=True)
        ]
        verdict = judge(
            Trial(held[0], held[1], held_out.queries),
            Trial(general[0], general[1], general_set.queries),
            self.exam.rule,
            self.exam.share,
        )
        return Judged(verdict, _NAME)

    def promote(self, live: LiveSearch, tuned: TunedSecondStage, judged: Judged, run: str) -> str:
        """Record the map in a generation that is otherwise the live one."""
        manifest = live.index.manifest
        facts = live.promotion(_NAME, tuned.folder, judged, run, manifest.second_stage)
        reason = (
            Message.of("tuning.second_stage_anyway", "promoted the second stage against the verdict")
            if facts.forced
            else Message.of("tuning.second_stage_promoted", "promoted the second stage")
        )
        return with_second_stage(self.root, facts, reason, expected=manifest)


def _examples(dev: DevSet) -> list[Example]:
    """Return the dev queries with the texts that answer them."""
    found = []
    for query in dev.queries:
        grades = dev.qrels.get(query.query_id, {})
        texts = tuple(dev.passages[name] for name, grade in grades.items() if grade > 0)
        if texts:
            found.append(Example.of(TrainingRow(query.text, texts)))
    return found


def _searcher(index: Index, embedder: Embedder, tuned: TokenMap | None) -> Searcher:
    searcher = Searcher(index, LazyEmbedder(index, embedder, "cpu"), LazyReranker(LATE, "cpu", index))
    return searcher.with_second_stage(tuned)
