"""The headings of a document with their extent, and the text of one section."""

from dataclasses import dataclass

from quarry.indexer.build.cutting.headings import sections_of
from quarry.indexer.errors import QueryError
from quarry.indexer.records import BETWEEN_HEADINGS, Document
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.retriever.sentences import tokens_at_most

_SHOWN = 20  # headings that an error names


@dataclass(frozen=True, slots=True)
class Heading:
    """A section of a document.

    Attributes:
        path: Its heading and those above, outermost first, ` > ` between them; empty for what stands before the first heading.
        start: Its first character in the document's text.
        end: One past the last, subsections included.
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
    return _headings(chunks.document(doc_id))


def section(chunks: ChunkTable, doc_id: str, heading: str) -> tuple[Heading, str]:
    """Return a section and its text.

    Args:
        chunks: Where the document is.
        doc_id: The document.
        heading: Its path, or the end of it where only one ends so, such as its last heading; case is ignored.

    Raises:
        KeyError: If there is no such document.
        UnknownSection: If the document has no such section, or several; the message names its headings.
    """
    document = chunks.document(doc_id)
    headings = _headings(document)
    wanted = heading.strip().casefold()
    found = [one for one in headings if one.path.casefold() == wanted] or [
        one for one in headings if one.path.casefold().endswith(BETWEEN_HEADINGS + wanted)
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
    return found[0], document.text[found[0].start : found[0].end]


def _headings(document: Document) -> tuple[Heading, ...]:
    text = document.text
    extents: dict[tuple[str, ...], tuple[int, int]] = {}
    for part in sections_of(document):
        own = text[part.start : part.end]
        first, last = part.end - len(own.lstrip()), part.start + len(own.rstrip())
        if first >= last:
            continue
        for count in range(1, len(part.names) + 1) if part.names else (0,):
            start, end = extents.get(part.names[:count], (first, last))
            extents[part.names[:count]] = (min(start, first), max(end, last))
    paged = "\f" in text
    return tuple(
        Heading(
            BETWEEN_HEADINGS.join(names),
            start,
            end,
            tokens_at_most(text[start:end]),
            text.count("\f", 0, start) + 1 if paged else None,
        )
        for names, (start, end) in extents.items()
    )
