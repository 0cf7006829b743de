"""In front of every route: Host, Origin, token, rate, the size of the body, the log line and the metrics.

Logged are method, route template, status and time: no path, query or document text.
"""

import asyncio
import logging
import re
from math import ceil
from time import perf_counter
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as Event

from quarry.app.server.door.callers import Caller, Callers, remember
from quarry.app.server.door.metrics import Metrics
from quarry.app.server.door.rates import Rate
from quarry.app.server.pages import OPEN_PATHS
from quarry.app.server.problems import Problem, response
from quarry.app.server.routes import files, local
from quarry.app.server.settings import ServeOptions
from quarry.indexer.messages import Message

_OPEN = frozenset({"/health", local.PATH}) | OPEN_PATHS  # answered without a token, for load balancers and browsers
_PORT = re.compile(r":\d+$")
_READING = frozenset({"GET", "HEAD"})  # a page of another site cannot read the answers: there is no CORS
_WRONG_TOKENS = 20  # a minute and address; those after them are not even told that they are wrong
log = logging.getLogger("quarry.serve")


class RequestGuard:
    """ASGI middleware that checks every request before the routes see it."""

    def __init__(self, app: ASGIApp, settings: ServeOptions, metrics: Metrics, callers: Callers) -> None:
        self._app, self._settings, self._metrics, self._callers = app, settings, metrics, callers
        self._rate, self._wrong = Rate(settings.rate_limit), Rate(_WRONG_TOKENS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), 0

        async def watched(event: Event) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
            await send(event)

        try:
            self._check(Request(scope))
            await self._app(scope, self._limited(receive, self._largest(scope["path"])), watched)
        except Problem as problem:
            if not status:
                await response(problem)(scope, receive, watched)
        except Exception as err:  # noqa: BLE001 (the outermost boundary: its text may quote a document, so only its type is logged)
            log.error("unexpected %s at %s", type(err).__name__, _place(err))  # noqa: TRY400 (no traceback: see above)
            if not status:
                await response(_unexpected(err))(scope, receive, watched)
        finally:
            self._note(scope, status or 499, perf_counter() - started)

    def _check(self, request: Request) -> None:
        self._check_host(request.headers.get("host", ""))
        self._check_origin(request)
        if request.url.path in _OPEN:
            sent = self._callers.of(request.headers.get("authorization", ""))
            remember(request.scope, sent or self._callers.anybody())
        else:
            caller = self._check_token(request)
            self._refuse_if_late(self._rate.wait(f"key {caller.key}" if caller.key else _address(request)))
        length, limit = request.headers.get("content-length", "0"), self._largest(request.url.path)
        if length.isdigit() and int(length) > limit:
            raise _too_large(limit)

    def _check_host(self, header: str) -> None:
        host = _PORT.sub("", header)
        if self._settings.hosts and host.lower() not in self._settings.hosts:
            message = Message.of(
                "serve.wrong_host",
                "the Host header names another host",
                expected="one of {hosts}",
                do="Use the address that the server printed, or allow the name with --allow-host",
                hosts=self._settings.hosts,
            )
            raise Problem(421, message)

    def _check_origin(self, request: Request) -> None:
        """Refuse what a page of another site sends: its browser names that site, and it cannot know the token."""
        origin = request.headers.get("origin")
        if origin is None or request.method in _READING or self._settings.token:
            return
        if self._callers.keys.required:
            return
        try:
            site = urlsplit(origin)
            ours = site.netloc.lower() == request.headers.get("host", "").lower()
            ours = ours or (site.hostname or "") in self._settings.public_names
        except ValueError:
            ours = False
        if not ours:
            message = Message.of(
                "serve.wrong_origin",
                "the request comes from a page of another site",
                expected="no Origin header, or this server's own address",
                do="Call the server from a program, or set QUARRY_TOKEN and send the token",
            )
            raise Problem(403, message)

    def _check_token(self, request: Request) -> Caller:
        caller = self._callers.of(request.headers.get("authorization", ""))
        if caller is not None:
            remember(request.scope, caller)
            return caller
        self._refuse_if_late(self._wrong.wait(_address(request)))
        message = Message.of(
            "serve.unauthorized",
            "no token, or a wrong one",
            expected="the header `Authorization: Bearer TOKEN`",
            do="Send a key of `quarry keys`, or the token that was printed at startup or set with QUARRY_TOKEN",
        )
        raise Problem(401, message)

    def _refuse_if_late(self, seconds: float) -> None:
        if not seconds:
            return
        self._metrics.rejected.inc()
        message = Message.of(
            "serve.too_often",
            "too many requests came with this key or from this address",
            expected="fewer per minute",
            do="Try again after the seconds in Retry-After",
        )
        raise Problem(429, message, retry_after_s=ceil(seconds))

    def _largest(self, path: str) -> int:
        """Return the most bytes of a body: files have limits of their own."""
        return (
            max(files.MAX_BYTES, self._settings.max_body_bytes) if path == files.PATH else self._settings.max_body_bytes
        )

    def _limited(self, receive: Receive, limit: int) -> Receive:
        size, ended = 0, False

        async def limited() -> Event:
            nonlocal size, ended
            if ended:  # waits for the client to disconnect, for as long as it takes
                return await receive()
            try:
                event = await asyncio.wait_for(receive(), self._settings.time_limit_s)
            except TimeoutError as err:
                late = Message.of(
                    "serve.slow_body",
                    "the body did not arrive within {seconds:g} s",
                    expected="the whole body within the time limit",
                    do="Send it again",
                    seconds=self._settings.time_limit_s,
                )
                raise Problem(408, late) from err
            size += len(event.get("body", b""))
            ended = not event.get("more_body", False)
            if size > limit:
                raise _too_large(limit)
            return event

        return limited

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in ("GET", "POST", "DELETE") else "other"
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.seconds.labels(route, method).observe(seconds)
        log.info("%s %s %d %.1f ms", method, route, status, seconds * 1000)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _too_large(limit: int) -> Problem:
    message = Message.of(
        "serve.too_large",
        "the body is too large",
        expected="at most {limit} bytes",
        do="Split it into several requests",
        limit=limit,
    )
    return Problem(413, message)


def _place(err: BaseException) -> str:
    trace = err.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else "an unknown place"


def _unexpected(err: Exception) -> Problem:
    message = Message.of(
        "serve.unexpected",
        "an unexpected error ({kind})",
        expected="an answer",
        do="Try again; the server's log names the place",
        kind=type(err).__name__,
    )
    return Problem(500, message)
