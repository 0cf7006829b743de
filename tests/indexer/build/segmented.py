"""Indexes of several segments, and all that an index answers with."""

import pytest

from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from tests.fakes import WordEmbedder

DIM = 16
WORDS = ("river", "library", "renew", "bridge", "氧气", "黑死病", "图书馆", "河流", "valve", "pump")
QUERIES = ("river library", "图书馆 河流", "valve", "renew bridge 氧气", "pump pump 黑死病")


def answers(index):
    """All that an index answers with, as values that compare equal up to rounding."""
    embedder, opened = WordEmbedder(dim=DIM), Index.open(index)
    try:
        table, ids = opened.chunks, opened.chunks.digests()[0]
        count = len(ids)
        queries = embedder.embed_queries(list(QUERIES))
        tokens = [opened.analyzer.query_tokens(query) for query in QUERIES]
        filters = table.matching({"kind": "a"}) if "kind" in table.meta_values() else frozenset()
        return {
            "documents": list(table.documents()),
            "counts": (table.counts(), opened.manifest.documents, opened.manifest.chunks, len(opened.lexical)),
            "chunks": table.chunks(ids),
            "texts": table.texts(ids),
            "languages": table.languages(),
            "names": table.names_of(ids),
            "meta": table.meta_values(),
            "filter": filters,
            "vectors": sorted(opened.vectors.ids),
            "dense": [
                [(near.chunk_id, pytest.approx(near.similarity, abs=1e-6)) for near in line]
                for allowed in (None, filters)
                for k in (1, 3, count + 5)
                for line in opened.vectors.search(queries, k, allowed=allowed)
            ],
            "lexical": [
                [
                    (hit.chunk_id, pytest.approx(hit.score, rel=1e-4), hit.terms)
                    for hit in opened.lexical.search(asked, k, allowed=allowed)
                ]
                for allowed in (None, filters)
                for k in (1, 3, count + 5)
                for asked in tokens
            ],
            "idf": [pytest.approx(opened.lexical.idf(word)) for asked in tokens for word in asked],
            "having": [opened.lexical.having([asked]) for asked in tokens],
        }
    finally:
        opened.chunks.close()


def corpus(first, count):
    return [
        Document(
            f"d{number}",
            f"the {WORDS[number % 4]} and a {WORDS[number // 4 % 4]}, number{number}",
            "Rivers",
            {"kind": "a"},
        )
        for number in range(first, first + count)
    ]
