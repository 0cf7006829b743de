"""`quarry serve`: the HTTP API."""

import os
import secrets
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.commands.ui import address, allowed_hosts, free_port
from quarry.app.cli.console import note, out, out_listening
from quarry.app.cli.help import IndexCommand
from quarry.app.cli.options import (
    AllowHostOption,
    CompressOption,
    CutoffOption,
    DefaultDenyOption,
    DeviceOption,
    ExamplesOption,
    HostOption,
    ListeningJsonOption,
    PortOption,
    RerankOption,
)
from quarry.app.keys import keys_path
from quarry.app.wiring import embedder_asking, reranker_asking
from quarry.indexer.errors import MissingExtraError, SettingsError
from quarry.indexer.hosts import is_loopback

if TYPE_CHECKING:
    from quarry.app.server.local.state import RunningServer

_NEEDED = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "serve",
        cls=IndexCommand,
        short_help="Serve an index over HTTP.",
        help="Serve an index over HTTP: search, ask, documents, feedback, embeddings, reranking.",
    )(serve)


def serve(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    rerank: RerankOption = "auto",
    cutoff_layers: CutoffOption = None,
    compress: CompressOption = 1,
    examples: ExamplesOption = None,
    device: DeviceOption = "auto",
    queue: Annotated[int, typer.Option(help="Maximum number of waiting requests; further ones get 429.", min=1)] = 256,
    batch: Annotated[int, typer.Option(help="Maximum number of queries per batch.", min=1)] = 32,
    time_limit: Annotated[
        float, typer.Option(help="Time limit per request in seconds, including waiting.", min=0.1)
    ] = 30.0,
    max_body: Annotated[int, typer.Option(help="Maximum request body in MiB.", min=1)] = 16,
    rate_limit: Annotated[
        int,
        typer.Option(
            help="Requests per minute and key, or client address without keys; further ones get 429. 0: no limit.",
            min=0,
        ),
    ] = 0,
    allow_host: AllowHostOption = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Reject adding and deleting documents.")] = False,
    also: Annotated[
        list[Path] | None,
        typer.Option("--also", metavar="INDEX", help="POST /search searches this index, too. Repeat it for several."),
    ] = None,
    default_deny: DefaultDenyOption = False,
    alias: Annotated[
        list[str] | None,
        typer.Option(
            help="Another name of a model, for programs with a fixed one: NAME=embedder, NAME=reranker or NAME=answers."
        ),
    ] = None,
    as_json: ListeningJsonOption = False,
) -> None:
    """Start the server.

    Raises:
        MissingExtraError: If the extra `serve` is not installed.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            "cli.no_serve_extra",
            "{names} cannot be imported",
            expected="the extra `serve`",
            do="Run pip install 'quarry-search[serve]'",
            names=missing,
        )
    from quarry.app.server.models.served_models import read_aliases
    from quarry.app.server.settings import TOKEN_VARIABLE, ServeOptions

    token, generated = token_for(host, os.environ.get(TOKEN_VARIABLE, ""))
    keyed = keys_path(index).exists()
    if keyed and not token:  # for `quarry search` on this machine, which finds it in the server's file
        token = secrets.token_urlsafe(24)
    settings = ServeOptions(
        index=index,
        token=token,
        rerank=rerank,
        device=device,
        hosts=allowed_hosts(host, allow_host),
        public_names=tuple(allow_host or ()),
        rate_limit=rate_limit,
        queue=queue,
        batch=batch,
        time_limit_s=time_limit,
        max_body_bytes=max_body * 2**20,
        read_only=read_only,
        also=tuple(also or ()),
        default_deny=default_deny,
        aliases=read_aliases(alias or []),
    )
    port = free_port(host, port)
    from quarry.app.server.application import create_app
    from quarry.app.server.local.state import RunningServer, withdraw
    from quarry.app.server.running import run
    from quarry.app.server.services import Services
    from quarry.retriever.rerankers.depth import Depth

    embedder = embedder_asking(index, examples, device)
    asked = reranker_asking(index, rerank, device, Depth(cutoff_layers, compress))
    reranker = None if isinstance(asked, str) else asked
    app = create_app(Services.open(settings, embedder=embedder, reranker=reranker))
    named = RunningServer(str(index.resolve()), address(host, port), rerank, device, token)
    app.state.announced = named

    def announce() -> None:
        url = address(host, port)
        if as_json:
            out_listening(url, {"docs": f"{url}/docs", "token": token if generated else ""})
        else:
            out(f"Quarry answers at {url} (press Ctrl-C to stop); what it understands: {url}/docs")
        if generated and not as_json:
            out(f"token: {token}")
            note(f"it is shown only once; set {TOKEN_VARIABLE} to choose your own")
        if keyed:
            note("requests need a key of `quarry keys`")
        if embedder is None and reranker is None:  # with other models its answers are not those of a plain search
            _write_state(named)

    run(app, host, port, time_limit_s=time_limit, announce=announce, leaving=lambda: withdraw(named))


def _write_state(server: "RunningServer") -> None:
    """Let `quarry search` find the server."""
    from quarry.app.server.local.state import announce

    try:
        announce(server)
    except OSError as err:
        note(f"note: quarry search will not find this server: its file cannot be written ({err})")


def token_for(host: str, chosen: str) -> tuple[str, bool]:
    """Return the token that requests must carry (empty for none), and whether it was generated.

    Args:
        host: The address to listen on.
        chosen: The user's token; may be empty.

    Raises:
        SettingsError: If it is too short, or not valid in a header.
    """
    from quarry.app.server.settings import MIN_TOKEN_CHARS, TOKEN_VARIABLE

    if chosen and (len(chosen) < MIN_TOKEN_CHARS or not chosen.isascii() or not chosen.isprintable() or " " in chosen):
        raise SettingsError(
            "cli.bad_token",
            "{variable} has {count:character|characters}",
            expected="at least {least} printable ASCII characters without spaces",
            do="Choose another one, or unset it to have one generated",
            variable=TOKEN_VARIABLE,
            count=len(chosen),
            least=MIN_TOKEN_CHARS,
        )
    if chosen or is_loopback(host):
        return chosen, False
    return secrets.token_urlsafe(24), True
