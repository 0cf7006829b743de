"""How commands look in `--help`, and where their first argument comes from when it is not given."""

import re
from pathlib import Path
from typing import Any

import typer
import typer.core

from quarry.app.cli.configuration import DEFAULT_INDEX, INDEX_VARIABLE, NAME, kept
from quarry.app.cli.console import note

_TYPES = {
    "<int>": "N",
    "<int range>": "N",
    "<float>": "NUMBER",
    "<float range>": "NUMBER",
    "<path>": "PATH",
    "<list[Path]>": "PATH",
    "<list[path]>": "PATH",
    "<str>": "TEXT",
    "<list[str]>": "TEXT",
}
_TYPE = re.compile(r"<[^<>]*>")
_ADDRESSES = ("s3:/", "file:/")
_LAKE = "lake.json"


class QuarryCommand(typer.core.TyperCommand):
    """A command whose help names arguments and values by what they are."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Write arguments in capitals, those that can be left out in brackets."""
        pieces = [self.options_metavar] if self.options_metavar else []
        return [*pieces, *(self._piece(one) for one in self.get_params(ctx) if one.param_type_name == "argument")]

    def _piece(self, argument: Any) -> str:
        name = _name(argument) + ("..." if argument.nargs != 1 else "")
        return name if self.is_needed(argument) else f"[{name}]"

    def is_needed(self, argument: Any) -> bool:
        """Whether an argument cannot be left out."""
        return bool(argument.required)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        rows: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for one in self.get_params(ctx):
            record = one.get_help_record(ctx)
            if record is None:
                continue
            if one.param_type_name == "argument":
                rows["Arguments"].append((_name(one), record[1].replace("  [required]", "") + self.source_of(one)))
            else:
                rows["Options"].append((_TYPE.sub(lambda kind: _TYPES.get(kind[0], kind[0]), record[0]), record[1]))
        for title, records in rows.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def source_of(self, _argument: Any) -> str:
        """Say where an argument comes from when it is left out."""
        return ""


class IndexCommand(QuarryCommand):
    """A command whose first argument is an index; left out, it is the one of QUARRY_INDEX or of `quarry.toml`."""

    def is_needed(self, argument: Any) -> bool:
        """Whether an argument cannot be left out."""
        return bool(argument.required) and argument.name != "index"

    def source_of(self, argument: Any) -> str:
        """Say where an argument comes from when it is left out."""
        return f"  [default: {INDEX_VARIABLE}, or {NAME}]" if argument.name == "index" else ""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line, with the default index in front when it gives none."""
        return super().parse_args(
            ctx, args if ctx.resilient_parsing else self._with_view(ctx, self._with_index(ctx, args))
        )

    def _with_view(self, ctx: Any, args: list[str]) -> list[str]:
        """Replace the address of a lake by the index folder that stands for it on this machine."""
        first = next((one for one in args if _may_be_lake(one)), None)
        if first is None or first not in self._given(ctx, args)[:1]:
            return args
        from quarry.indexer.stores.lake.view import as_index

        place = args.index(first)
        return [*args[:place], str(as_index(first)), *args[place + 1 :]]

    def _given(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the values of the arguments that are given, in their order."""
        options, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        arguments = [one for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return [options[one.name] for one in arguments if isinstance(options.get(one.name), str)]

    def _with_index(self, ctx: Any, args: list[str]) -> list[str]:
        options, _, order = self.make_parser(ctx).parse_args(args=list(args))
        arguments = [one for one in self.get_params(ctx) if one.param_type_name == "argument"]
        given = [options[one.name] for one in arguments if isinstance(options.get(one.name), str)]
        asks_help = any(one.name == "help" for one in order)
        if asks_help or len(given) == len(arguments) or options.get("old_index") or _is_index(given):
            return args
        default = chosen_index(ctx)
        if default is None:
            if not given and any(one.required for one in arguments):
                raise typer.BadParameter(
                    f"no index is given; expected INDEX, {INDEX_VARIABLE} in the environment, or {DEFAULT_INDEX} in {NAME}",
                    ctx=ctx,
                )
            return args
        return [str(default), *args]


def chosen_index(ctx: Any) -> Path | None:
    """Return the default index and say where it is named; None without one."""
    default = kept(ctx).default_index()
    if default is None:
        return None
    note(f"index: {default[0]} (from {default[1]})")
    return default[0]


def _may_be_lake(text: str) -> bool:
    """Whether a word of the command line is the address or the folder of a lake; imports nothing."""
    try:
        return text.startswith(_ADDRESSES) or (Path(text) / _LAKE).is_file()
    except (OSError, ValueError):  # a question may be too long to be a path, or hold what no path can
        return False


def _is_index(given: list[str]) -> bool:
    """Whether the first argument is an index, so that what is missing is another one."""
    from quarry.indexer.storage.generations import Generations

    if not given:
        return False
    if _may_be_lake(given[0]):
        return True
    found = Generations(Path(given[0]))
    try:
        return found.exists() or found.folder.is_dir()
    except OSError:  # a question may be too long to be a path
        return False


def _name(argument: Any) -> str:
    metavar = getattr(argument, "metavar", None)
    return str(metavar or argument.name).strip("[]").upper()
