"""Reads evaluation data sets in the published layouts (`layouts`): BEIR, FlagEmbedding custom, TREC. It measures nothing."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from quarry.indexer.errors import CorpusError
from quarry.indexer.language import Language, language_of
from quarry.indexer.messages import Message
from quarry.indexer.records import Document
from quarry.retriever.data.judged_rows import query_id_of
from quarry.retriever.data.layouts import chosen_split, existing, splits_of
from quarry.retriever.data.text_lines import Faults, json_object, numbered_lines, quoted, text_id
from quarry.retriever.data.topics import clean_text, flat_fields, parse_queries, read_queries
from quarry.retriever.data.trec import Judgements, Qrels, read_qrels
from quarry.retriever.ranking import Query

__all__ = ["Dataset", "UnknownDocuments", "documents", "load_dataset", "parse_queries", "unknown_documents"]

_SHOWN = 3
_TAKEN = ("_id", "id", "title", "text")
_CORPUS_LINES = Message.of(
    "data.corpus_lines",
    "JSON lines {form}, each id once",
    form='{"_id": "d1", "title": "...", "text": "..."}',
)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Queries with judgements of one split, and where the corpus is.

    Attributes:
        name: The folder's name.
        corpus_path: BEIR or FlagEmbedding jsonl; None when the data set has none (TREC topics alone).
        queries: Those that the split judges, in the file's order.
        qrels: Judgements of these queries.
        split: Which.
        language: The language of most queries, by script.
        metadata: Query id to its further fields, for slices.
        unjudged: Queries that no split judges; left out.
        without_query: Judged query ids that have no text; left out.
        repeated: Places of duplicate judgements, with the same grade.
    """

    name: str
    corpus_path: Path | None
    queries: tuple[Query, ...]
    qrels: Qrels
    split: str
    language: Language
    metadata: Mapping[str, Mapping[str, str]]
    unjudged: tuple[str, ...] = ()
    without_query: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Digest of queries and judgements (16 hex digits); equal means that figures can be compared."""
        texts = {query.query_id: query.text for query in self.queries}
        return sha256(json.dumps([texts, self.qrels], sort_keys=True).encode()).hexdigest()[:16]

    def notes(self) -> tuple[Message, ...]:
        """Return one note for each kind of oddity, with the first few ids; empty when all fits."""
        found = (
            (self.unjudged, queries_without_judgements),
            (self.without_query, queries_without_text),
            (self.repeated, duplicate_judgements),
        )
        return tuple(note(ids) for ids, note in found if ids)


def queries_without_judgements(ids: Sequence[str]) -> Message:
    """Return a note on queries that nobody judged."""
    return Message.of(
        "data.unjudged_queries",
        "{count:query has|queries have} no judgements: left out ({first})",
        count=len(ids),
        first=first_few(ids),
    )


def queries_without_text(ids: Sequence[str]) -> Message:
    """Return a note on judged queries whose text is missing."""
    return Message.of(
        "data.queries_without_text",
        "{count:judged query has|judged queries have} no text: left out ({first})",
        count=len(ids),
        first=first_few(ids),
    )


def duplicate_judgements(places: Sequence[str]) -> Message:
    """Return a note on judgements that repeat an earlier one with the same grade."""
    return Message.of(
        "data.duplicate_judgements",
        "{count:duplicate judgement|duplicate judgements}: left out ({first})",
        count=len(places),
        first=first_few(places),
    )


def other_queries(qrels: Path, judged: int, queries: str, texts: int) -> CorpusError:
    """Return the error for judgements and queries that have no query in common."""
    return CorpusError(
        "data.other_queries",
        "{qrels}: none of its {judged} queries is among the {texts} of {queries}",
        expected="judgements of these queries",
        do="Check that the files belong together",
        qrels=qrels,
        judged=judged,
        texts=texts,
        queries=queries,
    )


def first_few(names: Sequence[str]) -> list[str]:
    """Return the first three, and `...` when there are more."""
    return [*names[:_SHOWN], *(["..."] if len(names) > _SHOWN else [])]


@dataclass(frozen=True, slots=True)
class UnknownDocuments:
    """Judged documents that are not in the corpus or index: a query whose relevant ones are among them cannot win.

    Attributes:
        count: How many different documents.
        first: The first few ids.
        relevant: How many of them are relevant to some query.
        judged: How many different documents are judged in all.
    """

    count: int
    first: tuple[str, ...]
    relevant: int
    judged: int


def load_dataset(path: Path, split: str | None = None) -> Dataset:
    """Read the queries and judgements of a data set folder; the corpus is only looked for.

    Args:
        path: The folder.
        split: Which split; when not given, the only one, else `test`, else `dev`.

    Raises:
        CorpusError: If the folder has none of the layouts, the split is missing or not clear, a file is bad (see
            `read_queries`, `read_qrels`), or no judged query has a text.
    """
    splits = splits_of(path)
    chosen = chosen_split(path, splits, split)
    files = splits[chosen]
    found = read_queries(files.queries)
    judgements: Judgements = read_qrels(files.qrels)
    texts = {query.query_id for query in found.queries}
    queries = tuple(query for query in found.queries if query.query_id in judgements.qrels)
    if not queries:
        raise other_queries(files.qrels, len(judgements.qrels), files.queries.name, len(texts))
    elsewhere = {
        query_id
        for name, other in splits.items()
        if name != chosen and other.queries == files.queries
        for query_id in _query_ids(other.qrels)
    }
    return Dataset(
        name=path.resolve().name,
        corpus_path=existing(path / "corpus.jsonl"),
        queries=queries,
        qrels={query.query_id: judgements.qrels[query.query_id] for query in queries},
        split=chosen,
        language=Counter(language_of(query.text) for query in queries).most_common(1)[0][0],
        metadata={query.query_id: found.metadata.get(query.query_id, {}) for query in queries},
        unjudged=tuple(sorted(texts - judgements.qrels.keys() - elsewhere)),
        without_query=tuple(sorted(judgements.qrels.keys() - texts)),
        repeated=judgements.repeated,
    )


def documents(dataset: Dataset) -> Iterator[Document]:
    """Yield the documents of the data set's corpus, one at a time, in the file's order.

    Raises:
        CorpusError: At the call when the data set has no corpus; while iterating when a line is bad (not JSON, id
            missing or a duplicate, text missing).
    """
    if dataset.corpus_path is None:
        raise CorpusError(
            "data.no_corpus",
            "data set {dataset} has no corpus.jsonl",
            expected="one to read documents from",
            do="Add it, or index the documents from where they are",
            dataset=repr(dataset.name),
        )
    return _corpus(dataset.corpus_path)


def unknown_documents(qrels: Qrels, known: Collection[str]) -> UnknownDocuments:
    """Count the judged documents that are not among the known ids.

    Args:
        qrels: The judgements.
        known: All document ids of the corpus or index; a set, for speed.
    """
    grades: dict[str, int] = {}
    for row in qrels.values():
        for doc_id, grade in row.items():
            grades[doc_id] = max(grade, grades.get(doc_id, grade))
    absent = [doc_id for doc_id in grades if doc_id not in known]
    return UnknownDocuments(
        count=len(absent),
        first=tuple(absent[:_SHOWN]),
        relevant=sum(grades[doc_id] > 0 for doc_id in absent),
        judged=len(grades),
    )


def _corpus(path: Path) -> Iterator[Document]:
    faults = Faults(path, _CORPUS_LINES)
    seen: set[str] = set()
    for number, line in numbered_lines(path):
        document = _document(line, seen)
        if isinstance(document, Message):
            faults.add(number, document)
            faults.raise_if_any()
        else:
            seen.add(document.doc_id)
            yield document


def _document(line: str, seen: Collection[str]) -> Document | Message:
    """Return the document of a corpus line, or what is wrong with it."""
    row = json_object(line)
    if isinstance(row, Message):
        return row
    given = row.get("_id", row.get("id"))
    doc_id = text_id(given)
    if doc_id is None:
        return Message.of("data.bad_document_id", "document id {id} is missing or not text", id=quoted(given))
    if doc_id in seen:
        return Message.of("data.duplicate_document", "duplicate document id {id}", id=quoted(doc_id))
    if not isinstance(row.get("text"), str):
        return Message.of("data.no_document_text", "document {id} has no text", id=quoted(doc_id))
    return Document(doc_id, clean_text(row["text"]), clean_text(row.get("title")), flat_fields(row, _TAKEN))


def _query_ids(path: Path) -> Iterator[str]:
    """Yield the query ids of another split, loosely: faults in it do not concern this split."""
    for _, line in numbered_lines(path):
        row = json_object(line) if line.lstrip().startswith("{") else None
        if isinstance(row, dict):
            yield query_id_of(row)
        else:
            yield re.split(r"\t" if "\t" in line else "[ ,]+", line.strip(" "))[0].strip(' "')
