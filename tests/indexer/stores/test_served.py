"""Stores on a vector server, by the servers' own local modes: Milvus Lite in a file, Qdrant in a folder."""

from importlib.util import find_spec

import numpy as np
import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import IndexFormatError, MissingExtraError, SettingsError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.files.sealing import unseal
from quarry.indexer.stores.exact.store import ExactStore
from quarry.indexer.stores.served import known, milvus, qdrant, store
from quarry.indexer.stores.served.store import MilvusStore, QdrantStore
from quarry.retriever.searcher import Searcher
from tests.contracts.vector_store import VectorStoreContract, names, unit
from tests.fakes import WordEmbedder

HAS_MILVUS = all(find_spec(name) is not None for name in ("pymilvus", "milvus_lite"))
HAS_QDRANT = find_spec("qdrant_client") is not None
needs_milvus = pytest.mark.skipif(not HAS_MILVUS, reason="needs the extra `milvus` and milvus-lite")
needs_qdrant = pytest.mark.skipif(not HAS_QDRANT, reason="needs the extra `qdrant`")
KINDS = [pytest.param(MilvusStore, marks=needs_milvus), pytest.param(QdrantStore, marks=needs_qdrant)]


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory):
    """A file of Milvus Lite and a folder of Qdrant for the tests of this module."""
    root = tmp_path_factory.mktemp("servers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.indexer.stores.test_served.ROOT", root, raising=False)
        patch.setenv("QUARRY_CACHE", str(root / "cache"))
        yield root
        for module in (milvus, qdrant):
            while module._clients:
                module._clients.popitem()[1].close()


def uri_of(kind) -> str:
    return str(ROOT / ("milvus.db" if kind is MilvusStore else "qdrant"))  # noqa: F821 (the fixture sets it)


@needs_milvus
class TestMilvus(VectorStoreContract):
    def make(self, folder, dim):
        return MilvusStore.create(folder, dim, uri_of(MilvusStore))

    def reopen(self, folder):
        return MilvusStore.open(folder)


