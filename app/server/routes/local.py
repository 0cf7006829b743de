"""`/local`: for commands of the same user on the same machine, which found this server by its file (`quarry.app.server.local`)."""

from collections.abc import Sequence
from json import dumps
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.requests import Request

from quarry.app.server.local.carried import carried, received
from quarry.app.server.local.state import RunningServer
from quarry.app.server.problems import Problem
from quarry.app.server.services import Services, services_of
from quarry.indexer.messages import Message
from quarry.retriever.asking import checked
from quarry.retriever.ranking import Query as Asked
from quarry.retriever.searcher import SearchOptions

PATH = "/local"  # answered without a token: it says nothing but a proof
router = APIRouter(include_in_schema=False)
Shared = Annotated[Services, Depends(services_of)]


class LocalSearch(BaseModel):
    """A search of `quarry search`."""

    query: str
    k: int = Field(ge=1)
    options: dict[str, Any]


@router.get(PATH)
async def prove(
    request: Request, services: Shared, nonce: Annotated[str, Query(min_length=16, max_length=64)]
) -> dict[str, str]:
    """Prove that this is the server that a file names, on the generation that it answers from."""
    return {"proof": _announced(request).proof(nonce, services.generation())}


@router.post(f"{PATH}/search")
async def search(request: Request, asked: LocalSearch, services: Shared) -> dict[str, Any]:
    """Answer as `quarry search` in a process of its own does."""
    services.check_owner()
    _announced(request)
    checked(Asked(asked.query, asked.query))
    options: SearchOptions = received(SearchOptions, asked.options)

    def work(texts: Sequence[str]) -> list[dict[str, Any]]:
        searcher = services.live.searcher
        return [carried(one) for one in searcher.search_many([Asked(text, text) for text in texts], asked.k, options)]

    if options.rerank and services.live.reranker.get()[0] is not None:
        return await services.search_apart(lambda: work([asked.query])[0])
    return await services.compute(("local", asked.k, dumps(asked.options)), work, asked.query)


def _announced(request: Request) -> RunningServer:
    """Return what this server's file says.

    Raises:
        Problem: 404 for a server without one.
    """
    server = getattr(request.app.state, "announced", None)
    if not isinstance(server, RunningServer):
        message = Message.of(
            "serve.not_announced",
            "this server has no file",
            expected="one that `quarry serve` started",
            do="Use /search",
        )
        raise Problem(404, message)
    return server
