"""What has a vector is not encoded again, whichever files hold it; an index keeps each vector once."""

import os
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from quarry.indexer.build import build_candidate, compact_index, delete_documents, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.vectors.encoded_rows import RowsWriter
from quarry.indexer.storage.vectors.vector_cache import VectorCache, older_path
from quarry.indexer.storage.vectors.vector_log import VectorLog
from quarry.indexer.stores import STORE_KINDS
from tests.fakes import WordEmbedder
from tests.indexer.older import into_format_3, part_of
from tests.indexer.writing import keep_segments

WORDS = ["river", "library", "renew", "bridge", "valve", "pump", "图书馆", "河流", "氧气"]
TEXTS = [f"{WORDS[row % 9]} number{row} {WORDS[(row * 7) % 9]} 第{row}段 {WORDS[(row * 5) % 9]}" for row in range(60)]
DOCUMENTS = [Document(f"d{row:02}", text, f"Title {row % 5}") for row, text in enumerate(TEXTS)]


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS, WordEmbedder(), BuildOptions(store="exact"))
    return tmp_path / "index"


def passages_encoded(index: Path, documents=(), **settings) -> int:
    return index_documents(index, documents, WordEmbedder(), BuildOptions(**settings)).encoded


def sound(index: Path) -> bool:
    """Whether every passage's vector is that of its text."""
    opened = Index.open(index)
    ids = list(opened.vectors.ids)
    stored = opened.vectors.vectors_of(np.arange(len(ids)))
    return np.allclose(stored, WordEmbedder().embed_documents(opened.chunks.texts(ids)), atol=1e-6)


def test_a_finished_index_holds_each_vector_once(index):
    assert [path.name.partition(".")[2] for path in (index / "embeddings").iterdir()] == ["probes.sqlite"]
    with closing(VectorCache.open(next((index / "embeddings").iterdir()), 64)) as probes:
        assert len(probes.missing(Index.open(index).chunks.digests()[1])) == 60


@pytest.mark.parametrize(("days", "stays"), [(0, True), (6, True), (8, False), (-8, False)])
def test_what_killed_runs_encoded_for_a_model_without_a_generation_goes_after_a_week(index, days, stays):
    other = WordEmbedder(dim=32).spec
    with VectorLog(index, other.fingerprint, 32) as log:
        log.put([b"x" * 16], np.ones((1, 32), np.float32))
    left = [path for path in (index / "embeddings").iterdir() if path.name.startswith(other.fingerprint)]
    assert len(left) == 2
    for path in left:
        os.utime(path, (time.time() - days * 86_400,) * 2)
    index_documents(index, [Document("new", "one more text")], WordEmbedder())
    assert [path.exists() for path in left] == [stays, stays]
    assert passages_encoded(index) == 0  # what the index itself needs is there


@pytest.mark.parametrize("kind", STORE_KINDS)
def test_another_store_takes_the_vectors_of_the_one_before(index, kind):
    for chosen in (kind, "exact"):
        assert passages_encoded(index, store=chosen) == 0
        assert Index.open(index).manifest.store.kind == chosen
        assert sound(index)


@pytest.mark.parametrize("kind", STORE_KINDS)
def test_merging_encodes_nothing(tmp_path, monkeypatch, kind):
    keep_segments(monkeypatch)
    for row in range(3):
        index_documents(tmp_path, DOCUMENTS[20 * row : 20 * row + 20], WordEmbedder(), BuildOptions(store=kind))
    delete_documents(tmp_path, ["d05", "d25"], WordEmbedder())
    assert len(Index.open(tmp_path).manifest.segments) == 3
    report = compact_index(tmp_path, WordEmbedder())
    assert (report.switched, report.encoded, report.chunks) == (True, 0, 58)
    assert sound(tmp_path)


def test_a_text_that_moved_or_came_back_is_not_encoded_again(index):
    assert passages_encoded(index, [Document("moved", TEXTS[7], "Title 2")]) == 0
    delete_documents(index, ["d30"], WordEmbedder())
    assert passages_encoded(index, [DOCUMENTS[30]]) == 0  # the generation before is kept
    assert sound(index)


def test_a_build_that_was_interrupted_goes_on_where_it_stopped(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("quarry.indexer.build.steps.index_terms", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            index_documents(tmp_path, DOCUMENTS, WordEmbedder())
    assert passages_encoded(tmp_path, DOCUMENTS) == 0
    assert sound(tmp_path)
    assert {path.suffix for path in (tmp_path / "embeddings").iterdir()} == {".sqlite"}


def test_a_candidate_is_kept_until_it_is_judged(index):
    other = WordEmbedder(revision="2")
    assert build_candidate(index, other).encoded == 60
    assert build_candidate(index, other).encoded == 0
    assert build_candidate(index, WordEmbedder()).encoded == 0


def test_of_damaged_vectors_only_those_are_encoded_again(index):
    path = part_of(index, "vectors/vectors.000001.npy")
    content = bytearray(path.read_bytes())
    for row in (3, 40):
        content[128 + 256 * row] ^= 1
    path.write_bytes(content)
    assert passages_encoded(index) == 2
    assert sound(index)


@pytest.mark.parametrize("part", ["digests", "rows"])
@pytest.mark.parametrize("change", [b"\xff", b"\x00"])
def test_damage_to_what_says_where_vectors_are_costs_an_encoding_at_most(index, part, change):
    (path,) = part_of(index, "encoded").glob(f"*.vectors.{part}.npy")
    content = path.read_bytes()
    path.write_bytes(content[:128] + change * (len(content) - 128))
    with pytest.raises(IndexFormatError, match=rf"{path.name} does not match its recorded SHA-256"):
        Index.open(index)
    assert passages_encoded(index) == 60
    assert sound(index)


def test_segments_from_before_digests_were_written_down_need_no_encoding(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(RowsWriter, "write", lambda *_: None)
        index_documents(tmp_path, DOCUMENTS, WordEmbedder(), BuildOptions(store="exact"))
    assert not part_of(tmp_path, "encoded").exists()
    assert passages_encoded(tmp_path, [Document("new", "one new text")], store="faiss") == 1
    assert part_of(tmp_path, "encoded").is_dir()
    assert sound(tmp_path)


def test_the_cache_of_an_older_index_is_used_once_more_and_removed(index):
    spec, opened = WordEmbedder().spec, Index.open(index)
    ids, digests = opened.chunks.digests()
    vectors = opened.vectors.vectors_of(np.arange(60))
    assert list(opened.vectors.ids) == ids
    opened.chunks.close()
    into_format_3(index)
    cache = older_path(index, spec.fingerprint)
    with closing(VectorCache.open(cache, spec.dim)) as older:
        older._blobs.put(digests, [vector.tobytes() for vector in vectors])  # in float32, as they were kept
    part_of(index, "vectors/store.json").rename(index / "not-here")
    with pytest.raises(Exception, match=r"store\.json"):
        Index.open(index)
    assert passages_encoded(index, [Document("new", "one new text")]) == 1
    assert not cache.exists()
    assert sound(index)


def test_a_rebuild_of_an_older_index_without_its_cache_reads_its_stores(index):
    into_format_3(index)
    assert passages_encoded(index, [Document("new", "one new text")]) == 1
    assert sound(index)
