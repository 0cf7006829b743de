"""The exact store: the reference for all others, and how damage of its files is refused."""

import json

import numpy as np
import pytest

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.storage.files.sealing import describe, seal, unseal
from quarry.indexer.stores.exact.store import ExactStore
from tests.contracts.vector_store import VectorStoreContract, names, unit
from tests.indexer.stores.first_format import write_first_exact


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
            "ids.000001.npy",
            "places.000001.npy",
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
            ({"kind": "faiss"}, "holds kind 'faiss' and dim 8; expected kind 'exact' and a number"),
            ({"dim": 9}, r"vectors.npy holds float32 of shape \(60, 8\); expected float32 of shape \(60, 9\)"),
            ({"ids": names(59)}, r"expected float32 of shape \(59, 8\)"),
            (
                {"ids": [*names(59), "文档/d0#0-9"]},
                "store.json holds 60 ids, 59 of them different; expected 60 different ones",
            ),
            ({"ids": {"a": 1}}, "store.json holds no list of ids; expected an id for each vector"),
        ):
            header.write_text(json.dumps({**facts, **wrong}), encoding="utf-8")
            with pytest.raises(IndexFormatError, match=message):
                ExactStore.open(tmp_path)
        for content, message in (
            (b"\xff", "store.json cannot be read"),
            (b"[" * 100_000, "store.json is damaged: it is not valid JSON"),
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
        with pytest.raises(IndexFormatError, match="a vector stored in .* is not finite"):
            ExactStore.open(tmp_path, verified=True).search(vectors[:1], 4)

    def test_ids_that_are_no_list_of_ids_are_refused(self, tmp_path):
        store, _ = self.filled(tmp_path)
        store.flush()
        path, header = tmp_path / "ids.000001.json", tmp_path / "store.json"
        for content, message in (
            (b"{not json", "ids.000001.json cannot be read .*; expected a list of ids"),
            (b"[1, 2]", "ids.000001.json holds no list of ids"),
            (
                json.dumps(names(59)).encode(),
                "ids.000001.json holds 59 ids, 59 of them different; expected 60 different ones",
            ),
        ):
            path.write_bytes(content)
            facts = unseal(header)
            facts["files"] |= {key: fact.model_dump() for key, fact in describe(tmp_path, [path]).items()}
            header.write_bytes(seal(facts))
            with pytest.raises(IndexFormatError, match=message):
                ExactStore.open(tmp_path)
