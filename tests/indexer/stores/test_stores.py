"""All stores under one contract, and what is particular to each."""

import json
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import IndexFormatError
from indexer.sealing import describe, seal, unseal
from indexer.stores import store_class
from indexer.stores.exact import ExactStore
from indexer.stores.faiss_store import FaissOptions, FaissStore
from indexer.stores.lance_store import LanceStore
from tests.contracts.vector_store import VectorStoreContract, names, unit


def write_first_exact(folder: Path) -> None:
    """Turn an opened-by-header exact part into files of format 1: `store.json` with the ids, and `vectors.npy`."""
    ids = json.loads((folder / "ids.000001.json").read_text(encoding="utf-8"))
    matrix = np.load(folder / "vectors.000001.npy")
    np.save(folder / "vectors.npy", matrix)
    for name in ("ids.000001.json", "vectors.000001.npy"):
        (folder / name).unlink()
    facts = {"kind": "exact", "dim": matrix.shape[1], "ids": ids}
    (folder / "store.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")


def faiss_bytes(path: Path, rows: int, dim: int) -> bytes:
    import faiss

    index = faiss.IndexFlatIP(dim)
    index.add(unit(rows, dim))
    faiss.write_index(index, str(path))
    return path.read_bytes()


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

    @pytest.mark.parametrize(("rows", "k"), [(40, 3), (4000, 1), (4000, 10), (4000, 300), (4000, 4000)])
    def test_the_best_are_those_of_double_precision(self, tmp_path, rows, k):
        vectors, queries = unit(rows, 48), unit(7, 48, seed=5)
        vectors[rows // 2 :] = np.round(vectors[rows // 2 :], 1)  # many products that are nearly equal
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        store = ExactStore.create(tmp_path, 48)
        store.add(names(rows), vectors)
        for query, hits in zip(queries, store.search(queries, k), strict=True):
            similarities = (vectors.astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
            expected = sorted(
                zip(names(rows), similarities.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0])
            )
            assert [hit.chunk_id for hit in hits] == [chunk_id for chunk_id, _ in expected[:k]]
            assert [hit.similarity for hit in hits] == pytest.approx([value for _, value in expected[:k]], abs=2e-7)

    def test_a_folder_of_the_first_format_is_read_and_the_next_flush_renews_it(self, tmp_path):
        store, vectors = self.filled(tmp_path)
        store.flush()
        write_first_exact(tmp_path)
        again = ExactStore.open(tmp_path)
        assert (again.search(vectors, 7), again.ids) == (store.search(vectors, 7), names(60))
        again.flush()
        assert ExactStore.open(tmp_path).search(vectors, 7) == store.search(vectors, 7)
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "ids.000001.json",
            "store.json",
            "vectors.000001.npy",
        ]

    def test_damage_to_a_folder_of_the_first_format_never_escapes_as_a_foreign_error(self, tmp_path):
        store, _ = self.filled(tmp_path)
        store.flush()
        write_first_exact(tmp_path)
        path = tmp_path / "vectors.npy"
        sound = path.read_bytes()
        refused = 0
        for position in range(128):  # NumPy's header: its parser raises errors of five kinds
            for bit in range(8):
                content = bytearray(sound)
                content[position] ^= 1 << bit
                path.write_bytes(content)
                try:
                    ExactStore.open(tmp_path)
                except IndexFormatError as err:
                    refused += 1
                    assert "vectors.npy" in str(err)
        assert refused > 1000
        path.write_bytes(b"")
        with pytest.raises(IndexFormatError, match="vectors.npy cannot be read"):
            ExactStore.open(tmp_path)
        path.write_bytes(sound)
        header = tmp_path / "store.json"
        facts = json.loads(header.read_text(encoding="utf-8"))
        for wrong, message in (
            ({"kind": "faiss"}, "says kind 'faiss', dim 8; expected 'exact' and a number"),
            ({"dim": 9}, r"vectors.npy holds float32 of shape \(60, 8\); expected float32 of shape \(60, 9\)"),
            ({"ids": names(59)}, r"expected float32 of shape \(59, 8\)"),
            ({"ids": [*names(59), "文档/d0#0-9"]}, "store.json holds 60 ids, 59 of them different; expected 60"),
            ({"ids": {"a": 1}}, "store.json holds no list of ids; expected one id per vector"),
        ):
            header.write_text(json.dumps({**facts, **wrong}), encoding="utf-8")
            with pytest.raises(IndexFormatError, match=message):
                ExactStore.open(tmp_path)
        for content, message in (
            (b"\xff", "store.json cannot be read"),
            (b"[" * 100_000, "store.json is not valid JSON"),
            (b"[]", "store.json holds a JSON list; expected an object"),
        ):
            header.write_bytes(content)
            with pytest.raises(IndexFormatError, match=message):
                ExactStore.open(tmp_path)

    @pytest.mark.parametrize("rows", [5, 400])
    def test_a_stored_vector_that_is_not_finite_is_noticed(self, tmp_path, rows):
        store, vectors = self.filled(tmp_path, rows=rows)
        store.flush()
        path = tmp_path / "vectors.000001.npy"
        np.save(path, np.where(np.arange(rows)[:, None] == 3, np.nan, vectors).astype(np.float32))
        with pytest.raises(IndexFormatError, match="a vector stored in .* is not finite; expected numbers"):
            ExactStore.open(tmp_path, verified=True).search(vectors[:1], 4)

    def test_ids_that_are_no_list_of_ids_are_refused(self, tmp_path):
        store, _ = self.filled(tmp_path)
        store.flush()
        path, header = tmp_path / "ids.000001.json", tmp_path / "store.json"
        for content, message in (
            (b"{not json", "ids.000001.json cannot be read .*; expected a list of ids"),
            (b"[1, 2]", "ids.000001.json holds no list of ids"),
            (json.dumps(names(59)).encode(), "ids.000001.json holds 59 ids, 59 of them different; expected 60"),
        ):
            path.write_bytes(content)
            facts = unseal(header)
            facts["files"] |= {key: fact.model_dump() for key, fact in describe(tmp_path, [path]).items()}
            header.write_bytes(seal(facts))
            with pytest.raises(IndexFormatError, match=message):
                ExactStore.open(tmp_path)


