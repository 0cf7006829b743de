"""How related the texts of pairs are, beside texts put together at random: what a block of pairs says of itself.

Each query and each passage of a block makes a cell, a pair put together at random but for the diagonal. Cells are of one class when
their texts are of the same two languages and the passage is embedded in the same way: a question and an answer in two languages are as
similar as unrelated ones in one, so each class has a scale of its own.

Between two languages most of a cosine is what the texts of a language share. So there the vectors are taken from the mean of the
block's texts of their side and language (`across_languages`).

A cell's cosine is counted in standard deviations above the cells of its query and above those of its passage, half of each (texts
differ in how similar they are to anything; symmetric score normalization, Kenny, Odyssey 2010). Within a language the share of the
query's rare n-grams that the passage holds is evidence of its own: it is counted in the same way, and added with `LEXICAL`.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors

LEXICAL = 0.4
"""Weight of the n-grams beside the cosine, chosen on three sets (Windows FAQs, SQL Server FAQs in Chinese, SciFact), not on others."""
_LEAST_CELLS = 32  # of a class that is counted on its own scale; others are counted on that of the whole block
_ONE_LANGUAGE = (0, 3, 4, 7)
_QUERY, _PASSAGE = 1, 6  # bits of a class that are of its query, and of its passage
_TINY = 1e-12

Matrix: TypeAlias = NDArray[np.float64]
Classes: TypeAlias = NDArray[np.int8]
"""Languages (1: Chinese query, 2: Chinese passage), and 4 where both texts are of one kind."""


def classes_of_cells(of_pairs: Classes) -> Classes:
    """Return the class of each query of a block with each passage, shape (n, n), from those of the pairs, shape (n,)."""
    return (of_pairs[:, None] & _QUERY) | (of_pairs[None, :] & _PASSAGE)


def random_cells(queries: Sequence[str], passages: Sequence[str]) -> NDArray[np.bool_]:
    """Return which queries and passages of a block make random pairs, shape (n, n).

    A cell is none where its pairs have the same query or the same passage: of two questions with one answer, either is answered by it.
    """
    out = np.ones((len(queries), len(queries)), np.bool_)
    for texts in (queries, passages):
        number = np.unique(np.array(texts, dtype=object), return_inverse=True)[1]
        out &= number[:, None] != number[None, :]
    return out


def across_languages(queries: Vectors, passages: Vectors, of_pairs: Classes) -> Matrix:
    """Return the cosines of queries with passages, shape (n, n), those of two languages without what each language's texts share.

    Args:
        queries: Unit rows, shape (n, dim).
        passages: The same.
        of_pairs: The class of each pair, shape (n,).
    """
    cosines: Matrix = (queries @ passages.T).astype(np.float64)
    cells = classes_of_cells(of_pairs)
    across = ~np.isin(cells, _ONE_LANGUAGE)
    if across.any():
        # texts of one side that are embedded alike: queries by their language, passages by theirs and their kind
        own = [_from_the_mean(vectors, of_pairs & bits) for vectors, bits in ((queries, _QUERY), (passages, _PASSAGE))]
        cosines[across] = (own[0] @ own[1].T)[across]
    return cosines


def _from_the_mean(vectors: Vectors, groups: Classes) -> Matrix:
    """Return unit rows, shape (n, dim), from the mean of their group; a text that is all of its group stays."""
    out = vectors.astype(np.float64)
    for number in np.unique(groups):
        inside = groups == number
        if np.count_nonzero(inside) > 1:
            out[inside] -= out[inside].mean(axis=0)
    unit: Matrix = out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), _TINY)
    return unit


def relatedness(cosines: Matrix, held: Matrix, of_pairs: Classes, random: NDArray[np.bool_]) -> Matrix:
    """Return how related each query of a block is with each passage, in about standard deviations of random pairs.

    Args:
        cosines: Of queries with passages, shape (n, n) (`across_languages`).
        held: Shares of the queries' n-grams in the passages, shape (n, n).
        of_pairs: The class of each pair, shape (n,).
        random: Which cells are random pairs, shape (n, n).

    Returns:
        Shape (n, n); the pairs are on the diagonal.
    """
    cells = classes_of_cells(of_pairs)
    counts = np.bincount(cells[random], minlength=8)
    cells = np.where(counts[cells] < _LEAST_CELLS, -1, cells)
    out = np.zeros(cosines.shape)
    for number in np.unique(cells).tolist():
        inside = cells == number
        beside = inside & random if number >= 0 else random
        found = _standardized(cosines, beside)
        if number in _ONE_LANGUAGE:
            found = found + LEXICAL * _standardized(held, beside)
        out[inside] = found[inside]
    return out


def _standardized(values: Matrix, random: NDArray[np.bool_]) -> Matrix:
    """Return standard deviations above the random cells of the row, and of the column, half of each."""
    found = np.zeros(values.shape)
    if not random.any():
        return found
    among = np.where(random, values, 0)
    mean, variance = float(values[random].mean()), float(values[random].var())
    squares = among * among
    for axis in (0, 1):
        count = random.sum(axis=axis, keepdims=True)
        several = np.maximum(count, 1)
        own = np.where(count > 0, among.sum(axis=axis, keepdims=True) / several, mean)
        spread = np.maximum(squares.sum(axis=axis, keepdims=True) / several - own**2, 0)
        # few cells, or none that holds a word, say little
        spread = np.where(count > 0, (spread + variance) / 2, variance)
        found += (values - own) * (0.5 / np.sqrt(np.maximum(spread, _TINY)))
    return found
