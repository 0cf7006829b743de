"""The default pipeline on one set, stage by stage, through the shipped functions: nothing of it is computed here.

Every set is indexed as `quarry index` does, with vectors that are kept (`kept_vectors`). Token states are made for the candidates
that the second stage compares and no others, which changes no figure and saves most of the encoding.
"""

from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.embedder import heads_of
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.tokens.cache import TokenCache
from quarry.indexer.tokens.fitting import projection_for
from quarry.retriever.evaluation.measures import ndcg
from quarry.retriever.ranking import Query, Ranking
from quarry.retriever.rerankers.late_interaction import LateInteraction
from quarry.retriever.rerankers.stored_states import StoredStates
from quarry.retriever.searcher import Searcher, SearchOptions, document_of
from quarry.retriever.stages.fusion import reciprocal_rank_fusion
from quarry.retriever.stages.hybrid import HybridRetriever, WithFallback
from quarry.retriever.stages.single import DenseRetriever, LexicalRetriever
from tests.benchmarks.fusion_sets import JudgedSet
from tests.benchmarks.kept_vectors import KeptEmbedder, Numbers, Vectors

STAGES = ("BM25", "dense", "RRF", "0.1.0", "fusion", "titles", "second stage")
_DEPTH = 100  # of plain RRF, and of each side of the fusion
_PASSAGES = 20  # of which the first ten documents are taken; nearly every document is one passage


@dataclass(frozen=True)
class Staged:
    """One set: nDCG@10 of each query after each stage, and for how many queries the second stage changed the order.

    Attributes:
        one: The set.
        scores: By the names in STAGES; each stage includes those before it from `fusion` on.
        acted: Queries that the second stage scored; None for encoders whose token states a default index does not keep.
    """

    one: JudgedSet
    scores: dict[str, Numbers]
    acted: int | None

    @property
    def better(self) -> str:
        """The better one of BM25 and dense search."""
        return max(("BM25", "dense"), key=lambda name: float(self.scores[name].mean()))

    def against(self, stage: str, other: str) -> tuple[float, float, float]:
        """Return the mean difference of two stages with the ends of its 95 % interval."""
        differences = self.scores[stage] - self.scores[other]
        return float(differences.mean()), *interval(differences)


def interval(differences: Numbers) -> tuple[float, float]:
    """Return the 95 % interval of a mean difference by 2,000 resamples of the queries."""
    drawn = np.random.default_rng(0).integers(0, len(differences), (2000, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


class Bench:
    """Measures sets; those with the same documents share an index below `work`."""

    def __init__(self, work: Path, stores: dict[str, Vectors]) -> None:
        self._work, self._stores = work, stores

    def measure(self, one: JudgedSet) -> Staged:
        """Ask every question of a set after every stage."""
        embedder = KeptEmbedder(self._stores[one.encoder])
        root = self._indexed(one, embedder)
        queries = [Query(key, text) for key, text in one.queries.items()]
        index = Index.open(root)
        first = _parts(index, embedder, queries)
        searcher = Searcher.open(root, embedder=embedder)
        options = SearchOptions(rerank=False, dense_budget_ms=1e7)
        rankings = {**first, "titles": searcher.rank(queries, _PASSAGES, options)}
        searcher.pipeline.names = None
        rankings["fusion"] = searcher.rank(queries, _PASSAGES, options)
        acted = None
        if one.encoder == "offline":
            searcher = Searcher.open(root, embedder=embedder)
            searcher.pipeline.late = LateInteraction({"": StatesOnDemand(index, embedder)}, lambda: embedder)
            patient = SearchOptions(dense_budget_ms=1e7, rerank_budget_ms=1e7)
            rankings["second stage"] = searcher.rank(queries, _PASSAGES, patient)
            assert not any(ranking.degraded for ranking in rankings["second stage"])
            acted = sum(any(hit.evidence.rerank for hit in ranking.hits) for ranking in rankings["second stage"])
        return Staged(one, {name: _scores(one, rankings[name]) for name in STAGES if name in rankings}, acted)

    def _indexed(self, one: JudgedSet, embedder: KeptEmbedder) -> Path:
        digest = sha256(repr((one.encoder, one.documents)).encode()).hexdigest()[:16]
        root = self._work / digest
        if not root.is_dir():
            documents = [Document(key, text or title, title=title) for key, title, text in one.documents]
            index_documents(root, documents, embedder, BuildOptions(rerank_vectors=False))
        return root


def _parts(index: Index, embedder: KeptEmbedder, queries: list[Query]) -> dict[str, list[Ranking]]:
    """Return what is not the default: each side alone, plain RRF, and the fusion of 0.1.0."""
    lexical = LexicalRetriever(index.lexical, index.analyzer)
    dense = DenseRetriever(lambda: embedder, index.vectors)
    found = {"BM25": lexical.retrieve(queries, _DEPTH), "dense": dense.retrieve(queries, _DEPTH)}
    found["RRF"] = [
        Ranking.of(one.query, reciprocal_rank_fusion(one.hits, other.hits, k=_PASSAGES), _PASSAGES)
        for one, other in zip(found["dense"], found["BM25"], strict=True)
    ]
    before = HybridRetriever(WithFallback(dense, lexical), lexical, index.lexical, index.analyzer)
    return {**found, "0.1.0": before.retrieve(queries, _PASSAGES)}


def _scores(one: JudgedSet, rankings: list[Ranking]) -> Numbers:
    found = []
    for ranking in rankings:
        documents = list(dict.fromkeys(document_of(hit.chunk_id) for hit in ranking.hits))
        found.append(ndcg(documents, one.qrels[ranking.query.query_id], 10))
    return np.array(found)


class StatesOnDemand(StoredStates):
    """Token states of candidates that are made when they are compared, as a build would have made them."""

    def __init__(self, index: Index, embedder: KeptEmbedder) -> None:
        """Put the projection beside the index, as a build does."""
        facts = index.manifest.embedder
        super().__init__(index.root, index.chunks, facts.fingerprint, facts.to_spec().model)
        self._embedder = embedder
        with closing(TokenCache.open(index.root, facts.fingerprint)) as cache:
            if cache.projection() is None:
                cache.keep(projection_for(embedder), heads_of(embedder))

    def of(self, chunk_ids):
        digests = dict(zip(self._chunks.digests_of(chunk_ids), self._chunks.texts(chunk_ids), strict=True))
        projection = self.opened(self._embedder).projection
        with closing(TokenCache.open(self._root, self._fingerprint)) as cache:
            absent = sorted(cache.missing(list(digests)))
            states = {}
            self._embedder.embed_documents_and_tokens(
                [digests[digest] for digest in absent],
                lambda number, found: states.__setitem__(number, projection.compress(found)),
            )
            cache.put(absent, [states[number] for number in range(len(absent))])
        return super().of(chunk_ids)
