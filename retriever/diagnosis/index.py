"""What the embeddings of an index do to a judged data set. It puts `diagnostics` and `sweeps` to work on an opened index.

An index holds passages, judgements name documents: a relevant document stands here by its passage nearest to the query, as it
does when a search is served (MaxP).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import CorpusError, ModelError
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.storage.facts import EmbedderFacts
from quarry.retriever.data.datasets import Dataset, unknown_documents
from quarry.retriever.data.trec import Qrels
from quarry.retriever.diagnosis.sweeps import DepthPoint, DimensionPoint, dimension_sweep, quality_by_depth
from quarry.retriever.diagnosis.vectors import (
    Anisotropy,
    LabelledVectors,
    ScoreBand,
    SimilarityHistograms,
    anisotropy,
    pair_scores,
    score_band,
    similarity_histograms,
)
from quarry.retriever.evaluation.routes import route_options
from quarry.retriever.ranking import Query
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import Searcher, document_of

DIMS = (32, 64, 128, 192, 256, 384, 512, 768, 1024)
KS = (1, 3, 5, 10, 20, 50, 100)
_BINS = 80  # 0.025 wide: the cosines of models such as E5 all lie between 0.7 and 1
_NO_RERANKING = 1  # depth, unused without reranking


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Embedding diagnostics of one index on one data set.

    Attributes:
        model: The embedder.
        dim: Length of the stored vectors.
        generation: The index generation.
        dataset: Name of the data set.
        split: Which split.
        queries: How many were encoded.
        passages: How many vectors the index has.
        relevant_pairs: Query and relevant document pairs that both are there.
        histograms: Cosines of relevant pairs against random pairs.
        passage_anisotropy: How much the passages crowd into one direction.
        query_anisotropy: The same of the queries; None below two different ones.
        band: Where a threshold on the dense score could lie; of this model and stage only.
        dimensions: nDCG@10 of exact passage search with vectors cut short.
        depths: Route to quality of the first k documents, as served.
        notes: What was odd, one sentence each.
    """

    model: str
    dim: int
    generation: str
    dataset: str
    split: str
    queries: int
    passages: int
    relevant_pairs: int
    histograms: SimilarityHistograms
    passage_anisotropy: Anisotropy
    query_anisotropy: Anisotropy | None
    band: ScoreBand
    dimensions: tuple[DimensionPoint, ...]
    depths: Mapping[str, tuple[DepthPoint, ...]]
    notes: tuple[Message, ...]


def diagnose(
    searcher: Searcher,
    embedder: Embedder,
    dataset: Dataset,
    *,
    dims: Sequence[int] = (),
    ks: Sequence[int] = KS,
    routes: Sequence[str] = ("bm25", "dense", "hybrid"),
) -> Diagnosis:
    """Diagnose the embeddings of an index.

    Args:
        searcher: The opened index.
        embedder: The one the index was built with.
        dataset: Queries and judgements about its documents.
        dims: Vector lengths to try; those of `DIMS` below the full one when empty.
        ks: Numbers of documents for the curve of quality, each at least 1.
        routes: Which routes the curve is drawn for, without reranking.

    Raises:
        ModelError: If the index has no vectors.
        CorpusError: If no relevant document of the data set is in the index.
        ValueError: If a length or k is out of range.
        SettingsError: If a route is unknown.
        IndexMismatchError: If the embedder is another one.
    """
    index = searcher.index
    index.check_embedder(embedder.spec)
    passages, notes = stored_vectors(index), tuple[Message, ...]()
    queries = LabelledVectors(
        tuple(query.query_id for query in dataset.queries),
        embedder.embed_queries([query.text for query in dataset.queries]),
    )
    qrels = nearest_passages(queries, passages, dataset.qrels)
    pairs = sum(len(found) for found in qrels.values())
    if not pairs:
        raise CorpusError(
            "diagnosis.other_index",
            "no relevant document of {dataset} is in the index",
            expected="the index of this data set's documents",
            do="Index them, or give the data set that belongs to the index",
            dataset=repr(dataset.name),
        )
    unknown = unknown_documents(dataset.qrels, {document_of(chunk_id) for chunk_id in passages.ids})
    if unknown.count:
        notes += (
            Message.of(
                "diagnosis.unknown_documents",
                "{count} of {judged} judged documents are not in the index",
                count=unknown.count,
                judged=unknown.judged,
            ),
        )
    full = passages.vectors.shape[1]
    positive, random = pair_scores(queries, passages, qrels)
    return Diagnosis(
        model=embedder.spec.model,
        dim=full,
        generation=index.generation,
        dataset=dataset.name,
        split=dataset.split,
        queries=len(queries.ids),
        passages=len(passages.ids),
        relevant_pairs=pairs,
        histograms=similarity_histograms(queries, passages, qrels, bins=_BINS),
        passage_anisotropy=anisotropy(passages.vectors),
        query_anisotropy=anisotropy(queries.vectors) if len(np.unique(queries.vectors, axis=0)) > 1 else None,
        band=score_band(positive.tolist(), random.tolist()),
        dimensions=dimension_sweep(queries, passages, qrels, dims or [dim for dim in DIMS if dim < full]),
        depths={route: _depths(searcher, dataset.queries, dataset.qrels, route, ks) for route in routes},
        notes=notes,
    )


