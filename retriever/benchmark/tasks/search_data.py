"""Retrieval and reranking tasks from a data set with a corpus: sampled when asked, candidates by BM25 and judgements."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random

from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.lexical.choice import SAMPLE, suited_analyzer
from quarry.indexer.lexical.index import UnionIndex
from quarry.indexer.records import Document, passage_text
from quarry.retriever.benchmark.tasks.task_data import TaskChoice
from quarry.retriever.data.datasets import documents, load_dataset
from quarry.retriever.data.trec import Qrels
from quarry.retriever.evaluation.evaluate import exclusions
from quarry.retriever.ranking import Query

CANDIDATES = 50  # of BM25 per query; a reranker rarely sees more
_DOCUMENTS_PER_QUERY = 20  # kept in a sampled corpus, so that answers still have competition


@dataclass(frozen=True, slots=True)
class SearchData:
    """A retrieval or reranking task.

    Attributes:
        choice: Data set and kind.
        split: The judgements' split.
        queries: Those with a relevant document in the corpus.
        documents: The corpus; of a reranking task only the candidates.
        qrels: Judgements of these queries and documents.
        candidates: Query id to the ids to rerank, in id order so that their order tells nothing; empty for retrieval.
        total_queries: How many queries could be asked.
        total_documents: How many documents the corpus has.
    """

    choice: TaskChoice
    split: str
    queries: tuple[Query, ...]
    documents: tuple[Document, ...]
    qrels: Qrels
    candidates: Mapping[str, Sequence[str]]
    total_queries: int
    total_documents: int

    @property
    def sampled(self) -> bool:
        """Whether queries were drawn."""
        return len(self.queries) < self.total_queries

    @property
    def digest(self) -> str:
        """16 hex digits that change with queries, documents, judgements or candidates."""
        content = [
            [(query.query_id, query.text) for query in self.queries],
            [(document.doc_id, document.title, document.text) for document in self.documents],
            self.qrels,
            self.candidates,
        ]
        return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def size(self) -> str:
        """How much is scored, in words."""
        of = f" of {self.total_queries}" if self.sampled else ""
        some = f" of {self.total_documents}" if len(self.documents) < self.total_documents else ""
        return f"{len(self.queries)}{of} queries, {len(self.documents)}{some} documents"


def read_search(choice: TaskChoice, limit: int | None) -> SearchData:
    """Read a retrieval or reranking task.

    Args:
        choice: Which.
        limit: At most this many queries, drawn with a fixed seed; the corpus is then cut to their judged documents and
            others drawn at random, 20 documents per query in all.

    Raises:
        CorpusError: If the data set is bad, or has no corpus (see `quarry.retriever.data.datasets`).
        ValueError: If no query has a relevant document in the corpus.
    """
    dataset = load_dataset(choice.folder)
    corpus = {document.doc_id: document for document in documents(dataset)}
    qrels = {
        query.query_id: {doc_id: grade for doc_id, grade in dataset.qrels[query.query_id].items() if doc_id in corpus}
        for query in dataset.queries
    }
    excluded = exclusions(qrels, [query.query_id for query in dataset.queries])
    usable = [query for query in dataset.queries if query.query_id not in excluded]
    if not usable:
        raise ValueError(f"{choice.folder}: no query has a relevant document in the corpus; expected at least one")
    queries, kept = usable, corpus
    if limit is not None and limit < len(usable):
        queries = [usable[place] for place in sorted(Random(0).sample(range(len(usable)), limit))]
        kept = _sampled_corpus(corpus, {doc_id for query in queries for doc_id in qrels[query.query_id]}, limit)
    grades = {query.query_id: qrels[query.query_id] for query in queries}
    candidates: dict[str, list[str]] = {}
    if choice.kind == "Reranking":
        candidates = bm25_candidates(queries, kept, grades)
        used = {doc_id for ids in candidates.values() for doc_id in ids}
        kept = {doc_id: document for doc_id, document in kept.items() if doc_id in used}
    return SearchData(
        choice, dataset.split, tuple(queries), tuple(kept.values()), grades, candidates, len(usable), len(corpus)
    )


def bm25_candidates(
    queries: Sequence[Query], corpus: Mapping[str, Document], qrels: Qrels, count: int = CANDIDATES
) -> dict[str, list[str]]:
    """Return per query the documents to rerank: the first `count` of BM25 and all judged ones, in id order."""
    ids = list(corpus)
    sample = Random(0).sample(ids, min(len(ids), SAMPLE))
    words = analyzer(suited_analyzer([corpus[doc_id].text for doc_id in sample]).analyzer)
    index = UnionIndex.build(
        ids, (words.passage_terms(passage_text(corpus[doc_id].title, "", corpus[doc_id].text)) for doc_id in ids)
    )
    found: dict[str, list[str]] = {}
    for query in queries:
        hits = {hit.chunk_id for hit in index.search(words.query_tokens(query.text), count)}
        found[query.query_id] = sorted(hits | qrels[query.query_id].keys())
    return found


def _sampled_corpus(corpus: Mapping[str, Document], judged: set[str], queries: int) -> dict[str, Document]:
    others = [doc_id for doc_id in corpus if doc_id not in judged]
    wanted = max(0, min(len(others), queries * _DOCUMENTS_PER_QUERY - len(judged)))
    kept = judged.union(Random(0).sample(others, wanted))
    return {doc_id: document for doc_id, document in corpus.items() if doc_id in kept}
