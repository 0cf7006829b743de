"""How much more, or less, BM25 should count in this index than its own measurement says, learned from judged questions.

Each judged question is ranked once, and fused with BM25's weight moved by each of a few steps of log-odds. The step with the best mean
nDCG@10 is taken, less a standard error of its gain; where none gains more than that, nothing moves. docs/tuning.md has how this was chosen.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quarry.retriever.evaluation.measures import ndcg
from quarry.retriever.evaluation.routes import route_options
from quarry.retriever.ranking import Query
from quarry.retriever.searcher import Searcher, document_of
from quarry.retriever.shown.collapse import by_document
from quarry.training.tuning.query_shift.learning import JudgedQuestion

MOVES = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)  # of the log-odds of BM25's weight
CAUTION = 1.0  # standard errors that a gain is counted less
_EVEN = 1e-9
_DEPTH = 10
_PASSAGES = 30  # that are looked at for ten documents


class FusionMoves:
    """What each judged question would gain by each move, found once for all parts of the questions."""

    def __init__(self, searcher: Searcher) -> None:
        """Take a searcher of the live generation; its own move, learned before, is not used."""
        self._fused = searcher.pipeline.hybrid(route_options("hybrid", _PASSAGES))
        self._known: dict[JudgedQuestion, NDArray[np.float64]] = {}

    def learned(self, questions: Sequence[JudgedQuestion]) -> float:
        """Return the move that questions teach, in log-odds; 0 where they teach none, and without vectors."""
        if self._fused is None or len(questions) < 2:
            return 0.0
        return best_move(self.tried(questions))

    def tried(self, questions: Sequence[JudgedQuestion]) -> NDArray[np.float64]:
        """Return nDCG@10 of each question at each of `MOVES`, shape (questions, moves); zeros without vectors."""
        self._look_up(questions)
        nothing = np.zeros(len(MOVES))
        return np.stack([self._known.get(one, nothing) for one in questions])

    def _look_up(self, questions: Sequence[JudgedQuestion]) -> None:
        new = [one for one in dict.fromkeys(questions) if one not in self._known]
        if not new or self._fused is None:
            return
        queries = [Query(str(number), one.text) for number, one in enumerate(new)]
        by_move = self._fused.retrieve_moved(queries, _PASSAGES, MOVES)
        for number, one in enumerate(new):
            right = dict.fromkeys(one.documents, 1)
            ranked = [[doc for doc, _ in by_document(rankings[number], document_of, _DEPTH)] for rankings in by_move]
            self._known[one] = np.array([ndcg(each, right, _DEPTH) for each in ranked])


def best_move(quality: NDArray[np.float64]) -> float:
    """Return the move that gains most beyond its standard error.

    Args:
        quality: nDCG@10 of each question at each of `MOVES`, shape (questions, moves), at least two questions.

    Example:
        >>> import numpy as np
        >>> still, better = [0.4] * 7, [0.4, 0.4, 0.4, 0.4, 0.5, 0.6, 0.5]
        >>> best_move(np.array([better] * 9 + [still])), best_move(np.array([still] * 10))
        (1.0, 0.0)
    """
    gains = quality - quality[:, [MOVES.index(0.0)]]
    sure = gains.mean(axis=0) - CAUTION * gains.std(axis=0, ddof=1) / np.sqrt(len(gains))
    return MOVES[int(sure.argmax())] if sure.max() > _EVEN else 0.0  # one question alone has a gain of one error
