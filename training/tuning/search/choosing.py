"""Which parts judged questions teach, and which of these help alone: each is tried on questions that it was not learned from.

A part is kept when its mean gain in nDCG@10 is more than a standard error, as with BM25's weight. What the questions of a verdict say
plays no part: the same is done anew for each block, with the questions before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.messages import Message
from quarry.retriever.data.trec import Run
from quarry.retriever.evaluation.measures import ndcg
from quarry.retriever.ranking import Query
from quarry.retriever.rerankers.token_map import TokenMap
from quarry.retriever.searcher import Searcher
from quarry.retriever.stages.query_shift import QueryShift
from quarry.training.tuning.live_search import LiveSearch
from quarry.training.tuning.plan import Exam
from quarry.training.tuning.query_shift.fusion import CAUTION, FusionMoves
from quarry.training.tuning.query_shift.fusion import MOVES as STEPS
from quarry.training.tuning.query_shift.learning import JudgedQuestion, Steps
from quarry.training.tuning.query_shift.trials import as_served
from quarry.training.tuning.search.parts import MAP, MOVES, WEIGHT, SearchParts
from quarry.training.tuning.search.spec import SearchSpec
from quarry.training.tuning.second_stage.fitting import fit_map
from quarry.training.tuning.second_stage.lists import CandidateList, judged_lists

_DEPTH = 10


@dataclass(frozen=True, slots=True)
class Tried:
    """A part on questions that it was not learned from: what each gains in nDCG@10, shape (questions,)."""

    part: Message
    gains: NDArray[np.float64]

    @property
    def helps(self) -> bool:
        """Whether the mean gain is more than a standard error.

        Example:
            >>> Tried(MAP, np.array([0.1, 0.0, 0.1])).helps, Tried(MAP, np.array([0.1, 0.0, 0.0])).helps
            (True, False)
        """
        return len(self.gains) > 1 and float(self.gains.mean()) - CAUTION * self._error() > _EVEN

    def message(self) -> Message:
        """Return what it gains, and whether it is kept."""
        gain, error = float(self.gains.mean()) if len(self.gains) else 0.0, self._error()
        if self.helps:
            return Message.of(
                "tuning.part_kept",
                "{part}: {gain:+.4f} nDCG@10 alone (standard error {error:.4f}), kept",
                part=self.part,
                gain=gain,
                error=error,
            )
        return Message.of(
            "tuning.part_left",
            "{part}: {gain:+.4f} nDCG@10 alone (standard error {error:.4f}), left as it is",
            part=self.part,
            gain=gain,
            error=error,
        )

    def _error(self) -> float:
        return float(self.gains.std(ddof=1) / np.sqrt(len(self.gains))) if len(self.gains) > 1 else 0.0


_EVEN = 1e-9


@dataclass(frozen=True, slots=True)
class Taught:
    """What questions teach: the parts that help, and how each part did alone."""

    parts: SearchParts
    tried: tuple[Tried, ...]


class PartsLearner:
    """Learns from parts of the judged questions; what does not depend on the others is looked up once for each question."""

    def __init__(self, live: LiveSearch, spec: SearchSpec, exam: Exam, *, tokens: bool) -> None:
        """Take what answers now; `tokens` says whether it has a second stage to tune."""
        self._spec, self._exam = spec, exam
        shift = live.searcher.pipeline.shift
        self._live = shift.get() if shift is not None else None
        self._still = live.searcher.with_query_shift(None)  # a shift of before must not speak for the new one
        self._steps = Steps(live.index, live.embedder, spec)
        self._moves = FusionMoves(self._still) if exam.route == "hybrid" else None
        self._tokens = tokens
        self._lists: dict[JudgedQuestion, CandidateList | None] = {}
        self._quality: dict[JudgedQuestion, float] = {}

    def learned(self, questions: Sequence[JudgedQuestion]) -> Taught:
        """Return what questions teach.

        Raises:
            ModelError: If a stage fails for some of them.
            IndexFormatError: If token states are missing or damaged.
        """
        questions = [one for one in dict.fromkeys(questions) if one.documents]
        shift, moves = self._direction(questions)
        fusion, weight = self._weight(questions)
        tokens, order = self._map(questions)
        moved = None
        if shift is not None and (moves.helps or weight.helps):
            now = self._live or QueryShift(np.zeros_like(shift.shift))
            moved = QueryShift(shift.shift if moves.helps else now.shift, fusion if weight.helps else now.fusion)
        tried = (moves, *((weight,) if self._moves else ()), *((order,) if self._tokens else ()))
        return Taught(SearchParts(moved, tokens if order.helps else None), tried)

    def _direction(self, questions: Sequence[JudgedQuestion]) -> tuple[QueryShift | None, Tried]:
        """Learn how questions move, and ask every fold of them with what the others teach."""
        gains: list[float] = []
        for fold in range(self._spec.folds):
            own = questions[fold :: self._spec.folds]
            shift = self._steps.learned(
                [one for place, one in enumerate(questions) if place % self._spec.folds != fold]
            )
            if own and shift is not None:
                gains += self._gains(own, self._still.with_query_shift(shift))
        return self._steps.learned(questions), Tried(MOVES, np.array(gains))

    def _weight(self, questions: Sequence[JudgedQuestion]) -> tuple[float, Tried]:
        """Learn BM25's weight: one of seven steps, so its gain is that on the same questions."""
        if self._moves is None or len(questions) < 2:
            return 0.0, Tried(WEIGHT, np.zeros(0))
        step = self._moves.learned(questions)
        found = self._moves.tried(questions)
        return step, Tried(WEIGHT, found[:, STEPS.index(step)] - found[:, STEPS.index(0.0)])

    def _map(self, questions: Sequence[JudgedQuestion]) -> tuple[TokenMap | None, Tried]:
        """Learn the second stage's map; its gain is that of maps which had not seen the question."""
        lists = self._candidates(questions) if self._tokens else []
        if sum(one.positive() is not None for one in lists) < 2:
            return None, Tried(MAP, np.zeros(0))
        chosen = fit_map(lists, [], self._spec.second_stage)
        return chosen.tuned, Tried(MAP, chosen.gains)

    def _gains(self, questions: Sequence[JudgedQuestion], moved: Searcher) -> list[float]:
        new = [one for one in questions if one not in self._quality]
        self._quality |= zip(new, self._asked(new, self._still), strict=True)
        return [after - self._quality[one] for one, after in zip(questions, self._asked(questions, moved), strict=True)]

    def _asked(self, questions: Sequence[JudgedQuestion], search: Searcher) -> list[float]:
        """Return nDCG@10 of each question."""
        if not questions:
            return []
        run = as_served(search, _numbered(questions), self._exam)
        return [_quality(run, number, one) for number, one in enumerate(questions)]

    def _candidates(self, questions: Sequence[JudgedQuestion]) -> list[CandidateList]:
        new = [one for one in questions if one not in self._lists]
        found = judged_lists(self._still, {one.text: one.documents for one in new}, self._spec.second_stage.depth)
        self._lists |= {one: found.get(one.text) for one in new}
        return [each for one in questions if (each := self._lists[one]) is not None]


def _numbered(questions: Iterable[JudgedQuestion]) -> tuple[Query, ...]:
    return tuple(Query(str(number), one.text) for number, one in enumerate(questions))


def _quality(run: Run, number: int, one: JudgedQuestion) -> float:
    ranked = [name for name, _ in run.get(str(number), ())]
    right: Mapping[str, int] = dict.fromkeys(one.documents, 1)
    return ndcg(ranked, right, _DEPTH)
