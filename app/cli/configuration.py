"""`quarry.toml`: options of the commands, kept in a file.

    default-index = "my-index"  what means the same in several commands stands alone
    device = "cpu"

    [search]                    the others stand below their command
    k = 20

The file is the one of `--config`, else of QUARRY_CONFIG, else the nearest `quarry.toml` of the working directory and the folders
above it. A flag overrides the environment, that overrides the file, and that the default. Paths are relative to the file.

A folder may have been written by somebody else. So a file that was found (not named) must belong to this user and cannot name an
endpoint, which would receive questions and the API key; and no file can switch on what writes, removes or promotes.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from quarry.app.cli.console import note
from quarry.indexer.errors import SettingsError

NAME = "quarry.toml"
CONFIG_VARIABLE = "QUARRY_CONFIG"
INDEX_VARIABLE = "QUARRY_INDEX"
NO_FILE = "none"
DEFAULT_INDEX = "default-index"
COMMON = ("device", "lang", "model", "rerank", "rerank-depth", "route", "top-k")
"""Options that mean the same wherever they are."""
OWN: Mapping[str, tuple[str, ...]] = {
    "ask": ("budget", "endpoint", "endpoint-model", "expand", "expand-tokens", "timeout"),
    "benchmark": ("dim",),
    "compare": ("measure", "show", "slices"),
    "diagnose": ("dims", "ks", "routes", "split"),
    "documents": ("count",),
    "evaluate": ("measures", "preset", "routes", "slices", "split"),
    "index": (
        *("analyzer", "chunk-tokens", "dim", "encoding", "keep", "keep-repeated", "ocr", "overlap", "poll", "quiet"),
        *("rerank-vectors", "store", "strict"),
    ),
    "mcp": ("host", "port"),
    "search": ("all-copies", "explain", "expand", "expand-tokens", "server"),
    "serve": ("alias", "batch", "host", "max-body", "port", "queue", "read-only", "time-limit"),
    "train": ("quiet", "strict"),
    "tune": (
        "endpoint",
        "endpoint-model",
        "mine-corpus",
        "negatives",
        "one-person",
        "quiet",
        "range-for-sampling",
        "seed",
    ),
    "ui": ("host", "no-browser", "port"),
}
"""What else a file may set, by command: nothing that writes elsewhere, removes, replaces or promotes."""
_NEVER = frozenset({("train", "model")})  # the subject of one run
_NEAR = 0.5  # of difflib: `index` is near `default-index`
_NAMED_ONLY = frozenset({"endpoint", "endpoint-model"})


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a file says.

    Attributes:
        path: The file; None without one.
        index: The default index; None when the file names none.
        options: Values by command and parameter, as `typer.Context.default_map` takes them.
    """

    path: Path | None = None
    index: Path | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def default_index(self) -> tuple[Path, str] | None:
        """Return the index to take when none is given, and where it is named."""
        if named := os.environ.get(INDEX_VARIABLE):
            return Path(named), INDEX_VARIABLE
        return (self.index, str(self.path)) if self.index is not None else None


def keep(ctx: typer.Context, found: Configuration) -> None:
    """Hand a configuration to the commands of a context."""
    ctx.default_map = {name: dict(values) for name, values in found.options.items()}
    ctx.find_root().meta[NAME] = found


def kept(ctx: Any) -> Configuration:
    """Return the configuration in force."""
    found = ctx.find_root().meta.get(NAME)
    return found if isinstance(found, Configuration) else Configuration()


def load(chosen: str | None, commands: Mapping[str, Any], ctx: typer.Context) -> Configuration:
    """Read the file in force.

    Args:
        chosen: The file that the user named, `none` for no file, None to look for one.
        commands: The commands by name; their parameters say what a file may hold.
        ctx: The context of the command line.

    Raises:
        SettingsError: If the file cannot be read, has an unknown key, or a value that its option refuses.
    """
    if chosen is not None and chosen.lower() in ("", NO_FILE):
        return Configuration()
    path = Path(chosen).absolute() if chosen else find(Path.cwd())
    if path is None:
        return Configuration()
    return _Reader(path, commands, ctx, named=bool(chosen)).read()


def find(start: Path) -> Path | None:
    """Return the nearest `quarry.toml` of a folder and those above it, None without one.

    A file of another user is passed over, with a note.
    """
    for folder in (start, *start.parents):
        path = folder / NAME
        if path.is_file():
            if _is_ours(path):
                return path
            note(f"note: {path} belongs to another user and is not read; give it with --config to use it")
            return None
    return None


def key_of(parameter: Any) -> str:
    """Return the longest name of an option, without its dashes."""
    return str(max(parameter.opts, key=len)).lstrip("-")


