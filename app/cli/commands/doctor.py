"""`quarry doctor`: is the index sound, and if not, which command fixes it?"""

from pathlib import Path
from typing import Annotated

import typer

from quarry.app.cli.console import out, out_json
from quarry.app.cli.help import IndexCommand

_MARKS = {"ok": "ok     ", "warning": "WARNING", "failure": "FAILED "}


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "doctor",
        cls=IndexCommand,
        short_help="Check an index and name the fix for each failure.",
        help="Check an index and name the command that fixes each failure. Exits with 1 if anything is broken.",
    )(doctor)


def doctor(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check an index."""
    from quarry.app.doctor import examine

    results = list(examine(index))
    if as_json:
        out_json(
            [
                {
                    "name": one.name,
                    "severity": one.severity,
                    "code": one.message.code,
                    "message": str(one.message),
                    "remedy": one.remedy,
                }
                for one in results
            ]
        )
    else:
        for result in results:
            out(f"{_MARKS[result.severity]} {result.name}: {result.message}")
            if result.remedy:
                out(f"        run: {result.remedy}")
    if any(result.severity == "failure" for result in results):
        raise typer.Exit(1)
