"""The languages of a question and of its answers, as a field that evaluations are cut by."""

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.retriever.data.datasets import Dataset
from quarry.retriever.evaluation.language_pairs import with_language_pairs
from quarry.retriever.ranking import Query

QUERIES = (Query("1", "怎么续借图书"), Query("2", "how to renew a book"), Query("3", "opening hours"))


@pytest.fixture(scope="module")
def chunks(tmp_path_factory):
    index = tmp_path_factory.mktemp("pairs") / "index"
    documents = [
        Document("en", "Books are renewed at the desk."),
        Document("zh", "图书可以在前台续借。"),
        Document("bad", "До востребования"),
    ]
    index_documents(index, documents, None, BuildOptions())
    return Index.open(index).chunks


def dataset(qrels, metadata=None):
    return Dataset("library", None, QUERIES, qrels, "test", "en", metadata or {})


def pairs(data):
    return {query_id: fields.get("language-pair") for query_id, fields in data.metadata.items()}


def test_only_relevant_documents_count_and_several_languages_are_all_named(chunks):
    found = with_language_pairs(dataset({"1": {"en": 1, "zh": 0}, "2": {"zh": 2, "en": 1}, "3": {"bad": 1}}), chunks)
    assert pairs(found) == {"1": "zh->en", "2": "en->en+zh", "3": "en->other"}


def test_a_question_whose_answer_is_not_indexed_has_none(chunks):
    found = with_language_pairs(dataset({"1": {"nowhere": 1}, "2": {"nowhere": 1, "en": 1}, "3": {"en": 0}}), chunks)
    assert pairs(found) == {"2": "en->en"}


def test_fields_of_the_dataset_stay_as_they_are(chunks):
    given = {"1": {"topic": "loans"}, "2": {"language-pair": "mine"}}
    data = dataset({"1": {"en": 1}, "2": {"en": 1}, "3": {"en": 1}}, given)
    found = with_language_pairs(data, chunks)
    assert found.metadata["1"] == {"topic": "loans", "language-pair": "zh->en"}
    assert pairs(found)["2"] == "mine"
    assert given == {"1": {"topic": "loans"}, "2": {"language-pair": "mine"}}
    assert found.digest == data.digest
