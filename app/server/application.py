"""The application: routes, request guard, error handlers, and the services that live as long as it does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Annotated, Any, cast

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from quarry.app.server import pages
from quarry.app.server.asking import Asker
from quarry.app.server.door.guard import RequestGuard
from quarry.app.server.door.metrics import CONTENT_TYPE
from quarry.app.server.problems import ErrorBody, answer_invalid, answer_problem, problem_of, response
from quarry.app.server.routes import ask as ask_routes
from quarry.app.server.routes import chat as chat_routes
from quarry.app.server.routes import documents as document_routes
from quarry.app.server.routes import feedback as feedback_routes
from quarry.app.server.routes import files as file_routes
from quarry.app.server.routes import local as local_routes
from quarry.app.server.routes import models as model_routes
from quarry.app.server.routes import search as search_routes
from quarry.app.server.routes import why_not as why_routes
from quarry.app.server.services import Services, services_of
from quarry.app.server.shapes.search import Health
from quarry.indexer.errors import SearchError

_ERRORS = (400, 401, 403, 404, 408, 409, 413, 421, 422, 429, 500, 503, 504)
Shared = Annotated[Services, Depends(services_of)]


def create_app(services: Services) -> FastAPI:
    """Return the application over opened services, which it closes at shutdown.

    The documentation page is our own: FastAPI's pages load scripts from the internet.

    Raises:
        SettingsError: If the language model in the environment is invalid, or has no name.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await run_in_threadpool(services.close)

    errors: dict[int | str, dict[str, Any]] = {status: {"model": ErrorBody} for status in _ERRORS}
    app = FastAPI(
        title="Quarry",
        version=version("quarry-search"),
        lifespan=lifespan,
        responses=errors,
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    app.state.asker = Asker.from_environment(services.settings.time_limit_s)
    every = (
        search_routes,
        ask_routes,
        document_routes,
        file_routes,
        feedback_routes,
        model_routes,
        chat_routes,
        why_routes,
        local_routes,
    )
    routers = [routes.router for routes in every]
    for router in routers:
        app.include_router(router)
    app.add_api_route("/health", health, operation_id="health", tags=["server"], response_model=Health)
    app.add_api_route(
        "/metrics", metrics, operation_id="metrics", tags=["server"], response_class=PlainTextResponse, methods=["GET"]
    )
    pages.register(app)
    known = (route for router in (*routers, app.router) for route in router.routes)
    app.state.known_routes = [route for route in known if isinstance(route, Route)]
    app.add_exception_handler(HTTPException, answer_problem)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(SearchError, _answer_ours)
    app.add_middleware(RequestGuard, settings=services.settings, metrics=services.metrics, callers=services.callers)
    return app


def health(services: Shared) -> Health:
    """Return whether the server is fully functional, and from which generation it answers."""
    manifest = services.live.searcher.index.manifest
    writer = services.writer.problem if services.writer else ""
    refused = services.inbox.problem if services.inbox else None
    keys = services.callers.keys.problem
    problems = [
        str(problem) for problem in (*services.live.warnings, services.live.problem, writer, refused, keys) if problem
    ]
    return Health(
        status="degraded" if problems else "ok",
        generation=manifest.generation,
        documents=manifest.documents,
        passages=manifest.chunks,
        model=manifest.embedder.to_spec().model if manifest.embedder else "",
        waiting_jobs=services.inbox.waiting() if services.inbox else 0,
        problems=problems,
    )


def metrics(services: Shared) -> Response:
    """Return the metrics in Prometheus' text format."""
    services.check_owner()
    return Response(services.metrics.text(), media_type=CONTENT_TYPE)


async def _answer_ours(_request: Request, err: Exception) -> JSONResponse:
    return response(problem_of(cast(SearchError, err)))
