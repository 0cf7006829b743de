"""The query shift as `quarry.training.tuning.loop` tunes it: learned from stored vectors, judged, recorded in a manifest."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quarry.indexer.lake.relabel import with_query_shift
from quarry.indexer.messages import Message
from quarry.indexer.models.digest import content_digest
from quarry.retriever.data.datasets import Dataset
from quarry.retriever.searcher import Searcher
from quarry.retriever.stages.query_shift import QueryShift
from quarry.training.tuning.data import TuningData
from quarry.training.tuning.gate import judge
from quarry.training.tuning.live_search import LiveSearch
from quarry.training.tuning.plan import TuningObserver
from quarry.training.tuning.query_shift.fusion import FusionMoves
from quarry.training.tuning.query_shift.judged_subject import JudgedSubject, nothing_to_learn
from quarry.training.tuning.query_shift.learning import JudgedQuestion, Steps
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
class QueryShiftSubject(JudgedSubject):
    """The questions of an index; see `quarry.training.tuning.subject.Subject`."""

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
        questions = self.questions(live, data, watch)
        shift = self._learned(live)(questions)
        if shift is None:
            raise nothing_to_learn(len(questions))
        if shift.fusion:
            watch.stage(_fusion_moves(shift.fusion))
        return Fitted(shift.save(run.finetune / "queries"), 1.0, None, None)

    def contender(self, model: Path, watch: TuningObserver) -> MovedQueries:  # noqa: ARG002 (Subject)
        """Read the shift."""
        return MovedQueries(QueryShift.load(model, self.tuned_dim()), model)

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
        return Judged(judge(held, general, self.exam.rule, self.exam.share), _NAME)

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
        learned = self._learned(live)

        def taught(questions: Sequence[JudgedQuestion]) -> Searcher:
            shift = learned(questions)
            return live.searcher if shift is None else live.searcher.with_query_shift(shift)

        return self.blocks(live, held_out, run, taught)

    def _learned(self, live: LiveSearch) -> Callable[[Sequence[JudgedQuestion]], QueryShift | None]:
        """Return what learns from parts of the questions; each question is looked at once."""
        steps = Steps(live.index, live.embedder, self.spec)
        moves = FusionMoves(live.searcher) if self.exam.route == "hybrid" else None

        def learned(questions: Sequence[JudgedQuestion]) -> QueryShift | None:
            shift = steps.learned(questions)
            return shift if shift is None or moves is None else replace(shift, fusion=moves.learned(questions))

        return learned


def _fusion_moves(by: float) -> Message:
    if by > 0:
        return Message.of("tuning.bm25_counts_more", "BM25 counts more in this index: {by:.1f} in log-odds", by=by)
    return Message.of("tuning.bm25_counts_less", "BM25 counts less in this index: {by:.1f} in log-odds", by=-by)
