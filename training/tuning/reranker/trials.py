"""Rerankers on the held-out queries and on the general set; each evaluation is made once and kept.

Held-out queries go by the reranked route of the index, as users are answered. The general set has no index: the embedder ranks
it, and the first `GENERAL_DEPTH` of each query are reranked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from quarry.indexer.embedder import Embedder, Progress
from quarry.indexer.errors import ModelError
from quarry.indexer.opened import Index
from quarry.indexer.records import passage_text
from quarry.retriever.base import Reranker
from quarry.retriever.data.datasets import Dataset, documents
from quarry.retriever.data.trec import Run
from quarry.retriever.evaluation.evaluate import Evaluation, evaluate
from quarry.retriever.evaluation.routes import RERANKED, evaluate_route
from quarry.retriever.evaluation.saved import Meta, SavedEvaluation
from quarry.retriever.searcher import Searcher
from quarry.training.tuning.plan import Exam
from quarry.training.tuning.trials import MEASURES, general_ranking, once

GENERAL_DEPTH = 20  # pairs are what it costs; below rank 20 of the embedder few of the set's answers are left


@dataclass(frozen=True, slots=True)
class Ranker:
    """What orders the candidates: a reranker, or without one the first stage.

    Attributes:
        name: The name that people see.
        key: Plain name that differs when the weights do; names the folders of evaluations.
        reranker: None leaves the first stage's order.
    """

    name: str
    key: str
    reranker: Reranker | None


@dataclass(frozen=True, slots=True)
class FirstStage:
    """What finds the candidates."""

    index: Index
    embedder: Embedder


def held_out_evaluation(ranker: Ranker, first: FirstStage, dataset: Dataset, exam: Exam, kept: Path) -> Evaluation:
    """Ask the held-out queries of the index, or rank their own corpus as the general set's where they have one.

    Args:
        ranker: What orders the candidates.
        first: What finds them.
        dataset: The queries.
        exam: The first stage's route, and how many candidates are reranked.
        kept: Where the evaluation is kept.

    Raises:
        CorpusError: If no query has a relevant document.
        ModelError: If the reranker failed for some candidates: what it would have done is then unknown.
    """
    if dataset.corpus_path is not None:
        return general_evaluation(ranker, first.embedder, dataset, kept)
    depth = exam.rerank_depth
    asked = exam.route + (RERANKED if ranker.reranker else "")

    def ask() -> SavedEvaluation:
        searcher = Searcher.open(
            first.index.root, embedder=first.embedder, rerank=ranker.reranker, generation=first.index.generation
        )
        found = evaluate_route(searcher, dataset, asked, MEASURES, rerank_depth=depth)
        if found.degraded:
            raise ModelError(
                "tuning.degraded",
                "{ranker} did not answer all held-out queries by {route} ({why})",
                expected="full answers, or there is no verdict",
                do="Try again, or give another --device",
                ranker=ranker.name,
                route=asked,
                why=found.degraded[0],
            )
        return found.saved(searcher, dataset)

    return once(kept / f"held-out-{asked}-{depth}-{first.index.generation}-{ranker.key}", ask).evaluation


def general_evaluation(
    ranker: Ranker, embedder: Embedder, dataset: Dataset, kept: Path, progress: Progress | None = None
) -> Evaluation:
    """Measure on the general set.

    Args:
        ranker: What orders the candidates.
        embedder: What finds them.
        dataset: The set.
        kept: Where evaluations are kept, by models and set.
        progress: Receives the number of texts encoded and of queries reranked.

    Raises:
        CorpusError: If the set cannot be read.
        ModelError: If a model fails.
    """
    first = general_ranking(embedder, dataset, kept, progress)
    reranker = ranker.reranker
    if reranker is None:
        return first.evaluation

    def rerank() -> SavedEvaluation:
        texts = {one.doc_id: passage_text(one.title, "", one.text) for one in documents(dataset)}
        run: dict[str, list[tuple[str, float]]] = {}
        for query in dataset.queries:
            run[query.query_id] = _reranked(reranker, query.text, first.run, query.query_id, texts)
            if progress is not None:
                progress(1)
        evaluation = evaluate(run, dataset.qrels, MEASURES, queries=dataset.queries)
        meta = Meta(
            dataset.name,
            dataset.split,
            dataset.digest,
            model=first.meta.model,
            route="dense",
            rerank=ranker.name,
            depth=GENERAL_DEPTH,
        )
        return SavedEvaluation(meta, evaluation, run)

    name = f"{embedder.spec.fingerprint[:16]}-{dataset.digest[:16]}-{GENERAL_DEPTH}-{ranker.key}"
    return once(kept / name, rerank).evaluation


def _reranked(
    reranker: Reranker, query: str, first: Run, query_id: str, texts: Mapping[str, str]
) -> list[tuple[str, float]]:
    """Return the first documents in the reranker's order, and the others below them as they were."""
    ranked = [doc_id for doc_id, _ in first[query_id]]
    head, tail = ranked[:GENERAL_DEPTH], ranked[GENERAL_DEPTH:]
    logits = [float(score) for score in reranker.score(query, [texts[doc_id] for doc_id in head])]
    best = sorted(zip(head, logits, strict=True), key=lambda pair: (-pair[1], pair[0]))
    lowest = min(logits, default=0.0)
    return [*best, *((doc_id, lowest - place) for place, doc_id in enumerate(tail, start=1))]