def settable(command: str, parameters: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys that a file may have for a command, with their parameters."""
    allowed = {*COMMON, *OWN.get(command, ())}
    for parameter in parameters:
        key = key_of(parameter)
        if parameter.param_type_name == "option" and key in allowed and (command, key) not in _NEVER:
            yield key, parameter


def _is_ours(path: Path) -> bool:
    """Whether a file belongs to this user or the system's administrator; Windows has no such question."""
    if not hasattr(os, "getuid"):
        return True
    return path.stat().st_uid in (os.getuid(), 0)


class _Reader:
    def __init__(self, path: Path, commands: Mapping[str, Any], ctx: typer.Context, *, named: bool) -> None:
        self._path, self._commands, self._ctx, self._named = path, commands, ctx, named
        self._known = {name: dict(settable(name, command.params)) for name, command in commands.items()}
        self._options: dict[str, dict[str, Any]] = {name: {} for name in self._known}

    def read(self) -> Configuration:
        content = self._parsed()
        tables = {key: value for key, value in content.items() if isinstance(value, dict)}
        for key, value in content.items():
            if key not in tables:
                self._common(key, value)
        for name, table in tables.items():
            self._own(name, table)
        index = content.get(DEFAULT_INDEX)
        return Configuration(self._path, None if index is None else self._path.parent / index, self._options)

    def _parsed(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
            raise SettingsError(
                "cli.config_unreadable",
                "{path} cannot be read ({reason})",
                expected="TOML with options of `quarry`",
                do="Fix it, or give --config none",
                path=self._path,
                reason=str(err),
            ) from err

    def _common(self, key: str, value: Any) -> None:
        """Take a value from the top of the file, for all commands that have the option."""
        if key == DEFAULT_INDEX:
            if not isinstance(value, str) or not value:
                raise self._bad_value(key, "it is no path")
            return
        self._check_known(key, [DEFAULT_INDEX, *COMMON], "")
        for name, known in self._known.items():
            if _dashed(key) in known:
                self._take(name, key, value, "")

    def _own(self, name: str, table: Mapping[str, Any]) -> None:
        """Take the values below one command."""
        self._check_known(name, [other for other, known in self._known.items() if known], "")
        for key, value in table.items():
            self._check_known(key, list(self._known[name]), name)
            self._take(name, key, value, name)

    def _check_known(self, key: str, known: list[str], table: str) -> None:
        if _dashed(key) in known:
            return
        where = f"{table}.{key}" if table else key
        if table and any(f"--{_dashed(key)}" in parameter.opts for parameter in self._commands[table].params):
            raise SettingsError(
                "cli.config_flag_only",
                "{path} sets {key}, which belongs on the command line",
                expected="one of {known}",
                do="Remove it, and give --{flag} when you mean it",
                path=self._path,
                key=where,
                known=known,
                flag=_dashed(key),
            )
        near = difflib.get_close_matches(_dashed(key), known, n=1, cutoff=_NEAR)
        if near:
            raise SettingsError(
                "cli.config_near_key",
                "{path} has the unknown key {key}",
                expected="one of {known}",
                do="Did you mean {near}?",
                path=self._path,
                key=where,
                known=known,
                near=near[0],
            )
        raise SettingsError(
            "cli.config_unknown_key",
            "{path} has the unknown key {key}",
            expected="one of {known}",
            do="Remove it",
            path=self._path,
            key=where,
            known=known,
        )

    def _take(self, command: str, key: str, value: Any, table: str) -> None:
        where = f"{table}.{key}" if table else key
        if _dashed(key) in _NAMED_ONLY and not self._named:
            raise SettingsError(
                "cli.config_endpoint",
                "{path} sets {key}, and it was found, not named",
                expected="a file that you name, because an endpoint receives your questions and key",
                do="Give --config {path}, or set {variable}",
                path=self._path,
                key=where,
                variable=CONFIG_VARIABLE,
            )
        parameter = self._known[command][_dashed(key)]
        if isinstance(value, str) and value.startswith("."):
            value = str(self._path.parent / value)
        if isinstance(value, dict) or isinstance(value, list) != (parameter.nargs != 1 or bool(parameter.multiple)):
            raise self._bad_value(where, f"{value!r} is not what --{_dashed(key)} takes")
        if parameter.is_flag != isinstance(value, bool):
            raise self._bad_value(where, f"{value!r} is not what --{_dashed(key)} takes")
        try:
            parameter.process_value(self._ctx, value if isinstance(value, bool | list) else str(value))
        except typer.BadParameter as err:
            raise self._bad_value(where, err.message) from err
        self._options[command][parameter.name] = value if isinstance(value, bool | list) else str(value)

    def _bad_value(self, key: str, reason: str) -> SettingsError:
        return SettingsError(
            "cli.config_bad_value",
            "{path} has a wrong value for {key}: {reason}",
            expected="what the option takes",
            do="Correct it; `quarry COMMAND --help` says what it takes",
            path=self._path,
            key=key,
            reason=reason,
        )


def _dashed(key: str) -> str:
    return key.replace("_", "-")
