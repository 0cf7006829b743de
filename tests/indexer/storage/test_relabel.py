"""Another reranker in the manifest: one switch, shared files, nothing else changed."""

import pytest

from quarry.indexer.build import build_candidate, index_documents
from quarry.indexer.errors import IndexBusyError, IndexMismatchError
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage import relabel
from quarry.indexer.storage.facts import RerankerFacts
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.writer_lock import writer_lock
from tests.fakes import WordEmbedder

PROMOTED = Message.of("tuning.reranker_promoted", "promoted the reranker")
FACTS = RerankerFacts(
    model="m",
    digest="d" * 40,
    folder="models/r",
    base="b",
    parent="000001",
    run="r",
    verdict="better",
    forced=False,
    promoted="2026-01-01T00:00:00+00:00",
)


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", [Document("a", "图书馆可以续借两次。")], WordEmbedder("base"))
    return tmp_path / "index"


def live(index):
    return Manifest.read(Generations(index).live())


def test_only_the_reranker_changes(index):
    before = live(index)
    assert relabel.relabelled(index, {"reranker": FACTS}, PROMOTED, expected=before) == "000002"
    after = live(index)
    assert after.reranker == FACTS
    same = {"generation", "created", "reason", "reranker"}
    assert after.model_dump(exclude=same) == before.model_dump(exclude=same)
    assert (after.generation, after.reason) == ("000002", PROMOTED)
    opened = Index.open(index)
    assert opened.manifest.damage(opened.folder, hashes=True) == []
    assert [document.doc_id for document in opened.chunks.documents()] == ["a"]
    assert Manifest.read(Generations(index).folder / "000001") == before
    assert after.segments == before.segments
    assert len(list((index / "segments").iterdir())) == 1


def test_files_are_copied_where_links_cannot_be_made(index, monkeypatch):
    def refuse(_source, _target):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(relabel.os, "link", refuse)
    relabel.relabelled(index, {"reranker": FACTS}, PROMOTED, expected=live(index))
    opened = Index.open(index)
    assert opened.manifest.damage(opened.folder, hashes=True) == []


def test_later_builds_keep_it_and_older_documents_do_not_return(index):
    before = live(index)
    index_documents(index, [Document("b", "Renew a book twice.")], WordEmbedder("base"))
    relabel.relabelled(index, {"reranker": FACTS}, PROMOTED, expected=before)  # documents may change meanwhile
    index_documents(index, [Document("c", "第三篇文档")], WordEmbedder("base"))
    assert live(index).reranker == FACTS
    assert live(index).documents == 3


def test_another_model_meanwhile_is_refused(index):
    before = live(index)
    Generations(index).switch(build_candidate(index, WordEmbedder("other")).generation, "promoted")
    with pytest.raises(
        IndexMismatchError, match="generation 000002 has since gone live with another model or reranker"
    ):
        relabel.relabelled(index, {"reranker": FACTS}, PROMOTED, expected=before)
    assert live(index).reranker is None


def test_one_writer_at_a_time(index):
    with writer_lock(index), pytest.raises(IndexBusyError, match="is being written by process"):
        relabel.relabelled(index, {"reranker": FACTS}, PROMOTED, expected=live(index))
    assert Generations(index).finished() == ["000001"]
