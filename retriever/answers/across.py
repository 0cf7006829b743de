"""An answer from several indexes: passages of all of them, each with its index, weighed by the index whose passage leads.

several = Several.open([Path("handbook"), Path("mails")])
answer = ask_several(several, "how do I renew a book?")
[(source.index, source.title) for source in answer.cited]
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from quarry.indexer.joined.ids import apart, named
from quarry.indexer.records import Document
from quarry.retriever.answers.answer import AskOptions, GroundedAnswer, Prepared, answered
from quarry.retriever.answers.drafting import Listener
from quarry.retriever.answers.packing import Packed, Packing, pack
from quarry.retriever.answers.refusals.questions import cited_before, fused, plan
from quarry.retriever.results import Result
from quarry.retriever.searcher import Searcher
from quarry.retriever.sections.context import read_large
from quarry.retriever.several import Several


def ask_several(
    several: Several, question: str, settings: AskOptions | None = None, listen: Listener | None = None
) -> GroundedAnswer:
    """Answer a question from several indexes; `index` of each source says where it is from.

    Args:
        several: The opened indexes.
        question: In Chinese or English.
        settings: How to answer; None for the standard.
        listen: Receives each sentence that a model writes, as soon as it is complete and checked.

    Raises:
        EmptyQuery: If the question is empty.
        UnknownFilter: If no index has the metadata of a filter.
        ValueError: If the budget is below 256 tokens.
    """
    settings, started = settings or AskOptions(), perf_counter()
    ready = _prepared(several.seen_by(settings.options.principals), question, settings)
    return answered(ready, question, settings, listen, started)


def _prepared(several: Several, question: str, settings: AskOptions) -> Prepared:
    analyzer = next(iter(several.searchers.values())).index.analyzer
    planned = plan(question, settings.before, settings.endpoint, analyzer, rewrite=settings.rewrite)
    found, fit = several.search(planned.question, settings.k, settings.options)
    results = tuple(map(_named, found.results))
    lead = several.searchers[found.results[0].index] if found.results else next(iter(several.searchers.values()))
    if planned.others:
        besides = [several.search(text, settings.k, settings.options)[0].results for text in planned.others]
        results = fused([results, *(tuple(map(_named, each)) for each in besides)], settings.k)
    known = {result.chunk_id for result in results}
    again = [one for one in _cited_before(several, planned.question, settings) if one.chunk_id not in known]
    packing = _own_ids(pack(read_large((*results, *again)), _Texts(several.searchers), settings.budget))
    embedder = None if settings.options.route == "bm25" else lead.embedder()
    return Prepared(planned, found, packing, fit.grounds, embedder, lead.index.analyzer)


def _cited_before(several: Several, question: str, settings: AskOptions) -> Iterable[Result]:
    for name, searcher in several.searchers.items():
        for result in cited_before(searcher, question, settings.before, settings.options):
            yield _named(replace(result, index=name))


@dataclass(frozen=True, slots=True)
class _Texts:
    """The documents of several indexes, by index and id."""

    searchers: Mapping[str, Searcher]

    def document(self, doc_id: str) -> Document:
        """Return a whole document."""
        name, own = apart(doc_id)
        return self.searchers[name].index.chunks.document(own)


def _named(result: Result) -> Result:
    """Return a result whose ids say which index it is from."""
    return replace(result, doc_id=named(result.index, result.doc_id), chunk_id=named(result.index, result.chunk_id))


def _own_ids(packing: Packing) -> Packing:
    return replace(packing, passages=tuple(map(_own, packing.passages)))


def _own(passage: Packed) -> Packed:
    index, doc_id = apart(passage.doc_id)
    title = doc_id if passage.title == passage.doc_id else passage.title
    path = doc_id if passage.path == passage.doc_id else passage.path
    chunk_ids, also_in = _ids(passage.chunk_ids), _ids(passage.also_in)
    return replace(passage, index=index, doc_id=doc_id, title=title, path=path, chunk_ids=chunk_ids, also_in=also_in)


def _ids(joined: Sequence[str]) -> tuple[str, ...]:
    return tuple(apart(one)[1] for one in joined)
