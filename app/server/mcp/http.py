"""MCP over streamable HTTP: one POST per request at `/mcp`, no session, JSON answers.

On loopback the Host and Origin headers keep web pages out (DNS rebinding); elsewhere every request must carry the token.
"""

import logging
from collections.abc import Sequence

from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from quarry.app.server.door.callers import Callers, remember
from quarry.indexer.messages import Message

PATH = "/mcp"
MAX_BODY_BYTES = 2**20  # a question and an id are short


class TokenRequired:
    """ASGI middleware that admits only requests with the token or a key; without either all are admitted."""

    def __init__(self, app: ASGIApp, callers: Callers) -> None:
        self._app, self._callers = app, callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 401."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = self._callers.of(Request(scope).headers.get("authorization", ""))
        if caller is not None:
            remember(scope, caller)
            await self._app(scope, receive, send)
            return
        message = Message.of(
            "mcp.unauthorized",
            "no token, or a wrong one",
            expected="the header `Authorization: Bearer TOKEN`",
            do="Send a key of `quarry keys`, or the token that was printed at startup or set with QUARRY_TOKEN",
        )
        await JSONResponse({"error": str(message)}, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)


def streamable(server: MCPServer, *, hosts: Sequence[str]) -> Starlette:
    """Return the application that answers at `/mcp`; its lifespan has to run.

    Args:
        server: The tools.
        hosts: Allow only these names in Host and Origin, with any port or none; empty for any.
    """
    # its warnings quote headers that anyone can send
    logging.getLogger("mcp.server.transport_security").setLevel(logging.ERROR)
    allowed = [entry for name in hosts for entry in (name, f"{name}:*")]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=bool(hosts),
        allowed_hosts=allowed,
        allowed_origins=[f"{scheme}://{host}" for scheme in ("http", "https") for host in allowed],
    )
    return server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=MAX_BODY_BYTES,
        transport_security=security,
    )


def http_app(server: MCPServer, callers: Callers, *, hosts: Sequence[str]) -> ASGIApp:
    """Return the whole server: the tools at `/mcp`, behind the token and the keys when there are such."""
    return TokenRequired(streamable(server, hosts=hosts), callers)
