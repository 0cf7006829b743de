"""Texts of a lake: what a chunk table answers, from Lance tables. Nothing can be changed here, and little is kept in memory."""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from quarry.indexer.corpus.walk import SourceFile
from quarry.indexer.errors import SearchError
from quarry.indexer.readers.left_out import counts_of
from quarry.indexer.records import Chunk, Document, passage_text
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.texts.document_rows import DocumentRow
from quarry.indexer.storage.texts.packing import read_meta
from quarry.indexer.stores.lake.layout import LakeGeneration
from quarry.indexer.stores.lake.tables import Table, is_in, quoted
from quarry.indexer.stores.lake.where import Where, predicate_of

_CHUNK = ("chunk_id", "doc_id", "text", "start", "end", "heading", "title", "page")
_MOST_SOURCES = 100_000  # file names that a question is compared with; beyond, it names none
_MOST_VALUES = 20_000  # of all keys that a filter menu is made from
_PAGES = 10_000  # of passages that are remembered
_OF_SOURCE = 1_000
_UNDER = 50  # rows read per title and wanted passage, at most
_BATCH = 8_192


@dataclass(frozen=True, slots=True)
class LakeTables:
    """The tables of one generation, opened."""

    passages: Table
    documents: Table
    values: Table


class LakeTexts(ChunkTable):
    """Documents and passages of one generation of a lake."""

    def __init__(self, tables: LakeTables, generation: LakeGeneration) -> None:
        self.path = Path(generation.manifest.generation)
        self._tables, self._generation = tables, generation
        self._pages: OrderedDict[tuple[str, int], int | None] = OrderedDict()
        self._lock = Lock()

    def __getattr__(self, name: str) -> Any:
        """Answer for the database, and its segments, that other chunk tables have.

        Raises:
            AttributeError: For any other name.
            SearchError: Always for these: what would need it is not offered for a lake.
        """
        if name not in ("_db", "_segments"):
            raise AttributeError(name)
        raise SearchError(
            "stores.lake_only_reads",
            "this is not offered for a lake",
            expected="an index folder",
            do="A lake is changed with `quarry lake`",
        )

    def close(self) -> None:
        """Nothing is held open."""

    # Roots and files

    def roots(self) -> dict[str, str]:
        """Return the folders by prefix; where they lie is known to the machine that added them."""
        return {prefix: prefix for prefix in self._generation.roots}

    def root_counts(self) -> dict[str, tuple[int, int]]:
        """Return prefix -> numbers of files, 0 where they are not counted, and of documents."""
        return {prefix: (0, documents) for prefix, documents in self._generation.roots.items()}

    def file(self, path: str) -> SourceFile | None:  # noqa: ARG002 (as every chunk table)
        """Return nothing: files are known to the machine that added them."""
        return None

    def owner(self, doc_id: str) -> str | None:
        """Return the file that a document came from, as the machine that added it knows it; None when there is no such document."""
        return next((str(row["file"]) for row in self._tables.documents.by("doc_id", [doc_id], ["file"])), None)

    def documents_of(self, file: str) -> dict[str, str]:
        """Return doc_id -> version digest of the documents that came from one file, as the machine that added it knows it."""
        rows = self._tables.documents.rows(f"file = {quoted(file)}", ["doc_id", "sha256"])
        return {row["doc_id"]: row["sha256"] for row in rows}

    # Documents and chunks

    def counts(self) -> tuple[int, int]:
        """Return the numbers of documents and of chunks."""
        return self._generation.manifest.documents, self._generation.manifest.chunks

    def doc_ids(self) -> list[str]:
        """Return the ids of all documents, in order."""
        return sorted(row["doc_id"] for row in self._tables.documents.rows(None, ["doc_id"]))

    def chunk_ids(self) -> Iterator[str]:
        """Yield all chunk ids, in order."""
        yield from sorted(row["chunk_id"] for row in self._tables.passages.rows(None, ["chunk_id"]))

    def digests(self) -> tuple[list[str], list[bytes]]:
        """Return all chunk ids and their passage digests, ordered by chunk id."""
        rows = sorted(
            (row["chunk_id"], row["digest"]) for row in self._tables.passages.rows(None, ["chunk_id", "digest"])
        )
        return [chunk_id for chunk_id, _ in rows], [bytes.fromhex(digest) for _, digest in rows]

    def digests_of(self, chunk_ids: Sequence[str]) -> list[bytes]:
        """Return the passage digests of some chunks, in order. Raises KeyError naming a missing id."""
        rows = self._tables.passages.by("chunk_id", chunk_ids, ["chunk_id", "digest"])
        found = {row["chunk_id"]: bytes.fromhex(row["digest"]) for row in rows}
        return [found[chunk_id] for chunk_id in chunk_ids]

    def lowest_digests(self, count: int, lang: str | None = None) -> list[str]:
        """Return the ids of the chunks with the lowest passage digests, at most so many; of one language when it is given."""
        base = "true" if lang is None else f"lang = {quoted(lang)}"
        total, share = self._tables.passages.count(base), 2.0
        wanted = min(count, total)
        while True:
            top = min(1.0, share * wanted / max(1, total))
            where = base if top >= 1.0 else f"{base} AND digest < {quoted(f'{int(top * (1 << 64)):016x}')}"
            rows = self._tables.passages.rows(where, ["chunk_id", "digest"])
            if len(rows) >= wanted:
                return [
                    row["chunk_id"] for row in sorted(rows, key=lambda row: (row["digest"], row["chunk_id"]))[:count]
                ]
            share *= 4

    def languages(self) -> dict[str, str]:
        """Return chunk id -> language (`zh`, `en`, `mixed`, `other`); reads all."""
        return {row["chunk_id"]: row["lang"] for row in self._tables.passages.rows(None, ["chunk_id", "lang"])}

    def languages_apart(self, names: Sequence[str]) -> dict[str, Collection[str]]:
        """Return the passages of each of some languages, as predicates."""
        return {name: Where(f"lang = {quoted(name)}", self._tables.passages) for name in names}

    def outside(self, names: Sequence[str]) -> Where:
        """Return the passages in none of some languages, as a predicate."""
        return Where(f"NOT ({is_in('lang', names)})", self._tables.passages)

    def language_counts(self) -> dict[str, int]:
        """Return how many passages of each language there are."""
        counts = {
            lang: self._tables.passages.count(f"lang = {quoted(lang)}") for lang in ("zh", "en", "mixed", "other")
        }
        return {lang: count for lang, count in counts.items() if count}

    def names_of(self, chunk_ids: Sequence[str]) -> dict[str, bytes]:
        """Return chunk id -> digest of its title with headings, for those that have one."""
        rows = self._tables.passages.by("chunk_id", list(chunk_ids), ["chunk_id", "name"])
        return {row["chunk_id"]: bytes.fromhex(row["name"]) for row in rows if row["name"]}

    def named(self, digest: bytes, most: int) -> list[str]:
        """Return the first passages that stand under a title with headings, at most so many."""
        return self.named_each([digest], most)[digest]

    def named_each(self, digests: Sequence[bytes], most: int) -> dict[bytes, list[str]]:
        """Return the first passages that stand under each of some titles with headings, at most so many of each."""
        found: dict[bytes, list[str]] = {digest: [] for digest in digests}
        if not digests:
            return found
        where = is_in("name", [digest.hex() for digest in digests])
        rows = self._tables.passages.rows(where, ["chunk_id", "name", "number"], len(digests) * most * _UNDER)
        for row in sorted(rows, key=lambda row: int(row["number"])):
            under = found[bytes.fromhex(row["name"])]
            if len(under) < most:
                under.append(row["chunk_id"])
        return found

    # Reading for answers

    def chunks(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        """Return chunks in order. Raises KeyError naming a missing id."""
        found = {row["chunk_id"]: row for row in self._tables.passages.by("chunk_id", list(chunk_ids), _CHUNK)}
        with self._lock:
            self._pages.update(((row["doc_id"], row["start"]), row["page"]) for row in found.values())
            while len(self._pages) > _PAGES:
                self._pages.popitem(last=False)
        return [_chunk(found[chunk_id]) for chunk_id in chunk_ids]

    def texts(self, chunk_ids: Sequence[str]) -> list[str]:
        """Return passage texts (title, headings, text) in order. Raises KeyError naming a missing id."""
        columns = ("chunk_id", "title", "heading", "text")
        found = {
            row["chunk_id"]: passage_text(row["title"], row["heading"], row["text"])
            for row in self._tables.passages.by("chunk_id", list(chunk_ids), columns)
        }
        return [found[chunk_id] for chunk_id in chunk_ids]

    def titles(self, doc_ids: Sequence[str]) -> dict[str, str]:
        """Return doc_id -> title for those that exist."""
        rows = self._tables.documents.by("doc_id", sorted(set(doc_ids)), ["doc_id", "title"])
        return {row["doc_id"]: row["title"] for row in rows}

    def meta(self, doc_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return doc_id -> metadata for those that exist."""
        rows = self._tables.documents.by("doc_id", sorted(set(doc_ids)), ["doc_id", "meta"])
        return {row["doc_id"]: read_meta(row["meta"]) for row in rows}

    def document(self, doc_id: str) -> Document:
        """Return a whole document. Raises KeyError naming a missing id."""
        for row in self._tables.documents.by("doc_id", [doc_id], ["doc_id", "text", "title", "meta"]):
            return Document(row["doc_id"], row["text"], row["title"], read_meta(row["meta"]))
        raise KeyError(doc_id)

    def documents(self) -> Iterator[Document]:
        """Yield every document, in the order of the table."""
        for batch in self._tables.documents.batches(["doc_id", "text", "title", "meta"], _BATCH):
            for row in batch.to_pylist():
                yield Document(row["doc_id"], row["text"], row["title"], read_meta(row["meta"]))

    def rows_of(self, doc_ids: Sequence[str]) -> list[DocumentRow]:
        """Return documents for a list, in the order of the ids; unknown ids are left out."""
        columns = ("doc_id", "file", "title", "meta", "characters", "passages")
        found = {
            row["doc_id"]: DocumentRow(
                row["doc_id"], row["file"], row["title"], read_meta(row["meta"]), row["characters"], row["passages"]
            )
            for row in self._tables.documents.by("doc_id", list(doc_ids), columns)
        }
        return [found[doc_id] for doc_id in doc_ids if doc_id in found]

    def passages_of(self, doc_id: str) -> list[Chunk]:
        """Return the passages that a document was cut into, in their order."""
        rows = self._tables.passages.rows(f"doc_id = {quoted(doc_id)}", [*_CHUNK, "number"])
        return [_chunk(row) for row in sorted(rows, key=lambda row: (row["start"], row["number"]))]

    def page_at(self, doc_id: str, position: int) -> int | None:
        """Return the page (from 1) on which a character of a document lies, None when the document has no pages."""
        with self._lock:
            if (doc_id, position) in self._pages:
                return self._pages[doc_id, position]
        try:
            text = self.document(doc_id).text
        except KeyError:
            return None
        return text.count("\f", 0, position) + 1 if "\f" in text else None

    def databases(self) -> list[Path]:
        """Return no files: what a lake consists of is looked at by `quarry lake doctor`."""
        return []

    def left_out(self) -> dict[str, int]:
        """Return what readers left out of all documents, by kind, with how many."""
        counts: Counter[str] = Counter()
        for row in self._tables.values.rows("key = 'left_out'", ["value", "documents"]):
            for kind, count in counts_of(row["value"]).items():
                counts[kind] += count * int(row["documents"])
        return dict(counts)

    def sources(self) -> list[str]:
        """Return the files that documents came from; none when they are more than a question can be compared with."""
        if self._tables.values.count("key = 'source'") > _MOST_SOURCES:
            return []
        return sorted(row["value"] for row in self._tables.values.rows("key = 'source'", ["value"]))

    def of_source(self, source: str) -> list[str]:
        """Return the ids of the chunks whose documents came from a file, in order, at most 1,000."""
        rows = self._tables.passages.rows(f"source = {quoted(source)}", ["chunk_id", "number"], _OF_SOURCE)
        return [row["chunk_id"] for row in sorted(rows, key=lambda row: int(row["number"]))]

    def meta_values(self) -> dict[str, list[tuple[str, int]]]:
        """Return the metadata keys with values and document counts, the most frequent of each first, for filter menus."""
        out: dict[str, list[tuple[str, int]]] = {}
        rows = self._tables.values.rows(None, ["key", "value", "documents"], _MOST_VALUES)
        for row in sorted(rows, key=lambda row: (row["key"], -int(row["documents"]), row["value"])):
            out.setdefault(row["key"], []).append((row["value"], int(row["documents"])))
        return out

    def matching(self, filters: Mapping[str, Any]) -> "Where":  # type: ignore[override]  # a collection of ids, not read yet
        """Return the chunks whose document meets the conditions on every key, as a predicate. Raises as `ChunkTable.matching`."""
        return predicate_of(filters, self._tables.passages, self._tables.values)

    def documents_matching(self, filters: Mapping[str, Any]) -> list[str]:
        """Return the ids of all documents that match, in order. Raises as `matching` does."""
        return sorted({row["doc_id"] for row in self._tables.passages.rows(self.matching(filters).sql, ["doc_id"])})


def _chunk(row: Mapping[str, Any]) -> Chunk:
    return Chunk(row["chunk_id"], row["doc_id"], row["text"], row["start"], row["end"], row["heading"])
