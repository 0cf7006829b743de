"""All stores under one contract, and what is particular to each."""

import numpy as np
import pytest

from indexer.errors import IndexFormatError
from indexer.stores import store_class
from indexer.stores.exact import ExactStore
from indexer.stores.faiss_store import FaissOptions, FaissStore
from indexer.stores.lance_store import LanceStore
from tests.contracts.vector_store import VectorStoreContract, names, unit


class TestExact(VectorStoreContract):
    def make(self, folder, dim):
        return ExactStore.create(folder, dim)

    def reopen(self, folder):
        return ExactStore.open(folder)

    def test_similarities_are_those_of_numpy(self, tmp_path):
        store, vectors = self.filled(tmp_path)
        queries = unit(4, 8, seed=5)
        for query, hits in zip(queries, store.search(queries, 60), strict=True):
            expected = dict(zip(names(60), vectors @ query, strict=True))
            assert {hit.chunk_id: pytest.approx(hit.similarity, abs=1e-6) for hit in hits} == expected


class TestFaissFlat(VectorStoreContract):
    kind = "flat"

    def make(self, folder, dim):
        return FaissStore.create(folder, dim, FaissOptions(self.kind))

    def reopen(self, folder):
        return FaissStore.open(folder)

    def test_a_changed_file_is_never_read_by_faiss(self, tmp_path):
        store, _ = self.filled(tmp_path)
        store.flush()
        path = tmp_path / "index.faiss"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(IndexFormatError, match="does not match its recorded size and SHA-256"):
            self.reopen(tmp_path)
        path.write_bytes(content[:50])
        with pytest.raises(IndexFormatError, match="does not match its recorded size and SHA-256"):
            self.reopen(tmp_path)


class TestFaissHnsw(TestFaissFlat):
    exact = False
    kind = "hnsw-sq8"


class TestFaissIvf(TestFaissFlat):
    exact = False
    kind = "ivf-pq"


class TestLance(VectorStoreContract):
    def make(self, folder, dim):
        return LanceStore.create(folder, dim)

    def reopen(self, folder):
        return LanceStore.open(folder)

    def test_scalar_indexes_and_versions_are_there(self, tmp_path):
        store, _ = self.filled(tmp_path)
        store.flush()
        assert {tuple(index.columns) for index in store._table.list_indices()} >= {("id",), ("doc_id",)}
        assert store.details["version"] > 1
        assert store.details["unindexed"] == 0

    def test_a_large_filter_is_searched_in_parts(self, tmp_path, monkeypatch):
        monkeypatch.setattr("indexer.stores.lance_store._IDS_PER_FILTER", 7)
        store, vectors = self.filled(tmp_path)
        store.flush()
        allowed = names(60)[:30]
        reference = ExactStore.create(tmp_path / "reference", 8)
        reference.add(names(60), vectors)
        found, expected = (one.search(vectors[50:51], 9, allowed=allowed)[0] for one in (store, reference))
        assert [hit.chunk_id for hit in found] == [hit.chunk_id for hit in expected]

    def test_a_vector_index_is_tuned_to_its_recall(self, tmp_path, monkeypatch):
        monkeypatch.setattr("indexer.stores.lance_store._INDEX_FROM", 1000)
        store, vectors = self.filled(tmp_path, rows=2000, dim=32)
        store.flush()
        assert store.details["index"] == "ivf-hnsw-sq"
        assert store.details["recall@10"] >= 0.95
        again = self.reopen(tmp_path)
        assert again.details["search"] == store.details["search"]
        assert again.search(vectors[3:4], 1)[0][0].chunk_id == names(2000)[3]


@pytest.mark.parametrize("kind", ["hnsw-sq8", "ivf-pq"])
def test_approximate_indexes_are_tuned_until_their_recall_is_reached(tmp_path, kind):
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((100, 64)).astype(np.float32)
    vectors = centres[rng.integers(0, 100, 5000)] + 0.4 * rng.standard_normal((5000, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store = FaissStore.create(tmp_path / "a", 64, FaissOptions(kind))
    reference = ExactStore.create(tmp_path / "b", 64)
    for one in (store, reference):
        one.add(names(5000), vectors)
    store.flush()
    assert store.details["recall@10"] >= 0.95
    assert "note" not in store.details
    queries = vectors[rng.choice(5000, 100, replace=False)] + 0.05 * rng.standard_normal((100, 64)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    opened = FaissStore.open(tmp_path / "a")
    shared = [
        len({h.chunk_id for h in a} & {h.chunk_id for h in b}) / 10
        for a, b in zip(opened.search(queries, 10), reference.search(queries, 10), strict=True)
    ]
    assert np.mean(shared) >= 0.94


def test_the_size_decides_which_faiss_index_is_built(tmp_path, monkeypatch):
    monkeypatch.setattr("indexer.stores.faiss_store._HNSW_FROM", 100)
    monkeypatch.setattr("indexer.stores.faiss_store._IVF_FROM", 1000)
    for rows, expected in ((50, "flat"), (200, "hnsw-sq8"), (1200, "ivf-pq")):
        store = FaissStore.create(tmp_path / str(rows), 16)
        store.add(names(rows), unit(rows, 16))
        store.flush()
        assert store.details["index"] == expected


def test_a_wide_filter_on_an_approximate_index_keeps_k(tmp_path, monkeypatch):
    monkeypatch.setattr("indexer.stores.faiss_store._EXACT_BELOW", 10)
    for kind in ("flat", "hnsw-sq8", "ivf-pq"):
        store = FaissStore.create(tmp_path / kind, 16, FaissOptions(kind))
        store.add(names(1000), unit(1000, 16))
        store.flush()
        allowed = set(names(1000)[::20])
        hits = store.search(unit(3, 16, seed=4), 8, allowed=allowed)
        assert all(len(line) == 8 and {hit.chunk_id for hit in line} <= allowed for line in hits)


def test_an_unknown_store_is_refused():
    with pytest.raises(ValueError, match="unknown store 'chroma'; expected exact, faiss, lance"):
        store_class("chroma")
