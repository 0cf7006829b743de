"""The texts of several indexes, read as one table; ids carry the names of their indexes."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import nsmallest
from typing import Any, TypeVar

from quarry.indexer.corpus.walk import SourceFile
from quarry.indexer.errors import UnknownFilter
from quarry.indexer.joined.ids import JoinedIds, apart, by_index, named
from quarry.indexer.records import Chunk, Document
from quarry.indexer.storage.texts.chunk_table import ChunkTable

_MOST_OF_SOURCE = 1000
T = TypeVar("T")


class JoinedTexts(ChunkTable):
    """What searches and answers read of several indexes; nothing can be changed here."""

    def __init__(self, parts: Mapping[str, ChunkTable]) -> None:
        """Join tables, by the names of their indexes; at least one."""
        self._parts = dict(parts)
        self.path = next(iter(self._parts.values())).path

    def close(self) -> None:
        """Nothing is held open here."""

    def counts(self) -> tuple[int, int]:
        """Return the numbers of documents and of chunks."""
        counts = [part.counts() for part in self._parts.values()]
        return sum(documents for documents, _ in counts), sum(chunks for _, chunks in counts)

    def owner(self, doc_id: str) -> str | None:
        """Return the file that a document came from, None when there is no such document."""
        index, own = apart(doc_id)
        return self._parts[index].owner(own) if index in self._parts else None

    def file(self, path: str) -> SourceFile | None:
        """Return what the last run of an index recorded about a file, None when none has it."""
        return next((file for part in self._parts.values() if (file := part.file(path)) is not None), None)

    def chunk_ids(self) -> Iterator[str]:
        """Yield all chunk ids, index by index."""
        for index, part in self._parts.items():
            yield from (named(index, own) for own in part.chunk_ids())

    def digests_of(self, chunk_ids: Sequence[str]) -> list[bytes]:
        """Return the passage digests of some chunks, in order. Raises KeyError naming a missing id."""
        return self._in_order(chunk_ids, lambda part, own: part.digests_of(own))

    def lowest_digests(self, count: int, lang: str | None = None) -> list[str]:
        """Return the ids of the chunks with the lowest passage digests, at most so many; of one language when it is given."""
        found = [
            (digest, named(index, own))
            for index, part in self._parts.items()
            for own, digest in _with_digests(part, count, lang)
        ]
        return [chunk_id for _, chunk_id in nsmallest(count, found)]

    def languages(self) -> dict[str, str]:
        """Return chunk id -> language."""
        return {
            named(index, own): language
            for index, part in self._parts.items()
            for own, language in part.languages().items()
        }

    def languages_apart(self, names: Sequence[str]) -> dict[str, Collection[str]]:
        """Return the passages of each of some languages."""
        found: dict[str, dict[str, set[str]]] = {name: {index: set() for index in self._parts} for name in names}
        for index, part in self._parts.items():
            for own, language in part.languages().items():
                if language in found:
                    found[language][index].add(own)
        return {name: JoinedIds(ids) for name, ids in found.items()}

    def language_counts(self) -> dict[str, int]:
        """Return how many passages of each language there are."""
        counts: Counter[str] = Counter()
        for part in self._parts.values():
            counts.update(part.language_counts())
        return dict(counts)

    def names_of(self, chunk_ids: Sequence[str]) -> dict[str, bytes]:
        """Return chunk id -> digest of its title with headings, for those that have one."""
        return self._by_id(chunk_ids, lambda part, own: part.names_of(own))

    def named(self, digest: bytes, most: int) -> list[str]:
        """Return the first passages of each index that stand under a title with headings, at most so many of each."""
        return self.named_each([digest], most)[digest]

    def named_each(self, digests: Sequence[bytes], most: int) -> dict[bytes, list[str]]:
        """Return the same for some titles with headings."""
        found: dict[bytes, list[str]] = {digest: [] for digest in digests}
        for index, part in self._parts.items():
            for digest, ids in part.named_each(digests, most).items():
                found[digest] += [named(index, own) for own in ids]
        return found

    def chunks(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        """Return chunks in order. Raises KeyError naming a missing id."""
        found = self._in_order(chunk_ids, lambda part, own: part.chunks(own))
        return [
            replace(chunk, chunk_id=chunk_id, doc_id=named(apart(chunk_id)[0], chunk.doc_id))
            for chunk_id, chunk in zip(chunk_ids, found, strict=True)
        ]

    def texts(self, chunk_ids: Sequence[str]) -> list[str]:
        """Return passage texts (title, headings, text) in order. Raises KeyError naming a missing id."""
        return self._in_order(chunk_ids, lambda part, own: part.texts(own))

    def titles(self, doc_ids: Sequence[str]) -> dict[str, str]:
        """Return doc_id -> title for those that exist."""
        return self._by_id(doc_ids, lambda part, own: part.titles(own))

    def meta(self, doc_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return doc_id -> metadata for those that exist."""
        return self._by_id(doc_ids, lambda part, own: part.meta(own))

    def document(self, doc_id: str) -> Document:
        """Return a whole document. Raises KeyError naming a missing id."""
        index, own = apart(doc_id)
        if index not in self._parts:
            raise KeyError(doc_id)
        return replace(self._parts[index].document(own), doc_id=doc_id)

    def passages_of(self, doc_id: str) -> list[Chunk]:
        """Return the passages that a document was cut into, in their order."""
        index, own = apart(doc_id)
        found = self._parts[index].passages_of(own) if index in self._parts else []
        return [replace(chunk, chunk_id=named(index, chunk.chunk_id), doc_id=doc_id) for chunk in found]

    def page_at(self, doc_id: str, position: int) -> int | None:
        """Return the page (from 1) on which a character of a document lies, None when the document has no pages."""
        index, own = apart(doc_id)
        return self._parts[index].page_at(own, position)

    def sources(self) -> list[str]:
        """Return the different values of the metadata `source`: the files that documents came from."""
        return sorted({source for part in self._parts.values() for source in part.sources()})

    def of_source(self, source: str) -> list[str]:
        """Return the ids of the chunks whose documents came from a file, at most 1,000."""
        found = [named(index, own) for index, part in self._parts.items() for own in part.of_source(source)]
        return found[:_MOST_OF_SOURCE]

    def matching(self, filters: Mapping[str, Any]) -> JoinedIds:  # type: ignore[override]  # a collection of ids, by index
        """Return the ids of all chunks whose document meets the conditions; none of an index that does not know a key.

        Raises:
            UnknownFilter: If no index knows the keys.
            BadFilter: If an operator is unknown, or a bound is compared with text.
        """
        found: dict[str, frozenset[str]] = {}
        unknown: UnknownFilter | None = None
        for index, part in self._parts.items():
            try:
                found[index] = part.matching(filters)
            except UnknownFilter as err:
                unknown = err
        if not found and unknown is not None:
            raise unknown
        return JoinedIds(found)

    def _in_order(self, ids: Sequence[str], read: Callable[[ChunkTable, Sequence[str]], Sequence[T]]) -> list[T]:
        """Read something of each id from its index, in the order of the ids; KeyError for an index that is not there."""
        found: dict[str, T] = {}
        for index, own in by_index(ids).items():
            keys = [named(index, each) for each in own]
            found.update(zip(keys, read(self._parts[index], own), strict=True))
        return [found[each] for each in ids]

    def _by_id(self, ids: Sequence[str], read: Callable[[ChunkTable, Sequence[str]], Mapping[str, T]]) -> dict[str, T]:
        """Read something of those ids that have it."""
        return {
            named(index, each): value
            for index, own in by_index(ids).items()
            if index in self._parts
            for each, value in read(self._parts[index], own).items()
        }


def _with_digests(part: ChunkTable, count: int, lang: str | None) -> Iterator[tuple[str, bytes]]:
    own = part.lowest_digests(count, lang)
    return zip(own, part.digests_of(own), strict=True)
