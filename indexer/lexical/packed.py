"""Postings in few bytes: one block for each term, one after the other.

    head    1 byte     bits 0-1 how rows are written, 2-3 how counts are, 4-7 the number of passages less 1, 15 when it follows
            4 bytes    the number of passages, where it is above 15
    counts             0 nothing, all are 1   1 half a byte each   2 a byte each   3 four bytes each
    rows               0 gaps of a byte       1 gaps of two bytes  2 rows of four bytes

A gap is the distance to the row before, from row 0 on. One that does not fit is written as the largest number that does (255 or 65,535),
as often as that goes into it, and what is left: so rows are running sums, without those of the largest numbers. Each term has
what takes the fewest bytes. Everything is little-endian.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MANY = 16  # passages from which on their number follows the head
_BYTE, _PAIR = 255, 65_535
_ONES, _HALVES, _BYTES, _WORDS = range(4)
_GAPS, _PAIRS, _ROWS = range(3)
_MANY_ONES = np.ones(4096, np.uint8)
_HALVES_OF = np.array([byte & 15 | byte >> 4 << 8 for byte in range(256)], dtype="<u2")  # the two counts of a byte
_WIDTHS = (1, 2, 4, 0)  # of rows, by how they are written


class TornPostings(ValueError):
    """A block contradicts itself."""


class Postings(NamedTuple):
    """The passages of a term, ascending, and how often it stands in each, both of shape (df,)."""

    rows: NDArray[Any]
    counts: NDArray[Any]


class PostingLists(NamedTuple):
    """The postings of several terms, one after the other, and how many each has."""

    dfs: NDArray[np.int64]
    rows: NDArray[Any]
    counts: NDArray[Any]


def packed_lists(lists: PostingLists) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the blocks of some terms, each with a passage at least, and the size of each block.

    Example:
        >>> lists = PostingLists(np.array([2, 1]), np.array([0, 300, 7]), np.array([1, 1, 2]))
        >>> blocks, sizes = packed_lists(lists)
        >>> blocks.tolist(), sizes.tolist()  # the gap of 300 is 255 and 45
        ([16, 0, 255, 45, 4, 2, 7], [4, 3])
    """
    dfs, rows, counts = lists.dfs.astype(np.int64), lists.rows.astype(np.int64), lists.counts
    if not len(dfs):
        return np.zeros(0, np.uint8), np.zeros(0, np.int64)
    first = np.cumsum(dfs) - dfs
    gaps = np.diff(rows, prepend=0)
    gaps[first] = rows[first]
    over = [gaps // most for most in (_BYTE, _PAIR)]
    sizes = [width * (dfs + np.add.reduceat(each, first)) for width, each in zip((1, 2), over, strict=True)]
    row_sizes = np.stack([*sizes, 4 * dfs])
    how = np.argmin(row_sizes, axis=0)
    counted = np.digitize(np.maximum.reduceat(counts, first), (2, 16, 256))
    heads = np.where(dfs < _MANY, 1, 5)
    count_sizes = np.choose(counted, (0 * dfs, (dfs + 1) // 2, dfs, 4 * dfs))
    sizes_of = heads + count_sizes + np.choose(how, row_sizes)
    places = np.cumsum(sizes_of) - sizes_of
    out = np.full(int(sizes_of.sum()), _BYTE, np.uint8)
    out[places] = how | counted << 2 | np.minimum(dfs - 1, _MANY - 1) << 4
    many = dfs >= _MANY
    _put(out, places[many] + 1, dfs[many], 4)
    number = np.arange(len(rows)) - np.repeat(first, dfs)  # of a posting within its term
    at = np.repeat(places + heads, dfs)
    kind = np.repeat(counted, dfs)
    for width, which in ((1, kind == _BYTES), (4, kind == _WORDS)):
        _put(out, at[which] + width * number[which], counts[which], width)
    for odd in (0, 1):
        which = (kind == _HALVES) & (number % 2 == odd)
        where, values = at[which] + number[which] // 2, counts[which].astype(np.uint8)
        out[where] = out[where] | values << 4 if odd else values
    at += np.repeat(count_sizes, dfs)
    kind = np.repeat(how, dfs)
    for width, each, most in ((1, over[0], _BYTE), (2, over[1], _PAIR)):
        which = kind == width - 1
        before = np.cumsum(each)
        before -= np.repeat(before[first] - each[first], dfs)
        _put(out, at[which] + width * (number[which] + before[which]), gaps[which] % most, width)
    which = kind == _ROWS
    _put(out, at[which] + 4 * number[which], rows[which], 4)
    return out, sizes_of


def _put(out: NDArray[np.uint8], places: NDArray[np.int64], values: NDArray[Any], width: int) -> None:
    for byte in range(width):
        out[places + byte] = (values >> 8 * byte) & 255


def df_of(blocks: NDArray[np.uint8], start: int, stop: int) -> int:
    """Return how many passages the block of a term has.

    Args:
        blocks: The bytes of many.
        start: Where it begins.
        stop: Where it ends.

    Raises:
        TornPostings: If it is cut off.
    """
    if start >= stop:
        raise TornPostings("an empty block")
    df: int = (blocks.item(start) >> 4) + 1
    if df < _MANY:
        return df
    if stop - start < 5:
        raise TornPostings("a block that is cut off")
    return int.from_bytes(blocks.data[start + 1 : start + 5], "little")


def postings_of(blocks: NDArray[np.uint8], start: int, stop: int) -> Postings:
    """Return the postings of one term; its rows are of the type that NumPy indexes by.

    Args:
        blocks: The bytes of many.
        start: Where the term's block begins.
        stop: Where it ends.

    Raises:
        TornPostings: If the block contradicts itself.
    """
    df = df_of(blocks, start, stop)
    head: int = blocks.item(start)
    how, counted = head & 3, head >> 2 & 3
    at = start + (1 if df < _MANY else 5)
    rest = at + (0, (df + 1) // 2, df, 4 * df)[counted]
    rows = _rows_of(blocks[rest:stop], how, df)
    if counted == _ONES:
        return Postings(rows, _MANY_ONES[:df] if df <= len(_MANY_ONES) else np.ones(df, np.uint8))
    raw = blocks[at:rest]
    if counted == _HALVES:
        return Postings(rows, _HALVES_OF.take(raw).view(np.uint8)[:df])
    return Postings(rows, raw if counted == _BYTES else raw.view("<u4"))


def _rows_of(content: NDArray[np.uint8], how: int, df: int) -> NDArray[np.int64]:
    width = _WIDTHS[how]
    size = len(content)
    if not width or size % width or size < width * df:
        raise TornPostings("rows that do not fit their block")
    numbers = content if how == _GAPS else content.view(f"<u{width}")
    if how == _ROWS:
        rows = numbers.astype(np.int64)
    else:
        rows = numbers.cumsum(dtype=np.int64)
        if len(rows) != df:
            rows = rows[numbers != (_BYTE, _PAIR)[how]]
    if len(rows) != df:
        raise TornPostings(f"{len(rows)} passages in a block of {df}")
    return rows


def dfs_of(blocks: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many passages each of several blocks has, by where they begin and the last ends, shape (blocks + 1,).

    Raises:
        TornPostings: If one is cut off.
    """
    at, ends = places[:-1], places[1:]
    if np.any(ends <= at):
        raise TornPostings("an empty block")
    dfs = (blocks[at] >> 4).astype(np.int64) + 1
    many = dfs >= _MANY
    if np.any((ends - at)[many] < 5):
        raise TornPostings("a block that is cut off")
    dfs[many] = _got(blocks, at[many] + 1, 4)
    return dfs


def lists_of(blocks: NDArray[np.uint8], places: NDArray[np.int64]) -> PostingLists:
    """Return the postings of several blocks, by where they begin and the last ends, shape (blocks + 1,).

    Raises:
        TornPostings: If one contradicts itself.
    """
    at, ends = places[:-1], places[1:]
    dfs = dfs_of(blocks, places)
    how, counted = blocks[at] & 3, blocks[at] >> 2 & 3
    at = at + np.where(dfs < _MANY, 1, 5)
    sizes = np.choose(counted, (0 * dfs, (dfs + 1) // 2, dfs, 4 * dfs))
    left = ends - at - sizes
    if np.any(left <= 0) or np.any(dfs > left):
        raise TornPostings("counts beyond the end of their block")
    first = np.cumsum(dfs) - dfs
    number = np.arange(int(dfs.sum())) - np.repeat(first, dfs)
    counts, kind, start = np.ones(len(number), np.uint32), np.repeat(counted, dfs), np.repeat(at, dfs)
    for width, which in ((1, kind == _BYTES), (4, kind == _WORDS)):
        counts[which] = _got(blocks, start[which] + width * number[which], width)
    which = kind == _HALVES
    counts[which] = blocks[start[which] + number[which] // 2] >> 4 * (number[which] % 2).astype(np.uint8) & 15
    rows, kind = np.empty(len(number), np.int64), np.repeat(how, dfs)
    for width, most in ((1, _BYTE), (2, _PAIR)):
        chosen = np.flatnonzero(how == width - 1)
        rows[kind == width - 1] = _summed(blocks, (at + sizes)[chosen], left[chosen], dfs[chosen], width, most)
    which = kind == _ROWS
    if np.any(left[how == _ROWS] != 4 * dfs[how == _ROWS]) or np.any(how > _ROWS):
        raise TornPostings("rows that do not fit their block")
    rows[which] = _got(blocks, np.repeat(at + sizes, dfs)[which] + 4 * number[which], 4)
    return PostingLists(dfs, rows, counts)


def _summed(
    blocks: NDArray[np.uint8],
    at: NDArray[np.int64],
    sizes: NDArray[np.int64],
    dfs: NDArray[np.int64],
    width: int,
    most: int,
) -> NDArray[np.int64]:
    """Add up the gaps of some blocks, each from row 0 on."""
    steps = sizes // width
    if np.any(sizes % width) or np.any(steps < dfs):
        raise TornPostings("rows that do not fit their block")
    first = np.cumsum(steps) - steps
    number = np.arange(int(steps.sum())) - np.repeat(first, steps)
    gaps = _got(blocks, np.repeat(at, steps) + width * number, width)
    sums = np.cumsum(gaps)
    sums -= np.repeat(sums[first] - gaps[first], steps)
    ends = gaps != most
    if len(first) and np.any(np.add.reduceat(ends, first, dtype=np.int64) != dfs):
        raise TornPostings("gaps of more or fewer passages than a block has")
    rows: NDArray[np.int64] = sums[ends]
    return rows


def _got(blocks: NDArray[np.uint8], places: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    values = blocks[places].astype(np.int64)
    for byte in range(1, width):
        values |= blocks[places + byte].astype(np.int64) << 8 * byte
    return values
