"""`quarry models`: every model that Quarry knows, what it needs, and whether it is here."""

from dataclasses import asdict
from typing import Annotated

import typer

from app.cli.console import note, out_json, table


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("models", help="List the known models, what they need, and which are on this machine.")(models)


def models(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List the models."""
    from indexer.model_source import hub_cache, list_models

    rows = list_models()
    if as_json:
        out_json([asdict(row) for row in rows])
        return
    header = ("model", "kind", "languages", "dim", "tokens", "memory", "here", "note")
    table(
        [
            (
                row.model,
                row.kind,
                row.languages,
                str(row.dim or "-"),
                str(row.max_tokens),
                f"{row.memory_mb / 1000:.1f} GB",
                f"{row.here} ({row.megabytes_on_disk} MB)" if row.here else "no",
                row.note,
            )
            for row in rows
        ],
        header,
    )
    note(f"looked in {hub_cache()}; a model folder anywhere else can be given by its path (--model FOLDER)")
