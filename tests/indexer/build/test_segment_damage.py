"""Segments that are damaged, missing, newer or older are told by name, and what can be had without them stays."""

import shutil
import sqlite3
from hashlib import sha256

import pytest

from quarry.indexer.build import compact_index, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.files.sealing import seal, unseal
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.layout import CONTENTS_NAME
from quarry.indexer.storage.manifest import Manifest, describe_files
from tests.fakes import WordEmbedder
from tests.indexer.build.segmented import DIM, answers, corpus


@pytest.mark.parametrize("name", ["segment.json", "chunks.sqlite", "lexical/blocks.npy", "vectors/store.json"])
def test_a_damaged_or_missing_file_of_a_segment_is_named(segmented, name):
    segment = Index.open(segmented).manifest.segments[1]
    path = segmented / "segments" / segment.name / name
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    with pytest.raises(IndexFormatError, match=f"{segment.name}/{name} does not match its recorded SHA-256"):
        Index.open(segmented)
    path.unlink()
    with pytest.raises(IndexFormatError, match=f"{segment.name}/{name} is missing"):
        Index.open(segmented)


def test_a_missing_segment_is_named_and_the_texts_are_not_silently_lost(segmented):
    segment = Index.open(segmented).manifest.segments[0]
    shutil.rmtree(segmented / "segments" / segment.name)
    with pytest.raises(IndexFormatError, match=f"{segment.name}/segment.json is missing"):
        Index.open(segmented)
    with pytest.raises(IndexFormatError, match="the texts of the live generation cannot be carried over"):
        index_documents(segmented, corpus(70, 1), WordEmbedder(dim=DIM))


def edit_contents(index, sql):
    """Change the live generation's `contents.sqlite`, with a manifest that agrees, as a faulty version could write both."""
    live = Generations(index).live()
    with sqlite3.connect(live / CONTENTS_NAME) as db:
        db.executescript(sql)
    db.close()
    manifest = Manifest.read(live)
    manifest.model_copy(update={"files": describe_files(live)}).write(live)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO removed_rows VALUES (2, 5)",
        "INSERT INTO removed_rows VALUES (2, 4000); UPDATE segments SET passages = 9 WHERE number = 2",
        "INSERT INTO removed_rows VALUES (2, -1); UPDATE segments SET passages = 9 WHERE number = 2",
    ],
)
def test_removals_that_do_not_fit_to_a_segment_are_named(segmented, sql):
    edit_contents(segmented, sql)
    with pytest.raises(
        IndexFormatError, match=r"contents\.sqlite is damaged: .* segment \w+, which has 10 passages, is not in it"
    ):
        Index.open(segmented)


def test_a_document_in_two_segments_is_named_and_nothing_is_built_on_it(segmented):
    """Nothing says any more that the version in the first segment was replaced."""
    index_documents(segmented, [Document("d5", "valve pump river")], WordEmbedder(dim=DIM))
    assert Index.open(segmented).chunks.document("d5").text == "valve pump river"
    edit_contents(segmented, "DELETE FROM removed_documents WHERE doc_id = 'd5'")
    for act in (Index.open, lambda index: index_documents(index, corpus(60, 2), WordEmbedder(dim=DIM))):
        with pytest.raises(
            IndexFormatError, match=r"contents\.sqlite is damaged: it has documents more than once.*'d5'"
        ):
            act(segmented)
    generations = Generations(segmented)
    generations.switch(generations.previous(), Message.of("test.by_hand", "by hand"))
    assert Index.open(segmented).chunks.counts() == (44, 44)


@pytest.mark.parametrize("step", ["index_terms", "store_vectors", "finish_segment", "describe_generation"])
def test_a_merge_that_dies_at_any_step_leaves_what_was_there_and_can_be_made_again(segmented, monkeypatch, step):
    before = answers(segmented)
    place = (
        "quarry.indexer.build.running"
        if step in ("finish_segment", "describe_generation")
        else "quarry.indexer.build.steps"
    )
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(f"{place}.{step}", lambda *_: 1 / 0)
        compact_index(segmented, WordEmbedder(dim=DIM))
    assert answers(segmented) == before
    assert len(Index.open(segmented).manifest.segments) == 3
    assert compact_index(segmented, WordEmbedder(dim=DIM)).encoded == 0
    assert len(Index.open(segmented).manifest.segments) == 1


def test_a_segment_of_a_newer_format_is_refused_and_stays(segmented):
    generations = Generations(segmented)
    manifest = Manifest.read(generations.live())
    segment = manifest.segments[1]
    header = segmented / "segments" / segment.name / "segment.json"
    content = seal({**unseal(header), "format": 99})
    header.write_bytes(content)
    newer = segment.model_copy(update={"sha256": sha256(content).hexdigest()})
    segments = tuple(newer if one == segment else one for one in manifest.segments)
    manifest.model_copy(update={"segments": segments}).write(generations.live())
    for act in (Index.open, lambda index: index_documents(index, corpus(60, 2), WordEmbedder(dim=DIM))):
        with pytest.raises(IndexFormatError, match=r"segment\.json has format 99; .*Upgrade quarry-search"):
            act(segmented)
    assert header.read_bytes() == content


def test_postings_that_are_damaged_are_made_again_from_the_texts(segmented):
    before = answers(segmented)
    for path in (segmented / "segments").glob("*/lexical/blocks.npy"):
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    index_documents(segmented, [], WordEmbedder(dim=DIM), BuildOptions(store="exact"))
    assert answers(segmented) == before
