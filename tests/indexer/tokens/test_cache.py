"""Token states on disk: what was put comes back, damage is named, a second thread may read."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.storage.vectors.blob_cache import passage_digest
from quarry.indexer.tokens.cache import TokenCache
from quarry.indexer.tokens.projection import Projection

PROJECTION = Projection(np.arange(3, dtype=np.float32), np.eye(3, 2, dtype=np.float32))
ONE, TWO, OTHER = (passage_digest(text) for text in ("one", "二", "other"))
STATES = [np.array([[1, -2], [127, 0], [3, 4]], np.int8), np.zeros((0, 2), np.int8)]


@pytest.fixture
def filled(tmp_path):
    cache = TokenCache.open(tmp_path, "f00d")
    cache.keep(PROJECTION)
    cache.put([ONE, TWO], STATES)
    yield tmp_path
    cache.close()


def test_states_come_back_in_order_and_none_for_an_unknown_passage(filled):
    cache = TokenCache.read(filled, "f00d")
    two, unknown, one, again = cache.get([TWO, OTHER, ONE, ONE], 2)
    np.testing.assert_array_equal(one, STATES[0])
    np.testing.assert_array_equal(again, STATES[0])
    assert two.shape == (0, 2) and unknown is None
    assert cache.missing([ONE, OTHER]) == {OTHER}
    assert cache.size() == 6
    kept = cache.projection()
    np.testing.assert_array_equal(kept.mean, PROJECTION.mean)
    np.testing.assert_array_equal(kept.basis, PROJECTION.basis)


def test_a_reader_in_other_threads_sees_what_the_writer_adds(filled):
    reader, writer = TokenCache.read(filled, "f00d"), TokenCache.open(filled, "f00d")
    writer.put([OTHER], [STATES[0]])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: reader.get([OTHER], 2)[0], range(20)))
    assert all((one == STATES[0]).all() for one in found)


def test_another_projection_takes_its_predecessors_rows_along(filled):
    cache = TokenCache.open(filled, "f00d")
    cache.keep(Projection(np.zeros(3, np.float32), np.eye(3, 1, dtype=np.float32)))
    assert cache.missing([ONE, TWO]) == {ONE, TWO}
    assert cache.projection().dim == 1


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("UPDATE tokens SET states = x'0102030405'", lambda cache: cache.get([ONE], 2)),
        ("UPDATE tokens SET crc = crc + 1", lambda cache: cache.get([ONE], 2)),
        ("UPDATE projection SET crc = crc + 1", lambda cache: cache.projection()),
        ("UPDATE projection SET dim = 1", lambda cache: cache.projection()),
    ],
)
def test_a_changed_row_is_damage_that_names_the_file(filled, statement, read):
    with sqlite3.connect(TokenCache.path(filled, "f00d")) as db:
        db.execute(statement)
    with pytest.raises(IndexFormatError, match=r"f00d\.tokens-2\.sqlite is damaged .*Remove this file") as caught:
        read(TokenCache.read(filled, "f00d"))
    assert caught.value.message.code == "tokens.damaged"


def test_a_file_that_is_no_database_is_damage(tmp_path):
    path = TokenCache.path(tmp_path, "f00d")
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    for opened in (TokenCache.read, TokenCache.open):
        with pytest.raises(IndexFormatError, match="is damaged"):
            opened(tmp_path, "f00d")


def test_removing_leaves_nothing_and_reading_nothing_is_said(filled):
    TokenCache.remove(filled, "f00d")
    assert not list((filled / "embeddings").iterdir())
    with pytest.raises(FileNotFoundError):
        TokenCache.read(filled, "f00d")
