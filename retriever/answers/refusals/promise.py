"""From which strength on a question is answered, so that of the answers at most a stated share is unsupported.

An answer is unsupported when the passages do not hold what was asked for. Questions come as they are judged, and beside them so many
near misses: questions about the subject of the documents whose answer is not there. Two ways to a threshold:

- By judged questions of the index (`least_threshold`): conformal selection (Jin and Candes, "Selection by prediction with conformal
  p-values", JMLR 2023), which is split conformal prediction (Vovk et al., 2005) for the question "is this one supported?" with the
  Benjamini-Hochberg rule: in expectation at most the promised share of what is answered is unsupported, for questions like these.
- By questions made of the documents (`own_threshold`): their answer left out, they are near misses of this index. The strength that at
  most a level of them reaches, a conformal quantile, is drawn towards the shipped threshold, because they are not questions of people.
  Level, weight and shipped threshold are learned on families of data sets: `python -m tests.benchmarks.refusals`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, log

import numpy as np
from numpy.typing import NDArray

from quarry.retriever.answers.refusals.calibration import Model

PROMISED = 0.05  # of the answers are unsupported at most
NEAR_MISSES = 0.1  # of all questions: one in ten is about the subject, and its answer is not in the documents
NEVER = 1.01  # a threshold that no strength reaches
_EDGE = 1e-3  # strengths of 0 and 1 have no log-odds


@dataclass(frozen=True, slots=True)
class Judged:
    """Questions whose support is known.

    Attributes:
        strengths: Of each question as it was asked, in [0, 1], shape (n,).
        supported: Whether its answer is among the passages, shape (n,).
        near: Strengths of near misses: the same questions with their answer left out, shape (m,).
    """

    strengths: NDArray[np.float64]
    supported: NDArray[np.bool_]
    near: NDArray[np.float64]

    def shares(self, threshold: float, near_misses: float = NEAR_MISSES) -> tuple[float, float]:
        """Return which share of all questions is answered but unsupported, and which is answered, when near misses are a share."""
        answered = self.strengths >= threshold
        wrong = answered & ~self.supported
        near = float((self.near >= threshold).mean()) if len(self.near) else 0.0
        return (
            (1 - near_misses) * float(wrong.mean()) + near_misses * near,
            (1 - near_misses) * float(answered.mean()) + near_misses * near,
        )

    def unsupported(self, threshold: float, near_misses: float = NEAR_MISSES) -> float:
        """Return the share of the answers, in [0, 1], that are unsupported; 0 where nothing is answered."""
        wrong, answered = self.shares(threshold, near_misses)
        return wrong / answered if answered else 0.0


def least_threshold(judged: Judged, promised: float = PROMISED, near_misses: float = NEAR_MISSES) -> float:
    """Return the least threshold at which the promise holds for new questions like these; `NEVER` where there is none.

    One question more, answered and unsupported, is counted, as conformal p-values do: it stands for the new one.

    Args:
        judged: At least one question.
        promised: Share of the answers that may be unsupported, in (0, 1).
        near_misses: Share of near misses among all questions, in [0, 1).

    Example:
        >>> judged = Judged(np.linspace(0, 1, 101), np.linspace(0, 1, 101) > 0.3, np.linspace(0, 0.5, 101))
        >>> least_threshold(judged)
        0.42
    """
    count = len(judged.strengths)
    for threshold in np.unique(np.concatenate([judged.strengths, judged.near])):
        wrong, answered = judged.shares(float(threshold), near_misses)
        if (wrong * count + 1) / (count + 1) <= promised * answered:
            return float(threshold)
    return NEVER


def own_threshold(near: Sequence[float] | NDArray[np.float64], model: Model) -> float:
    """Return an index's own threshold, by the strengths of its own unanswerable questions.

    Args:
        near: At least one strength, in [0, 1].
        model: The shipped model that gave them.
    """
    ordered = np.sort(np.asarray(near))
    place = min(len(ordered), ceil((1 - model.level) * (len(ordered) + 1)))
    own = float(ordered[max(0, place - 1)])
    return _odds_to_share(model.weight * _odds(own) + (1 - model.weight) * _odds(model.answered))


def _odds(share: float) -> float:
    inside = min(1 - _EDGE, max(_EDGE, share))
    return log(inside / (1 - inside))


def _odds_to_share(odds: float) -> float:
    return 1 / (1 + exp(-odds))
