"""The FAISS store: tuned to its recall, ids stable, and no byte read by FAISS that was not compared before."""

import json
from pathlib import Path

import numpy as np
import pytest

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.storage.files.sealing import describe, seal, unseal
from quarry.indexer.stores.exact.store import ExactStore
from quarry.indexer.stores.faiss.store import FaissOptions, FaissStore
from tests.contracts.vector_store import VectorStoreContract, names, unit
from tests.indexer.stores.first_format import write_first_exact


def faiss_bytes(path: Path, rows: int, dim: int) -> bytes:
    import faiss

    index = faiss.IndexFlatIP(dim)
    index.add(unit(rows, dim))
    faiss.write_index(index, str(path))
    return path.read_bytes()


def forge(folder: Path, path: Path) -> None:
    """Write the digest of a changed file into the header, as whoever made the index could."""
    facts = unseal(folder / "store.json")
    facts["files"] |= {key: fact.model_dump() for key, fact in describe(folder, [path]).items()}
    (folder / "store.json").write_bytes(seal(facts))


def flushed(folder: Path, store: FaissStore) -> Path:
    """Flush a store and return the file of its index; a flat one gets the file that stores of before 0.3.0 have."""
    import faiss

    store.flush()
    path = folder / "index.000001.faiss"
    if not path.is_file():
        faiss.write_index(store._index, str(path))
        forge(folder, path)
    return path


class TestFaissFlat(VectorStoreContract):
    kind = "flat"

    def make(self, folder, dim):
        return FaissStore.create(folder, dim, FaissOptions(self.kind))

    def reopen(self, folder):
        return FaissStore.open(folder)

    def test_a_changed_file_is_never_read_by_faiss(self, tmp_path, monkeypatch):
        store, _ = self.filled(tmp_path)
        path = flushed(tmp_path, store)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        monkeypatch.setattr("quarry.indexer.stores.faiss.store.read_index", None)
        with pytest.raises(IndexFormatError, match="index.000001.faiss does not match its recorded SHA-256"):
            FaissStore.open(tmp_path, verified=True)
        path.write_bytes(content[:50])
        with pytest.raises(IndexFormatError, match="index.000001.faiss has 50 bytes instead of"):
            FaissStore.open(tmp_path, verified=True)

    def test_a_forged_file_is_refused_before_memory_is_taken_for_it(self, tmp_path):
        """Whoever makes an index for others can give any bytes a matching digest."""
        store, _ = self.filled(tmp_path)
        path = flushed(tmp_path, store)
        sound = path.read_bytes()
        for place, content, message in (
            (0, b"IxMp", "its first bytes are not those of the kind"),
            (
                4,
                (1 << 30).to_bytes(4, "little"),
                "holds 60 vectors of length 1073741824; expected 60 vectors of length 8",
            ),
            (8, (1 << 40).to_bytes(8, "little"), "holds 1,099,511,627,776 vectors of length 8; expected 60"),
            (37, (1 << 36).to_bytes(8, "little"), "cannot be read .*; expected a FAISS index"),
        ):
            path.write_bytes(sound[:place] + content + sound[place + len(content) :])
            forge(tmp_path, path)
            with pytest.raises(IndexFormatError, match=message):
                FaissStore.open(tmp_path)
        path.write_bytes(sound[:20])
        forge(tmp_path, path)
        with pytest.raises(IndexFormatError, match="it has 20 bytes"):
            FaissStore.open(tmp_path)

    def test_what_faiss_cannot_read_is_refused(self, tmp_path):
        store, _ = self.filled(tmp_path)
        header, path = tmp_path / "store.json", flushed(tmp_path, store)
        for content, message in (
            (b"no index", "index.000001.faiss cannot be read .*; expected a FAISS index"),
            (faiss_bytes(tmp_path / "other", 60, 4), "holds 60 vectors of length 4; expected 60 vectors of length 8"),
            (faiss_bytes(tmp_path / "fewer", 59, 8), "holds 59 vectors of length 8; expected 60 vectors of length 8"),
        ):
            path.write_bytes(content)
            facts = unseal(header)
            facts["files"] |= {key: fact.model_dump() for key, fact in describe(tmp_path, [path]).items()}
            header.write_bytes(seal(facts))
            with pytest.raises(IndexFormatError, match=message):
                FaissStore.open(tmp_path)
        header.write_bytes(seal({**facts, "files": {}}))
        with pytest.raises(IndexFormatError, match="store.json does not name index.000001.faiss"):
            FaissStore.open(tmp_path)

    def test_a_record_without_its_tuning_is_refused(self, tmp_path):
        store, _ = self.filled(tmp_path)
        store.flush()
        facts = unseal(tmp_path / "store.json")
        facts["facts"]["search"] = "64"
        del facts["facts"]["refine"]
        (tmp_path / "store.json").write_bytes(seal(facts))
        with pytest.raises(IndexFormatError, match="store.json has no valid search, refine of the vector index"):
            FaissStore.open(tmp_path)

    def test_a_folder_of_the_first_format_is_read_and_the_next_flush_renews_it(self, tmp_path):
        store, vectors = self.filled(tmp_path)
        path = flushed(tmp_path, store)
        expected = store.search(vectors, 7)
        facts = unseal(tmp_path / "store.json")["facts"]
        path.rename(tmp_path / "index.faiss")
        fact = next(iter(describe(tmp_path, [tmp_path / "index.faiss"]).values()))
        old = {**facts, "bytes": fact.size, "sha256": fact.sha256}
        (tmp_path / "faiss.json").write_text(json.dumps(old))
        write_first_exact(tmp_path)
        again = FaissStore.open(tmp_path)
        assert (again.search(vectors, 7), again.ids) == (expected, names(60))
        for wrong, message in (
            ({"sha256": "0" * 64}, "index.faiss does not match its recorded SHA-256"),
            (
                {"bytes": None},
                "faiss.json holds kind 'faiss' and size None; expected kind 'faiss', a size and a SHA-256",
            ),
            ({"search": None}, "store.json has no valid search"),
        ):
            (tmp_path / "faiss.json").write_text(json.dumps({**old, **wrong}))
            with pytest.raises(IndexFormatError, match=message):
                FaissStore.open(tmp_path)
        again.flush()
        assert FaissStore.open(tmp_path).search(vectors, 7) == expected
        index = [] if self.stored_flat() else ["index.000001.faiss"]
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            ["ids.000001.npy", *index, "places.000001.npy", "store.json", "vectors.000001.npy"]
        )

    def test_a_flat_index_is_made_of_the_vectors_and_not_stored_again(self, tmp_path):
        store, vectors = self.filled(tmp_path)
        store.flush()
        files = [path.name for path in tmp_path.iterdir()]
        assert ("index.000001.faiss" in files) is not self.stored_flat()
        opened = FaissStore.open(tmp_path)
        assert opened._index.ntotal == len(vectors) == 60
        assert opened.search(vectors, 7) == store.search(vectors, 7)

    def stored_flat(self):
        """60 vectors are too few for inverted lists."""
        return self.kind != "hnsw-sq8"


