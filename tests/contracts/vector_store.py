"""What every vector store must do. A store's test inherits `VectorStoreContract` and supplies `make` and `reopen`."""

from pathlib import Path

import numpy as np
import pytest

from indexer.embedder import Vectors
from indexer.errors import IndexFormatError
from indexer.stores.base import VectorStore
from indexer.stores.exact import ExactStore


def unit(rows: int, dim: int, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def names(rows: int) -> list[str]:
    return [f"文档/d{row % 7}#{row}-{row + 9}" for row in range(rows)]


class VectorStoreContract:
    exact = True

    def make(self, folder: Path, dim: int) -> VectorStore:
        raise NotImplementedError

    def reopen(self, folder: Path) -> VectorStore:
        raise NotImplementedError

    def filled(self, folder: Path, rows: int = 60, dim: int = 8) -> tuple[VectorStore, Vectors]:
        store, vectors = self.make(folder, dim), unit(rows, dim)
        store.add(names(rows), vectors)
        return store, vectors

    def test_an_empty_store_finds_nothing(self, tmp_path):
        store = self.make(tmp_path, 8)
        assert (len(store), store.dim, store.search(unit(2, 8), 5)) == (0, 8, [[], []])
        store.flush()
        assert self.reopen(tmp_path).search(unit(2, 8), 5) == [[], []]

    def test_what_was_added_comes_back_after_reopening(self, tmp_path):
        store, vectors = self.filled(tmp_path)
        store.flush()
        again = self.reopen(tmp_path)
        assert sorted(again.ids) == sorted(names(60))
        before, after = store.search(vectors[:9], 5), again.search(vectors[:9], 5)
        assert [[hit.chunk_id for hit in hits] for hits in before] == [[hit.chunk_id for hit in hits] for hits in after]

    def test_a_vector_is_most_similar_to_itself_with_one(self, tmp_path):
        store, vectors = self.filled(tmp_path)
        store.flush()
        for name, hits in zip(names(60), store.search(vectors, 1), strict=True):
            assert hits[0].chunk_id == name
            assert hits[0].similarity == pytest.approx(1.0, abs=1e-4)

    def test_results_are_never_padded(self, tmp_path):
        store, vectors = self.filled(tmp_path, rows=3)
        store.flush()
        assert [len(hits) for hits in store.search(vectors, 10)] == [3, 3, 3]

    def test_equal_similarities_come_in_id_order(self, tmp_path):
        store = self.make(tmp_path, 4)
        store.add(["c#0-1", "a#0-1", "b#0-1"], np.repeat(unit(1, 4), 3, axis=0))
        store.flush()
        assert [hit.chunk_id for hit in store.search(unit(1, 4), 2)[0]] == ["a#0-1", "b#0-1"]

    @pytest.mark.parametrize("first", [0, 59])
    def test_a_duplicate_id_leaves_the_store_unchanged(self, tmp_path, first):
        store, _ = self.filled(tmp_path)
        with pytest.raises(ValueError, match="is there already; expected new ids. Nothing was added"):
            store.add(["new#0-1", names(60)[first]], unit(2, 8, seed=1))
        with pytest.raises(ValueError, match="is there already"):
            store.add(["twin#0-1", "twin#0-1"], unit(2, 8, seed=1))
        assert len(store) == 60
        assert "new#0-1" not in store.ids

    def test_wrong_shapes_and_values_are_refused(self, tmp_path):
        store, _ = self.filled(tmp_path)
        with pytest.raises(ValueError, match=r"vectors have shape \(1, 9\); expected \(1, 8\)"):
            store.add(["x#0-1"], unit(1, 9))
        with pytest.raises(ValueError, match="the vector of 'x#0-1' is not finite; nothing was added"):
            store.add(["x#0-1"], np.full((1, 8), np.nan, np.float32))
        with pytest.raises(ValueError, match=r"queries have shape \(1, 9\); expected \(n, 8\)"):
            store.search(unit(1, 9), 3)
        with pytest.raises(ValueError, match="k is 0; expected at least 1"):
            store.search(unit(1, 8), 0)
        assert len(store) == 60

    def test_removed_ids_never_come_back_and_can_be_added_again(self, tmp_path):
        store, vectors = self.filled(tmp_path)
        store.flush()
        assert store.remove([names(60)[5], "stranger#0-1"]) == 1
        assert names(60)[5] not in [hit.chunk_id for hit in store.search(vectors[5:6], 60)[0]]
        assert len(store) == 59
        store.add([names(60)[5]], vectors[5:6])
        store.flush()
        assert self.reopen(tmp_path).search(vectors[5:6], 1)[0][0].chunk_id == names(60)[5]

    def test_additions_after_opening_are_found_before_and_after_flushing(self, tmp_path):
        store, _ = self.filled(tmp_path)
        store.flush()
        again = self.reopen(tmp_path)
        extra = unit(1, 8, seed=9)
        again.add(["late#0-1"], extra)
        assert again.search(extra, 1)[0][0].chunk_id == "late#0-1"
        again.flush()
        assert self.reopen(tmp_path).search(extra, 1)[0][0].chunk_id == "late#0-1"

    def test_a_filter_is_applied_before_the_cut(self, tmp_path):
        store, vectors = self.filled(tmp_path)
        store.flush()
        allowed = set(names(60)[40:47]) | {"stranger#0-1"}
        hits = store.search(vectors[:1], 5, allowed=allowed)[0]
        assert len(hits) == 5
        assert {hit.chunk_id for hit in hits} <= allowed
        assert store.search(vectors[:1], 5, allowed=[])[0] == []

    def test_the_order_is_that_of_exact_search(self, tmp_path):
        store, reference = self.make(tmp_path / "a", 32), ExactStore.create(tmp_path / "b", 32)
        vectors, queries = unit(500, 32), unit(20, 32, seed=3)
        for one in (store, reference):
            one.add(names(500), vectors)
        store.flush()
        pairs = list(zip(store.search(queries, 10), reference.search(queries, 10), strict=True))
        if self.exact:
            assert [[h.chunk_id for h in a] for a, _ in pairs] == [[h.chunk_id for h in b] for _, b in pairs]
        shared = [len({h.chunk_id for h in a} & {h.chunk_id for h in b}) / 10 for a, b in pairs]
        assert np.mean(shared) >= 0.95

    def test_a_folder_that_is_no_store_is_refused(self, tmp_path):
        with pytest.raises(IndexFormatError, match="no readable"):
            self.reopen(tmp_path)
