"""The held-out side of a split as a data set of documents, so that the gate can ask it of an index. It judges nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quarry.indexer.errors import FeedbackError
from quarry.indexer.language import language_of
from quarry.indexer.opened import Index
from quarry.indexer.records import passage_text
from quarry.retriever.data.datasets import Dataset
from quarry.retriever.ranking import Query
from quarry.retriever.searcher import document_of
from quarry.training.examples.example import Example, text_key

NAME = "held-out queries"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Examples as a data set.

    Attributes:
        dataset: Queries, and the documents that answer them with grade 1.
        nowhere: Queries left out because none of their positives is in the index; they can train, not judge.
    """

    dataset: Dataset
    nowhere: tuple[str, ...]


_CHUNKS_AT_ONCE = 4096


class Places:
    """Where the texts of an index are: from what a positive reads like to the documents that hold it."""

    def __init__(self, index: Index) -> None:
        self._ids = frozenset(index.chunks.doc_ids())
        self._of: dict[str, set[str]] = {}
        for document in index.chunks.documents():
            for text in (document.text, passage_text(document.title, "", document.text)):
                self._of.setdefault(text_key(text), set()).add(document.doc_id)
        chunk_ids = index.chunks.digests()[0]
        for first in range(0, len(chunk_ids), _CHUNKS_AT_ONCE):
            part = chunk_ids[first : first + _CHUNKS_AT_ONCE]
            for chunk, passage in zip(index.chunks.chunks(part), index.chunks.texts(part), strict=True):
                for text in (chunk.text, passage):
                    self._of.setdefault(text_key(text), set()).add(chunk.doc_id)

    def documents(self, example: Example) -> tuple[str, ...]:
        """Return the documents of the index that hold a positive of the example, by id, else by text; sorted."""
        by_id = {name for one in example.positive_ids for name in (one, document_of(one)) if name in self._ids}
        by_text = {doc_id for text in example.row.pos for doc_id in self._of.get(text_key(text), ())}
        return tuple(sorted(by_id | by_text))


def held_out(examples: Iterable[Example], places: Places) -> HeldOut:
    """Turn examples into a data set of the documents of an index; examples of the same query become one query.

    Raises:
        FeedbackError: If no example has a positive in the index.
    """
    queries: dict[str, str] = {}
    qrels: dict[str, dict[str, int]] = {}
    nowhere: dict[str, None] = {}
    for example in examples:
        found = places.documents(example)
        if not found:
            nowhere[example.query_id] = None
            continue
        queries[example.query_id] = example.row.query
        qrels.setdefault(example.query_id, {}).update(dict.fromkeys(found, 1))
    if not queries:
        raise FeedbackError(
            "examples.held_out_nowhere",
            "none of the {count} held-out queries has a positive that is in the index",
            expected="at least one, because a model is judged by what the index finds",
            do="Index the documents, or give judged queries with --evaluate",
            count=len(nowhere),
        )
    return HeldOut(_dataset(queries, qrels), tuple(name for name in nowhere if name not in queries))


def _dataset(queries: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]]) -> Dataset:
    asked = tuple(Query(query_id, text) for query_id, text in sorted(queries.items()))
    return Dataset(
        name=NAME,
        corpus_path=None,
        queries=asked,
        qrels=qrels,
        split="test",
        language=Counter(language_of(query.text) for query in asked).most_common(1)[0][0],
        metadata={},
    )
