"""Evidence that may be looked at after every query: an e-value of paired differences, by betting. It knows no measure.

Somebody who bets on each difference before seeing it, at odds that are fair when there is none, does not grow rich: the chance
that the wealth ever reaches W times what it began with is at most 1 / W, however often one looks (Ville's inequality; Waudby-Smith
and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024). What is fair here is what the paired
randomization test takes for granted: where two systems are equal, a difference is as likely as its opposite. So each query
multiplies the wealth by 1 + tanh(stake * difference), an odd bet around 1 (after de la Peña, "A general class of exponential
inequalities for martingales and ratios", 1999). Stakes are shares of one over the root mean square of the differences before, and the
wealth is the mean of three gamblers with a share each.

What it does not promise: where gains are many and small and losses few and large, their mean can be 0 while the bet wins.
"""

import numpy as np
from numpy.typing import NDArray

# The first values that were tried, for differences of nDCG in [-1, 1]; tests.benchmarks.gate shows what they do.
SHARES = np.array([0.125, 0.25, 0.5])
_USUAL = 0.2  # root mean square of differences before any is seen
_USUAL_WEIGHT = 2.0  # as how many queries that counts
_MOST = 5.0  # stake: where nearly all differences were 0
_OVERFLOW = 700.0  # exp of more is infinite
_MOST_FURTHER = 10_000  # queries; a gain that needs more is as good as none


def e_values(deltas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the e-value after each query, in the order in which they were judged.

    Args:
        deltas: Differences in [-1, 1], shape (..., n); each row is one comparison. Their order must not depend on them.

    Returns:
        Shape (..., n), each at least 0. Without a difference the chance that one in a row ever reaches 1 / alpha is at most alpha.

    Example:
        >>> e_values(np.full(20, 0.2)).round(1)[[0, 9, 19]].tolist()
        [1.3, 18.9, 694.7]
    """
    before = np.cumsum(deltas**2, axis=-1) - deltas**2
    seen = np.arange(deltas.shape[-1])
    usual = np.sqrt((before + _USUAL_WEIGHT * _USUAL**2) / (seen + _USUAL_WEIGHT))
    stakes = np.minimum(SHARES[:, None] / usual[..., None, :], _MOST)  # (..., gamblers, n)
    wealth = np.cumsum(np.log1p(np.tanh(stakes * deltas[..., None, :])), axis=-1)
    return np.asarray(np.exp(np.minimum(wealth, _OVERFLOW)).mean(axis=-2))


def queries_needed(deltas: NDArray[np.float64], enough: float) -> int | None:
    """Return about how many further queries bring the e-value to `enough` if they differ as those so far: mean and spread alike.

    It bets on the same differences again and again, in their order. Those of other queries differ, so half of the time more are needed.

    Args:
        deltas: Differences in [-1, 1], shape (n,).
        enough: The e-value, above 0.

    Returns:
        0 where it is reached; None where 10,000 more do not reach it.

    Example:
        >>> queries_needed(np.array([0.2, 0.0, -0.1, 0.1]), 100.0), queries_needed(np.array([0.1, -0.1]), 100.0)
        (53, None)
    """
    count = len(deltas)
    if not count or deltas.mean() <= 0:
        return None
    values = e_values(np.resize(deltas, count + _MOST_FURTHER))[count - 1 :]
    reached = np.flatnonzero(values >= enough)
    return int(reached[0]) if len(reached) else None
