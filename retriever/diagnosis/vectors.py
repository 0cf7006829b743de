"""What embeddings do to the user's own data: similarities of pairs, anisotropy, a band for a threshold.

It works on vectors that are given (rows of unit length, as embedders return them) and loads no model. All results are
frozen, made of plain numbers, and become JSON through `dataclasses.asdict`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.retriever.data.trec import Qrels

_RANDOM_PAIRS = 20_000  # the mean cosine of 20,000 pairs is exact to about 0.001
_BLOCK = 4096  # rows turned into double precision at once
_LOST = 0.05  # the band's ends: where 5 % of the positives are lost, and where 5 % of the others pass


@dataclass(frozen=True, slots=True)
class SimilarityHistograms:
    """Cosines of relevant pairs against random pairs, in the same bins.

    Attributes:
        edges: Bin edges from -1 to 1, one more than bins.
        positives: Relevant pairs per bin.
        random: Random pairs per bin.
        positive_mean: Mean cosine of relevant pairs.
        random_mean: Mean cosine of random pairs.
        separation: Probability that a relevant pair is above a random one (area under the ROC curve); 0.5 is chance.
    """

    edges: tuple[float, ...]
    positives: tuple[int, ...]
    random: tuple[int, ...]
    positive_mean: float
    random_mean: float
    separation: float


@dataclass(frozen=True, slots=True)
class Anisotropy:
    """How much the vectors crowd into one direction.

    Attributes:
        mean_cosine: Mean over random pairs of different rows; 0 means spread evenly, 1 all the same.
        top_component_share: Share of the variance about the mean in the first principal component, in (0, 1].
        count: How many vectors.
    """

    mean_cosine: float
    top_component_share: float
    count: int


@dataclass(frozen=True, slots=True)
class ScoreBand:
    """Where a threshold could lie for one model and one stage; never to be used for another.

    Attributes:
        threshold: Where the two error rates add up to least, in the middle of the gap between scores; the lower one
            where several are as good. Pairs at or above it are accepted.
        false_rejects: Share of the positives below the threshold.
        false_accepts: Share of the negatives at or above it.
        low: Up to this threshold at most 5 % of the positives are lost.
        high: From this threshold on at most 5 % of the negatives pass.
        positives: How many positives.
        negatives: How many negatives.
    """

    threshold: float
    false_rejects: float
    false_accepts: float
    low: float
    high: float
    positives: int
    negatives: int


@dataclass(frozen=True, slots=True, eq=False)
class LabelledVectors:
    """Vectors with their ids.

    Attributes:
        ids: One per row.
        vectors: Unit rows, shape (len(ids), dim).

    Raises:
        ValueError: If the counts differ, or vectors is not a matrix.
    """

    ids: tuple[str, ...]
    vectors: Vectors

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.ids) != self.vectors.shape[0]:
            raise ValueError(f"{len(self.ids)} ids for vectors of shape {self.vectors.shape}; expected (ids, dim)")


def positive_pairs(queries: LabelledVectors, documents: LabelledVectors, qrels: Qrels) -> NDArray[np.int64]:
    """Return the row numbers (query, document) of all relevant pairs that both have vectors, shape (n, 2)."""
    rows = {doc_id: row for row, doc_id in enumerate(documents.ids)}
    pairs = [
        (query_row, rows[doc_id])
        for query_row, query_id in enumerate(queries.ids)
        for doc_id, grade in qrels.get(query_id, {}).items()
        if grade > 0 and doc_id in rows
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def similarity_histograms(
    queries: LabelledVectors, documents: LabelledVectors, qrels: Qrels, *, bins: int = 40, seed: int = 0
) -> SimilarityHistograms:
    """Compare the cosines of relevant pairs with those of random pairs of a query and a document.

    Args:
        queries: Query vectors.
        documents: Document vectors of the same model.
        qrels: Which pairs are relevant; they are not among the random ones.
        bins: How many, at least 1.
        seed: Draws the random pairs.

    Raises:
        ValueError: If bins < 1, the dimensions differ, or there is no relevant or no other pair.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}; expected at least 1")
    positive, random = pair_scores(queries, documents, qrels, seed=seed)
    edges = np.linspace(-1.0, 1.0, bins + 1)
    return SimilarityHistograms(
        edges=tuple(edges.tolist()),
        positives=tuple(np.histogram(np.clip(positive, -1, 1), edges)[0].tolist()),
        random=tuple(np.histogram(np.clip(random, -1, 1), edges)[0].tolist()),
        positive_mean=float(positive.mean()),
        random_mean=float(random.mean()),
        separation=_area_under_roc(positive, random),
    )


