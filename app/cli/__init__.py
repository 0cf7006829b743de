"""The `quarry` command. Only this package and the pages print; heavy libraries are imported inside the commands."""

import os
import sys

import typer

from quarry.app.cli.commands import ask as ask_command
from quarry.app.cli.commands import benchmark as benchmark_command
from quarry.app.cli.commands import compare as compare_command
from quarry.app.cli.commands import demo as demo_command
from quarry.app.cli.commands import diagnose as diagnose_command
from quarry.app.cli.commands import doctor as doctor_command
from quarry.app.cli.commands import evaluate as evaluate_command
from quarry.app.cli.commands import feedback as feedback_command
from quarry.app.cli.commands import generations as generations_command
from quarry.app.cli.commands import index as index_command
from quarry.app.cli.commands import mcp as mcp_command
from quarry.app.cli.commands import models as models_command
from quarry.app.cli.commands import search as search_command
from quarry.app.cli.commands import serve as serve_command
from quarry.app.cli.commands import tune as tune_command
from quarry.app.cli.commands import ui as ui_command
from quarry.app.cli.console import note
from quarry.indexer.errors import SearchError

cli = typer.Typer(
    name="quarry",
    help="Search your own documents, in Chinese and English. Start with `quarry demo`, then `quarry index FOLDER --into INDEX`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    index_command,
    search_command,
    ask_command,
    evaluate_command,
    compare_command,
    diagnose_command,
    benchmark_command,
    feedback_command,
    tune_command,
    generations_command,
    models_command,
    doctor_command,
    demo_command,
    ui_command,
    serve_command,
    mcp_command,
):
    module.register(cli)


@cli.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"quarry {installed('quarry-search')}")
        raise typer.Exit


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 our error, 2 wrong usage, 3 done but files were skipped (--strict) or the answer is not in the documents
    (ask), 130 Ctrl-C.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    sys.exit(_run())


def _run() -> int:
    """Usage errors and Ctrl-C are typer's to print (2 and 130); ours are one line each."""
    try:
        typer.main.get_command(cli)(prog_name="quarry")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except SearchError as err:
        note(f"error: {err}")
        return 1
    except ValueError as err:
        if os.environ.get("QUARRY_DEBUG"):
            raise
        note(f"error: {err}")
        return 2
    return 0
