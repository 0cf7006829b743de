"""`quarry mcp`: the index as tools for a language model, over stdin and stdout."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from indexer.errors import MissingExtraError


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("mcp", help="Offer search and fetch to language models (Model Context Protocol, stdio).")(mcp)


def mcp(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    rerank: Annotated[
        str, typer.Option(help="none, auto (one that is on this machine), a repository id or a folder.")
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Serve one client over stdin and stdout; nothing else is printed to stdout."""
    if find_spec("mcp") is None:
        raise MissingExtraError(
            "mcp cannot be imported; expected the extra `mcp`. Run pip install 'quarry-search[mcp]'"
        )
    from app.server.live import LiveIndex
    from app.server.mcp_tools import mcp_server

    mcp_server(LiveIndex(index, rerank=rerank, device=device)).run("stdio")
