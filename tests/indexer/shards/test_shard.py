"""A shard is there whole or not at all; what is damaged is named, and never taken for vectors."""

import os

import numpy as np
import pytest

from quarry.indexer.embedder import TermWeights
from quarry.indexer.shards.shard import (
    Shard,
    ShardError,
    has_shard,
    put_if_absent,
    read_shard,
    shard_name,
    shard_names,
    sweep,
    write_shard,
)
from quarry.indexer.storage.vectors.blob_cache import passage_digest


def some(count: int = 5, *, seed: int = 0, parts: bool = False) -> Shard:
    rng = np.random.default_rng(seed)
    digests = [passage_digest(f"{seed} {number}") for number in range(count)]
    vectors = rng.standard_normal((count, 8)).astype(np.float32)
    if not parts:
        return Shard(digests, vectors)
    states = [rng.integers(-127, 127, (number, 4)).astype(np.int8) for number in range(count)]  # the first has none
    terms = [TermWeights(np.arange(number), np.ones(number, np.float32)) for number in range(count)]
    return Shard(digests, vectors, states, terms)


@pytest.mark.parametrize("parts", [False, True])
def test_a_shard_comes_back_as_it_was_written(tmp_path, parts):
    shard = some(parts=parts)
    assert write_shard(tmp_path, "one", shard)
    back = read_shard(tmp_path, "one")
    assert list(back.digests) == list(shard.digests)
    assert np.array_equal(back.vectors, shard.vectors)
    assert [one.tolist() for one in back.states] == [one.tolist() for one in shard.states]
    assert [(one.ids.tolist(), one.weights.tolist()) for one in back.terms] == [
        (one.ids.tolist(), one.weights.tolist()) for one in shard.terms
    ]


def test_the_first_of_two_writers_decides_and_nothing_of_the_other_stays(tmp_path):
    assert write_shard(tmp_path, "one", some(seed=1))
    assert not write_shard(tmp_path, "one", some(seed=2))
    assert np.array_equal(read_shard(tmp_path, "one").vectors, some(seed=1).vectors)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_writing_the_same_twice_keeps_it(tmp_path):
    assert write_shard(tmp_path, "one", some())
    assert not write_shard(tmp_path, "one", some())
    assert len(read_shard(tmp_path, "one").digests) == 5


def test_every_flipped_byte_is_noticed(tmp_path):
    write_shard(tmp_path, "one", some(parts=True))
    (data,) = tmp_path.glob("*.safetensors")
    good = data.read_bytes()
    for place in range(0, len(good), 41):
        data.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(ShardError, match=data.name):
            read_shard(tmp_path, "one")


@pytest.mark.parametrize("spoil", ["cut", "gone", "marker"])
def test_what_is_damaged_counts_as_missing_and_is_written_again(tmp_path, spoil):
    write_shard(tmp_path, "one", some())
    (data,) = tmp_path.glob("*.safetensors")
    if spoil == "cut":
        data.write_bytes(data.read_bytes()[:-1])
    elif spoil == "gone":
        data.unlink()
    else:
        (tmp_path / "one.json").write_text('{"file": "one', encoding="utf-8")
    assert not has_shard(tmp_path, "one")
    assert write_shard(tmp_path, "one", some())
    assert has_shard(tmp_path, "one")
    assert shard_names(tmp_path) == ["one"]


def test_a_marker_that_names_a_file_elsewhere_is_refused(tmp_path):
    from quarry.indexer.storage.files.sealing import seal

    marker = {"file": "../secret.safetensors", "size": 1, "sha256": "0" * 64, "passages": 1}
    (tmp_path / "one.json").write_bytes(seal(marker))
    with pytest.raises(ShardError, match="elsewhere"):
        read_shard(tmp_path, "one")


def test_a_file_is_put_only_where_there_is_none(tmp_path):
    assert put_if_absent(tmp_path / "a", b"first")
    assert not put_if_absent(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_is_put_where_there_are_no_hard_links(tmp_path, monkeypatch):
    import errno
    import os

    def refuse(*_args: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert put_if_absent(tmp_path / "a", b"first")
    assert not put_if_absent(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"


def test_the_name_of_a_shard_is_that_of_its_passages_in_any_order_and_of_its_settings():
    digests = list(some().digests)
    assert shard_name(digests, "m") == shard_name(digests[::-1], "m")
    assert shard_name(digests, "m") != shard_name(digests, "n")
    assert shard_name(digests, "m") != shard_name(digests[1:], "m")


def test_what_dead_writers_left_is_swept(tmp_path):
    (tmp_path / ".one.json.gz.7.new").write_bytes(b"half")
    (tmp_path / "..one.json.gz.7.new.7.tmp").write_bytes(b"")
    (tmp_path / ".two.json.gz.7.new").write_bytes(b"half")
    (tmp_path / "one.json.gz").write_bytes(b"whole")
    sweep(tmp_path, "one.json.gz")
    assert {path.name for path in tmp_path.iterdir()} == {"one.json.gz", ".two.json.gz.7.new"}
    sweep(tmp_path, older=3600)
    assert (tmp_path / ".two.json.gz.7.new").exists(), "its writer may be at work"
    for moment in (0, 4_000_000_000):  # of before the clock went back
        (tmp_path / ".two.json.gz.7.new").write_bytes(b"half")
        os.utime(tmp_path / ".two.json.gz.7.new", (moment, moment))
        sweep(tmp_path, older=3600)
        assert {path.name for path in tmp_path.iterdir()} == {"one.json.gz"}


def test_a_writer_whose_half_file_is_swept_leaves_the_word_to_the_other(tmp_path, monkeypatch):
    link = os.link
    monkeypatch.setattr(os, "link", lambda temp, path: (sweep(tmp_path), link(temp, path)))
    assert not put_if_absent(tmp_path / "one", b"mine")
    assert not list(tmp_path.iterdir())
