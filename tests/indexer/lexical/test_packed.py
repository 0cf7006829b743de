"""Postings in blocks: what was packed comes out, one by one and many at once, and damage is an error or other postings, never a crash."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarry.indexer.lexical.packed import PostingLists, TornPostings, df_of, dfs_of, lists_of, packed_lists, postings_of

# rows far apart and close, few and many; counts of every width
spans = st.sampled_from((20, 300, 3000, 70_000, 2**32 - 1))
counts = st.sampled_from((1, 2, 15, 16, 255, 256, 70_000, 2**32 - 1))


@st.composite
def postings(draw):
    rows = sorted(draw(st.sets(st.integers(0, draw(spans)), min_size=1, max_size=60)))
    most = draw(counts)
    return rows, draw(st.lists(st.integers(1, most), min_size=len(rows), max_size=len(rows)))


def packed(terms):
    lists = PostingLists(
        np.array([len(rows) for rows, _ in terms], dtype=np.int64),
        np.array([row for rows, _ in terms for row in rows], dtype=np.int64),
        np.array([count for _, each in terms for count in each], dtype=np.uint32),
    )
    blocks, sizes = packed_lists(lists)
    return lists, blocks, np.concatenate([[0], np.cumsum(sizes)])


@settings(max_examples=300, deadline=None)
@given(terms=st.lists(postings(), max_size=8))
def test_what_was_packed_comes_out(terms):
    lists, blocks, places = packed(terms)
    assert len(blocks) == places[-1]
    for mine, expected in zip(lists_of(blocks, places), lists, strict=True):
        assert mine.tolist() == expected.tolist()
    assert dfs_of(blocks, places).tolist() == lists.dfs.tolist()
    for number, (rows, frequencies) in enumerate(terms):
        block = blocks[places[number] : places[number + 1]]
        found = postings_of(block, 0, len(block))
        assert (df_of(block, 0, len(block)), found.rows.tolist(), found.counts.tolist()) == (
            len(rows),
            rows,
            frequencies,
        )


@pytest.mark.parametrize("df", [1, 15, 16, 17, 1000])
@pytest.mark.parametrize("step", [1, 254, 255, 256, 65_534, 65_535, 65_536, 4_000_000])
def test_gaps_at_the_limits_of_their_width(df, step):
    rows = [step * number for number in range(min(df, 2**32 // step))]
    _, blocks, places = packed([(rows, [1] * len(rows)), ([7], [300])])
    assert postings_of(blocks, 0, int(places[1])).rows.tolist() == rows
    assert lists_of(blocks, places).rows.tolist() == [*rows, 7]


def test_frequent_terms_take_about_a_byte_a_passage():
    rng = np.random.default_rng(5)
    rows = np.sort(rng.choice(1_000_000, 50_000, replace=False)).tolist()
    _, blocks, _ = packed([(rows, [1] * len(rows))])
    assert len(blocks) < 1.05 * len(rows)
    rows = np.sort(rng.choice(1_000_000, 500, replace=False)).tolist()
    _, blocks, _ = packed([(rows, [1] * len(rows))])
    assert len(blocks) < 2.1 * len(rows)


@settings(max_examples=500, deadline=None)
@given(terms=st.lists(postings(), min_size=1, max_size=3), data=st.data())
def test_damage_is_an_error_or_other_postings(terms, data):
    _, blocks, places = packed(terms)
    for _ in range(data.draw(st.integers(1, 3))):
        blocks[data.draw(st.integers(0, len(blocks) - 1))] = data.draw(st.integers(0, 255))
    for number in range(len(terms)):
        block = blocks[places[number] : places[number + 1]]
        try:
            found = postings_of(block, 0, len(block))
        except TornPostings:
            with pytest.raises(TornPostings):
                lists_of(block, np.array([0, len(block)]))
            continue
        assert len(found.rows) == len(found.counts) == df_of(block, 0, len(block))
        assert found.rows[0] >= 0
        with suppress(TornPostings):  # a merge looks more closely
            assert lists_of(block, np.array([0, len(block)])).rows.tolist() == found.rows.tolist()


def test_blocks_that_are_cut_off_are_refused():
    for block in (b"", b"\xf0", b"\xf0\x10\x00", b"\xf8\xff\xff\xff\xff\x01", b"\x03\x01"):
        content = np.frombuffer(block, dtype=np.uint8)
        with pytest.raises(TornPostings):
            postings_of(content, 0, len(content))
        with pytest.raises(TornPostings):
            lists_of(content, np.array([0, len(content)]))
