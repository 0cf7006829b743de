"""The vector store: LangChain's own standard tests, and what is ours (Chinese, filters, thresholds, MMR, other writers)."""

import json

import numpy as np
import pytest

pytest.importorskip("langchain_core", reason="needs LangChain (pip install 'quarry-search[langchain]')")
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from quarry.app.integrations.langchain import QuarryEmbeddings
from quarry.app.integrations.langchain_store import QuarryVectorStore
from quarry.indexer.build import index_documents
from quarry.indexer.errors import IndexMismatchError
from quarry.indexer.principals import Principals
from quarry.indexer.records import Document as Stored
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.app.integrations.conftest import DOCUMENTS
from tests.fakes import WordEmbedder

TEXTS = [document.text for document in DOCUMENTS]
METADATAS = [{"lang": "en", "pages": 2}, {"lang": "en"}, {"lang": "zh", "作者": ["王", "李"]}, {}]
IDS = ["loans", "printer", "借书", "hours"]


@pytest.fixture
def store(tmp_path):
    return QuarryVectorStore.from_texts(
        TEXTS, QuarryEmbeddings(WordEmbedder()), METADATAS, ids=IDS, index=tmp_path / "new"
    )


def test_documents_come_back_whole_with_their_metadata(store, tmp_path):
    (found,) = store.similarity_search("在网上续借", k=1)
    assert found == Document(id="借书", page_content=TEXTS[2], metadata=METADATAS[2])
    assert [document.id for document in store.get_by_ids(["hours", "nothing", "loans"])] == ["hours", "loans"]
    assert store.get_by_ids(["loans"])[0].metadata == {"lang": "en", "pages": 2}
    made_up = store.add_texts(["zebra 斑马"])
    assert store.similarity_search("斑马", k=1)[0].id == made_up[0]
    assert Searcher.open(tmp_path / "new", embedder=WordEmbedder()).search("斑马", 1).results[0].doc_id == made_up[0]
    with pytest.raises(ValueError, match="1 metadata and 2 ids for 2 texts"):
        store.add_texts(["a", "b"], [{}], ids=["a", "b"])


def test_a_store_that_reads_as_somebody_has_nothing_of_what_is_hidden(tmp_path):
    embeddings = QuarryEmbeddings(WordEmbedder())
    rules = [{"allow": ["ann"]}, {"allow": ["board"]}]
    index = tmp_path / "new"
    QuarryVectorStore.from_texts(["gate hours", "gate salaries"], embeddings, rules, ids=["hours", "pay"], index=index)
    ann = QuarryVectorStore(index, embeddings, options=SearchOptions(principals=Principals.of("ann")))
    assert [document.id for document in ann.get_by_ids(["hours", "pay"])] == ["hours"]
    assert [document.id for document in ann.similarity_search("gate salaries")] == ["hours"]
    assert [document.id for document in ann.max_marginal_relevance_search("gate salaries")] == ["hours"]


def test_a_long_document_comes_once_and_by_its_best_passage(store):
    long = "\n\n".join(f"Paragraph {number} about trains and rails, at length. " * 30 for number in range(8))
    store.add_documents([Document(id="long", page_content=f"{long}\n\nThe quokka smiles. 短尾矮袋鼠在微笑。")])
    for question in ("quokka", "短尾矮袋鼠"):
        found = store.similarity_search(question, k=3)
        assert found[0].id == "long"
        assert len({document.id for document in found}) == 3


def test_everything_is_deleted_without_reading_the_texts(store, monkeypatch):
    def read(_table):
        raise AssertionError("all texts are read for their ids")

    monkeypatch.setattr(ChunkTable, "documents", read)
    assert store.delete() is True
    assert store.get_by_ids(IDS) == []


def test_filters_scores_and_thresholds(store):
    assert {document.id for document in store.similarity_search("books 书", filters={"lang": ["zh"]})} == {"借书"}
    with pytest.raises(ValueError, match="no document has the metadata nothing"):
        store.similarity_search("books", filters={"nothing": ["x"]})
    with pytest.raises(ValueError, match="the query is empty"):
        store.similarity_search("  ")
    with pytest.raises(ValueError, match="k is 0"):
        store.similarity_search("books", k=0)
    scored = store.similarity_search_with_score("renew books", k=4)
    assert [score for _, score in scored] == sorted((score for _, score in scored), reverse=True)
    (best, cosine), *_ = store.similarity_search_with_relevance_scores(TEXTS[1], k=4)
    assert best.id == "printer"
    assert 0.5 < cosine <= 1
    retriever = store.as_retriever(search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.9})
    assert retriever.invoke("renew") == []
    assert (
        store.as_retriever(search_kwargs={"k": 1, "filters": {"lang": ["en"]}}).invoke("PLA filament nozzle")[0].id
        == "printer"
    )


def test_mmr_is_langchains_over_the_best_passages(store):
    store.add_texts(["Renew books twice online, please.", "Renew books twice online, now."], ids=["same", "again"])
    for question in ("renew books online", "网上续借"):
        candidates = store.similarity_search(question, k=6)
        passages = [document.page_content for document in candidates]
        embedder = WordEmbedder()
        wanted = maximal_marginal_relevance(
            np.asarray(embedder.embed_queries([question])[0]), list(embedder.embed_documents(passages)), 0.3, 3
        )
        found = store.max_marginal_relevance_search(question, k=3, fetch_k=6, lambda_mult=0.3)
        assert [document.id for document in found] == [candidates[place].id for place in wanted]
    alone = store.max_marginal_relevance_search("renew books online", k=2, lambda_mult=1.0)
    assert len({document.id for document in alone} & {"same", "again", "loans"}) == 2
    assert store.as_retriever(search_type="mmr", search_kwargs={"k": 2}).invoke("续借")


