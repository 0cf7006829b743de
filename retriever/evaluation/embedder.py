"""Measures a model alone on a small data set: documents and queries are encoded and ranked exactly, in memory, without an index."""

from collections.abc import Iterable, Sequence

import numpy as np

from quarry.indexer.embedder import Embedder, Progress
from quarry.indexer.errors import CorpusError
from quarry.indexer.records import Document, passage_text
from quarry.retriever.data.datasets import Dataset
from quarry.retriever.data.trec import Run
from quarry.retriever.evaluation.evaluate import Evaluation, evaluate
from quarry.retriever.evaluation.measures import Measure

DEPTH = 100
_MOST_DOCUMENTS = 20_000  # 30 MB of vectors of 384 dimensions, and minutes of encoding: more belongs into an index


def evaluate_embedder(
    embedder: Embedder,
    documents: Iterable[Document],
    dataset: Dataset,
    measures: Sequence[Measure],
    *,
    progress: Progress | None = None,
) -> tuple[Evaluation, Run]:
    """Rank all documents for each query by cosine and measure the ranking. Documents are not cut into passages.

    Args:
        embedder: The model.
        documents: The corpus, at most 20,000 documents; longer texts than the model reads are cut by it.
        dataset: Queries and judgements.
        measures: What to compute.
        progress: Receives the number of documents encoded so far.

    Returns:
        The evaluation, and the run with 100 documents a query.

    Raises:
        CorpusError: If there is no document or there are too many, or the judgements do not fit (see `evaluate`).
    """
    corpus = sorted(documents, key=lambda document: document.doc_id)
    if not 1 <= len(corpus) <= _MOST_DOCUMENTS:
        raise CorpusError(
            "evaluation.corpus_size",
            "{dataset} has {documents:document|documents}",
            expected="1 to {most:,}, which fit in memory",
            do="Index a larger corpus and use `quarry evaluate`",
            dataset=dataset.name,
            documents=len(corpus),
            most=_MOST_DOCUMENTS,
        )
    vectors = embedder.embed_documents([passage_text(one.title, "", one.text) for one in corpus], progress=progress)
    queries = embedder.embed_queries([query.text for query in dataset.queries])
    scores = queries @ vectors.T
    k = min(DEPTH, len(corpus))
    run: dict[str, list[tuple[str, float]]] = {}
    for query, row in zip(dataset.queries, scores, strict=True):
        best = np.argsort(-row, kind="stable")[:k]  # the corpus is in id order, so ties are too
        run[query.query_id] = [(corpus[place].doc_id, float(row[place])) for place in best]
    return evaluate(run, dataset.qrels, measures, queries=dataset.queries), run
