"""Docstrings keep in step with the code: `Args:` names parameters that exist, `Raises:` what the function raises itself.

This replaces pydoclint, which cannot start beside the libraries of the test extra: its parser (docstring_parser_fork) and theirs
(docstring_parser) install into the same folder.
"""

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("app", "indexer", "retriever", "training")
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the functions and methods of the packages, each with its place."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in tree.body:
                members = node.body if isinstance(node, ast.ClassDef) else [node]
                for member in members:
                    if isinstance(member, FUNCTION):
                        where = f"{path.relative_to(ROOT)}:{member.lineno} {member.name}"
                        yield where, member


def section(docstring: str, title: str) -> dict[str, str]:
    """Return the entries of a section, `{name: text}`: lines of the section's first indentation, `name: text`."""
    found = re.search(rf"^{title}:\n((?:[ \t]+.*\n?|\n)*)", docstring, re.MULTILINE)
    lines = [line for line in found.group(1).splitlines() if line.strip()] if found else []
    indent = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    entries = (line.strip().partition(":") for line in lines if len(line) - len(line.lstrip()) == indent)
    return {name.strip().lstrip("*"): text for name, _, text in entries}


def parameters(function: ast.FunctionDef) -> set[str]:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {parameter.arg for parameter in named if parameter}


def raised(node: ast.AST) -> Iterator[str]:
    """Yield the classes that a body raises, without those of functions in it or that it catches around the `raise`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTION, ast.Lambda, ast.ClassDef)):
            continue
        if isinstance(child, ast.Try):
            caught = {
                name.id
                for handler in child.handlers
                for name in ast.walk(handler.type or ast.Name("BaseException"))
                if isinstance(name, ast.Name)
            }
            for part in child.body:
                yield from (name for name in raised(ast.Module([part], [])) if name not in caught)
            for part in (*child.handlers, *child.orelse, *child.finalbody):
                yield from raised(part)
            continue
        match child:
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name))) if name[0].isupper():
                yield name
        yield from raised(child)


def exceptions() -> set[str]:
    """Names of exception classes: Python's, ours, and those that our modules import."""
    names = {
        name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
    }
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    names.add(node.name)
                elif isinstance(node, ast.ImportFrom | ast.Import):
                    names.update(alias.asname or alias.name for alias in node.names)
    return names


def test_args_names_only_parameters_that_exist():
    wrong, checked = [], 0
    for where, function in functions():
        documented = section(ast.get_docstring(function) or "", "Args")
        checked += len(documented)
        if strangers := documented.keys() - parameters(function):
            wrong.append(f"{where}: {', '.join(sorted(strangers))}")
    assert checked > 200
    assert not wrong, "\n".join(wrong)


def undocumented(function: ast.FunctionDef) -> set[str]:
    """Return what a public function raises itself and its docstring does not name, in `Raises:` or as `Raises NAME when ...`.

    Private functions are free to have no such section; where they have one it must be whole. A route's docstring is the
    description of its operation in the API, where the responses are listed apart.
    """
    docstring = ast.get_docstring(function) or ""
    documented = section(docstring, "Raises")
    route = any(ast.unparse(decorator).startswith("router.") for decorator in function.decorator_list)
    if not documented and (function.name.startswith("_") or route):
        return set()
    inline = re.findall(r"Raises? (\w+)", docstring)
    return set(raised(function)) - documented.keys() - set(inline)


def test_raises_names_every_exception_that_the_function_raises_itself():
    wrong, checked = [], 0
    for where, function in functions():
        checked += len(section(ast.get_docstring(function) or "", "Raises"))
        if silent := undocumented(function):
            wrong.append(f"{where}: {', '.join(sorted(silent))}")
    assert checked > 100
    assert not wrong, "\n".join(wrong)


def test_raises_names_only_exceptions_that_exist():
    known = exceptions()
    wrong = [
        f"{where}: {name}"
        for where, function in functions()
        for name in section(ast.get_docstring(function) or "", "Raises")
        if name.partition(".")[0] not in known  # `typer.BadParameter`: typer is imported
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("raise ValueError('no')", {"ValueError"}),
        ("try:\n  raise KeyError(1)\nexcept KeyError as err:\n  raise ModelError('x') from err", {"ModelError"}),
        ("def inner():\n  raise ValueError('no')", set()),
        ("raise damaged('x')", set()),
    ],
)
def test_the_check_sees_what_a_body_raises(body, expected):
    assert set(raised(ast.parse(body))) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def read():\n  'Read.'\n  raise ValueError('no')", {"ValueError"}),
        ("def read():\n  'Read. Raises ValueError when it is not one.'\n  raise ValueError('no')", set()),
        ("def read():\n  'Read.\\n\\n  Raises:\\n    ValueError: If not.\\n  '\n  raise ValueError('no')", set()),
        ("def _read():\n  'Read.'\n  raise ValueError('no')", set()),
        ("@router.post('/x')\ndef read():\n  'Read.'\n  raise Problem(404)", set()),
    ],
)
def test_a_public_function_without_a_raises_section_is_found(source, expected):
    (function,) = ast.parse(source).body
    assert undocumented(function) == expected
