"""One training example with what the row alone does not say: which query and passages it is about, and where it came from.

It computes nothing and imports no model. `TrainingRow` stays the form that goes to files and into the trainer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, Self, get_args

from quarry.indexer.language import Language, language_of
from quarry.training.examples.rows import TrainingRow
from quarry.training.feedback.judgements import query_id, query_key

Origin = Literal["feedback", "clicks", "file", "mined", "synthetic"]
ORIGINS: tuple[str, ...] = get_args(Origin)


@dataclass(frozen=True, slots=True)
class Example:
    """A training row and its lineage.

    Attributes:
        row: Query, positives, negatives: what is trained on.
        query_id: Equal for queries that are the same (`quarry.training.feedback.judgements.query_id`): splits and evaluation join on it.
        positive_ids: Passage or document ids of the positives that have one, so that no other passage of a judged
            document becomes a negative and none crosses the split; may be empty for texts from a file.
        origin: Where it comes from: `feedback` (explicit judgements), `clicks` (weak), `file`, `mined` from the corpus,
            `synthetic` (a query that a language model wrote).
        weight: Trust in (0, 1]; 1 for what people said outright.
        language: The query's language, for slices and for batches of one language.
        source: For reports: `FILE:LINE`, the mining pattern, or the document.
    """

    row: TrainingRow
    query_id: str
    positive_ids: tuple[str, ...] = ()
    origin: Origin = "file"
    weight: float = 1.0
    language: Language = "other"
    source: str = ""

    def __post_init__(self) -> None:
        if not self.row.query.strip() or not self.row.pos:
            raise ValueError(f"the example {self.source or self.query_id!r} has no query or no positive; expected both")
        if not 0 < self.weight <= 1:
            raise ValueError(f"the weight is {self.weight}; expected a number above 0 and up to 1")
        if self.origin not in ORIGINS:
            raise ValueError(f"the origin is {self.origin!r}; expected one of {', '.join(ORIGINS)}")

    @classmethod
    def of(
        cls,
        row: TrainingRow,
        *,
        origin: Origin = "file",
        positive_ids: Iterable[str] = (),
        weight: float = 1.0,
        source: str = "",
    ) -> Self:
        """Make an example; query id and language follow from the query.

        Raises:
            ValueError: If the row has no query or no positive, the weight is not in (0, 1], or the origin is unknown.
        """
        ids = tuple(dict.fromkeys(positive_ids))
        return cls(row, query_id(row.query), ids, origin, weight, language_of(row.query), source)

    @property
    def key(self) -> str:
        """The query with case, width and spaces folded."""
        return query_key(self.row.query)

    def with_negatives(
        self, neg: Iterable[str], *, pos_scores: Iterable[float] = (), neg_scores: Iterable[float] = ()
    ) -> Self:
        """Return the same example with other negatives, and with a teacher's scores where there are any."""
        row = replace(self.row, neg=tuple(neg), pos_scores=tuple(pos_scores), neg_scores=tuple(neg_scores))
        return replace(self, row=row)


@lru_cache(maxsize=16_384)  # mining asks for the same passages again and again, and folding costs most of its time
def text_key(text: str) -> str:
    """Return what is equal for passages that read the same: width and case folded, white space joined."""
    return query_key(text)
