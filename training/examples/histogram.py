"""Distributions as text: bins, counts, and bars that a person can read in a terminal or in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

_BAR = "█"


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of values in bins of equal width.

    Attributes:
        edges: Borders of the bins, increasing, one more than counts; a value on a border belongs to the bin above it (the
            largest to the last bin).
        counts: Values per bin.
        mean: Mean of all values; 0 when there are none.
        median: Median of all values; 0 when there are none.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    mean: float
    median: float

    @classmethod
    def of(cls, values: Sequence[float], bins: int = 12, span: tuple[float, float] | None = None) -> Self:
        """Count values.

        Args:
            values: Finite numbers.
            bins: How many bins.
            span: First and last border; None takes the smallest and largest value. Values outside are counted in the
                outermost bins.
        """
        array = np.asarray(values, dtype=np.float64)
        if not len(array):
            return cls((), (), 0.0, 0.0)
        low, high = span or (float(array.min()), float(array.max()))
        if low == high:
            high = low + 1.0
        counts, edges = np.histogram(np.clip(array, low, high), bins, (low, high))
        return cls(tuple(edges.tolist()), tuple(counts.tolist()), float(array.mean()), float(np.median(array)))

    def lines(self, width: int = 40, digits: int = 3) -> list[str]:
        """Return one line per bin: its range, a bar (the fullest bin is `width` long, no filled bin is empty), the count."""
        most = max(self.counts, default=0)
        out = []
        for low, high, count in zip(self.edges, self.edges[1:], self.counts, strict=False):
            bar = _BAR * (max(1, round(width * count / most)) if count else 0)
            out.append(f"{low:8.{digits}f} .. {high:8.{digits}f}  {bar:<{width}}  {count}")
        return out
