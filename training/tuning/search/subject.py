"""A search as `quarry.training.tuning.loop` tunes it: its parts learned from what is stored, judged as one, recorded in one manifest."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from quarry.indexer.errors import FeedbackError
from quarry.indexer.lake.relabel import with_parts
from quarry.indexer.messages import Message
from quarry.indexer.models.digest import content_digest
from quarry.indexer.storage.facts import RerankerFacts
from quarry.retriever.data.datasets import Dataset
from quarry.retriever.rerankers.token_map import TokenMap
from quarry.retriever.searcher import Searcher
from quarry.training.tuning.data import TuningData
from quarry.training.tuning.gate import judge
from quarry.training.tuning.live_search import LiveSearch
from quarry.training.tuning.plan import TuningObserver
from quarry.training.tuning.query_shift.judged_subject import JudgedSubject
from quarry.training.tuning.query_shift.trials import Block, Side, general_trial, held_out_trial
from quarry.training.tuning.run import TuningRun
from quarry.training.tuning.search.choosing import PartsLearner
from quarry.training.tuning.search.parts import SearchParts
from quarry.training.tuning.search.spec import SearchSpec
from quarry.training.tuning.subject import Fitted, Judged

_NAME = "search"


@dataclass(frozen=True, slots=True)
class TunedSearch:
    """The parts that help, and their folder inside the index."""

    parts: SearchParts
    folder: Path


@dataclass(frozen=True, slots=True)
class SearchSubject(JudgedSubject):
    """The search of an index; see `quarry.training.tuning.subject.Subject`."""

    spec: SearchSpec
    _learners: list[tuple[LiveSearch, PartsLearner]] = field(default_factory=list, init=False, repr=False)

    def announced(self, live: LiveSearch, run: str) -> Message:
        """Name the model and the generation."""
        return Message.of(
            "tuning.begins_search",
            "run {run}: tuning the search of generation {generation}, on what {model} has encoded",
            run=run,
            generation=live.index.generation,
            model=live.embedder.spec.model,
        )

    def train(self, live: LiveSearch, data: TuningData, run: TuningRun, watch: TuningObserver) -> Fitted:
        """Learn the parts from all questions. It takes seconds, so an interrupted run learns them again.

        Raises:
            FeedbackError: If no question has its answer in the index.
        """
        questions = self.questions(live, data, watch)
        if (why := self._no_map(live)) is not None:
            watch.stage(why)
        taught = self._learner(live).learned(questions)
        for tried in taught.tried:
            watch.stage(tried.message())
        return Fitted(taught.parts.save(run.finetune / "search"), 1.0, None, None)

    def contender(self, model: Path, watch: TuningObserver) -> TunedSearch:  # noqa: ARG002 (Subject)
        """Read the parts."""
        return TunedSearch(SearchParts.load(model, self.tuned_dim()), model)

    def judge(
        self, live: LiveSearch, tuned: TunedSearch, held_out: Dataset, run: TuningRun, watch: TuningObserver
    ) -> Judged:
        """Ask the held-out queries block after block, and the general set; where no part helps there is nothing to promote."""
        watch.stage(
            Message.of(
                "tuning.asking_searches",
                "asking {count} held-out queries of both searches",
                count=len(held_out.queries),
            )
        )
        whole = [Block(held_out.queries, tuned.parts.on(live.searcher))]
        held = held_out_trial(
            live.searcher, self._blocks(live, held_out, run) if self.own else whole, held_out, self.exam
        )
        watch.stage(Message.of("tuning.general_searches", "asking the general set of both searches"))
        general = general_trial(live.searcher, live.embedder, self._sides(live, tuned), self.exam, run.general)
        verdict = judge(held, general, self.exam.rule, self.exam.share)
        if not tuned.parts:
            nothing = Message.of("tuning.no_part_helps", "no part of the search gains alone on the judged questions")
            verdict = replace(verdict, promote=False, refusals=(nothing, *verdict.refusals))
        return Judged(verdict, _NAME)

    def promote(self, live: LiveSearch, tuned: TunedSearch, judged: Judged, run: str) -> str:
        """Record the parts in one generation that is otherwise the live one.

        Raises:
            FeedbackError: If there is none.
        """
        if not tuned.parts:
            raise FeedbackError(
                "tuning.nothing_to_promote",
                "no part of the search gains alone on the judged questions, so there is nothing to promote",
                expected="at least one part that does",
                do="Judge more questions, or learn one part whatever it gains with --what queries or second-stage",
            )
        manifest = live.index.manifest
        one = live.promotion(_NAME, tuned.folder, judged, run, None)
        changes: dict[str, RerankerFacts | None] = {}
        if tuned.parts.shift is not None:
            changes["query_shift"] = one.model_copy(update={"before": manifest.query_shift})
        if tuned.parts.tokens is not None:
            changes["second_stage"] = one.model_copy(update={"before": manifest.second_stage})
        named = tuned.parts.named()
        reason = (
            Message.of("tuning.search_anyway", "promoted a tuned search ({parts}) against the verdict", parts=named)
            if one.forced
            else Message.of("tuning.search_promoted", "promoted a tuned search ({parts})", parts=named)
        )
        return with_parts(self.root, changes, reason, expected=manifest)

    def _no_map(self, live: LiveSearch) -> Message | None:
        """Return why there is no second stage to tune; None where there is one."""
        pipeline = live.searcher.pipeline
        if self.exam.route != "hybrid":
            return Message.of("tuning.no_map_route", "route {route} has no second stage", route=self.exam.route)
        if pipeline.late is None:
            return Message.of(
                "tuning.no_map_states", "the index holds no token states, so its second stage is left as it is"
            )
        if pipeline.languages is not None:
            return Message.of(
                "tuning.no_map_languages", "the index is in several languages, so its second stage is left as it is"
            )
        return None

    def _learner(self, live: LiveSearch) -> PartsLearner:
        """Return what learns from a search: what it looked up for the parts is there for the verdict."""
        if not self._learners or self._learners[0][0] is not live:
            learner = PartsLearner(live, self.spec, self.exam, tokens=self._no_map(live) is None)
            self._learners[:] = [(live, learner)]
        return self._learners[0][1]

    def _blocks(self, live: LiveSearch, held_out: Dataset, run: TuningRun) -> Iterator[Block]:
        learner = self._learner(live)
        return self.blocks(live, held_out, run, lambda seen: learner.learned(seen).parts.on(live.searcher))

    def _sides(self, live: LiveSearch, tuned: TunedSearch) -> tuple[Side, Side]:
        """Return what answers the general set: the plain second stage of both where either has a map, which knows one language."""
        manifest, shift = live.index.manifest, live.searcher.pipeline.shift
        recorded = manifest.second_stage
        now = SearchParts(
            shift.get() if shift else None, TokenMap.load(self.root / recorded.folder) if recorded else None
        )
        then = SearchParts(tuned.parts.shift or now.shift, tuned.parts.tokens or now.tokens)
        mapped = then.tokens is not None

        def on(parts: SearchParts, searcher: Searcher) -> Searcher:
            found = searcher.with_query_shift(parts.shift)
            return found.with_second_stage(parts.tokens) if mapped else found

        live_name = "-".join(one.digest[:16] if one else "plain" for one in (manifest.query_shift, recorded))
        kind = "mapped" if mapped else "moved"
        return (
            Side(f"{kind}-live-{live_name}", lambda searcher: on(now, searcher)),
            Side(
                f"{kind}-{content_digest(tuned.folder.absolute())[:16]}-over-{live_name}",
                lambda searcher: on(then, searcher),
            ),
        )
