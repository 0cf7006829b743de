"""Documents and chunks: the records that every stage speaks of. Nothing here reads, writes or computes."""

import re
from dataclasses import dataclass, field

from quarry.indexer.metadata import Meta

BETWEEN_HEADINGS = " > "
_PASSAGE_ID = re.compile(r"(.*)#(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})", re.DOTALL)
"""What stands between the headings above a passage."""
_LONGEST_TITLE = (
    300  # characters: each passage repeats it, so that a title without end would make the index many times larger
)


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a corpus.

    Headings inside `text` are written as Markdown ATX lines (`# ...`) whatever the file's format was, and
    pages are separated by a form feed, so that one chunker serves all formats.

    Attributes:
        doc_id: Unique in the corpus; chosen by the corpus, never random.
        text: The whole text, valid Unicode without NUL and lone surrogates.
        title: May be empty.
        meta: What can be filtered on, such as `source`, `format`, `lang`; JSON values (`quarry.indexer.metadata`).
    """

    doc_id: str
    text: str
    title: str = ""
    meta: Meta = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: one piece of a document, as it is embedded and found.

    Attributes:
        chunk_id: That of `passage_id`.
        doc_id: The document it was cut from.
        text: Exactly `document.text[start:end]`.
        start: First character, counted from 0.
        end: One past the last character.
        heading: The headings above the passage, outermost first, joined by ` > `; may be empty.
    """

    chunk_id: str
    doc_id: str
    text: str
    start: int
    end: int
    heading: str = ""


def passage_id(doc_id: str, start: int, end: int) -> str:
    """Return the id of a passage: same text in the same place, same id. Finished segments keep the place alone."""
    return f"{doc_id}#{start}-{end}"


def passage_place(chunk_id: str) -> tuple[str, int, int] | None:
    """Return document, start and end of a passage by its id; None for what is no such id.

    Example:
        >>> passage_place("a#b#0-12"), passage_place("a#01-12")
        (('a#b', 0, 12), None)
    """
    match = _PASSAGE_ID.fullmatch(chunk_id)
    return None if match is None else (match[1], int(match[2]), int(match[3]))


def passage_text(title: str, heading: str, text: str) -> str:
    """Return what is embedded and tokenized for a passage: title, headings and text, one per line.

    Parts that are empty, or that the text begins with anyway, are left out. BEIR's convention is the same
    (title, then text), so scores on BEIR corpora are comparable with published ones.
    """
    body = text.lstrip("# \n")
    named = title.strip()[:_LONGEST_TITLE]
    parts = [named] if named and not body.startswith(named) else []
    headings = [
        name for name in heading.split(BETWEEN_HEADINGS) if name and name != named and not body.startswith(name)
    ]
    if headings:
        parts.append(BETWEEN_HEADINGS.join(headings))
    return "\n".join([*parts, text])


def name_text(title: str, heading: str) -> str:
    """Return what is embedded for the title and headings that passages stand under; empty when there are none."""
    return passage_text(title, heading, "").strip()
