"""What a search does when a part of it fails, hangs or is missing: no query is lost, and the answer says so."""

import shutil
import threading

import numpy as np
import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.errors import IndexMismatchError
from quarry.indexer.opened import Index
from quarry.retriever.models.recorded import served_reranker
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.fakes import WordEmbedder
from tests.retriever.library import DOCUMENTS, stages


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS, WordEmbedder())
    return tmp_path / "index"


class Failing:
    name = "tests/failing"

    def score(self, query, passages):
        raise RuntimeError("CUDA error: out of luck")


class Hanging:
    name = "tests/hanging"

    def __init__(self):
        self.release = threading.Event()

    def score(self, query, passages):
        self.release.wait(30)
        return np.zeros(len(passages), np.float32)


def test_a_failing_reranker_leaves_the_fused_order_and_says_so(index):
    plain = Searcher.open(index, embedder=WordEmbedder()).search("renew books")
    answer = Searcher.open(index, embedder=WordEmbedder(), rerank=Failing()).search("renew books")
    assert [r.chunk_id for r in answer.results] == [r.chunk_id for r in plain.results]
    assert [str(loss) for loss in answer.degraded] == [
        "rerank: the order of the first stage stands, because the reranker failed: RuntimeError: CUDA error: out of luck"
    ]


def test_a_hanging_reranker_costs_its_budget_only(index):
    hanging = Hanging()
    searcher = Searcher.open(index, embedder=WordEmbedder(), rerank=hanging)
    answer = searcher.search("renew books", options=SearchOptions(rerank_budget_ms=100))
    assert answer.results[0].doc_id == "loans.md"
    assert "longer than the time budget" in str(answer.degraded[0])
    hanging.release.set()


def test_scores_that_are_no_numbers_are_not_used(index):
    class Broken:
        name = "tests/broken"

        def score(self, query, passages):
            return np.full(len(passages), np.nan, np.float32)

    answer = Searcher.open(index, embedder=WordEmbedder(), rerank=Broken()).search("renew books")
    assert answer.results[0].doc_id == "loans.md"
    assert "not all of them finite" in str(answer.degraded[0])


def test_without_its_model_the_index_answers_by_bm25_and_says_so(index):
    answer = Searcher.open(index).search("怎么续借")  # tests/words is no model that can be found
    assert answer.results[0].doc_id == "借书.md"
    assert stages(answer)["dense"] == "missing"
    assert "tests/words" in str(answer.degraded[0])
    assert str(answer.degraded[0]).startswith("dense: BM25 answered alone, because ")
    dense = Searcher.open(index).search("怎么续借", options=SearchOptions(route="dense"))
    assert dense.results[0].stage == "bm25"


def test_without_vectors_the_index_answers_by_bm25_and_names_the_command(tmp_path):
    index_documents(tmp_path / "i", DOCUMENTS, None)
    answer = Searcher.open(tmp_path / "i").search("renew books")
    assert answer.results[0].doc_id == "loans.md"
    assert "--model auto --rebuild" in str(answer.degraded[0])


def test_an_encoder_that_fails_or_hangs_at_query_time_loses_no_query(index):
    class FailsAtQueries(WordEmbedder):
        def embed_queries(self, texts):
            raise MemoryError("no memory")

    answer = Searcher.open(index, embedder=FailsAtQueries()).search("renew books")
    assert answer.results[0].doc_id == "loans.md"
    (loss,) = map(str, answer.degraded)
    assert loss.startswith(
        "dense: BM25 answered alone, because dense search failed: there is not enough memory (no memory)"
    )

    release = threading.Event()

    class Hangs(WordEmbedder):
        def embed_queries(self, texts):
            release.wait(30)
            return super().embed_queries(texts)

    slow = Searcher.open(index, embedder=Hangs()).search("renew books", options=SearchOptions(dense_budget_ms=100))
    release.set()
    assert slow.results[0].doc_id == "loans.md"
    assert "time budget" in str(slow.degraded[0])


def test_without_the_gpu_that_was_asked_for_the_cpu_answers_and_says_so():
    import torch

    from quarry.retriever.models.recorded import usable_device

    if torch.cuda.is_available():
        assert usable_device("cuda") == ("cuda", None)
    else:
        device, notice = usable_device("cuda")
        assert (device, str(notice)) == ("cpu", "device cuda is not available; the CPU is used")
    assert usable_device("auto") == ("auto", None)


def test_another_embedder_is_refused(index):
    with pytest.raises(IndexMismatchError, match="this embedder differs: revision '1' against '2'"):
        Searcher.open(index, embedder=WordEmbedder(revision="2"))


@pytest.fixture
def recorded(index):
    """The index with a tiny real cross-encoder that it records as its own."""
    from tests.retriever.rerankers.recorded import record_reranker

    folder, _ = record_reranker(index, "xlm-roberta")
    return folder


def rerank_stage(index, wanted):
    answer = Searcher.open(index, embedder=WordEmbedder(), rerank=wanted, device="cpu").search("renew books")
    return next(report for report in answer.stages if report.stage == "rerank"), answer


def test_auto_is_the_reranker_that_the_index_records(index, recorded):
    report, answer = rerank_stage(index, "auto")
    assert report.status == "ran"
    assert answer.degraded == ()
    assert served_reranker(index, Index.open(index).manifest.reranker).folder == recorded.resolve()
    assert rerank_stage(index, "none")[0].status == "off"


def test_a_recorded_reranker_that_was_changed_or_lost_is_said_and_the_fused_order_stands(index, recorded):
    (recorded / "added.json").write_text("{}")
    report, answer = rerank_stage(index, "auto")
    assert report.status == "missing"
    assert "the reranker tests/own that this index records was changed in" in str(answer.degraded[0])
    assert f"quarry models rollback {index}" in str(answer.degraded[0])
    assert [r.chunk_id for r in answer.results] == [r.chunk_id for r in rerank_stage(index, "none")[1].results]
    shutil.rmtree(recorded)
    assert "is missing in" in str(rerank_stage(index, "auto")[1].degraded[0])
