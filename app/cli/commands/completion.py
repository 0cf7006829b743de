"""`quarry completion`: the script that lets a shell complete `quarry`, as Typer generates it."""

from enum import StrEnum
from typing import Annotated

import typer

from quarry.app.cli.help import QuarryCommand

VARIABLE = "_QUARRY_COMPLETE"
"""Set by the script when the shell asks."""
_HELP = """Print the script that completes commands, options and their values with Tab.

\b
bash  quarry completion bash >> ~/.bashrc
zsh   quarry completion zsh >> ~/.zshrc      (after compinit)
fish  quarry completion fish > ~/.config/fish/completions/quarry.fish"""


class Shell(StrEnum):
    """The shells that Typer writes a script for."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"
    powershell = "powershell"


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("completion", cls=QuarryCommand, short_help="Print a shell's completion script.", help=_HELP)(
        completion
    )


def completion(
    ctx: typer.Context, shell: Annotated[Shell, typer.Argument(help="bash, zsh, fish or powershell.")]
) -> None:
    """Print the script."""
    from typer.completion import shell_complete

    offer_completion()
    shell_complete(ctx.find_root().command, {}, "quarry", VARIABLE, f"source_{shell.value}")


def offer_completion() -> None:
    """Make the shells known to the command line; done only when one asks, because a normal start has no use for them."""
    from typer.completion import get_completion_inspect_parameters

    get_completion_inspect_parameters()  # registers Typer's shells
