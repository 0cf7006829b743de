"""`quarry mcp`: the index as tools for a language model, over stdio or HTTP."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from quarry.app.cli.commands.serve import token_for
from quarry.app.cli.commands.ui import address, allowed_hosts, free_port
from quarry.app.cli.console import note, out, out_listening
from quarry.app.cli.help import IndexCommand
from quarry.app.cli.options import (
    AllowHostOption,
    AsOption,
    DefaultDenyOption,
    DeviceOption,
    ListeningJsonOption,
    RerankOption,
    principals_of,
)
from quarry.indexer.errors import MissingExtraError

_TIME_LIMIT_S = 30.0  # for requests in flight at shutdown


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "mcp",
        cls=IndexCommand,
        short_help="Serve an index as MCP tools for language models.",
        help="Serve search and fetch as MCP tools for language models, over stdio or HTTP. It answers at once and loads its models "
        "meanwhile; the first search waits for them.",
    )(mcp)


def mcp(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP at /mcp instead of stdio.")] = False,
    host: Annotated[
        str, typer.Option(help="With --http: address to listen on; anything but loopback requires a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="With --http: port; 0 picks a free one.", min=0, max=65535)] = 8001,
    allow_host: AllowHostOption = None,
    seen_as: AsOption = None,
    default_deny: DefaultDenyOption = False,
    rerank: RerankOption = "auto",
    device: DeviceOption = "auto",
    as_json: ListeningJsonOption = False,
) -> None:
    """Serve one client over stdio, where nothing else is printed, or any number over HTTP.

    Raises:
        MissingExtraError: If the extra `mcp` is not installed.
    """
    if find_spec("mcp") is None:
        raise MissingExtraError(
            "cli.no_mcp_extra",
            "mcp cannot be imported",
            expected="the extra `mcp`",
            do="Run pip install 'quarry-search[mcp]'",
        )
    if as_json and not http:
        raise typer.BadParameter("--json requires --http: over stdio nothing but the protocol is printed")
    from quarry.app.server.settings import TOKEN_VARIABLE

    token, generated = token_for(host, os.environ.get(TOKEN_VARIABLE, "")) if http else ("", False)
    port = free_port(host, port) if http else port
    from quarry.app.server.mcp.opening import open_later
    from quarry.app.server.mcp.tools import mcp_server

    server = mcp_server(open_later(index, rerank, device).get, principals_of(seen_as))
    if not http:
        server.run("stdio")
        return

    def announce() -> None:
        url = f"{address(host, port)}/mcp"
        if as_json:
            out_listening(url, {"token": token if generated else ""})
        else:
            out(f"Quarry answers MCP at {url} (press Ctrl-C to stop)")
        if generated and not as_json:
            out(f"token: {token}")
            note(f"it is shown only once; set {TOKEN_VARIABLE} to choose your own")

    from quarry.app.keys import KeyRing
    from quarry.app.server.door.callers import Callers
    from quarry.app.server.mcp.http import http_app
    from quarry.app.server.running import run

    callers = Callers(token, KeyRing(index), default_deny)
    app = http_app(server, callers, hosts=allowed_hosts(host, allow_host))
    run(app, host, port, time_limit_s=_TIME_LIMIT_S, announce=announce)
