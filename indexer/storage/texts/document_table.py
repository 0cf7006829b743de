"""Documents of one generation, whole, listed, or by their metadata."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from quarry.indexer.readers.left_out import counts_of
from quarry.indexer.records import Document
from quarry.indexer.storage.texts.document_rows import DocumentRow
from quarry.indexer.storage.texts.finished import own_document
from quarry.indexer.storage.texts.packing import read_meta, unpacked, unpacked_digest
from quarry.indexer.storage.texts.passage_table import PassageTable


class DocumentTable(PassageTable):
    """Documents, with their passages."""

    def doc_ids(self) -> list[str]:
        """Return the ids of all documents, in order, without loading their texts."""
        return [row[0] for row in self._db.execute("SELECT doc_id FROM documents ORDER BY doc_id")]

    def documents_of(self, file: str) -> dict[str, str]:
        """Return doc_id -> version digest of the documents that came from one file."""
        rows = [row for segment in self._segments for row in self._db.execute(segment.documents_of(), (file,))]
        own = own_document(file)
        if own is not None:
            rows += self._db.execute("SELECT doc_id, sha256 FROM documents WHERE doc_id = ? AND file = ?", (own, file))
        return {doc_id: unpacked_digest(digest) for doc_id, digest in rows}

    def owner(self, doc_id: str) -> str | None:
        """Return the file that a document came from, None when there is no such document."""
        row = self._db.execute("SELECT file FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
        return row[0] if row else None

    def set_owner(self, doc_id: str, file: str) -> None:
        """Record another file as the one that a document came from."""
        self._db.execute("UPDATE documents SET file = ? WHERE doc_id = ?", (file, doc_id))

    def meta(self, doc_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return doc_id -> metadata for those that exist."""
        rows = self._select("SELECT doc_id, meta FROM documents WHERE doc_id IN ", list(set(doc_ids)))
        return {doc_id: read_meta(meta) for doc_id, meta in rows}

    def document(self, doc_id: str) -> Document:
        """Return a whole document. Raises KeyError naming a missing id."""
        row = self._db.execute("SELECT doc_id, text, title, meta FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
        if row is None:
            raise KeyError(doc_id)
        return Document(row[0], unpacked(row[1]), row[2], read_meta(row[3]))

    def documents(self) -> Iterator[Document]:
        """Yield every document, ordered by id."""
        for row in self._db.execute("SELECT doc_id, text, title, meta FROM documents ORDER BY doc_id"):
            yield Document(row[0], unpacked(row[1]), row[2], read_meta(row[3]))

    def rows_of(self, doc_ids: Sequence[str]) -> list[DocumentRow]:
        """Return documents for a list, in the order of the ids; unknown ids are left out."""
        passages = Counter(
            row[1] for row in self._select("SELECT number, doc_id FROM chunks WHERE doc_id IN ", doc_ids)
        )
        rows = self._select("SELECT doc_id, file, title, meta, text FROM documents WHERE doc_id IN ", doc_ids)
        found = {
            doc_id: DocumentRow(doc_id, file, title or "", read_meta(meta), len(unpacked(text)), passages[doc_id])
            for doc_id, file, title, meta, text in rows
        }
        return [found[doc_id] for doc_id in doc_ids if doc_id in found]

    def page_at(self, doc_id: str, position: int) -> int | None:
        """Return the page (from 1) on which a character of a document lies, None when the document has no pages."""
        row = self._db.execute("SELECT text FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
        text = unpacked(row[0]) if row else ""
        return text.count("\f", 0, position) + 1 if "\f" in text else None

    def left_out(self) -> dict[str, int]:
        """Return what readers left out of all documents, by kind, with how many."""
        counts: Counter[str] = Counter()
        sql = "SELECT value, count(*) FROM meta WHERE key = 'left_out' GROUP BY value"
        for value, documents in self._db.execute(sql):
            for kind, count in counts_of(value).items():
                counts[kind] += count * documents
        return dict(counts)

    def sources(self) -> list[str]:
        """Return the different values of the metadata `source`: the files that documents came from."""
        return [
            row[0] for row in self._db.execute("SELECT DISTINCT value FROM meta WHERE key = 'source' ORDER BY value")
        ]

    def meta_values(self) -> dict[str, list[tuple[str, int]]]:
        """Return the metadata keys with their most frequent values and document counts, for filter menus."""
        sql = "SELECT key, value, count(*) AS n FROM meta GROUP BY key, value ORDER BY key, n DESC, value"
        out: dict[str, list[tuple[str, int]]] = {}
        for key, value, count in self._db.execute(sql):
            out.setdefault(key, []).append((value, count))
        return out

    def documents_matching(self, filters: Mapping[str, Any]) -> list[str]:
        """Return the ids of all documents that match, in order. Raises as `matching` does."""
        found = self._documents_matching(filters)
        if found is None:
            return [row[0] for row in self._db.execute("SELECT DISTINCT doc_id FROM chunks ORDER BY doc_id")]
        return sorted({row[0] for row in self._select("SELECT doc_id FROM chunks WHERE doc_id IN ", sorted(found))})
