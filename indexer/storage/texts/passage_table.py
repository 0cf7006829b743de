"""Passages of one generation: their texts, and what builds and searches ask about them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from quarry.indexer.records import Chunk, name_text, passage_text
from quarry.indexer.storage.texts.chunk_schema import has_languages
from quarry.indexer.storage.texts.conditions import condition_of
from quarry.indexer.storage.texts.connected import SQL_VARIABLES, Connected
from quarry.indexer.storage.texts.document_rows import PassageRow
from quarry.indexer.storage.texts.matching import matching_documents
from quarry.indexer.storage.texts.packing import torn_text, unpacked

_CHUNK = ("chunk_id", "doc_id", "text", "start", '"end"', "heading")


class PassageTable(Connected):
    """Passages, by id."""

    def chunks(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        """Return chunks in order. Raises KeyError naming a missing id, IndexFormatError for a damaged one."""
        found = {chunk.chunk_id: chunk for chunk in self._chunks_of(self._of_ids(_CHUNK, chunk_ids))}
        for chunk_id in chunk_ids:
            if chunk_id not in found and self._is_torn(chunk_id):
                raise torn_text(f"the place of a passage is in {chunk_id[:80]!r}")
        return [found[chunk_id] for chunk_id in chunk_ids]

    def _is_torn(self, chunk_id: str) -> bool:
        """Whether an id, by which no passage is found, is made of a place that is none."""
        sql = "SELECT 1 FROM chunks WHERE doc_id = ? AND chunk_id = ?"
        return self._db.execute(sql, (chunk_id.rpartition("#")[0], chunk_id)).fetchone() is not None

    def _chunks_of(self, rows: Iterable[tuple[Any, ...]]) -> list[Chunk]:
        """Make chunks of rows with the columns `_CHUNK`; texts that the documents have are cut out of them."""
        read = list(rows)
        cut = sorted({row[1] for row in read if row[2] is None})
        whole = dict(self._select("SELECT doc_id, text FROM documents WHERE doc_id IN ", cut))
        return [
            Chunk(
                chunk_id,
                doc_id,
                _cut(unpacked(whole[doc_id]), start, end) if own is None else unpacked(own),
                start,
                end,
                heading,
            )
            for chunk_id, doc_id, own, start, end, heading in read
        ]

    def texts(self, chunk_ids: Sequence[str]) -> list[str]:
        """Return passage texts (title, headings, text) in order. Raises KeyError naming a missing id."""
        chunks = self.chunks(chunk_ids)
        titles = self.titles([chunk.doc_id for chunk in chunks])
        return [passage_text(titles[chunk.doc_id], chunk.heading, chunk.text) for chunk in chunks]

    def titles(self, doc_ids: Sequence[str]) -> dict[str, str]:
        """Return doc_id -> title for those that exist."""
        return dict(self._select("SELECT doc_id, title FROM documents WHERE doc_id IN ", list(set(doc_ids))))

    def passages_of(self, doc_id: str) -> list[Chunk]:
        """Return the passages that a document was cut into, in their order."""
        sql = f"SELECT {', '.join(_CHUNK)} FROM chunks WHERE doc_id = ? ORDER BY start, number"  # noqa: S608 (fixed names)
        return self._chunks_of(self._db.execute(sql, (doc_id,)))

    def of_source(self, source: str) -> list[str]:
        """Return the ids of the chunks whose documents came from a file, in order, at most 1,000."""
        documents = self._db.execute("SELECT doc_id FROM meta WHERE key = 'source' AND value = ?", (source,)).fetchall()
        found: list[str] = []
        for segment in self._segments:
            rows = self._select(segment.read_order, [row[0] for row in documents])
            found += (chunk_id for _, _, chunk_id in sorted(rows))
        return found[:1000]

    def matching(self, filters: Mapping[str, Any]) -> frozenset[str]:
        """Return the ids of all chunks whose document meets the conditions on every key (`quarry.indexer.storage.texts.conditions`).

        A value with `*` is a pattern; `doc_id` and `title` count as keys. A key that no document has in this case matches one
        that differs in case only.

        Raises:
            UnknownFilter: If a key occurs in no document; the message names the known ones.
            BadFilter: If an operator is unknown, or a bound is compared with text.
        """
        documents = self._documents_matching(filters)
        if documents is None:
            return frozenset(row[0] for row in self._db.execute("SELECT chunk_id FROM chunks"))
        return frozenset(
            row[0] for row in self._select("SELECT chunk_id FROM chunks WHERE doc_id IN ", sorted(documents))
        )

    def _documents_matching(self, filters: Mapping[str, Any]) -> set[str] | None:
        """Return the documents that meet all conditions; None without a condition."""
        documents: set[str] | None = None
        for key, wanted in filters.items():
            found = matching_documents(self._db, condition_of(key, wanted))
            documents = found if documents is None else documents & found
        return documents

    # What a build asks

    def passages(self) -> Iterator[PassageRow]:
        """Yield every chunk with the text to embed, ordered by chunk id."""
        rows = self._ordered([*_CHUNK, "title", "digest"])
        while part := list(islice(rows, SQL_VARIABLES)):
            chunks = self._chunks_of(row[:6] for row in part)
            for chunk, (*_, title, digest) in zip(chunks, part, strict=True):
                yield PassageRow(chunk.chunk_id, passage_text(title, chunk.heading, chunk.text), digest)

    def digests(self) -> tuple[list[str], list[bytes]]:
        """Return all chunk ids and their passage digests, ordered by chunk id."""
        rows = list(self._ordered(["chunk_id", "digest"]))
        return [row[0] for row in rows], [row[1] for row in rows]

    def digest_batches(self, size: int) -> Iterator[tuple[list[str], list[bytes]]]:
        """Yield all chunk ids and their passage digests, ordered by chunk id, so many at once."""
        rows = self._ordered(["chunk_id", "digest"])
        while part := list(islice(rows, size)):
            yield [row[0] for row in part], [row[1] for row in part]

    def chunk_ids(self) -> Iterator[str]:
        """Yield all chunk ids, in order."""
        for (chunk_id,) in self._ordered(["chunk_id"]):
            yield chunk_id

    def lowest_digests(self, count: int, lang: str | None = None) -> list[str]:
        """Return the ids of the chunks with the lowest passage digests, at most so many; of one language when it is given."""
        where, values = ("", ()) if lang is None else ("WHERE lang = ?", (lang,))
        sql = f"SELECT chunk_id FROM chunks {where} ORDER BY digest, chunk_id LIMIT ?"  # noqa: S608 (fixed texts)
        return [row[0] for row in self._db.execute(sql, (*values, count))]

    def some_digests(self, count: int) -> list[bytes]:
        """Return the passage digests of the oldest and of the newest chunks, so many of each."""
        oldest = self._db.execute("SELECT digest FROM chunks ORDER BY number LIMIT ?", (count,))
        newest = self._db.execute("SELECT digest FROM chunks ORDER BY number DESC LIMIT ?", (count,))
        return list({row[0] for row in [*oldest, *newest]})

    def digests_of(self, chunk_ids: Sequence[str]) -> list[bytes]:
        """Return the passage digests of some chunks, in order. Raises KeyError naming a missing id."""
        found = dict(self._of_ids(["chunk_id", "digest"], chunk_ids))
        return [found[chunk_id] for chunk_id in chunk_ids]

    # Languages

    def languages(self) -> dict[str, str]:
        """Return chunk id -> language (`zh`, `en`, `mixed`, `other`); empty for a table made before they were stored."""
        if not has_languages(self._db):
            return {}
        streams = (self._db.execute(segment.ordered(["chunk_id", "lang"])) for segment in self._segments)
        return dict(chain.from_iterable(streams))

    def languages_apart(self, names: Sequence[str]) -> dict[str, Collection[str]]:  # noqa: ARG002 (lakes need them)
        """Return the passages of each of some languages, where they are known without reading all; empty elsewhere."""
        return {}

    def language_counts(self) -> dict[str, int]:
        """Return how many passages of each language there are; empty for a table made before languages were stored."""
        if not has_languages(self._db):
            return {}
        return dict(self._db.execute("SELECT lang, count(*) FROM chunks GROUP BY lang"))

    # Titles and headings

    def names(self) -> Iterator[tuple[bytes, str]]:
        """Yield digest and text of each distinct title with headings that passages stand under, ordered by digest."""
        sql = """SELECT c.name, d.title, c.heading FROM chunks c JOIN documents d USING (doc_id)
                 WHERE c.number IN (SELECT min(number) FROM chunks WHERE name IS NOT NULL GROUP BY name) ORDER BY c.name"""
        for digest, title, heading in self._db.execute(sql):
            yield digest, name_text(title, heading)

    def names_of(self, chunk_ids: Sequence[str]) -> dict[str, bytes]:
        """Return chunk id -> digest of its title with headings, for those that have one."""
        return {chunk_id: name for chunk_id, name in self._of_ids(["chunk_id", "name"], chunk_ids) if name is not None}

    def named(self, digest: bytes, most: int) -> list[str]:
        """Return the first passages that stand under a title with headings, at most so many."""
        found: list[str] = []
        for segment in self._segments:
            if len(found) < most:
                found += (row[0] for row in self._db.execute(segment.named(), (digest, most - len(found))))
        return found

    def named_each(self, digests: Sequence[bytes], most: int) -> dict[bytes, list[str]]:
        """Return the first passages that stand under each of some titles with headings, at most so many of each."""
        return {digest: self.named(digest, most) for digest in digests}


def _cut(text: str, start: object, end: object) -> str:
    if not isinstance(start, int) or not isinstance(end, int):
        raise torn_text(f"a passage from {str(start)[:40]!r} to {str(end)[:40]!r}")
    return text[start:end]
