"""`quarry generations`: list the versions of an index, roll back, or remove old ones."""

from pathlib import Path
from typing import Annotated

import typer

from quarry.app.cli.console import note, out_json, table
from quarry.app.cli.help import IndexCommand
from quarry.indexer.messages import Message
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.writer_lock import writer_lock


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "generations",
        cls=IndexCommand,
        short_help="List, roll back or remove versions of an index.",
        help="List the generations of an index, go back to one, or remove old ones.",
    )(generations)


def generations(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    rollback: Annotated[bool, typer.Option("--rollback", help="Roll back to the previous generation.")] = False,
    switch: Annotated[str | None, typer.Option(help="Make this generation live.")] = None,
    keep: Annotated[
        int | None,
        typer.Option("--keep", help="Remove all but this many generations; the live one stays.", min=1),
    ] = None,
    prune: Annotated[int | None, typer.Option("--prune", hidden=True, help="The old name of --keep.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List, roll back, switch or prune."""
    if prune is not None and keep is not None:
        raise typer.BadParameter("--prune is the old name of --keep; give --keep only")
    keep = prune if keep is None else keep
    known = Generations(index)
    known.pointer()
    if rollback or switch or keep:
        with writer_lock(index):
            if rollback or switch:
                target = switch or known.previous()
                known.switch_back(
                    target,
                    Message.of("cli.rolled_back", "rolled back")
                    if rollback
                    else Message.of("cli.switched", "switched by hand"),
                )
            removed = known.prune(keep) if keep else []
            if removed:
                note(f"removed {', '.join(removed)}")
    pointer = known.pointer()
    rows = []
    for name in known.finished():
        manifest = Manifest.read(known.folder / name)
        model = manifest.embedder.to_spec().model if manifest.embedder else "BM25 only"
        rows.append((name, name == pointer.generation, manifest, model, manifest.bytes))
    if as_json:
        out_json(
            [
                {
                    "generation": name,
                    "live": live,
                    "created": m.created,
                    "documents": m.documents,
                    "chunks": m.chunks,
                    "model": model,
                    "bytes": size,
                }
                for name, live, m, model, size in rows
            ]
        )
        return
    table(
        [
            (name, "live" if live else "", m.created, str(m.documents), str(m.chunks), model, f"{size / 1e6:.1f} MB")
            for name, live, m, model, size in rows
        ],
        ("generation", "", "created", "documents", "passages", "model", "size"),
    )
