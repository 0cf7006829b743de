"""In front of Streamlit: which Host and Origin may reach the app, uploads only from those who gave the password, and no slow clients.

Streamlit's own checks compare Origin with Host, which a name that is rebound to 127.0.0.1 passes, accept pages of every port of
this machine, and know no password: anyone who opens a connection could upload files. It waits without a limit for the first
request, for headers and for the next piece of an upload.
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from quarry.app.server.door.patience import LIMITS

HOSTS_VARIABLE = "QUARRY_UI_HOSTS"  # names separated by commas; empty for any
PASSWORD_VARIABLE = "QUARRY_UI_PASSWORD"  # noqa: S105 (a variable's name)
_UPLOADS = re.compile(r"/_stcore/upload_file/([^/]+)(?:/|$)")
_METRICS = "/_stcore/metrics"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_PORT = re.compile(r":\d+$")
BODY_SECONDS = 30.0  # for the next piece of an upload
_unlocked: set[str] = set()  # session ids; a handful of bytes each, and only of people who know the password

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Event, Receive, Send], Awaitable[None]]


def unlock(session_id: str) -> None:
    """Let a session upload: it gave the password."""
    _unlocked.add(session_id)


class Gate:
    """ASGI middleware; a refused request gets 403 and a refused WebSocket is closed before it opens."""

    def __init__(self, app: App) -> None:
        self._app = app
        names = os.environ.get(HOSTS_VARIABLE, "").split(",")
        self._hosts = frozenset(name.strip().lower() for name in names if name.strip())
        self._locked = bool(os.environ.get(PASSWORD_VARIABLE, ""))

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif not self._admits(scope):
            await _refuse(scope, send)
        elif scope["type"] == "http" and scope["method"] not in _READING:
            await self._app(scope, _impatient(receive), send)
        else:
            await self._app(scope, receive, send)

    def _admits(self, scope: Event) -> bool:
        headers = {name.decode("latin-1"): value.decode("latin-1").lower() for name, value in scope["headers"]}
        host = headers.get("host", "")
        if self._hosts and _PORT.sub("", host) not in self._hosts:
            return False
        changes = scope["type"] == "websocket" or scope["method"] not in _READING
        if changes and not self._is_ours(headers.get("origin"), host):
            return False
        if not self._locked:
            return True
        upload = _UPLOADS.match(scope["path"])
        return scope["path"] != _METRICS and (upload is None or upload.group(1) in _unlocked)

    def _is_ours(self, origin: str | None, host: str) -> bool:
        """Whether a request comes from a page of this server, or from a program, which names no page."""
        if origin is None:
            return True
        try:
            site = urlsplit(origin)
            return site.netloc == host or (bool(site.port is None) and (site.hostname or "") in self._hosts)
        except ValueError:
            return False


async def _refuse(scope: Event, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"Use the address that `quarry ui` printed.\n"})


def _impatient(receive: Receive) -> Receive:
    """Give up on a body whose next piece takes longer than `BODY_SECONDS`, as if the client had left."""
    whole = False

    async def next_piece() -> Event:
        nonlocal whole
        if whole:  # what comes next is that the client leaves, which may take as long as the answer
            return await receive()
        try:
            event = await asyncio.wait_for(receive(), BODY_SECONDS)
        except TimeoutError:
            event = {"type": "http.disconnect"}
        whole = not event.get("more_body", False)
        return event

    return next_piece


def install() -> None:
    """Put the gate in front of every application that Streamlit makes from now on, and the limits of `serve` on its connections.

    Raises:
        AttributeError: If this version of Streamlit builds its application in another way.
    """
    from starlette.middleware import Middleware
    from streamlit.web.server.starlette import starlette_app, starlette_server

    behind = starlette_app.create_streamlit_middleware

    def with_gate() -> list[Middleware]:
        return [Middleware(Gate), *behind()]

    starlette_app.create_streamlit_middleware = with_gate
    settings = starlette_server._get_uvicorn_config_kwargs
    starlette_server._get_uvicorn_config_kwargs = lambda: {**settings(), **LIMITS}
