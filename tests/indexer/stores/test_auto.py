"""The default store: the same contract as all others, below and above the size from which it is approximate."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.storage.files.sealing import seal, unseal
from quarry.indexer.stores.auto import store as store_module
from quarry.indexer.stores.auto.codes import SignCodes
from quarry.indexer.stores.auto.row_reader import RowReader
from quarry.indexer.stores.auto.second_bits import SecondBits
from quarry.indexer.stores.auto.store import AutoStore
from quarry.indexer.stores.exact.store import ExactStore
from quarry.indexer.stores.sealed import HEADER_NAME, new_state
from quarry.indexer.stores.shares import in_shares
from tests.contracts.vector_store import VectorStoreContract, names, unit


class TestAutoStoreWhileSmall(VectorStoreContract):
    def make(self, folder, dim):
        return AutoStore.create(folder, dim)

    def reopen(self, folder):
        return AutoStore.open(folder)

    def test_it_says_that_it_is_exact_and_why(self, tmp_path):
        store, _ = self.filled(tmp_path)
        store.flush()
        details = self.reopen(tmp_path).details
        assert (details["index"], details["recall@10"], details["why"]["code"]) == ("flat", 1.0, "stores.auto_exact")
        assert not list(tmp_path.glob("codes.*"))


class TestAutoStoreAboveItsLimit(TestAutoStoreWhileSmall):
    exact = False

    @pytest.fixture(autouse=True)
    def _always_above(self, monkeypatch):
        by_codes(monkeypatch)

    def test_it_says_that_it_is_exact_and_why(self, tmp_path):
        """Here that it is approximate, with the recall that was measured."""
        store, _ = self.filled(tmp_path)
        store.flush()
        details = self.reopen(tmp_path).details
        assert (details["index"], details["why"]["code"]) == ("codes", "stores.auto_codes")
        assert details["recall@10"] >= 0.95
        assert details["why"]["params"]["recall"] == details["recall@10"]

    @pytest.mark.parametrize("dim", [8, 64, 100, 384])
    def test_few_candidates_give_the_recall_that_was_measured(self, tmp_path, monkeypatch, dim):
        monkeypatch.setattr("quarry.indexer.stores.auto.candidates.FEWEST", 20)
        monkeypatch.setattr("quarry.indexer.stores.auto.candidates.PER_HIT", 1)
        vectors, queries = unit(5000, dim), unit(100, dim, seed=3)
        store, reference = AutoStore.create(tmp_path / "a", dim), ExactStore.create(tmp_path / "b", dim)
        for each in (store, reference):
            each.add(names(5000), vectors)
        store.flush()
        assert 4 <= store.details["search"] <= 5000 // 8
        pairs = zip(store.search(queries, 10), reference.search(queries, 10), strict=True)
        recall = np.mean([len({h.chunk_id for h in a} & {h.chunk_id for h in b}) / 10 for a, b in pairs])
        assert recall == pytest.approx(store.details["recall@10"], abs=0.1)
        assert recall > 0.85

    def test_what_is_found_has_the_similarities_of_exact_search(self, tmp_path):
        store, vectors = self.filled(tmp_path, rows=3000, dim=70)
        store.flush()
        query = vectors[4:5] + 0.1 * unit(1, 70, seed=5)
        for hit in store.search(query, 10)[0]:
            row = names(3000).index(hit.chunk_id)
            assert hit.similarity == pytest.approx(float(vectors[row].astype(np.float64) @ query[0]), rel=1e-6)

    def test_a_wide_filter_is_searched_by_codes_and_keeps_k(self, tmp_path, monkeypatch):
        monkeypatch.setattr("quarry.indexer.stores.auto.store._FEW_ALLOWED", 100)
        store, vectors = self.filled(tmp_path, rows=3000, dim=64)
        store.flush()
        allowed = set(names(3000)[1000:2500])
        hits = store.search(vectors[1200:1201], 50, allowed=allowed)[0]
        assert hits[0].chunk_id == names(3000)[1200]
        assert len(hits) == 50
        assert {hit.chunk_id for hit in hits} <= allowed
        assert store.search(vectors[:1], 5, allowed={f"stranger#{row}" for row in range(101)}) == [[]]

    def test_a_recall_that_is_not_reached_is_said(self, tmp_path, monkeypatch):
        monkeypatch.setattr("quarry.indexer.stores.auto.candidates.FEWEST", 10)
        monkeypatch.setattr("quarry.indexer.stores.auto.candidates.PER_HIT", 1)
        monkeypatch.setattr("quarry.indexer.stores.auto.candidates.LARGEST_SHARE", 10**9)
        store, _ = self.filled(tmp_path, rows=3000, dim=64)
        store.flush()
        assert store.details["recall@10"] < 0.95
        assert store.details["note"]["code"] == "stores.recall_missed"


def test_large_additions_are_written_as_they_come_and_become_the_file_of_the_store(tmp_path, monkeypatch):
    monkeypatch.setattr("quarry.indexer.stores.exact.additions._IN_MEMORY", 1000)
    vectors = unit(200, 16)
    store = ExactStore.create(tmp_path, 16)
    for first in range(0, 200, 10):
        store.add(names(200)[first : first + 10], vectors[first : first + 10])
    assert (tmp_path / ".added.npy").is_file()
    store.flush()
    assert not (tmp_path / ".added.npy").exists()
    assert np.array_equal(ExactStore.open(tmp_path).vectors_of(np.arange(200)), vectors)
    store.add(["late#0-1"], unit(1, 16, seed=4))
    store.remove([names(200)[3]])
    store.flush()
    again = ExactStore.open(tmp_path)
    assert again.ids == [each for row, each in enumerate(names(200)) if row != 3] + ["late#0-1"]
    assert np.array_equal(again.vectors_of(np.arange(199)), np.delete(vectors, 3, axis=0))


def test_codes_find_the_vector_itself_and_honor_the_rows_that_are_given(tmp_path):
    vectors = unit(1000, 130)
    with new_state(tmp_path) as state:
        codes = SignCodes.write(vectors, state)
    for row in (0, 500, 999):
        assert row in codes.nearest(vectors[row], 1)
        among = np.array([3, row, 999]) if row < 999 else np.array([3, 7])
        assert set(codes.nearest(vectors[row], 1, np.unique(among))) <= set(among.tolist())
    assert np.array_equal(codes.nearest(vectors[0], 1000), np.arange(1000))


def by_codes(monkeypatch):
    """Have small stores searched as large ones are."""
    monkeypatch.setattr("quarry.indexer.stores.auto.store.EXACT_UP_TO", 0)
    monkeypatch.setattr("quarry.indexer.stores.auto.store._A_READ", 0)


def test_where_many_would_be_read_one_by_one_all_are_compared(tmp_path, monkeypatch):
    """Random vectors, a hundred hits: an eighth of all are candidates."""
    monkeypatch.setattr("quarry.indexer.stores.auto.store.EXACT_UP_TO", 0)
    vectors, store = unit(20_000, 96), AutoStore.create(tmp_path, 96)
    store.add(names(20_000), vectors)
    store.flush()
    assert store._codes.count(100) * store_module._A_READ > 20_000 > store._codes.count(10) * store_module._A_READ
    queries = unit(5, 96, seed=3)
    exact = [[names(20_000)[row] for row in np.argsort(-(vectors @ query))[:100]] for query in queries]
    assert [[near.chunk_id for near in line] for line in store.search(queries, 100)] == exact


def test_a_few_more_than_ten_hits_take_little_more_than_ten(tmp_path, monkeypatch):
    """A store with removed passages is asked for as many more."""
    by_codes(monkeypatch)
    vectors, store = unit(20_000, 96), AutoStore.create(tmp_path, 96)
    store.add(names(20_000), vectors)
    store.flush()
    ten, twelve, hundred = (store._codes.count(hits) for hits in (10, 12, 100))
    assert ten < twelve <= 2 * ten < hundred
    assert store._codes.count(200) == 2 * hundred


@pytest.fixture
def matrix_file(tmp_path):
    """A matrix of 4,000 vectors in a file, and the same mapped."""
    path, vectors = tmp_path / "vectors.npy", unit(4000, 384)
    np.save(path, vectors)
    return path, vectors, np.load(path, mmap_mode="r")


@pytest.mark.parametrize(
    "rows", [[], [7], [0, 1, 2, 3999], [5, 5, 3, 4, 10], list(range(4000)), list(range(0, 4000, 3))]
)
@pytest.mark.parametrize("preads", [True, False])
def test_rows_are_read_in_the_order_that_is_asked_for(matrix_file, monkeypatch, rows, preads):
    _, vectors, mapped = matrix_file
    if not preads:  # as on Windows
        monkeypatch.delattr("os.preadv")
    reader, wanted = RowReader(mapped), np.array(rows, dtype=np.int64)
    assert np.array_equal(reader.rows(wanted), vectors[wanted])
    assert np.allclose(reader.similarities(vectors[9], wanted), vectors[wanted] @ vectors[9], atol=1e-6)


@pytest.mark.skipif(sys.platform != "linux", reason="what is resident is read from /proc")
def test_searching_makes_nothing_of_the_vectors_resident(tmp_path, monkeypatch):
    by_codes(monkeypatch)
    vectors, store = unit(4000, 384), AutoStore.create(tmp_path, 384)
    store.add(names(4000), vectors)
    store.flush()
    store = AutoStore.open(tmp_path)
    store.search(vectors[::400], 100)
    store.similarities(vectors[0], names(4000)[::40])
    maps = Path("/proc/self/smaps").read_text().partition("vectors.000001.npy")[2]
    assert maps
    resident = int(re.search(r"^Rss: +([0-9]+) kB", maps, re.MULTILINE)[1])
    assert resident <= 64, "kB, of 6,000: its header may be"


def test_a_file_that_was_cut_off_is_an_error_and_no_signal(matrix_file):
    path, vectors, mapped = matrix_file
    reader = RowReader(mapped)
    os.truncate(path, 128 + 4 * 384 * 2000 + 6)
    assert np.array_equal(reader.rows(np.array([1999])), vectors[[1999]])
    with pytest.raises(
        IndexFormatError, match=r"vectors.npy ends after 3,072,134 bytes; expected vectors up to byte 3,073,664"
    ):
        reader.similarities(vectors[0], np.array([0, 2000]))


def test_a_file_that_is_gone_is_read_on_by_who_has_it_and_an_error_for_others(matrix_file):
    path, vectors, mapped = matrix_file
    reader = RowReader(mapped)
    path.unlink()
    assert np.array_equal(reader.rows(np.array([17])), vectors[[17]])
    with pytest.raises(IndexFormatError, match=r"vectors\.npy"):
        RowReader(mapped)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_answer(tmp_path, monkeypatch, threads):
    by_codes(monkeypatch)
    vectors, store = unit(4000, 96), AutoStore.create(tmp_path, 96)
    store.add(names(4000), vectors)
    store.flush()
    expected = store.search(vectors[:20], 30)
    for module, limit in (("codes", "_SHARE"), ("candidates", "_AT_ONCE"), ("candidates", "_CLOSELY_AT_ONCE")):
        monkeypatch.setattr(f"quarry.indexer.stores.auto.{module}.{limit}", 50)
    monkeypatch.setattr("quarry.indexer.stores.shares._threads", lambda: threads)
    found = store.search(vectors[:20], 30)
    assert [[near.chunk_id for near in line] for line in found] == [
        [near.chunk_id for near in line] for line in expected
    ]


def test_what_fails_in_a_share_is_raised(monkeypatch):
    monkeypatch.setattr("quarry.indexer.stores.shares._threads", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        in_shares(lambda rows: 1 // (rows.start - 50 if rows.stop == 100 else 1), 100, 50)
    assert in_shares(lambda rows: (rows.start, rows.stop), 0, 10) == [(0, 0)]


def test_products_of_two_bits_are_those_of_the_levels(tmp_path):
    """Counting bits gives the product of both quantized vectors, each with its factor."""
    vectors, query = unit(300, 130), unit(1, 130, seed=8)[0]
    center = vectors.mean(axis=0)
    with new_state(tmp_path) as state:
        codes = SignCodes.write(vectors, state)
        bits = SecondBits.write(vectors, center, state)
    rows = np.array([0, 7, 150, 299])

    def levels(values):
        large = np.abs(values) > 0.9816 * np.sqrt(np.mean(values * values, axis=-1, keepdims=True))
        return np.where(values > 0, 1, -1) * np.where(large, 3, 1)

    left = vectors[rows] - center
    factors = (left * left).sum(axis=1) / (left * levels(left)).sum(axis=1)
    expected = factors * (levels(left) @ levels(query - center))
    assert np.allclose(bits.estimates(query - center, rows, codes.signs_of(rows)), expected, rtol=1e-4)
    closer = factors * (levels(left) @ (query - center))
    assert np.allclose(bits.close_estimates(query - center, rows, codes.signs_of(rows)), closer, rtol=1e-4, atol=1e-6)


def test_a_store_from_before_the_second_step_answers(tmp_path, monkeypatch):
    by_codes(monkeypatch)
    vectors, store = unit(3000, 64), AutoStore.create(tmp_path, 64)
    store.add(names(3000), vectors)
    store.flush()
    expected = store.search(vectors[:20], 5)
    header = unseal(tmp_path / HEADER_NAME)
    del header["facts"]["steps"], header["facts"]["last"]
    header["facts"]["search"] = 500
    for name in ("sizes.000001.npy", "factors.000001.npy"):
        (tmp_path / name).unlink()
        del header["files"][name]
    (tmp_path / HEADER_NAME).write_bytes(seal(header))
    assert AutoStore.open(tmp_path).search(vectors[:20], 5) == expected


def test_a_store_from_before_the_last_step_answers(tmp_path, monkeypatch):
    by_codes(monkeypatch)
    vectors, store = unit(3000, 64), AutoStore.create(tmp_path, 64)
    store.add(names(3000), vectors)
    store.flush()
    expected = store.search(vectors[:20], 5)
    header = unseal(tmp_path / HEADER_NAME)
    del header["facts"]["last"]
    (tmp_path / HEADER_NAME).write_bytes(seal(header))
    assert AutoStore.open(tmp_path).search(vectors[:20], 5) == expected


def test_the_last_step_leaves_fewer_vectors_to_compare_than_the_second(tmp_path, monkeypatch):
    """Random vectors: the worst case, where rounding the query costs most."""
    by_codes(monkeypatch)
    vectors, store = unit(20_000, 96), AutoStore.create(tmp_path, 96)
    store.add(names(20_000), vectors)
    store.flush()
    (_, second), _ = store.details["steps"]
    last, _ = store.details["last"]
    assert last < second / 1.5
    assert store.details["recall@10"] >= 0.95


def test_clustered_vectors_need_few_candidates(tmp_path, monkeypatch):
    """Vectors of texts have neighborhoods; the depths follow."""
    by_codes(monkeypatch)
    rng = np.random.default_rng(0)
    vectors = unit(100, 128)[rng.integers(0, 100, 20_000)] + 0.7 * unit(20_000, 128, seed=1)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    store, reference = AutoStore.create(tmp_path / "a", 128), ExactStore.create(tmp_path / "b", 128)
    for each in (store, reference):
        each.add(names(20_000), vectors)
    store.flush()
    (first, second), (wide_first, wide_second) = store.details["steps"]
    assert second < 20_000 // 20 and first <= wide_first <= 20_000 // 8 and second <= wide_second
    queries = vectors[rng.integers(0, 20_000, 50)] + 0.3 * unit(50, 128, seed=2)
    for k in (10, 100):
        pairs = zip(store.search(queries, k), reference.search(queries, k), strict=True)
        assert np.mean([len({h.chunk_id for h in a} & {h.chunk_id for h in b}) / k for a, b in pairs]) >= 0.95
