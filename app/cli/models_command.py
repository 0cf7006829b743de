"""`quarry models`: every model that Quarry knows, what it needs, and whether it is here."""

from typing import Annotated

import typer

from app.cli.console import out, out_json, table


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("models", help="List the known models, what they need, and which are on this machine.")(models)


def models(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List the models."""
    from dataclasses import asdict

    from indexer.model_source import list_models

    rows = list_models()
    if as_json:
        out_json([asdict(row) for row in rows])
        return
    out("see indexer.model_source.list_models")
    table([], ("model",))
