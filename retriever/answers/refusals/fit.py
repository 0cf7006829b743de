"""How well each passage of a search fits the question: one number that means the same in every search, and one word.

Scores of stages are comparable within one search only: that of a fusion is near 1 for the best of a list of nonsense. The
strength is read by the model that decides about "not in your documents", as if the passage were the best one of the search.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from quarry.indexer.messages import Message
from quarry.retriever.answers.evidence import Grounds, calibration_of, grounds_of, query_vector
from quarry.retriever.answers.refusals.calibration import kind_of
from quarry.retriever.answers.refusals.observed import Observed
from quarry.retriever.answers.refusals.signals import LOOKED_AT

if TYPE_CHECKING:
    from quarry.retriever.results import Answer
    from quarry.retriever.searcher import Searcher, SearchOptions

Word: TypeAlias = Literal["strong", "fair", "weak"]
EVEN = 0.5  # more likely than not


@dataclass(frozen=True, slots=True)
class Strength:
    """How well one passage fits.

    Attributes:
        value: In [0, 1]: the probability that the passages of a search hold the answer whose best one is like this.
        word: `strong` where that is more likely than not, `weak` where at most one in twenty answerable questions has so little, or
            nothing fits, else `fair`.
    """

    value: float
    word: Word


@dataclass(frozen=True, slots=True)
class Fit:
    """How well the passages of one search fit.

    Attributes:
        hits: One strength per result, in their order.
        grounds: The evidence of all of them together, and whether it is enough to answer from.
        nothing: Whether nothing that was found fits well; less is asked of a list of results than of an answer.
    """

    hits: tuple[Strength, ...]
    grounds: Grounds
    nothing: bool

    def message(self) -> Message | None:
        """Return one sentence when nothing fits well, else None."""
        if not self.nothing:
            return None
        return Message.of("answers.nothing_fits", "nothing in the documents seems to fit this question well")


def fit_of(answer: "Answer", searcher: "Searcher") -> Fit:
    """Return how well the results of a search fit.

    Args:
        answer: What `Searcher.search` returned, ten results at best; with fewer the strengths are less certain.
        searcher: The one that returned it.

    Raises:
        IndexMismatchError: If the embedder is not the one that the index was built with.

    Example:
        >>> from quarry.retriever import Searcher
        >>> searcher = Searcher.open("my-index")
        >>> fit = fit_of(searcher.search("Where does the Rhine begin?"), searcher)
        >>> fit.nothing, fit.hits[0].word
        (False, 'strong')
    """
    question, index = answer.query.text, searcher.index
    embedder = None if answer.route == "bm25" else searcher.embedder()
    vector = query_vector(question, answer, index, embedder)
    calibration, _ = calibration_of(index)
    observed = Observed(question, answer.results, index, vector, searcher.pipeline.late)
    whole = observed.whole()
    grounds = grounds_of(whole, answer, index)
    nothing = grounds.strength < calibration.model(kind_of(whole)).threshold
    hits = []
    for signals in observed.each():
        model = calibration.model(kind_of(signals))
        value = model.strength(signals)
        weak = nothing or value < model.threshold
        hits.append(Strength(value, "weak" if weak else "strong" if value >= EVEN else "fair"))
    return Fit(tuple(hits), grounds, nothing or not answer.results)


def search_with_fit(searcher: "Searcher", query: str, k: int, options: "SearchOptions") -> tuple["Answer", Fit]:
    """Search, and say how well each result fits; strengths do not depend on k. Raises as `Searcher.search` and `fit_of`."""
    searcher = searcher.seen_by(options.principals)
    answer = searcher.search(query, max(k, LOOKED_AT) if k > 0 else k, options)
    return cut(answer, fit_of(answer, searcher), k)


def cut(answer: "Answer", fit: Fit, k: int) -> tuple["Answer", Fit]:
    """Return the first k results with their strengths."""
    return replace(answer, results=answer.results[:k]), replace(fit, hits=fit.hits[:k])