def pair_scores(
    queries: LabelledVectors, documents: LabelledVectors, qrels: Qrels, *, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the cosines of all relevant pairs and of up to 20,000 random other pairs.

    Raises:
        ValueError: If the dimensions differ, or there is no relevant or no other pair.
    """
    check_dimensions(queries, documents)
    pairs = positive_pairs(queries, documents, qrels)
    if not len(pairs):
        raise ValueError(
            "no relevant pair has vectors on both sides; expected judgements of these queries and documents"
        )
    rng = np.random.default_rng(seed)
    width = len(documents.ids)
    drawn = rng.integers(0, len(queries.ids) * width, size=_RANDOM_PAIRS)
    drawn = drawn[~np.isin(drawn, pairs[:, 0] * width + pairs[:, 1])]
    if not len(drawn):
        raise ValueError("every query is relevant to every document; expected some pairs that are not relevant")
    return _cosines(queries, documents, pairs[:, 0], pairs[:, 1]), _cosines(
        queries, documents, drawn // width, drawn % width
    )


def anisotropy(vectors: Vectors, *, seed: int = 0) -> Anisotropy:
    """Measure how much vectors crowd into one direction.

    Args:
        vectors: Unit rows, shape (n, dim), n at least 2.
        seed: Draws the random pairs.

    Raises:
        ValueError: If there are fewer than 2 rows, or all are equal.
    """
    if vectors.ndim != 2 or vectors.shape[0] < 2:
        raise ValueError(f"vectors have shape {vectors.shape}; expected at least 2 rows")
    rng = np.random.default_rng(seed)
    count = vectors.shape[0]
    left = rng.integers(0, count, size=_RANDOM_PAIRS)
    right = (left + rng.integers(1, count, size=_RANDOM_PAIRS)) % count
    total = sum(
        float(np.einsum("ij,ij->", vectors[left[at : at + 2000]], vectors[right[at : at + 2000]], dtype=np.float64))
        for at in range(0, _RANDOM_PAIRS, 2000)
    )
    mean = vectors.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((vectors.shape[1], vectors.shape[1]))
    for at in range(0, count, _BLOCK):
        centered = vectors[at : at + _BLOCK] - mean  # (block, dim)
        covariance += centered.T @ centered / count
    variances = np.linalg.eigvalsh(covariance)
    if variances.sum() <= 1e-12:
        raise ValueError(f"all {count} vectors are equal; expected different ones")
    return Anisotropy(total / _RANDOM_PAIRS, float(variances[-1] / variances.sum()), count)


def score_band(positives: Sequence[float], negatives: Sequence[float]) -> ScoreBand:
    """Suggest a threshold and the band around it, with the error rates on the judged data.

    Args:
        positives: Scores of pairs that are relevant, at least one.
        negatives: Scores of pairs that are not, at least one.

    Raises:
        ValueError: If either is empty or a score is not finite.
    """
    good, bad = np.sort(np.asarray(positives, dtype=np.float64)), np.sort(np.asarray(negatives, dtype=np.float64))
    if not good.size or not bad.size:
        raise ValueError(f"{good.size} positives and {bad.size} negatives; expected at least one of each")
    if not (np.isfinite(good).all() and np.isfinite(bad).all()):
        raise ValueError("a score is not finite; expected finite numbers")
    scores = np.unique(np.concatenate([good, bad]))
    middles = np.maximum((scores[:-1] + scores[1:]) / 2, np.nextafter(scores[:-1], np.inf))
    candidates = np.concatenate([scores[:1], middles, [np.nextafter(scores[-1], np.inf)]])
    rejects = np.searchsorted(good, candidates, side="left") / good.size
    accepts = 1 - np.searchsorted(bad, candidates, side="left") / bad.size
    best = int(np.argmin(rejects + accepts))
    return ScoreBand(
        threshold=float(candidates[best]),
        false_rejects=float(rejects[best]),
        false_accepts=float(accepts[best]),
        low=float(candidates[rejects <= _LOST][-1]),
        high=float(candidates[accepts <= _LOST][0]),
        positives=int(good.size),
        negatives=int(bad.size),
    )


def check_dimensions(queries: LabelledVectors, documents: LabelledVectors) -> None:
    """Raise ValueError naming both when query and document vectors differ in length."""
    if queries.vectors.shape[1] != documents.vectors.shape[1]:
        raise ValueError(
            f"queries have {queries.vectors.shape[1]} dimensions, documents {documents.vectors.shape[1]}; "
            "expected vectors of one model"
        )


def _cosines(
    queries: LabelledVectors, documents: LabelledVectors, left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float64]:
    cosines: NDArray[np.float64] = np.einsum(
        "ij,ij->i", queries.vectors[left], documents.vectors[right], dtype=np.float64
    )
    return cosines


def _area_under_roc(positive: NDArray[np.float64], random: NDArray[np.float64]) -> float:
    ordered = np.sort(random)
    below = np.searchsorted(ordered, positive, side="left")
    upto = np.searchsorted(ordered, positive, side="right")
    return float((below + upto).mean() / (2 * ordered.size))
