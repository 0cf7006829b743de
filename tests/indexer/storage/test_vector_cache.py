"""What was encoded once is found again, by the digest of its passage, and damage is noticed."""

import sqlite3

import numpy as np
import pytest

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.storage.vectors.blob_cache import passage_digest
from quarry.indexer.storage.vectors.vector_cache import VectorCache


def test_vectors_come_back_in_the_order_asked_for_after_reopening(tmp_path):
    rng = np.random.default_rng(0)
    texts = [f"段落 {number}" for number in range(1200)]
    digests = [passage_digest(text) for text in texts]
    vectors = rng.standard_normal((1200, 8)).astype(np.float32)
    cache = VectorCache.open(tmp_path / "cache.sqlite", 8)
    assert cache.missing(digests) == set(digests)
    cache.put(digests, vectors)
    cache.close()
    cache = VectorCache.open(tmp_path / "cache.sqlite", 8)
    order = rng.permutation(1200)
    rounded = vectors.astype(np.float16).astype(np.float32)
    assert np.array_equal(cache.get([digests[i] for i in [*order, 5, 5]]), rounded[[*order, 5, 5]])
    assert cache.missing([*digests[:3], passage_digest("new")]) == {passage_digest("new")}


def test_what_is_measured_with_halves_differs_by_less_than_a_ten_thousandth(tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((500, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    digests = [passage_digest(str(number)) for number in range(500)]
    cache = VectorCache.open(tmp_path / "cache.sqlite", 384)
    cache.put(digests, vectors)
    assert np.abs(cache.get(digests) @ vectors.T - vectors @ vectors.T).max() < 1e-4


def test_vectors_that_were_kept_in_float32_are_read_beside_new_ones(tmp_path):
    vectors = np.arange(16, dtype=np.float32).reshape(2, 8)
    digests = [passage_digest("of before"), passage_digest("new")]
    cache = VectorCache.open(tmp_path / "cache.sqlite", 8)
    cache._blobs.put(digests[:1], [vectors[0].astype("<f4").tobytes()])
    cache.put(digests[1:], vectors[1:])
    assert np.array_equal(cache.get(digests), vectors)


def test_a_missing_vector_is_named(tmp_path):
    cache = VectorCache.open(tmp_path / "cache.sqlite", 8)
    with pytest.raises(KeyError, match="1 passages have no embedding yet"):
        cache.get([passage_digest("never seen")])


def test_a_wrong_shape_changes_nothing(tmp_path):
    cache = VectorCache.open(tmp_path / "cache.sqlite", 8)
    with pytest.raises(ValueError, match=r"shape \(1, 4\); expected \(1, 8\)"):
        cache.put([passage_digest("a")], np.zeros((1, 4), np.float32))
    assert cache.missing([passage_digest("a")])


def test_a_flipped_bit_is_noticed(tmp_path):
    cache = VectorCache.open(tmp_path / "cache.sqlite", 2)
    cache.put([passage_digest("a")], np.array([[1.0, 0.0]], np.float32))
    cache.close()
    with sqlite3.connect(tmp_path / "cache.sqlite") as db:
        db.execute("UPDATE vectors SET vector = ?", (np.array([0.9, 0.0], "<f4").tobytes(),))
    db.close()
    with pytest.raises(IndexFormatError, match="does not match its checksum"):
        VectorCache.open(tmp_path / "cache.sqlite", 2).get([passage_digest("a")])


def test_what_is_not_kept_is_forgotten(tmp_path):
    cache = VectorCache.open(tmp_path / "cache.sqlite", 2)
    digests = [passage_digest(text) for text in "abc"]
    cache.put(digests, np.eye(3, 2, dtype=np.float32))
    cache.keep({digests[1]})
    assert cache.missing(digests) == {digests[0], digests[2]}
    assert cache.get([digests[1]]).tolist() == [[0.0, 1.0]]


def test_damage_that_hides_a_row_is_noticed(tmp_path):
    path, digests = tmp_path / "cache.sqlite", sorted(passage_digest(str(number)) for number in range(50))
    cache = VectorCache.open(path, 8)
    cache.put(digests, np.ones((50, 8), np.float32))
    cache.close()
    path.write_bytes(path.read_bytes().replace(digests[20], b"\xff" * 16))
    with pytest.raises(IndexFormatError, match="cache.sqlite is damaged"):
        VectorCache.open(path, 8).get([digests[20]])
