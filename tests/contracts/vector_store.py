"""What every vector store must do. A store's test inherits `VectorStoreContract` and supplies `make` and `reopen`."""

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from quarry.indexer.embedder import Vectors
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.storage.files.sealing import seal, unseal
from quarry.indexer.stores.base import VectorStore
from quarry.indexer.stores.exact.store import ExactStore


def unit(rows: int, dim: int, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def names(rows: int) -> list[str]:
    return [f"文档/d{row % 7}#{row}-{row + 9}" for row in range(rows)]


def chunk_ids(store: VectorStore, query: Vectors, k: int) -> list[str]:
    return [hit.chunk_id for hit in store.search(query, k)[0]]


def damaged(folder: Path) -> Iterator[tuple[str, Path]]:
    """Damage every file of a folder in turn, in several ways; yields what was done and to which file."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        sound = path.read_bytes()
        rng = random.Random(path.suffix)
        for position in rng.sample(range(len(sound)), min(3, len(sound))):
            flipped = bytearray(sound)
            flipped[position] ^= 1 << rng.randrange(8)
            path.write_bytes(flipped)
            yield f"flipped a bit of byte {position}", path
            path.write_bytes(sound[:position])
            yield f"cut at {position}", path
        path.unlink()
        yield "removed", path
        path.write_bytes(sound)


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

    @pytest.mark.parametrize(("rows", "dim"), [(5, 64), (61, 8), (97, 384)])
    def test_equal_vectors_are_equally_similar_and_in_id_order_however_many(self, tmp_path, rows, dim):
        store = self.make(tmp_path, dim)
        rng = np.random.default_rng(rows)
        vectors = unit(rows, dim)
        twins = rng.permutation(rows)[: max(5, rows // 2)]
        vectors[twins] = vectors[twins[0]]
        stored = [names(rows)[row] for row in rng.permutation(rows)]
        store.add(stored, vectors)
        store.flush()
        expected = sorted(stored[row] for row in twins)
        for batch in (1, 5, 32):
            queries = np.concatenate([vectors[twins[:1]], unit(batch - 1, dim, seed=8)])
            for k in (3, len(twins), rows):
                hits = store.search(queries, k)[0][: len(twins)]
                assert [hit.chunk_id for hit in hits] == expected[:k]
                assert len({hit.similarity for hit in hits}) == 1
            filtered = store.search(queries, 3, allowed=expected[2:])[0]
            assert [hit.chunk_id for hit in filtered] == expected[2:5]

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
        with pytest.raises(ValueError, match="query 1 holds a value that is not finite; expected unit vectors"):
            store.search(np.array([[0] * 8, [np.inf] * 8], np.float32), 3)
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
        with pytest.raises(IndexFormatError, match="is not a store: it has no store.json"):
            self.reopen(tmp_path)

    def test_what_was_not_flushed_is_rolled_back_at_opening(self, tmp_path):
        store, vectors = self.filled(tmp_path)
        store.flush()
        late, later = unit(1, 8, seed=9), unit(1, 8, seed=10)
        again = self.reopen(tmp_path)
        again.add(["late#0-1"], late)
        again.remove([names(60)[0]])
        third = self.reopen(tmp_path)
        assert third.ids == names(60)
        assert third.search(vectors, 5) == store.search(vectors, 5)
        third.add(["later#0-1"], later)
        assert chunk_ids(third, later, 1) == ["later#0-1"]
        third.flush()
        assert self.reopen(tmp_path).ids == [*names(60), "later#0-1"]

    @pytest.mark.parametrize("leftovers", [False, True])
    def test_a_flush_that_dies_leaves_what_was_flushed_before(self, tmp_path, monkeypatch, leftovers):
        store, vectors = self.filled(tmp_path)
        store.flush()
        files = sorted(tmp_path.rglob("*"))
        store.remove(names(60)[:30])
        store.add(["new#0-1"], unit(1, 8, seed=9))

        def full(*_args):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
            patch.setattr("quarry.indexer.stores.sealed.write_atomic", full)
            if leftovers:  # as a killed process leaves them
                patch.setattr("quarry.indexer.stores.sealed.State.drop", lambda _state: None)
            store.flush()
        before = self.reopen(tmp_path)
        assert before.ids == names(60)
        assert [hits[0].chunk_id for hits in before.search(vectors, 1)] == names(60)
        if not leftovers and type(store).__name__ != "LanceStore":  # whose additions are files at once
            assert sorted(tmp_path.rglob("*")) == files
        assert chunk_ids(store, unit(1, 8, seed=9), 1) == ["new#0-1"]
        store.flush()
        assert self.reopen(tmp_path).ids == [*names(60)[30:], "new#0-1"]
        stems = {path.name.split(".")[1] for path in tmp_path.iterdir() if path.name != "store.json"}
        assert len(stems) == 1, "files of one flush only"

    def test_damage_to_any_file_is_refused_at_opening_and_the_file_is_named(self, tmp_path):
        store, _ = self.filled(tmp_path)
        store.flush()
        tried = 0
        for what, path in damaged(tmp_path):
            if path.name == "latest_version_hint.json":  # Lance finds the version without it
                continue
            tried += 1
            try:
                self.reopen(tmp_path)
            except IndexFormatError as err:
                assert path.name in str(err), what
                assert (
                    "store.json" in str(err)
                    or "expected" in str(err)
                    or "is missing" in str(err)
                    or "bytes instead of" in str(err)
                    or "SHA-256" in str(err)
                )
                assert "index again" in str(err)
            else:
                pytest.fail(f"{path} {what}, and it was opened")
        assert tried >= 14

    def test_sizes_are_compared_even_when_the_digests_are_known(self, tmp_path):
        store, _ = self.filled(tmp_path)
        store.flush()
        for what, path in damaged(tmp_path):
            if path.name != "latest_version_hint.json" and not what.startswith("flipped"):
                with pytest.raises(IndexFormatError, match=path.name):
                    type(store).open(tmp_path, verified=True)
        type(store).open(tmp_path, verified=True)

    def test_everything_is_on_the_disk_before_the_header_names_it(self, tmp_path, monkeypatch):
        store, _ = self.filled(tmp_path)
        synced: set[str] = set()
        fsync, replace = os.fsync, Path.replace
        monkeypatch.setattr(os, "fsync", lambda fd: (synced.add(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd))[1])
        complete: list[set[str]] = []

        def spy(path, target):
            if Path(target).name == "store.json":
                files = {str(file) for file in tmp_path.rglob("*") if "000001" not in str(file)}
                complete.append(files | {str(tmp_path)})
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", spy)
        store.flush()
        newest = max(int(path.name.split(".")[1]) for path in tmp_path.iterdir() if path.name.startswith("vectors."))
        assert len(complete) == 1
        assert complete[0] <= synced
        assert any(f"{newest:06d}" in name for name in synced)

    def test_a_newer_format_and_another_kind_are_refused(self, tmp_path):
        store, _ = self.filled(tmp_path)
        store.flush()
        header = tmp_path / "store.json"
        content = unseal(header)
        header.write_bytes(seal({**content, "format": 3}))
        with pytest.raises(
            IndexFormatError, match="store.json has format 3; expected .* reads: 1, 2. Upgrade quarry-search"
        ):
            self.reopen(tmp_path)
        header.write_bytes(seal({**content, "kind": "annoy"}))
        with pytest.raises(IndexFormatError, match="is that of a store of kind 'annoy'; expected '"):
            self.reopen(tmp_path)
        header.write_bytes(seal({**content, "dim": "8"}))
        with pytest.raises(IndexFormatError, match=r"store.json is damaged: 1 wrong field, first dim"):
            self.reopen(tmp_path)
        header.write_bytes(seal({**content, "count": 61}))
        with pytest.raises(IndexFormatError, match="60.*expected.*61"):
            self.reopen(tmp_path)
