"""The commands by task. A command is imported when it runs, and all of them only for `quarry --help`: a search needs a third of them."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
import typer.main

from quarry.app.cli.exits import PipeAwareGroup

WITHOUT_SETTINGS = "quarry.without-settings"
"""In the context's `meta`: no setting matters, so that a faulty file does not keep help away."""
TASKS = {
    "Start": ("demo", "ui"),
    "Index and search": ("index", "search", "ask", "why-not", "documents"),
    "Keep an index": ("doctor", "report", "generations", "compact"),
    "Grow": ("estimate", "encode", "lake"),
    "Serve": ("serve", "mcp", "keys"),
    "Measure": ("evaluate", "compare", "diagnose", "benchmark"),
    "Learn": ("feedback", "gaps", "tune", "pairs", "synthesize", "train", "models"),
    "Set up": ("config", "completion"),
}
"""Names of commands; the module of `why-not` is `commands.why_not`, and its `register` adds it."""


class Commands(Mapping[str, Any]):
    """The commands by name, each imported when it is first asked for."""

    def __init__(self) -> None:
        self._modules = {name: name.replace("-", "_") for names in TASKS.values() for name in names}
        self._imported: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._imported:
            self._imported[name] = _command(self._modules[name])
        return self._imported[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


class TaskGroup(PipeAwareGroup):
    """The top level of the command line: the commands, in `--help` by task."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = Commands()

    def list_commands(self, _ctx: Any) -> list[str]:
        """Return the names of the commands, without importing any."""
        return list(self.commands)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line up to the command."""
        if args[:1] == ["completion"] or {"-h", "--help"} & set(args):
            ctx.find_root().meta[WITHOUT_SETTINGS] = True
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def format_commands(self, _ctx: Any, formatter: Any) -> None:
        """Write one section per task."""
        width = max(map(len, self.commands))
        for task, names in TASKS.items():
            with formatter.section(task):
                formatter.write_dl(
                    [(name.ljust(width), self.commands[name].get_short_help_str(formatter.width)) for name in names]
                )


def _command(module: str) -> Any:
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    import_module(f"quarry.app.cli.commands.{module}").register(alone)
    return typer.main.get_command(alone)
