"""`quarry mcp`: the index as tools for a language model, over stdin and stdout or over HTTP."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.commands.serve import token_for
from quarry.app.cli.commands.ui import address, free_port, is_loopback
from quarry.app.cli.console import DeviceOption, note, out
from quarry.indexer.errors import MissingExtraError

if TYPE_CHECKING:
    from mcp.server import MCPServer

_CONNECTIONS = 256  # further ones get 503, so that memory is bounded
_TIME_LIMIT_S = 30.0  # that requests in flight are waited for when the server is told to stop


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("mcp", help="Offer search and fetch to language models (Model Context Protocol, stdio or HTTP).")(mcp)


def mcp(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    http: Annotated[bool, typer.Option("--http", help="Answer over streamable HTTP at /mcp, not over stdio.")] = False,
    host: Annotated[
        str, typer.Option(help="With --http: address to listen on; other than loopback, a token is required.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="With --http: port; 0 takes a free one.", min=0, max=65535)] = 8001,
    rerank: Annotated[
        str, typer.Option(help="none, auto (one that is on this machine), a repository id or a folder.")
    ] = "auto",
    device: DeviceOption = "auto",
) -> None:
    """Serve one client over stdin and stdout, where nothing else is printed; or any number over HTTP."""
    if find_spec("mcp") is None:
        raise MissingExtraError(
            "mcp cannot be imported; expected the extra `mcp`. Run pip install 'quarry-search[mcp]'"
        )
    from quarry.app.server.settings import TOKEN_VARIABLE

    token, generated = token_for(host, os.environ.get(TOKEN_VARIABLE, "")) if http else ("", False)
    port = free_port(host, port) if http else port
    from quarry.app.server.live import LiveIndex
    from quarry.app.server.mcp.tools import mcp_server

    server = mcp_server(LiveIndex(index, rerank=rerank, device=device))
    if not http:
        server.run("stdio")
        return
    out(f"Quarry answers MCP at {address(host, port)}/mcp (Ctrl-C stops it)")
    if generated:
        out(f"token: {token}")
        note(f"it is shown only here; choose your own with the variable {TOKEN_VARIABLE}")
    sys.stdout.flush()
    _serve(server, token, host, port)


def _serve(server: "MCPServer", token: str, host: str, port: int) -> None:
    from quarry.app.server.mcp.http import http_app
    from quarry.app.server.running import run

    run(
        http_app(server, token, loopback=is_loopback(host)),
        host,
        port,
        time_limit_s=_TIME_LIMIT_S,
        connections=_CONNECTIONS,
    )
