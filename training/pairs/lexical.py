"""How much of each query's words each passage of a block holds."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from quarry.training.examples.near_duplicates import shingles

_OFTEN = 32  # queries of an n-gram from which a product of whole tables is cheaper
_Occurrences: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]
"""The text and the n-gram of each occurrence."""


def shares_held(queries: Sequence[str], passages: Sequence[str]) -> NDArray[np.float32]:
    """Return the share of each query's n-grams that each passage holds, weighted by their rarity among these passages.

    N-grams (pairs of Han characters, triples of others) need no dictionary and forgive endings; an n-gram that all passages hold
    weighs nothing.

    Returns:
        Shares in [0, 1], shape (queries, passages); 0 for a query without a letter or with nothing but n-grams that all hold.
    """
    asked = [shingles(query) for query in queries]
    owner = np.repeat(np.arange(len(asked)), [len(one) for one in asked])
    known, places = np.unique(np.concatenate(asked), return_inverse=True)
    held = [_among(known, shingles(passage)) for passage in passages]
    holder, items = np.repeat(np.arange(len(held)), [len(one) for one in held]), np.concatenate(held)
    weights = np.log((len(passages) + 1) / (np.bincount(items, minlength=len(known)) + 1))
    total = np.bincount(owner, weights[places], len(queries))
    often = np.bincount(places, minlength=len(known)) > _OFTEN
    out = _of_frequent(often, weights, (owner, places), (holder, items), (len(queries), len(passages)))
    rare, others = ~often[places], ~often[items]
    _add_rare(out, weights, (owner[rare], places[rare]), (holder[others], items[others]))
    return (out / np.where(total > 0, total, 1)[:, None]).astype(np.float32)


def _of_frequent(
    often: NDArray[np.bool_],
    weights: NDArray[np.float64],
    asked: _Occurrences,
    held: _Occurrences,
    shape: tuple[int, int],
) -> NDArray[np.float64]:
    """Return the weights in common of the n-grams that many queries hold, by a product of tables."""
    column = np.cumsum(often) - 1
    tables = []
    for (texts, items), count in zip((asked, held), shape, strict=True):
        table = np.zeros((count, int(often.sum())))
        among = often[items]
        table[texts[among], column[items[among]]] = 1
        tables.append(table)
    out: NDArray[np.float64] = (tables[0] * weights[often]) @ tables[1].T
    return out


def _add_rare(out: NDArray[np.float64], weights: NDArray[np.float64], asked: _Occurrences, held: _Occurrences) -> None:
    """Add the weights of the others, one meeting of a query and a passage after another."""
    order = np.argsort(asked[1], kind="stable")
    queries, items = asked[0][order], asked[1][order]
    first, after = np.searchsorted(items, held[1]), np.searchsorted(items, held[1], "right")
    counts = after - first
    meeting = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(int(counts.sum()))
    cells = queries[meeting] * out.shape[1] + np.repeat(held[0], counts)
    out += np.bincount(cells, np.repeat(weights[held[1]], counts), out.size).reshape(out.shape)


def _among(known: NDArray[np.uint64], found: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the places in `known`, ascending, of the values that are there."""
    places = np.searchsorted(known, found)
    inside = places < len(known)
    equal: NDArray[np.int64] = places[inside][known[places[inside]] == found[inside]]
    return equal
