"""A pair of texts as it was found, and the kinds of pairs there are."""

from typing import Literal, NamedTuple, TypeAlias, get_args

Kind: TypeAlias = Literal["title", "heading", "question", "paraphrase", "similar question", "summary"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SYMMETRIC: tuple[Kind, ...] = ("paraphrase", "similar question")
"""Kinds whose two texts say the same; both are read as queries."""


class FoundPair(NamedTuple):
    """Two texts that belong together.

    Attributes:
        query: Title, heading, question, summary or sentence.
        specific: The same with the document's title, for headings that many documents have ("Remarks", "备注"); else the query.
        passage: What belongs to it.
        kind: How it was found.
        source: The document or the line.
    """

    query: str
    specific: str
    passage: str
    kind: Kind
    source: str
