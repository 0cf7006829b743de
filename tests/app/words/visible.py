"""Everything that users read: texts in the code, the Chinese catalogs, the help of the commands, and the documentation."""

import ast
import tomllib
from collections.abc import Iterator
from functools import cache

import typer

from quarry.app.cli import cli
from tests import ROOT

ROOMS = ("app", "indexer", "retriever", "training")


@cache
def visible() -> tuple[tuple[str, str], ...]:
    """Return (where, text) of all of it; docstrings and comments are for readers of the code."""
    return (*literals(), *catalogs(), *helps(), *pages())


def literals() -> Iterator[tuple[str, str]]:
    """Yield the strings in the code of the product, and the pieces of formatted ones."""
    for path in (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value


def catalogs() -> Iterator[tuple[str, str]]:
    """Yield the Chinese of every message."""
    for path in sorted((ROOT / "app" / "words").glob("*.toml")):
        for code, parts in tomllib.loads(path.read_text(encoding="utf-8")).items():
            yield from ((f"{path.name}: {code}", text) for text in parts.values() if isinstance(text, str))


def helps() -> Iterator[tuple[str, str]]:
    """Yield what `--help` says of commands, arguments and options."""
    for name, command in typer.main.get_command(cli).commands.items():
        yield f"quarry {name} --help", command.help or ""
        for parameter in command.params:
            yield f"quarry {name} --help: {parameter.name}", getattr(parameter, "help", "") or ""


def pages() -> Iterator[tuple[str, str]]:
    """Yield the lines of README and docs/. CHANGELOG tells what things were called before."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            yield f"{path.relative_to(ROOT)}:{number}", line