class TestFaissHnsw(TestFaissFlat):
    exact = False
    kind = "hnsw-sq8"


class TestFaissIvf(TestFaissFlat):
    exact = False
    kind = "ivf-pq"


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
    monkeypatch.setattr("quarry.indexer.stores.faiss.store._HNSW_FROM", 100)
    monkeypatch.setattr("quarry.indexer.stores.faiss.store._IVF_FROM", 1000)
    for rows, expected in ((50, "flat"), (200, "hnsw-sq8"), (1200, "ivf-pq")):
        store = FaissStore.create(tmp_path / str(rows), 16)
        store.add(names(rows), unit(rows, 16))
        store.flush()
        assert store.details["index"] == expected


def test_a_wide_filter_on_an_approximate_index_keeps_k(tmp_path, monkeypatch):
    monkeypatch.setattr("quarry.indexer.stores.faiss.store._EXACT_BELOW", 10)
    for kind in ("flat", "hnsw-sq8", "ivf-pq"):
        store = FaissStore.create(tmp_path / kind, 16, FaissOptions(kind))
        store.add(names(1000), unit(1000, 16))
        store.flush()
        allowed = set(names(1000)[::20])
        hits = store.search(unit(3, 16, seed=4), 8, allowed=allowed)
        assert all(len(line) == 8 and {hit.chunk_id for hit in line} <= allowed for line in hits)


def rewrite(folder: Path, change) -> None:
    """Change what FAISS holds, and make the digests agree."""
    import faiss

    path = folder / "index.000001.faiss"
    index = faiss.read_index(str(path))
    change(faiss, index)
    faiss.write_index(index, str(path))
    forge(folder, path)


def numbers_of_lists(value):
    def change(faiss, index):
        for number in range(index.nlist):
            size = index.invlists.list_size(number)
            if size:
                held = faiss.rev_swig_ptr(index.invlists.get_ids(number), size)
                held[:] = held // 2 if value is None else value

    return change


@pytest.mark.parametrize("value", [700, 1 << 40])
def test_numbers_in_the_inverted_lists_that_are_no_vectors_are_refused(tmp_path, value):
    store = FaissStore.create(tmp_path, 8, FaissOptions("ivf-pq"))
    store.add(names(700), unit(700, 8))
    store.flush()
    rewrite(tmp_path, numbers_of_lists(value))
    with pytest.raises(IndexFormatError, match="expected 700 vectors of length 8"):
        FaissStore.open(tmp_path).search(unit(1, 8), 3)


def test_a_number_that_stands_twice_in_inverted_lists_comes_out_once(tmp_path):
    store = FaissStore.create(tmp_path, 8, FaissOptions("ivf-pq"))
    store.add(names(700), unit(700, 8))
    store.flush()
    rewrite(tmp_path, numbers_of_lists(None))
    for line in FaissStore.open(tmp_path).search(unit(20, 8), 3):
        assert len({hit.chunk_id for hit in line}) == len(line) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda faiss, index: setattr(index.hnsw, "entry_point", 700),
        lambda faiss, index: setattr(index.hnsw, "max_level", 99),
        lambda faiss, index: faiss.copy_array_to_vector(np.full(700, 50, np.int32), index.hnsw.levels),
        lambda faiss, index: faiss.copy_array_to_vector(np.zeros(701, np.uint64), index.hnsw.offsets),
    ],
    ids=["entry point", "highest level", "levels", "places of neighbors"],
)
def test_a_graph_that_leads_outside_is_refused(tmp_path, change):
    store = FaissStore.create(tmp_path, 8, FaissOptions("hnsw-sq8"))
    store.add(names(700), unit(700, 8))
    store.flush()
    rewrite(tmp_path, change)
    with pytest.raises(IndexFormatError, match="index.000001.faiss cannot be read"):
        FaissStore.open(tmp_path)


def test_an_effort_beyond_all_vectors_takes_no_memory_for_it(tmp_path):
    store = FaissStore.create(tmp_path, 8, FaissOptions("hnsw-sq8"))
    store.add(names(700), unit(700, 8))
    store.flush()
    header = unseal(tmp_path / "store.json")
    header["facts"]["search"] = 1 << 30
    (tmp_path / "store.json").write_bytes(seal(header))
    opened = FaissStore.open(tmp_path)
    assert opened._index.hnsw.efSearch == 700
    assert len(opened.search(unit(1, 8), 3)[0]) == 3
