"""Signals of how well one search went: numbers that mean the same in every index and under every model.

A cosine says nothing by itself: with one model unrelated texts are at 0.75, with another at 0.1. So the best cosine is put
on the scale of the question's cosines with random passages of the same index (a robust z-score), and what BM25 matched on
the scale of all that the question holds. `quarry.retriever.answers.refusals.observed` takes them from a search. Nothing here decides;
`quarry.retriever.answers.evidence` does.
"""

from dataclasses import dataclass

LOOKED_AT = 10  # results of a search that count, however many were asked for


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of one search.

    Attributes:
        closeness: How many deviations the best cosine is above those of random passages; None without vectors.
        lead: The same between the best and the fifth best cosine; None without vectors.
        size: Natural logarithm of the number of passages, of two languages in that of the best: the best of many is closer by chance
            alone.
        cover: Largest share, in [0, 1], of the question's idf mass that one of the three best passages has.
        cover_all: The share that the three best passages have together.
        known: The share that the index has anywhere.
        agree: 1 when the passage of the best cosine also has the best BM25 score among the results, else 0.
        foreign: 1 when the best passage is in the other language than the question, so that words cannot match, else 0.
        terms: Logarithm of one plus the number of the question's different terms.
        standout: How many deviations the best cosine is above the mean of the 25 best passages; None unless the best passage is in
            the other language and the index has token states.
        tokens: Best MaxSim of a passage in the language of the best one, in [-1, 1]; None as `standout`.
    """

    closeness: float | None
    lead: float | None
    size: float
    cover: float
    cover_all: float
    known: float
    agree: float
    foreign: float
    terms: float
    standout: float | None = None
    tokens: float | None = None