def check_has_vectors(index: Index) -> EmbedderFacts:
    """Return the facts of the index's embedder.

    Raises:
        ModelError: If the index has no vectors.
    """
    facts = index.manifest.embedder
    if facts is None or index.vectors is None:
        raise ModelError(
            "diagnosis.no_vectors",
            "{index} has no vectors",
            expected="an index with an embedding model",
            do="Build them with `quarry index PATH --into {index} --model auto --rebuild`",
            index=index.root,
        )
    return facts


def stored_vectors(index: Index) -> LabelledVectors:
    """Return the stored vectors of all passages, in the order of their ids.

    Raises:
        ModelError: If the index has no vectors.
    """
    check_has_vectors(index)
    ids = list(index.vectors.ids) if index.vectors else []
    order = sorted(range(len(ids)), key=ids.__getitem__)
    vectors = (
        index.vectors.vectors_of(np.array(order, dtype=np.int64)) if index.vectors else np.zeros((0, 1), np.float32)
    )
    return LabelledVectors(tuple(ids[row] for row in order), vectors)


def nearest_passages(queries: LabelledVectors, passages: LabelledVectors, qrels: Qrels) -> dict[str, dict[str, int]]:
    """Turn judgements of documents into judgements of their passages: the nearest to the query stands for each.

    Args:
        queries: Query vectors by query id.
        passages: Passage vectors by chunk id.
        qrels: Judgements of documents.

    Returns:
        Query id to chunk id to grade, for relevant documents that are there.
    """
    rows_of: dict[str, list[int]] = {}
    for row, chunk_id in enumerate(passages.ids):
        rows_of.setdefault(document_of(chunk_id), []).append(row)
    found: dict[str, dict[str, int]] = {}
    for query_id, vector in zip(queries.ids, queries.vectors, strict=True):
        for doc_id, grade in qrels.get(query_id, {}).items():
            rows = rows_of.get(doc_id, [])
            if grade > 0 and rows:
                best = rows[int(np.argmax(passages.vectors[rows] @ vector))]
                found.setdefault(query_id, {})[passages.ids[best]] = grade
    return found


def _depths(
    searcher: Searcher, queries: Sequence[Query], qrels: Qrels, route: str, ks: Sequence[int]
) -> tuple[DepthPoint, ...]:
    if not ks or min(ks) < 1:
        raise ValueError(f"ks are {', '.join(map(str, ks)) or 'none'}; expected numbers from 1")
    _, run = document_run(searcher, queries, max(ks), route_options(route, _NO_RERANKING))
    return quality_by_depth(run, qrels, ks)
