"""`quarry keys`: who may ask the servers of an index, as whom."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer

from quarry.app.cli.console import note, out, out_json, table
from quarry.app.cli.help import IndexCommand
from quarry.app.keys import Key, add_key, read_keys, revoke_key, rotate_key
from quarry.indexer.storage.generations import Generations

_HOURS = 24.0


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "keys",
        cls=IndexCommand,
        short_help="Say who may ask, and see what.",
        help="Add, list, rotate and revoke the keys of an index. With keys, `serve` and `mcp --http` answer nobody else, and show a holder "
        "only documents whose metadata `allow` names one of the key's principals, and those without. Running servers follow at once.",
    )(keys)


def keys(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    action: Annotated[Literal["add", "list", "rotate", "revoke"], typer.Argument(help="What to do.")] = "list",
    name: Annotated[str, typer.Argument(help="Whose key it is.")] = "",
    seen_as: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="PRINCIPAL[,..]", help="With add: as whom the holder asks. Default: the key's name."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="With add: the holder sees all, and may add and remove documents.")
    ] = False,
    overlap: Annotated[
        float, typer.Option(help="With rotate: hours for which the old secret stays good.", min=0)
    ] = _HOURS,
    as_json: Annotated[bool, typer.Option("--json", help="With list: print JSON.")] = False,
) -> None:
    """Manage the keys of an index."""
    if (action == "list") == bool(name.strip()):
        raise typer.BadParameter("list takes no NAME" if name else f"{action} requires a NAME")
    if everything and seen_as is not None:
        raise typer.BadParameter("give either --as or --everything")
    if action != "add" and (everything or seen_as is not None):
        raise typer.BadParameter("--as and --everything require add")
    Generations(index).pointer()  # a folder that is not an index is an error
    if action == "list":
        _list(read_keys(index), as_json=as_json)
    elif action == "add":
        _show(add_key(index, name, None if everything else [seen_as if seen_as is not None else name]))
    elif action == "rotate":
        _show(rotate_key(index, name, timedelta(hours=overlap)))
        note(f"the old secret is good for another {overlap:g} hours")
    else:
        revoke_key(index, name)
        out(f"{name}: revoked")


def _show(secret: str) -> None:
    out(secret)
    note("it is shown only once; send it as `Authorization: Bearer KEY`")


def _list(found: tuple[Key, ...], *, as_json: bool) -> None:
    if as_json:
        out_json([{"name": key.name, "principals": key.principals, "created": key.created} for key in found])
        return
    if not found:
        out("no keys; add one with `quarry keys INDEX add NAME`")
        return
    now = datetime.now(UTC)
    rows = [
        (
            key.name,
            "everything" if key.principals is None else ", ".join(key.principals),
            key.created.astimezone().date().isoformat(),
            str(sum(secret.holds(now) for secret in key.secrets)),
        )
        for key in found
    ]
    table(rows, ("name", "sees", "created", "secrets"))
