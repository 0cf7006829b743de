"""`quarry serve`: the index over HTTP, for programs."""

import os
import secrets
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from quarry.app.cli.commands.ui import address, free_port, is_loopback
from quarry.app.cli.console import DeviceOption, note, out
from quarry.indexer.errors import MissingExtraError, SettingsError

_NEEDED = ("fastapi", "uvicorn", "prometheus_client")


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("serve", help="Answer over HTTP: search, documents, feedback, embeddings, reranking.")(serve)


def serve(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than loopback, a token is required.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8000,
    rerank: Annotated[
        str, typer.Option(help="none, auto (one that is on this machine), a repository id or a folder.")
    ] = "auto",
    device: DeviceOption = "auto",
    queue: Annotated[int, typer.Option(help="Requests that may wait; further ones get 429.", min=1)] = 256,
    batch: Annotated[int, typer.Option(help="Queries answered together at most.", min=1)] = 32,
    time_limit: Annotated[float, typer.Option(help="Seconds a request may take, waiting included.", min=0.1)] = 30.0,
    max_body: Annotated[int, typer.Option(help="Largest request body, in MiB.", min=1)] = 16,
    read_only: Annotated[bool, typer.Option("--read-only", help="Take no documents and delete none.")] = False,
) -> None:
    """Start the server."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{', '.join(missing)} cannot be imported; expected the extra `serve`. Run pip install 'quarry-search[serve]'"
        )
    from quarry.app.server.settings import TOKEN_VARIABLE, ServeSettings

    token, generated = token_for(host, os.environ.get(TOKEN_VARIABLE, ""))
    settings = ServeSettings(
        index=index,
        token=token,
        rerank=rerank,
        device=device,
        hosts=("localhost", "127.0.0.1", "[::1]") if is_loopback(host) else (),
        queue=queue,
        batch=batch,
        time_limit_s=time_limit,
        max_body_bytes=max_body * 2**20,
        read_only=read_only,
    )
    port = free_port(host, port)
    from quarry.app.server.application import create_app
    from quarry.app.server.running import run
    from quarry.app.server.services import Services

    app = create_app(Services.open(settings))
    out(f"Quarry answers at {address(host, port)} (Ctrl-C stops it); {address(host, port)}/openapi.json describes it")
    if generated:
        out(f"token: {token}")
        note(f"it is shown only here; choose your own with the variable {TOKEN_VARIABLE}")
    sys.stdout.flush()
    run(app, host, port, time_limit_s=time_limit)


def token_for(host: str, chosen: str) -> tuple[str, bool]:
    """Return the token that requests must carry (empty for none), and whether it was made here.

    Args:
        host: The address to listen on.
        chosen: What the user set, may be empty.

    Raises:
        SettingsError: If it is too short, or cannot stand in a header.
    """
    from quarry.app.server.settings import MIN_TOKEN_CHARS, TOKEN_VARIABLE

    if chosen and (len(chosen) < MIN_TOKEN_CHARS or not chosen.isascii() or not chosen.isprintable() or " " in chosen):
        raise SettingsError(
            f"{TOKEN_VARIABLE} has {len(chosen)} characters; expected at least {MIN_TOKEN_CHARS} printable ASCII ones "
            "without spaces. Choose another one, or unset it to have one made"
        )
    if chosen or is_loopback(host):
        return chosen, False
    return secrets.token_urlsafe(24), True
