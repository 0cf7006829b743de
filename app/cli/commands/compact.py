"""`quarry compact`: merge the segments of an index into one."""

from pathlib import Path
from typing import Annotated

import typer

from quarry.app.cli.console import ProgressBar, fields, out, out_json
from quarry.app.cli.help import IndexCommand


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "compact",
        cls=IndexCommand,
        short_help="Merge the segments of an index into one.",
        help="Merge the segments that updates wrote into one, without what was removed. Nothing is encoded again.",
    )(compact)


def compact(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Merge all segments."""
    from quarry.app.wiring import model_for
    from quarry.indexer.build import compact_index

    chosen = model_for(index)
    bar = ProgressBar(quiet=as_json)
    try:
        report = compact_index(index, chosen.embedder, bar)
    finally:
        bar.close()
    if as_json:
        out_json(fields(report))
    elif report.switched:
        out(f"{index}: {report.chunks:,} passages in one segment, generation {report.generation}")
    else:
        out(f"{index}: one segment already, generation {report.generation}")
