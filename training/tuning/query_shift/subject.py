"""The query shift as `quarry.training.tuning.loop` tunes it: learned from stored vectors, judged, recorded in a manifest."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quarry.indexer.errors import FeedbackError, SettingsError
from quarry.indexer.lake.relabel import with_query_shift
from quarry.indexer.messages import Message
from quarry.indexer.models.digest import content_digest
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.retriever.data.datasets import Dataset
from quarry.retriever.ranking import Route
from quarry.retriever.stages.query_shift import QueryShift
from quarry.training.examples.held_out import Places
from quarry.training.tuning.data import TuningData, train_rows
from quarry.training.tuning.embedder import model_of, training_begins
from quarry.training.tuning.gate import judge
from quarry.training.tuning.live_search import LiveSearch
from quarry.training.tuning.plan import Exam, TuningObserver
from quarry.training.tuning.query_shift.blocks import blocks_of
from quarry.training.tuning.query_shift.fusion import FusionMoves
from quarry.training.tuning.query_shift.learning import JudgedQuestion, Steps, questions_asked, questions_of
from quarry.training.tuning.query_shift.spec import QueryShiftSpec
from quarry.training.tuning.query_shift.trials import Block, Side, general_trial, held_out_trial
from quarry.training.tuning.run import TuningRun
from quarry.training.tuning.subject import Fitted, Judged

_NAME = "query shift"


@dataclass(frozen=True, slots=True)
class MovedQueries:
    """The learned shift, and its folder inside the index."""

    shift: QueryShift
    folder: Path


@dataclass(frozen=True, slots=True)
class QueryShiftSubject:
    """The questions of an index; see `quarry.training.tuning.subject.Subject`.

    Attributes:
        root: The index folder.
        spec: How the shift is learned.
        exam: What the verdict is about.
        device: Where the model runs.
        own: Whether the verdict is by a share of the questions themselves, which then teach, too; not when a folder of judged
            queries was given for it.
    """

    root: Path
    spec: QueryShiftSpec
    exam: Exam
    device: str
    own: bool

    def check(self) -> Manifest:
        """Return the live manifest, which has vectors.

        Raises:
            IndexFormatError: If it has none.
            SettingsError: If the verdict is to be by words alone, which do not move.
        """
        return checked_vectors(self.root, self.exam.route)

    def open_live(self) -> LiveSearch:
        """Open the live generation with its model and its second stage; no cross-encoder has a say.

        Raises:
            ModelError: If the model cannot be loaded.
        """
        return LiveSearch.open(self.root, self.device)

    def announced(self, live: LiveSearch, run: str) -> Message:
        """Name the model and the generation."""
        return Message.of(
            "tuning.begins_queries",
            "run {run}: learning how questions to generation {generation} move, with vectors of {model}",
            run=run,
            generation=live.index.generation,
            model=live.embedder.spec.model,
        )

    def train(self, live: LiveSearch, data: TuningData, run: TuningRun, watch: TuningObserver) -> Fitted:
        """Learn the shift from all questions. It takes seconds, so an interrupted run learns it again.

        Raises:
            FeedbackError: If no question has its answer in the index.
        """
        questions = [
            *questions_of(data.train, Places(live.index)),
            *(questions_asked(data.held_out) if self.own else ()),
        ]
        watch.stage(training_begins(len(questions)))
        shift = self._learned(live)(questions)
        if shift is None:
            raise FeedbackError(
                "tuning.queries_nothing",
                "none of {count:question|questions} has its answer in the index",
                expected="at least one",
                do="Give pairs whose passages are in the index",
                count=len(questions),
            )
        if shift.fusion:
            watch.stage(_fusion_moves(shift.fusion))
        return Fitted(shift.save(run.finetune / "queries"), 1.0, None, None)

    def contender(self, model: Path, watch: TuningObserver) -> MovedQueries:  # noqa: ARG002 (Subject)
        """Read the shift."""
        live = Manifest.read(Generations(self.root).live())
        return MovedQueries(QueryShift.load(model, model_of(self.root, live).to_spec().dim), model)

    def judge(
        self, live: LiveSearch, tuned: MovedQueries, held_out: Dataset, run: TuningRun, watch: TuningObserver
    ) -> Judged:
        """Ask the held-out queries block after block, and the general set; everything but the shift is the same."""
        watch.stage(
            Message.of(
                "tuning.asking_moved",
                "asking {count} held-out queries as they are and moved",
                count=len(held_out.queries),
            )
        )
        blocks = (
            self._blocks(live, held_out, run)
            if self.own
            else [Block(held_out.queries, live.searcher.with_query_shift(tuned.shift))]
        )
        held = held_out_trial(live.searcher, blocks, held_out, self.exam)
        watch.stage(Message.of("tuning.general_moved", "asking the general set as it is and moved"))
        recorded, shift = live.index.manifest.query_shift, live.searcher.pipeline.shift
        sides = (
            Side(
                f"live-{recorded.digest[:16]}" if recorded else "still",
                lambda searcher: searcher.with_query_shift(shift.get() if shift else None),
            ),
            Side(
                f"moved-{content_digest(tuned.folder.absolute())[:16]}",
                lambda searcher: searcher.with_query_shift(tuned.shift),
            ),
        )
        general = general_trial(live.searcher, live.embedder, sides, self.exam, run.general)
        return Judged(judge(held, general, self.exam.rule), _NAME)

    def promote(self, live: LiveSearch, tuned: MovedQueries, judged: Judged, run: str) -> str:
        """Record the shift in a generation that is otherwise the live one."""
        manifest = live.index.manifest
        facts = live.promotion(_NAME, tuned.folder, judged, run, manifest.query_shift)
        reason = (
            Message.of("tuning.queries_anyway", "promoted what judgements taught about questions against the verdict")
            if facts.forced
            else Message.of("tuning.queries_promoted", "promoted what judgements taught about questions")
        )
        return with_query_shift(self.root, facts, reason, expected=manifest)

    def _blocks(self, live: LiveSearch, held_out: Dataset, run: TuningRun) -> Iterator[Block]:
        """Yield the held-out questions in blocks, each with what the questions before it taught."""
        learned = self._learned(live)
        seen = questions_of(train_rows(run), Places(live.index))
        for queries in blocks_of(held_out, self.spec.blocks, self.spec.seed):
            shift = learned(seen)
            yield Block(queries, live.searcher if shift is None else live.searcher.with_query_shift(shift))
            seen += questions_asked(held_out, queries)

    def _learned(self, live: LiveSearch) -> Callable[[Sequence[JudgedQuestion]], QueryShift | None]:
        """Return what learns from parts of the questions; each question is looked at once."""
        steps = Steps(live.index, live.embedder, self.spec)
        moves = FusionMoves(live.searcher) if self.exam.route == "hybrid" else None

        def learned(questions: Sequence[JudgedQuestion]) -> QueryShift | None:
            shift = steps.learned(questions)
            return shift if shift is None or moves is None else replace(shift, fusion=moves.learned(questions))

        return learned


def checked_vectors(root: Path, route: Route) -> Manifest:
    """Return the live manifest of an index, which has vectors.

    Raises:
        IndexFormatError: If it has none.
        SettingsError: If the verdict is to be by words alone, which do not move.
    """
    live = Manifest.read(Generations(root).live())
    model_of(root, live)
    if route == "bm25":
        raise SettingsError(
            "tuning.route_without_vectors",
            "route bm25 compares no vectors, so questions that move change nothing",
            expected="hybrid or dense",
            do="Leave --route out",
        )
    return live


def _fusion_moves(by: float) -> Message:
    if by > 0:
        return Message.of("tuning.bm25_counts_more", "BM25 counts more in this index: {by:.1f} in log-odds", by=by)
    return Message.of("tuning.bm25_counts_less", "BM25 counts less in this index: {by:.1f} in log-odds", by=-by)
