"""`quarry config`: which settings are in force, and where each comes from."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from quarry.app.cli.configuration import DEFAULT_INDEX, Configuration, kept, settable
from quarry.app.cli.console import fields, out, out_json, table
from quarry.app.cli.help import QuarryCommand

_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """One value in force.

    Attributes:
        command: The command that has the option; empty for the default index.
        key: The option without its dashes.
        value: As the command gets it when no flag is given.
        source: A variable, a file, or `default`.
    """

    command: str
    key: str
    value: Any
    source: str


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "config",
        cls=QuarryCommand,
        short_help="Show the settings in force, and their sources.",
        help="Show the settings in force and where each comes from: a flag overrides the environment, that quarry.toml, and that "
        "the default. With COMMAND, also those that are at their default.",
    )(config)


def config(
    ctx: typer.Context,
    command: Annotated[str | None, typer.Argument(help="Show every setting of this command.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the settings in force.

    Raises:
        typer.BadParameter: If there is no such command.
    """
    found = kept(ctx)
    commands: dict[str, Any] = getattr(ctx.find_root().command, "commands", {})
    if command is not None and command not in commands:
        raise typer.BadParameter(f"{command!r} is no command; expected one of {', '.join(commands)}")
    rows = [*_index(found)]
    for name, one in commands.items():
        if command in (None, name):
            rows += [row for row in _settings(name, one, found, ctx) if command or row.source != _DEFAULT]
    if as_json:
        out_json({"file": str(found.path) if found.path else None, "settings": [fields(row) for row in rows]})
        return
    out(f"file: {found.path or 'none (no quarry.toml here or above, and no --config)'}")
    if rows:
        table(
            [(f"{row.command}.{row.key}".lstrip("."), _shown(row.value), row.source) for row in rows],
            ("setting", "value", "from"),
        )
    else:
        out("every setting is at its default; `quarry config COMMAND` lists them")


def _index(found: Configuration) -> Iterator[Setting]:
    index = found.default_index()
    if index is not None:
        yield Setting("", DEFAULT_INDEX, str(index[0]), index[1])


def _settings(name: str, command: Any, found: Configuration, ctx: typer.Context) -> Iterator[Setting]:
    given = found.options.get(name, {})
    for key, parameter in settable(name, command.params):
        variables = [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or []
        variable = next((one for one in variables if os.environ.get(one)), None)
        if variable is not None:
            yield Setting(name, key, os.environ[variable], variable)
        elif parameter.name in given:
            yield Setting(name, key, given[parameter.name], str(found.path))
        else:
            yield Setting(name, key, parameter.get_default(ctx), _DEFAULT)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
