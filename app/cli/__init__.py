"""The `quarry` command.

A command reads its options, plans (wrong options end here, as usage errors), runs the library, and prints.

    options     options that several commands have
    console     the only module that writes: results to stdout, notes and progress to stderr
    answer      a search's answer in a terminal
    tasks       the commands by task, each imported when it runs
    commands/   one module per command; heavy libraries are imported when a command runs
    help        how a command looks in --help; the default index
    configuration   quarry.toml
    removing    `quarry index` without indexing: folders listed, folders and documents taken out
    watching    output and shutdown of `quarry index --watch`
    headings    the columns of tables, in both languages
    exits       from an exception to an exit code

The door is `main`, the entry point of the console script and of `python -m quarry`.
"""

import gc
import os
import sys
from typing import Annotated, Any

import typer

from quarry.app.cli import configuration
from quarry.app.cli.commands import completion
from quarry.app.cli.console import out_json, table
from quarry.app.cli.exits import exit_code
from quarry.app.cli.tasks import WITHOUT_SETTINGS, TaskGroup

_HELP = "Search your own documents, in Chinese and English. Start with `quarry demo`, or `quarry index FOLDER --into INDEX`."
_EPILOG = """\b
Exit codes:
  0    done
  1    an error
  2    usage error: wrong options, or a query that cannot be asked as written
  3    index --strict: files were skipped
       ask: the documents do not answer the question
  4    tune: the tuned model was refused
  130  interrupted by Ctrl-C

\b
QUARRY_INDEX is the index of commands that are given none; `quarry config`
shows all settings. QUARRY_DEBUG=1 shows the traceback of an error."""
cli = typer.Typer(
    name="quarry",
    cls=TaskGroup,
    help=_HELP,
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@cli.callback(invoke_without_command=True)
def _first(
    ctx: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(
            envvar=configuration.CONFIG_VARIABLE,
            metavar="FILE",
            help=f"File with options; `none` for none. Default: the nearest {configuration.NAME} here or above.",
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
    licenses: Annotated[
        bool, typer.Option("--licenses", help="List the installed packages with their licenses.")
    ] = False,
    sbom: Annotated[bool, typer.Option("--sbom", help="Print them as a bill of materials (CycloneDX JSON).")] = False,
) -> None:
    if licenses or sbom:
        _print_packages(as_document=sbom)
        raise typer.Exit
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"quarry {installed('quarry-search')}")
        raise typer.Exit
    if ctx.meta.get(WITHOUT_SETTINGS):
        return
    commands: dict[str, Any] = getattr(ctx.command, "commands", {})
    configuration.keep(ctx, configuration.load(config, commands, ctx))


def _print_packages(*, as_document: bool) -> None:
    from quarry.app.supply import bill_of_materials, installed

    packages = installed()
    if as_document:
        out_json(bill_of_materials(packages))
        return
    table(
        ((each.name, each.version, each.license or "unknown") for each in packages), ("package", "version", "license")
    )


def main() -> None:
    """Run the command line and exit with one of the codes listed in `quarry --help`."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    if completion.VARIABLE in os.environ:
        completion.offer_completion()
    code = exit_code(lambda: typer.main.get_command(cli)(prog_name="quarry"))
    gc.freeze()  # at its end the interpreter looks through all that is loaded for garbage; the process frees it anyway
    sys.exit(code)