class TestFaissFlat(VectorStoreContract):
    kind = "flat"

    def make(self, folder, dim):
        return FaissStore.create(folder, dim, FaissOptions(self.kind))

    def reopen(self, folder):
        return FaissStore.open(folder)

    def test_a_changed_file_is_never_read_by_faiss(self, tmp_path, monkeypatch):
        store, _ = self.filled(tmp_path)
        store.flush()
        path = tmp_path / "index.000001.faiss"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        monkeypatch.setattr("indexer.stores.faiss_store._read", None)
        with pytest.raises(IndexFormatError, match="index.000001.faiss has another SHA-256 than the one recorded"):
            FaissStore.open(tmp_path, verified=True)
        path.write_bytes(content[:50])
        with pytest.raises(IndexFormatError, match="index.000001.faiss has 50 bytes, expected"):
            FaissStore.open(tmp_path, verified=True)

    def test_what_faiss_cannot_read_is_refused(self, tmp_path):
        store, _ = self.filled(tmp_path)
        store.flush()
        header, path = tmp_path / "store.json", tmp_path / "index.000001.faiss"
        for content, message in (
            (b"no index", "index.000001.faiss cannot be read by FAISS .*; expected a FAISS index"),
            (faiss_bytes(tmp_path / "other", 60, 4), "holds 60 vectors of length 4; expected 60 of length 8"),
            (faiss_bytes(tmp_path / "fewer", 59, 8), "holds 59 vectors of length 8; expected 60 of length 8"),
        ):
            path.write_bytes(content)
            facts = unseal(header)
            facts["files"] |= {key: fact.model_dump() for key, fact in describe(tmp_path, [path]).items()}
            header.write_bytes(seal(facts))
            with pytest.raises(IndexFormatError, match=message):
                FaissStore.open(tmp_path)
        header.write_bytes(seal({**facts, "files": {}}))
        with pytest.raises(IndexFormatError, match="store.json does not name index.000001.faiss; expected it to"):
            FaissStore.open(tmp_path)

    def test_a_record_without_its_tuning_is_refused(self, tmp_path):
        store, _ = self.filled(tmp_path)
        store.flush()
        facts = unseal(tmp_path / "store.json")
        facts["facts"]["search"] = "64"
        del facts["facts"]["refine"]
        (tmp_path / "store.json").write_bytes(seal(facts))
        with pytest.raises(IndexFormatError, match="store.json has no sound search, refine of the vector index"):
            FaissStore.open(tmp_path)

    def test_a_folder_of_the_first_format_is_read_and_the_next_flush_renews_it(self, tmp_path):
        store, vectors = self.filled(tmp_path)
        store.flush()
        expected = store.search(vectors, 7)
        facts = unseal(tmp_path / "store.json")["facts"]
        (tmp_path / "index.000001.faiss").rename(tmp_path / "index.faiss")
        fact = next(iter(describe(tmp_path, [tmp_path / "index.faiss"]).values()))
        old = {**facts, "bytes": fact.size, "sha256": fact.sha256}
        (tmp_path / "faiss.json").write_text(json.dumps(old))
        write_first_exact(tmp_path)
        again = FaissStore.open(tmp_path)
        assert (again.search(vectors, 7), again.ids) == (expected, names(60))
        for wrong, message in (
            ({"sha256": "0" * 64}, "index.faiss has another SHA-256"),
            ({"bytes": None}, "faiss.json says kind 'faiss', size None; expected 'faiss', size and SHA-256"),
            ({"search": None}, "store.json has no sound search"),
        ):
            (tmp_path / "faiss.json").write_text(json.dumps({**old, **wrong}))
            with pytest.raises(IndexFormatError, match=message):
                FaissStore.open(tmp_path)
        again.flush()
        assert FaissStore.open(tmp_path).search(vectors, 7) == expected
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "ids.000001.json",
            "index.000001.faiss",
            "store.json",
            "vectors.000001.npy",
        ]


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

    def test_a_folder_of_the_first_format_is_read_and_the_next_flush_renews_it(self, tmp_path):
        store, vectors = self.filled(tmp_path)
        store.flush()
        expected = store.search(vectors, 7)
        facts = {key: value for key, value in unseal(tmp_path / "store.json")["facts"].items() if key != "version"}
        (tmp_path / "lance").mkdir()
        (tmp_path / "vectors.000002.lance").rename(tmp_path / "lance" / "vectors.lance")
        (tmp_path / "store.json").unlink()
        old = {"kind": "lance", "dim": 8, "count": 60, "search": facts}
        (tmp_path / "lance.json").write_text(json.dumps(old))
        again = LanceStore.open(tmp_path)
        assert (again.search(vectors, 7), again.ids) == (expected, names(60))
        for wrong, message in (
            ({"count": 61}, "vectors.lance holds 60 vectors of length 8; expected 61 of length 8"),
            ({"dim": 9}, "holds 60 vectors of length 8; expected 60 of length 9"),
            ({"search": None}, "lance.json has no sound count, dim and search; expected all three"),
            ({"search": {}}, "has no sound index, search, refine, recall@10"),
        ):
            (tmp_path / "lance.json").write_text(json.dumps({**old, **wrong}))
            with pytest.raises(IndexFormatError, match=message):
                LanceStore.open(tmp_path)
        again.add(["late#0-1"], unit(1, 8, seed=9))
        again.flush()
        assert LanceStore.open(tmp_path).ids == [*names(60), "late#0-1"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["store.json", "vectors.000001.lance"]

    def test_what_lance_raises_for_damage_becomes_our_error(self, tmp_path):
        store, vectors = self.filled(tmp_path)
        store.flush()
        header = tmp_path / "store.json"
        manifest = max(
            (tmp_path / "vectors.000002.lance" / "_versions").glob("*.manifest"), key=lambda p: p.stat().st_size
        )
        sound = manifest.read_bytes()
        refused = 0
        for position in range(0, len(sound), 7):  # a panic in Lance's code among the errors
            content = bytearray(sound)
            content[position] ^= 1 << position % 8
            manifest.write_bytes(content)
            try:
                LanceStore.open(tmp_path, verified=True).search(vectors[:1], 3)
            except IndexFormatError as err:
                refused += 1
                assert "vectors.000002.lance" in str(err) or str(tmp_path) in str(err)
        assert refused > 5
        manifest.write_bytes(sound)
        opened = LanceStore.open(tmp_path)
        (data,) = (tmp_path / "vectors.000002.lance" / "data").iterdir()
        data.write_bytes(data.read_bytes()[:100])
        with pytest.raises(IndexFormatError, match="cannot be read by LanceDB .*expected a sound Lance table"):
            opened.search(vectors[:1], 3)
        facts = unseal(header)
        header.write_bytes(seal({**facts, "files": {}}))
        data.parent.parent.rename(tmp_path / "away")
        with pytest.raises(
            IndexFormatError, match="vectors.000002.lance is missing; expected the folder of a Lance table"
        ):
            LanceStore.open(tmp_path)

    def test_a_flush_keeps_one_compacted_table(self, tmp_path):
        store, _ = self.filled(tmp_path)
        for row in range(5):
            store.add([f"extra#{row}-9"], unit(1, 8, seed=row + 50))
            store.flush()
        tables = list(tmp_path.glob("*.lance"))
        assert [path.name for path in tables] == ["vectors.000006.lance"]
        assert len(list((tables[0] / "data").iterdir())) == 1

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
