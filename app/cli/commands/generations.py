"""`quarry generations`: list the versions of an index, roll back, or remove old ones."""

from pathlib import Path
from typing import Annotated

import typer

from quarry.app.cli.console import out, out_json, table
from quarry.indexer.messages import Message
from quarry.indexer.storage.generations import Generations, writer_lock
from quarry.indexer.storage.manifest import Manifest


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "generations",
        short_help="List, roll back or prune the versions of an index.",
        help="List the generations of an index, roll back, or prune old ones.",
    )(generations)


def generations(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    rollback: Annotated[bool, typer.Option("--rollback", help="Roll back to the previous generation.")] = False,
    switch: Annotated[str | None, typer.Option(help="Make this generation live.")] = None,
    prune: Annotated[
        int | None, typer.Option(help="Keep only this many generations, including the live one.", min=1)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List, roll back, switch or prune."""
    known = Generations(index)
    known.pointer()
    if rollback or switch or prune:
        with writer_lock(index):
            if rollback or switch:
                target = switch or known.previous()
                known.switch(
                    target,
                    Message.of("cli.rolled_back", "rolled back")
                    if rollback
                    else Message.of("cli.switched", "switched by hand"),
                )
            removed = known.prune(prune) if prune else []
            if removed:
                out(f"removed {', '.join(removed)}")
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
