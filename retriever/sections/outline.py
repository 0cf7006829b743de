"""The headings of a document with their extent, and the text of one section."""

from collections.abc import Sequence
from dataclasses import dataclass

from quarry.indexer.errors import QueryError
from quarry.indexer.records import BETWEEN_HEADINGS, Chunk
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.retriever.sentences import tokens_at_most

_SHOWN = 20  # headings that an error names


@dataclass(frozen=True, slots=True)
class Heading:
    """A section of a document.

    Attributes:
        path: Its heading and those above, outermost first, ` > ` between them; empty for what stands before the first heading.
        start: First character of its first passage in the document's text.
        end: One past the last of its last passage, subsections included.
        tokens: Estimated tokens of the whole.
        page: From 1, None for formats without pages.
    """

    path: str
    start: int
    end: int
    tokens: int
    page: int | None


class UnknownSection(QueryError):
    """A document has no section of a name."""


def outline(chunks: ChunkTable, doc_id: str) -> tuple[Heading, ...]:
    """Return the sections of a document, in their order, each with its subsections.

    Raises:
        KeyError: If there is no such document.

    Example:
        >>> from quarry.retriever import Searcher
        >>> from quarry.retriever.sections.outline import outline
        >>> [(heading.path, heading.start) for heading in outline(Searcher.open("my-index").index.chunks, "documents/chloroplast-1.md")]
        [('Chloroplast (1)', 0)]
    """
    return _headings(chunks.document(doc_id).text, chunks.passages_of(doc_id))


def section(chunks: ChunkTable, doc_id: str, heading: str) -> tuple[Heading, str]:
    """Return a section and its text.

    Args:
        chunks: Where the document is.
        doc_id: The document.
        heading: Its path, or its last heading where that is the only one of this name; case is ignored.

    Raises:
        KeyError: If there is no such document.
        UnknownSection: If the document has no such section, or several; the message names its headings.
    """
    text = chunks.document(doc_id).text
    headings = _headings(text, chunks.passages_of(doc_id))
    wanted = heading.strip().casefold()
    found = [one for one in headings if one.path.casefold() == wanted] or [
        one for one in headings if one.path.rpartition(BETWEEN_HEADINGS)[2].casefold() == wanted
    ]
    if not found:
        raise UnknownSection(
            "search.no_such_section",
            "the document has no section {heading}",
            expected="one of {known}",
            heading=repr(heading),
            known=[repr(one.path) for one in headings[:_SHOWN]],
        )
    if len(found) > 1:
        raise UnknownSection(
            "search.section_not_one",
            "the document has {count} sections {heading}",
            expected="one of {known}",
            count=len(found),
            heading=repr(heading),
            known=[repr(one.path) for one in found[:_SHOWN]],
        )
    return found[0], text[found[0].start : found[0].end]


def _headings(text: str, passages: Sequence[Chunk]) -> tuple[Heading, ...]:
    extents: dict[str, tuple[int, int]] = {}
    for passage in passages:
        for path in _with_those_above(passage.heading):
            start, end = extents.get(path, (passage.start, passage.end))
            extents[path] = (min(start, passage.start), max(end, passage.end))
    paged = "\f" in text
    return tuple(
        Heading(path, start, end, tokens_at_most(text[start:end]), text.count("\f", 0, start) + 1 if paged else None)
        for path, (start, end) in extents.items()
    )


def _with_those_above(path: str) -> list[str]:
    parts = path.split(BETWEEN_HEADINGS) if path else []
    return [BETWEEN_HEADINGS.join(parts[: count + 1]) for count in range(len(parts))] or [""]
