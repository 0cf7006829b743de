"""The LanceDB store: versions, compaction, filters in parts, and Lance's errors in our words."""

import json

import pytest

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.storage.files.sealing import seal, unseal
from quarry.indexer.stores.exact.store import ExactStore
from quarry.indexer.stores.lance.store import LanceStore
from tests.contracts.vector_store import VectorStoreContract, names, unit


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
            ({"count": 61}, "vectors.lance holds 60 vectors of length 8; expected 61 vectors of length 8"),
            ({"dim": 9}, "holds 60 vectors of length 8; expected 60 vectors of length 9"),
            ({"search": None}, "lance.json has no valid count, dim and search"),
            ({"search": {}}, "has no valid index, search, refine, recall@10"),
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
        with pytest.raises(IndexFormatError, match="cannot be read by LanceDB .*expected an undamaged Lance table"):
            opened.search(vectors[:1], 3)
        facts = unseal(header)
        header.write_bytes(seal({**facts, "files": {}}))
        data.parent.parent.rename(tmp_path / "away")
        with pytest.raises(
            IndexFormatError,
            match="vectors.000002.lance cannot be read .it is missing.; expected the folder of a Lance table",
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
        monkeypatch.setattr("quarry.indexer.stores.lance.rows._IDS_PER_FILTER", 7)
        store, vectors = self.filled(tmp_path)
        store.flush()
        allowed = names(60)[:30]
        reference = ExactStore.create(tmp_path / "reference", 8)
        reference.add(names(60), vectors)
        found, expected = (one.search(vectors[50:51], 9, allowed=allowed)[0] for one in (store, reference))
        assert [hit.chunk_id for hit in found] == [hit.chunk_id for hit in expected]

    def test_a_vector_index_is_tuned_to_its_recall(self, tmp_path, monkeypatch):
        monkeypatch.setattr("quarry.indexer.stores.lance.store._INDEX_FROM", 1000)
        store, vectors = self.filled(tmp_path, rows=2000, dim=32)
        store.flush()
        assert store.details["index"] == "ivf-hnsw-sq"
        assert store.details["recall@10"] >= 0.95
        again = self.reopen(tmp_path)
        assert again.details["search"] == store.details["search"]
        assert again.search(vectors[3:4], 1)[0][0].chunk_id == names(2000)[3]


@pytest.fixture
def of_somebody_else(tmp_path, monkeypatch):
    """A flushed store, for a user who has never seen it."""
    store = LanceStore.create(tmp_path / "store", 8)
    store.add(names(60), unit(60, 8))
    store.flush()
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "store"


def test_a_table_of_somebody_else_is_read_by_another_process_once(of_somebody_else, monkeypatch):
    assert len(LanceStore.open(of_somebody_else)) == 60
    monkeypatch.setattr("quarry.indexer.stores.lance.trial.Sandbox", None)
    assert len(LanceStore.open(of_somebody_else)) == 60
    header = of_somebody_else / "store.json"
    header.write_bytes(seal({**unseal(header), "facts": {**unseal(header)["facts"], "note": "changed"}}))
    with pytest.raises(TypeError, match="not callable"):
        LanceStore.open(of_somebody_else)


def test_a_table_that_ends_the_process_that_reads_it_is_refused_in_words(of_somebody_else, monkeypatch):
    monkeypatch.setattr("quarry.indexer.stores.lance.trial._MEMORY", 400 << 20)  # Lance alone maps more
    monkeypatch.setattr("quarry.indexer.stores.lance.trial._MEMORY_A_CORE", 0)
    for _ in range(2):  # nothing is remembered
        with pytest.raises(IndexFormatError, match="could not be read by LanceDB in a process of its own"):
            LanceStore.open(of_somebody_else)


def test_a_table_that_was_flushed_here_is_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("quarry.indexer.stores.lance.trial.Sandbox", None)
    store = LanceStore.create(tmp_path, 8)
    store.add(names(60), unit(60, 8))
    store.flush()
    assert len(LanceStore.open(tmp_path)) == 60