def test_deleting_and_other_writers_are_seen(store, tmp_path):
    store.delete(["loans", "nothing"])
    assert store.get_by_ids(IDS) == store.get_by_ids(IDS[1:])
    index_documents(tmp_path / "new", [Stored("other", "Giraffes are tall. 长颈鹿很高。")], WordEmbedder())
    assert store.similarity_search("长颈鹿", k=1)[0] == Document(
        id="other", page_content="Giraffes are tall. 长颈鹿很高。"
    )
    store.delete()
    assert store.get_by_ids([*IDS, "other"]) == store.similarity_search("长颈鹿") == []


def test_what_cannot_be_a_store(index, tmp_path):
    with pytest.raises(TypeError, match="expected QuarryEmbeddings"):
        QuarryVectorStore.from_texts(["a"], DeterministicFakeEmbedding(size=6), index=tmp_path / "new")
    with pytest.raises(IndexMismatchError):
        QuarryVectorStore(index, QuarryEmbeddings(WordEmbedder(revision="2")))
    assert not (tmp_path / "new").exists()
    known = QuarryVectorStore(index, QuarryEmbeddings(WordEmbedder()), options=SearchOptions(route="bm25"))
    (found,) = known.similarity_search("续借", k=1)
    assert (found.id, found.metadata) == ("借书.md", {"lang": "zh"})
    json.dumps(found.metadata)


def test_without_langchain_the_extra_is_named(import_without):
    assert "pip install 'quarry-search[langchain]'" in import_without(
        "quarry.app.integrations.langchain_store", "langchain_core"
    )


FACTS = [
    {"year": 2023, "dept": "ops", "tags": ["a", "b"], "owner": {"name": "Finch"}},
    {"year": 2024, "dept": "ops", "draft": False},
    {"year": 2024, "dept": "法务", "draft": True},
]


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    texts = ["The tide gate closes at dusk.", "The tide gate is painted green.", "The tide gate 潮闸"]
    folder = tmp_path_factory.mktemp("facts") / "index"
    embeddings = QuarryEmbeddings(WordEmbedder())
    return QuarryVectorStore.from_texts(texts, embeddings, FACTS, ids=["1", "2", "3"], index=folder)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"dept": "ops"}, "12"),
        ({"dept": ["ops"]}, "12"),
        ({"dept": "法务"}, "3"),
        ({"dept": {"$eq": "ops"}}, "12"),
        ({"dept": {"$in": ["ops", "法务"]}}, "123"),
        ({"dept": {"$nin": ["ops"]}}, "3"),
        ({"year": 2024}, "23"),
        ({"year": [2023, 2024]}, "123"),
        ({"year": {"$gte": 2024}}, "23"),
        ({"year": {"$gt": 2022, "$lt": 2024}}, "1"),
        ({"$and": [{"year": {"$gt": 2022}}, {"year": {"$lt": 2024}}, {"dept": "ops"}]}, "1"),
        ({"$or": [{"year": 2023}, {"year": 2024}]}, "123"),
        ({"draft": False}, "2"),
        ({"tags": "b"}, "1"),
        ({"owner.name": "Finch"}, "1"),
        ({"dept": "ops", "year": 2024}, "2"),
        ({}, "123"),
    ],
)
def test_filters_as_langchains_users_write_them(facts, given, found):
    for name in ("filter", "filters"):
        hits = facts.similarity_search("tide gate", k=9, **{name: given})
        assert "".join(sorted(document.id for document in hits)) == found
    retriever = facts.as_retriever(search_kwargs={"k": 9, "filter": given})
    assert "".join(sorted(document.id for document in retriever.invoke("tide gate"))) == found
    varied = facts.max_marginal_relevance_search("tide gate", k=9, filter=given)
    assert "".join(sorted(document.id for document in varied)) == found


def test_metadata_comes_back_with_its_types(facts):
    assert [document.metadata for document in facts.get_by_ids(["1", "2", "3"])] == FACTS


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda document: True, TypeError, "the filter is a function; expected a dictionary"),
        ("dept = 'ops'", TypeError, "the filter is a str; expected a dictionary"),
        ({"$or": [{"dept": "ops"}, {"year": 2024}]}, ValueError, "OR; expected alternatives of one metadata field"),
        ({"$not": {"dept": "ops"}}, ValueError, r"the filter has \$not; expected"),
        ({"dept": {"$like": "o%"}}, ValueError, r"\$like .* expected one of"),
        ({"nothing": 1}, ValueError, "no document has the metadata nothing"),
    ],
)
def test_filters_that_an_index_cannot_answer_are_refused(facts, given, error, message):
    with pytest.raises(error, match=message):
        facts.similarity_search("tide gate", filter=given)


def test_both_names_at_once_are_refused(facts):
    with pytest.raises(ValueError, match="expected one of them"):
        facts.similarity_search("tide gate", filter={"dept": "ops"}, filters={"dept": "ops"})


def test_documents_are_deleted_by_filter(tmp_path):
    embeddings = QuarryEmbeddings(WordEmbedder())
    store = QuarryVectorStore.from_texts(["a", "b", "c"], embeddings, FACTS, ids=["1", "2", "3"], index=tmp_path / "ix")
    store.delete(filter={"year": {"$gte": 2024}})
    assert [document.id for document in store.get_by_ids(["1", "2", "3"])] == ["1"]
    with pytest.raises(ValueError, match="the filter is empty"):
        store.delete(filter={})
