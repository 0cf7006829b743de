"""How negatives are mined: window, number, margins. Plain numbers, valid by construction; nothing is mined here."""

from dataclasses import dataclass

from quarry.retriever.ranking import Route


@dataclass(frozen=True, slots=True)
class NegativeSpec:
    """How to mine.

    Attributes:
        pool: Which ranking: `dense`, `bm25` or `hybrid`.
        ranks: Window [a, b) of the ranking, counted from 0 as FlagEmbedding's `--range_for_sampling a-b`: the first a are
            passed over.
        number: Negatives per example, those already in the row included.
        seed: Another seed, other draws from the window.
        relative: Candidates above this share of the positive's score are taken for false negatives; None switches it off.
        absolute: Candidates closer to the positive's score than this are too; None switches it off.
        above_random: Whether `relative` counts from the mean similarity of unrelated texts instead of zero: models whose
            cosines all lie between 0.7 and 1 (E5) would lose nearly everything otherwise.
        consistent_within: Examples whose positive ranks lower are dropped; None keeps all.
        rerank_margin: Logits by which a negative must score below the best positive, when there is a reranker.
        neighbours: Whether pairs of a file also get passages of the whole file that stand nearest by BM25, whatever `ranks` say;
            what that brings is in docs/results.md. Off where somebody chose the ranks.
        fill: Whether missing negatives are made up by random passages from below the ranking.

    Raises:
        ValueError: If a number is out of its range.
    """

    pool: Route = "dense"
    ranks: tuple[int, int] = (2, 200)
    number: int = 7
    seed: int = 0
    relative: float | None = 0.95
    absolute: float | None = None
    above_random: bool = True
    consistent_within: int | None = 50
    rerank_margin: float = 1.0
    neighbours: bool = True
    fill: bool = True

    def __post_init__(self) -> None:
        first, last = self.ranks
        if not 0 <= first < last:
            raise ValueError(
                f"the rank window is {first}-{last}; expected two whole numbers, the first smaller, from 0"
            )
        if self.number < 1 or (self.consistent_within is not None and self.consistent_within < 1):
            raise ValueError(
                f"number is {self.number}, consistent_within {self.consistent_within}; expected at least 1"
            )
        if self.relative is not None and not 0 < self.relative <= 1:
            raise ValueError(f"relative is {self.relative}; expected a share above 0 and up to 1")

    @property
    def depth(self) -> int:
        """How deep the ranking is looked at."""
        return max(self.ranks[1], self.consistent_within or 0)


def rank_window(text: str) -> tuple[int, int]:
    """Read a window such as `2-200`.

    Raises:
        ValueError: If it is not two whole numbers with a hyphen, the first smaller.
    """
    first, _, last = text.partition("-")
    if not (first.strip().isdecimal() and last.strip().isdecimal()) or int(first) >= int(last):
        raise ValueError(f"the rank window is {text!r}; expected two whole numbers like 2-200, the first smaller")
    return int(first), int(last)
