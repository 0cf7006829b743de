"""`/search`: ranked passages, with how every stage went."""

from collections.abc import Sequence
from dataclasses import replace
from json import dumps
from typing import Annotated

from fastapi import APIRouter, Depends

from quarry.app.server.services import Services, services_of
from quarry.app.server.shapes.search import SearchAnswer, SearchRequest
from quarry.retriever.answers.refusals.fit import cut, fit_of
from quarry.retriever.answers.refusals.signals import LOOKED_AT
from quarry.retriever.asking import checked
from quarry.retriever.ranking import Query
from quarry.retriever.rerankers.depth import reranker_at

router = APIRouter()
Shared = Annotated[Services, Depends(services_of)]
_RERANK_SHARE = 0.5  # of the time limit: a slow reranker costs the order, not the answer
_DENSE_SHARE = 0.4


@router.post("/search", operation_id="search", tags=["search"])
async def search(asked: SearchRequest, services: Shared) -> SearchAnswer:
    """Return the best passages for a question, with how every stage went."""
    checked(Query(asked.query, asked.query))  # here, because a batch would fail as a whole
    limit_ms = services.settings.time_limit_s * 1000
    options = asked.options()
    options = replace(
        options,
        rerank_budget_ms=min(options.rerank_budget_ms, limit_ms * _RERANK_SHARE),
        dense_budget_ms=min(options.dense_budget_ms, limit_ms * _DENSE_SHARE),
    )
    reranker, _ = services.live.reranker.get()
    if asked.rerank and (asked.cutoff_layers is not None or asked.compress is not None):
        reranker_at(reranker, asked.cutoff_layers, asked.compress)  # here too, so that a wrong depth waits for nobody
    reranks = asked.rerank and reranker is not None
    filters = dumps(asked.filters or {}, sort_keys=True)
    key = (
        "search",
        asked.count,
        asked.route,
        asked.rerank,
        asked.rerank_depth,
        asked.cutoff_layers,
        asked.compress,
        asked.collapse,
        asked.strength,
        asked.expand,
        asked.expand_tokens,
        filters,
    )

    def work(texts: Sequence[str]) -> list[SearchAnswer]:
        if services.also:
            several = services.several()
            return [SearchAnswer.of(*several.search(text, asked.count, options)) for text in texts]
        searcher = services.live.searcher
        queries = [Query(text, text) for text in texts]
        if not asked.strength:
            return [SearchAnswer.of(answer, None) for answer in searcher.search_many(queries, asked.count, options)]
        found = searcher.search_many(queries, max(asked.count, LOOKED_AT), options)
        return [SearchAnswer.of(*cut(answer, fit_of(answer, searcher), asked.count)) for answer in found]

    if reranks:  # each has its own time budget; passages are batched in the shared reranker
        answer = await services.search_apart(lambda: work([asked.query])[0])
    else:
        answer = await services.compute(key, work, asked.query)
    if answer.degraded:
        services.metrics.degraded.inc()
    return answer
