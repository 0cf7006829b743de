"""An interrupted build finds what it has encoded; whatever a crash left half-written is cut off."""

import numpy as np
import pytest

from quarry.indexer.storage.vectors.blob_cache import passage_digest
from quarry.indexer.storage.vectors.vector_log import VectorLog

RNG = np.random.default_rng(0)
DIGESTS = [passage_digest(f"段落 {number}") for number in range(700)]
VECTORS = RNG.standard_normal((700, 8)).astype(np.float32)


def log(tmp_path):
    return VectorLog(tmp_path, "f" * 16, 8)


def files(tmp_path):
    return [tmp_path / "embeddings" / f"{'f' * 16}.{ending}" for ending in ("vectors", "digests")]


def test_vectors_come_back_after_reopening_and_more_can_be_added(tmp_path):
    with log(tmp_path) as opened:
        assert opened.find(DIGESTS[:2]).tolist() == [-1, -1]
        opened.put(DIGESTS[:300], VECTORS[:300])
    with log(tmp_path) as opened:
        opened.put(DIGESTS[300:], VECTORS[300:])
        order = RNG.permutation(700)
        assert np.array_equal(opened.read(opened.find([DIGESTS[row] for row in order])), VECTORS[order])
    with log(tmp_path) as opened:
        assert opened.find([DIGESTS[699], passage_digest("new")]).tolist() == [699, -1]


def test_nothing_is_written_before_the_first_vector(tmp_path):
    with log(tmp_path) as opened:
        assert opened.find(DIGESTS[:1]).tolist() == [-1]
    assert not (tmp_path / "embeddings").exists()


@pytest.mark.parametrize("left", [0, 1, 19, 20, 21, 20 * 299, 20 * 300 - 1])
def test_a_torn_record_is_cut_off_and_written_again(tmp_path, left):
    with log(tmp_path) as opened:
        opened.put(DIGESTS[:300], VECTORS[:300])
    digests = files(tmp_path)[1]
    digests.write_bytes(digests.read_bytes()[:left])
    with log(tmp_path) as opened:
        assert (opened.find(DIGESTS[:300]) >= 0).sum() == left // 20
        opened.put(DIGESTS[left // 20 :], VECTORS[left // 20 :])
        assert np.array_equal(opened.read(opened.find(DIGESTS)), VECTORS)
    with log(tmp_path) as opened:
        assert np.array_equal(opened.read(opened.find(DIGESTS)), VECTORS)


def test_a_vector_that_never_reached_the_disk_is_cut_off_with_all_behind_it(tmp_path):
    """After a power cut, lengths may be right and contents not."""
    with log(tmp_path) as opened:
        opened.put(DIGESTS, VECTORS)
    vectors = files(tmp_path)[0]
    content = bytearray(vectors.read_bytes())
    content[32 * 500 : 32 * 501] = bytes(32)
    vectors.write_bytes(content)
    with log(tmp_path) as opened:
        assert opened.find(DIGESTS[499:502]).tolist() == [499, -1, -1]


def test_a_wrong_shape_changes_nothing(tmp_path):
    with log(tmp_path) as opened, pytest.raises(ValueError, match=r"shape \(1, 4\); expected \(1, 8\)"):
        opened.put(DIGESTS[:1], np.zeros((1, 4), np.float32))
    with log(tmp_path) as opened:
        assert opened.find(DIGESTS[:1]).tolist() == [-1]


def test_removing_leaves_nothing(tmp_path):
    with log(tmp_path) as opened:
        opened.put(DIGESTS, VECTORS)
    VectorLog.remove(tmp_path, "f" * 16)
    assert not list((tmp_path / "embeddings").iterdir())
    VectorLog.remove(tmp_path, "f" * 16)


def test_more_digests_than_are_gathered_at_once_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr("quarry.indexer.storage.vectors.digest_table._ROOM", 16)
    with log(tmp_path) as opened:
        for first in range(0, 700, 7):
            opened.put(DIGESTS[first : first + 7], VECTORS[first : first + 7])
            assert opened.find(DIGESTS[: first + 7]).tolist() == list(range(first + 7))
