"""The live and the tuned model on the held-out queries and on the general set; each evaluation is made once and kept."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quarry.indexer.embedder import Embedder, Progress
from quarry.indexer.opened import Index
from quarry.retriever.data.datasets import Dataset, documents, load_dataset
from quarry.retriever.diagnosis.vectors import ScoreBand, score_band
from quarry.retriever.evaluation.embedder import evaluate_embedder
from quarry.retriever.evaluation.evaluate import Evaluation
from quarry.retriever.evaluation.measures import Measure, parse_measures
from quarry.retriever.evaluation.routes import evaluate_route
from quarry.retriever.evaluation.saved import Meta, SavedEvaluation, load_evaluation, save_evaluation
from quarry.retriever.ranking import Route
from quarry.retriever.searcher import Searcher, document_of
from quarry.training.tuning.gate import Trial

MEASURES: tuple[Measure, ...] = parse_measures(["nDCG@10", "R@100", "RR@10"])
_RANDOM_PER_QUERY = 50


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the two models, in front of its generation of the index; `model` is its folder."""

    name: str
    searcher: Searcher
    embedder: Embedder
    model: Path

    @property
    def index(self) -> Index:
        """The model's generation of the index."""
        return self.searcher.index


def held_out_trial(live: Contender, tuned: Contender, dataset: Dataset, route: Route, kept: Path) -> Trial:
    """Ask the held-out queries of both generations by one route, as users would be answered.

    Queries with a corpus of their own have no place in the index: the models alone rank that corpus.

    Raises:
        CorpusError: If no query has a relevant document.
    """

    def evaluation(contender: Contender) -> Evaluation:
        if dataset.corpus_path is not None:
            return general_ranking(contender.embedder, dataset, kept, None).evaluation

        def ask() -> SavedEvaluation:
            return evaluate_route(contender.searcher, dataset, route, MEASURES).saved(contender.searcher, dataset)

        return once(kept / f"held-out-{route}-{contender.name}", ask).evaluation

    return Trial(evaluation(live), evaluation(tuned), dataset.queries)


def general_trial(
    live: Contender, tuned: Contender, general: Path, kept: Path, progress: Progress | None = None
) -> Trial:
    """Measure both models on the general set; what a model was worth on it is kept for later runs of the same index.

    Args:
        live: The model that answers now.
        tuned: The other one.
        general: The set's folder (BEIR).
        kept: Where evaluations are kept, by model and set.
        progress: Receives the number of texts encoded.

    Raises:
        CorpusError: If the set cannot be read.
    """
    dataset = load_dataset(general)

    def evaluation(contender: Contender) -> Evaluation:
        return general_ranking(contender.embedder, dataset, kept, progress).evaluation

    return Trial(evaluation(live), evaluation(tuned), dataset.queries)


def general_ranking(embedder: Embedder, dataset: Dataset, kept: Path, progress: Progress | None) -> SavedEvaluation:
    """Rank the documents of a small set by a model's cosines. The other arguments are those of `general_trial`."""

    def measure() -> SavedEvaluation:
        found, run = evaluate_embedder(embedder, documents(dataset), dataset, MEASURES, progress=progress)
        spec = embedder.spec
        meta = Meta(dataset.name, dataset.split, dataset.digest, model=f"{spec.model} {spec.revision}", route="dense")
        return SavedEvaluation(meta, found, run)

    return once(kept / f"{embedder.spec.fingerprint[:16]}-{dataset.digest[:16]}", measure)


def calibration(index: Index, embedder: Embedder, dataset: Dataset, *, seed: int = 0) -> ScoreBand | None:
    """Return the range for a threshold on this model's cosines: answers of judged queries against random passages.

    Args:
        index: The generation of the model.
        embedder: The model.
        dataset: Judged queries.
        seed: Seed of the draw of random passages.

    Returns:
        The band, None when no judged document is in the index.
    """
    if index.vectors is None:
        return None
    ids = index.vectors.ids
    order = np.array(sorted(range(len(ids)), key=list(ids).__getitem__), dtype=np.int64)
    owners = np.array([document_of(ids[row]) for row in order.tolist()])
    asked = embedder.embed_queries([query.text for query in dataset.queries])
    rng = np.random.default_rng(seed)
    positives: list[float] = []
    negatives: list[float] = []
    for query, vector in zip(dataset.queries, asked, strict=True):
        graded = dataset.qrels.get(query.query_id, {})
        relevant = np.isin(owners, [name for name, grade in graded.items() if grade > 0])
        if not relevant.any() or relevant.all():
            continue
        others = np.flatnonzero(~relevant)
        drawn = rng.choice(others, min(_RANDOM_PER_QUERY, len(others)), replace=False)
        positives.append(float((index.vectors.vectors_of(order[relevant]) @ vector).max()))
        negatives += [float(score) for score in index.vectors.vectors_of(order[drawn]) @ vector]
    return score_band(positives, negatives) if positives else None


def once(folder: Path, make: Callable[[], SavedEvaluation]) -> SavedEvaluation:
    """Return the evaluation that is kept in a folder; it is made when there is none."""
    if folder.is_dir():
        return load_evaluation(folder)
    saved = make()
    if not folder.is_dir():  # another run of the same index may have made it meanwhile
        save_evaluation(folder, saved)
    return saved
