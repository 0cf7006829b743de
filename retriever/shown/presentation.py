"""What a ranking becomes for a reader: results with texts and highlights, and what has to be said about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from quarry.indexer.language import language_of
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.retriever.asking import checked
from quarry.retriever.options import SearchOptions
from quarry.retriever.questions.understood import Understood, understand
from quarry.retriever.ranking import Query
from quarry.retriever.results import Result
from quarry.retriever.sections.context import with_contexts
from quarry.retriever.shown.distinct import Distinct
from quarry.retriever.shown.highlight import Span, highlight


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as it is searched for, read once.

    Attributes:
        query: Checked.
        understood: Its operators.
        terms: Those that BM25 looks for.
        notices: What was done to it.
    """

    query: Query
    understood: Understood
    terms: tuple[str, ...]
    notices: tuple[Message, ...]

    @classmethod
    def of(cls, query: Query, index: Index) -> Self:
        """Check and read a query. Raises as `quarry.retriever.asking.checked`."""
        kept, notices = checked(query)
        understood = understand(kept.text)
        return cls(kept, understood, tuple(index.analyzer.query_tokens(understood.text)), notices)


def shown(found: Distinct, asked: Asked, index: Index) -> tuple[Result, ...]:
    """Return the results of a ranking with their texts."""
    ranking = found.ranking
    chunks = index.chunks.chunks([hit.chunk_id for hit in ranking.hits])
    doc_ids = [chunk.doc_id for chunk in chunks]
    titles, metas = index.chunks.titles(doc_ids), index.chunks.meta(doc_ids)
    return tuple(
        Result(
            rank=rank,
            score=hit.score,
            stage=hit.stage,
            chunk_id=chunk.chunk_id,
            doc_id=chunk.doc_id,
            title=titles[chunk.doc_id] or chunk.doc_id,
            heading=chunk.heading,
            source=str(metas[chunk.doc_id].get("source", chunk.doc_id)),
            page=index.chunks.page_at(chunk.doc_id, chunk.start),
            start=chunk.start,
            end=chunk.end,
            text=chunk.text,
            highlights=highlight(chunk.text, asked.terms, index.analyzer),
            meta=metas[chunk.doc_id],
            evidence=hit.evidence,
            copies=copies,
        )
        for rank, (hit, chunk, copies) in enumerate(zip(ranking.hits, chunks, found.copies, strict=True), start=1)
    )


def expanded(results: tuple[Result, ...], asked: Asked, index: Index, options: SearchOptions) -> tuple[Result, ...]:
    """Return results with what stands around them, as far as that was asked for."""
    if options.expand == "none":
        return results

    def marks(text: str) -> tuple[Span, ...]:
        return highlight(text, asked.terms, index.analyzer)

    return with_contexts(results, index.chunks, options.expand, options.expand_tokens, marks)


def by_meaning_alone(results: Sequence[Result], asked: Asked, index: Index) -> tuple[Message, ...]:
    """Return a notice when no passage has a word of the query, so that meaning alone chose the results."""
    named = any(result.evidence.file for result in results)
    if not results or named or any(index.lexical.idf(term) is not None for term in asked.terms):
        return ()
    if {language_of(asked.query.text), language_of(results[0].text)} == {"zh", "en"}:
        return (
            Message.of(
                "search.other_language",
                "no passage has a word of the query; the first result is in another language and was found by its meaning",
            ),
        )
    return (
        Message.of(
            "search.no_known_word",
            "no passage has a word of the query; the results are the nearest in meaning and may have nothing to do with it",
        ),
    )