@needs_qdrant
class TestQdrant(VectorStoreContract):
    def make(self, folder, dim):
        return QdrantStore.create(folder, dim, uri_of(QdrantStore))

    def reopen(self, folder):
        return QdrantStore.open(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_candidates_come_from_the_server(tmp_path, kind, monkeypatch):
    made, vectors = kind.create(tmp_path, 8, uri_of(kind)), unit(60, 8)
    made.add(names(60), vectors)
    made.flush()
    asked = []
    nearest = kind.connect.nearest

    def counted(self, *arguments):
        found = nearest(self, *arguments)
        asked.append(len(found))
        return found

    monkeypatch.setattr(kind.connect, "nearest", counted)
    monkeypatch.setattr(ExactStore, "search", None)
    opened = kind.open(tmp_path)
    assert [hits[0].chunk_id for hits in opened.search(vectors, 3)] == names(60)
    assert asked == [60]
    assert opened.details["uri"] == uri_of(kind)
    assert opened.details["collection"].startswith("quarry_")


@pytest.mark.parametrize("kind", KINDS)
def test_a_flush_leaves_one_collection_and_those_of_other_stores(tmp_path, kind):
    index = tmp_path / "index"
    one = kind.create(index / "segments" / "a" / "vectors", 8, uri_of(kind))
    other = kind.create(index / "segments" / "b" / "vectors", 8, uri_of(kind))
    for made in (one, other):
        made.add(names(9), unit(9, 8))
        made.flush()
    before = one.details["collection"]
    one.remove(names(9)[:2])
    one.flush()
    mine = {name for name in one.server.collections() if name.startswith(store._prefix(index / "segments" / "a"))}
    assert mine == {one.details["collection"], other.details["collection"]}
    assert before not in mine
    assert one.server.count(one.details["collection"]) == 7
    assert one.server.count("quarry_none") is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_collection_is_an_error_with_what_to_do_and_filters_go_on(tmp_path, kind):
    made, vectors = kind.create(tmp_path, 8, uri_of(kind)), unit(9, 8)
    made.add(names(9), vectors)
    made.flush()
    made.server.drop(unseal(tmp_path / "store.json")["facts"]["collection"])
    opened = kind.open(tmp_path)
    with pytest.raises(IndexFormatError, match=r"cannot be used.*--store auto"):
        opened.search(vectors[:1], 3)
    assert len(opened.search(vectors[:1], 3, allowed=names(9))[0]) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_many_vectors_are_tuned_until_ten_of_ten_are_found(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(store, "_TUNE_FROM", 500)
    monkeypatch.setattr(milvus, "_HNSW_FROM", 500)
    made, vectors = kind.create(tmp_path, 16, uri_of(kind)), unit(1_500, 16)
    made.add(names(1_500), vectors)
    made.flush()
    reference = ExactStore.create(tmp_path / "exact", 16)
    reference.add(names(1_500), vectors)
    queries = unit(30, 16, seed=3)
    pairs = zip(made.search(queries, 10), reference.search(queries, 10), strict=True)
    shared = [len({h.chunk_id for h in a} & {h.chunk_id for h in b}) / 10 for a, b in pairs]
    assert np.mean(shared) >= 0.95
    assert made.details["recall@10"] >= 0.95
    assert made.details["index"] == ("hnsw" if kind is MilvusStore else "flat")  # local Qdrant compares every vector


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_not_there_and_an_address_with_a_password_are_refused(tmp_path, kind):
    with pytest.raises(SettingsError, match="needs the address of a server"):
        kind.create(tmp_path, 8)
    with pytest.raises(SettingsError, match="environment variable"):
        kind.create(tmp_path, 8, "http://me:secret@localhost:19530")
    made = kind.create(tmp_path, 8, "http://127.0.0.1:9")
    made.add(names(9), unit(9, 8))
    with pytest.raises(IndexFormatError, match=r"http://127.0.0.1:9 cannot be used"):
        made.flush()
    assert not (tmp_path / "store.json").exists()
    assert len(made.search(unit(1, 8), 3)[0]) == 3  # exact, as before the flush


@pytest.mark.parametrize(("kind", "package"), [(MilvusStore, "pymilvus"), (QdrantStore, "qdrant_client")])
def test_without_the_client_the_extra_is_named(tmp_path, kind, package, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"quarry-search\[{kind.kind}\]"):
        kind.create(tmp_path, 8, str(tmp_path / "x"))


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_on_a_server_is_built_updated_merged_and_answers_as_an_exact_one(tmp_path, kind):
    documents = [Document(f"d{number}", f"shelf {number} holds books 书架 {number * 7}") for number in range(40)]
    served = BuildOptions(store=kind.kind, store_uri=uri_of(kind))
    index_documents(tmp_path / "index", documents[:30], WordEmbedder(), served)
    index_documents(tmp_path / "index", documents[30:], WordEmbedder(), BuildOptions())  # the address is kept
    index_documents(tmp_path / "other", documents[:30], WordEmbedder(), BuildOptions(store="exact"))
    index_documents(tmp_path / "other", documents[30:], WordEmbedder(), BuildOptions())
    question = WordEmbedder().embed_queries(["shelf 7 书架"])
    for changes in ({}, {"compact": True}):
        index_documents(tmp_path / "index", [], WordEmbedder(), BuildOptions(**changes))
        one, other = (Index.open(tmp_path / name) for name in ("index", "other"))
        assert one.vectors.search(question, 10) == other.vectors.search(question, 10)
        assert (one.manifest.store.kind, one.manifest.store.details["uri"]) == (kind.kind, uri_of(kind))
    assert len(one.manifest.segments) == 1
    prefix = store._prefix(tmp_path / "index" / "segments" / "x" / "vectors")
    server = kind.connect(uri_of(kind))
    held = [server.count(name) for name in server.collections() if name.startswith(prefix)]
    assert 40 in held


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_without_the_server_falls_back_on_words_and_says_so(tmp_path, kind):
    documents = [Document(f"d{number}", f"shelf {number} holds books") for number in range(20)]
    settings = BuildOptions(store=kind.kind, store_uri=uri_of(kind))
    index_documents(tmp_path / "index", documents, WordEmbedder(), settings)
    server = kind.connect(uri_of(kind))
    prefix = store._prefix(tmp_path / "index" / "segments" / "x" / "vectors")
    for name in server.collections():
        if name.startswith(prefix):
            server.drop(name)
    answer = Searcher.open(tmp_path / "index", embedder=WordEmbedder(), rerank="none").search("shelf 7", 3)
    assert answer.results[0].doc_id == "d7"
    (dense,) = [stage for stage in answer.stages if stage.stage == "dense"]
    assert dense.status == "failed"
    assert "cannot be used" in str(dense.reason)
    assert answer.degraded


def test_an_address_without_a_server_and_a_server_without_an_address_are_refused(tmp_path):
    documents = [Document("d", "shelf")]
    with pytest.raises(SettingsError, match="store auto has none"):
        index_documents(tmp_path / "index", documents, WordEmbedder(), BuildOptions(store_uri="http://localhost:1"))
    with pytest.raises(SettingsError, match="needs the address of a server"):
        index_documents(tmp_path / "index", documents, WordEmbedder(), BuildOptions(store="milvus"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_only_the_folder_names_is_not_asked(tmp_path, kind, monkeypatch):
    made, vectors = kind.create(tmp_path / "store", 8, uri_of(kind)), unit(20, 8)
    made.add(names(20), vectors)
    made.flush()
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path / "another-machine"))
    moved = kind.open(tmp_path / "store")
    with pytest.raises(SettingsError) as caught:
        moved.search(vectors, 3)
    assert caught.value.message.code == "stores.unknown_server"
    monkeypatch.setenv("QUARRY_VECTOR_SERVER", f"http://other:1 {uri_of(kind)}")
    assert [hits[0].chunk_id for hits in kind.open(tmp_path / "store").search(vectors, 3)] == names(20)


@pytest.mark.parametrize("uri", ["http://localhost:19530", "http://127.0.0.1:6333", "https://[::1]:6333/x"])
def test_a_server_on_this_machine_is_known(uri, tmp_path, monkeypatch):
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path))
    known.check_known(uri)


@pytest.mark.parametrize(
    "uri", ["http://localhost.example.com:1", "http://127.0.0.1.nip.io", "/tmp/some.db", "http://10.0.0.7:19530"]
)
def test_a_server_elsewhere_is_known_once_it_was_named(uri, tmp_path, monkeypatch):
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path / "cache"))
    with pytest.raises(SettingsError):
        known.check_known(uri)
    known.remember(uri)
    known.remember("http://10.0.0.8:1")
    known.check_known(uri)
