"""How what an index takes grows with its passages: curves through measurements of 2,000 and 20,000 passages.

`python -m tests.benchmarks.cost` measures, in processor seconds of one core and in bytes; docs/scale.md says how good the curves are. Most
are straight lines. The different words of a corpus are a power of its length (Heaps, Information Retrieval, 1978), titles are as many as
documents, and what an index measures itself with has one size from about 1,000 passages on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Self

MEASURED = (
    "build_seconds",
    "texts_bytes",
    "postings_bytes",
    "vocabulary_bytes",
    "vectors_bytes",
    "names_bytes",
    "probes_bytes",
    "own_bytes",
    "mapped_bytes",
)
"""What `tests.benchmarks.cost` measures; `names` are vectors of titles, `probes` those of the sentences that an index asks itself."""
WORDS_MEASURED = 60  # of each passage that was measured
DIM_MEASURED = 384


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line: `each` per passage on top of `base`."""

    each: float
    base: float = 0.0

    @classmethod
    def through(cls, first: tuple[float, float], second: tuple[float, float]) -> Self:
        """Return the line through two points (passages, value); one that would begin below zero begins at it.

        Example:
            >>> Line.through((2, 30.0), (4, 50.0))
            Line(each=10.0, base=10.0)
        """
        each = (second[1] - first[1]) / (second[0] - first[0])
        base = first[1] - each * first[0]
        return cls(each, base) if base >= 0 else cls(second[1] / second[0])

    def at(self, passages: float) -> float:
        """Return its value for so many passages."""
        return self.base + self.each * passages


@dataclass(frozen=True, slots=True)
class Power:
    """A power of the number of passages: `scale` times passages to the `exponent`."""

    scale: float
    exponent: float

    @classmethod
    def through(cls, first: tuple[float, float], second: tuple[float, float]) -> Self:
        """Return the power through two points (passages, value).

        Example:
            >>> Power.through((10, 1.0), (1_000, 10.0)).at(100_000)
            100.0
        """
        exponent = log(second[1] / first[1]) / log(second[0] / first[0])
        return cls(first[1] / first[0] ** exponent, exponent)

    def at(self, passages: float) -> float:
        """Return its value for so many passages."""
        return round(float(self.scale * passages**self.exponent), 6)


Curve = Line | Power


def curve_of(name: str, first: tuple[float, float], second: tuple[float, float]) -> Curve:
    """Return the curve of something measured through two points (passages, value).

    Args:
        name: One of `MEASURED`.
        first: The smaller size.
        second: The larger one.
    """
    if name == "vocabulary_bytes":
        return Power.through(first, second)
    return Line(0.0, second[1]) if name == "probes_bytes" else Line.through(first, second)


# Curves through 2,000 and 20,000 passages of 60 words and 384 dimensions, store `auto`; set by the benchmark.
CURVES: Mapping[str, Curve] = {
    "build_seconds": Line(0.0005792, 0.69),
    "texts_bytes": Line(356.6, 1.030e05),
    "postings_bytes": Line(151.7, 4044),
    "vocabulary_bytes": Power(1908, 0.6786),
    "vectors_bytes": Line(1560, 743),
    "names_bytes": Line(1600, 1240),
    "probes_bytes": Line(0, 2.540e05),
    "own_bytes": Line(72.14, 1.703e06),
    "mapped_bytes": Line(1721, 4.684e06),
}
