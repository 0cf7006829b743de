"""A model measured in memory gives what an index of the same documents gives."""

import itertools

import pytest

from quarry.demo_corpus import general_path
from quarry.indexer.errors import CorpusError
from quarry.indexer.records import Document
from quarry.retriever.data.datasets import documents, load_dataset
from quarry.retriever.evaluation.embedder import evaluate_embedder
from quarry.retriever.evaluation.measures import Measure
from tests.fakes import WordEmbedder


def test_the_general_set_has_both_languages_and_ranks_by_cosine():
    data = load_dataset(general_path())
    evaluation, run = evaluate_embedder(WordEmbedder(), documents(data), data, [Measure("nDCG", 10)])
    assert len(data.queries) == evaluation.means["nDCG@10"].count == 288
    assert {query.query_id[-2:] for query in data.queries} == {"en", "zh"}
    assert all(len(hits) == 100 for hits in run.values())
    assert all(a[1] >= b[1] for hits in run.values() for a, b in itertools.pairwise(hits))
    assert 0.2 < evaluation.means["nDCG@10"].value < 0.5  # hashed words cannot cross the languages


def test_equal_documents_come_in_id_order():
    data = load_dataset(general_path())
    query = data.queries[0]
    same = [Document(name, query.text) for name in ("c", "a", "b")]
    given = type(data)(data.name, None, (query,), {query.query_id: {"b": 1}}, "test", "en", {})
    _, run = evaluate_embedder(WordEmbedder(), same, given, [Measure("nDCG", 10)])
    assert [doc_id for doc_id, _ in run[query.query_id]] == ["a", "b", "c"]


def test_no_documents_or_too_many():
    data = load_dataset(general_path())
    with pytest.raises(CorpusError, match="general has 0 documents; expected 1 to 20,000"):
        evaluate_embedder(WordEmbedder(), [], data, [Measure("nDCG", 10)])
