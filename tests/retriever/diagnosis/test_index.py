"""Diagnostics of a real index with a small deterministic embedder, against brute force."""

import numpy as np
import pytest

from quarry.indexer.build import build_index
from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import CorpusError, IndexMismatchError, ModelError, SettingsError
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.diagnosis.index import diagnose, nearest_passages, stored_vectors
from quarry.retriever.diagnosis.vectors import LabelledVectors
from quarry.retriever.evaluation.measures import Measure
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import Searcher
from tests.fakes import WordEmbedder

TOPICS = [
    "renew books loan desk",
    "opening hours sunday closed",
    "lost card replace fee",
    "图书馆 续借 图书",
    "printer paper copy",
    "study room booking",
    "儿童 故事 时间",
    "wifi password guest",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    base = tmp_path_factory.mktemp("diagnosis")
    (base / "docs").mkdir()
    (base / "set").mkdir()
    for number, words in enumerate(TOPICS):
        text = "\n\n".join(f"{words} {word} " * 6 for word in words.split())
        (base / "docs" / f"{number}.txt").write_text(text)
    queries = "".join(f"q{number}\t{words.split()[0]} {words.split()[1]}\n" for number, words in enumerate(TOPICS))
    (base / "set" / "topics.tsv").write_text(queries + "odd\tnothing here\n")
    rows = [f"q{number} 0 docs/{number}.txt 1\n" for number in range(len(TOPICS))] + ["odd 0 docs/gone.txt 1\n"]
    (base / "set" / "qrels.txt").write_text("".join(rows))
    settings = BuildOptions(chunking=ChunkSpec(max_tokens=16, overlap_tokens=0))
    build_index(base / "index", [base / "docs"], WordEmbedder(), settings)
    return base


def open_both(made):
    return Searcher.open(made / "index", embedder=WordEmbedder()), load_dataset(made / "set")


def test_everything_is_measured_once_and_agrees_with_brute_force(made):
    searcher, data = open_both(made)
    found = diagnose(searcher, WordEmbedder(), data, dims=[16, 32], ks=[1, 5])
    assert (found.queries, found.relevant_pairs, found.dim, found.generation) == (9, 8, 64, "000001")
    assert [str(note) for note in found.notes] == ["1 of 9 judged documents are not in the index"]
    assert found.passages > len(TOPICS)
    assert sum(found.histograms.positives) == 8
    assert found.histograms.positive_mean > found.histograms.random_mean + 0.2
    assert [point.dim for point in found.dimensions] == [16, 32, 64]
    assert set(found.depths) == {"bm25", "dense", "hybrid"}
    _, run = document_run(searcher, data.queries, 5, options("dense"))
    recall = np.mean(
        [Measure("R", 5).of([d for d, _ in run[q.query_id]], data.qrels[q.query_id]) for q in data.queries]
    )
    assert found.depths["dense"][1].recall == pytest.approx(recall)
    assert found.band.low <= found.band.high or found.band.false_rejects >= 0


def options(route):
    from quarry.retriever.evaluation.routes import route_options

    return route_options(route, 1)


def test_stored_vectors_are_those_of_the_passages(made):
    searcher, _ = open_both(made)
    passages = stored_vectors(searcher.index)
    texts = searcher.index.chunks.texts(passages.ids)
    assert list(passages.ids) == searcher.index.chunks.digests()[0]
    assert np.allclose(passages.vectors, WordEmbedder().embed_documents(texts), atol=1e-6)


def test_the_nearest_passage_stands_for_a_relevant_document():
    queries = LabelledVectors(("q",), np.array([[1, 0]], dtype=np.float32))
    rows = np.array([[0, 1], [0.8, 0.6], [0.6, 0.8], [1, 0]], dtype=np.float32)
    passages = LabelledVectors(("a#0-1", "a#1-2", "a#2-3", "b#0-1"), rows)
    assert nearest_passages(queries, passages, {"q": {"a": 2, "b": 0, "gone": 1}}) == {"q": {"a#1-2": 2}}


def test_mistakes_are_named(made, tmp_path):
    searcher, data = open_both(made)
    with pytest.raises(ValueError, match="ks are none; expected numbers from 1"):
        diagnose(searcher, WordEmbedder(), data, ks=[])
    with pytest.raises(ValueError, match="dim is 65; expected 1 to 64"):
        diagnose(searcher, WordEmbedder(), data, dims=[65])
    with pytest.raises(SettingsError, match="unknown route 'magic'"):
        diagnose(searcher, WordEmbedder(), data, routes=["magic"])
    with pytest.raises(IndexMismatchError, match="tests/words"):
        diagnose(searcher, WordEmbedder(revision="2"), data)
    (tmp_path / "topics.tsv").write_text("q\tx\n")
    (tmp_path / "qrels.txt").write_text("q 0 elsewhere 1\n")
    with pytest.raises(CorpusError, match="no relevant document of .* is in the index"):
        diagnose(searcher, WordEmbedder(), load_dataset(tmp_path))
    build_index(tmp_path / "lexical", [made / "docs"], None, BuildOptions())
    with pytest.raises(ModelError, match="has no vectors; expected an index with an embedding model"):
        stored_vectors(Searcher.open(tmp_path / "lexical").index)
