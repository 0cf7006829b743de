"""`quarry ui`: start the web app. This process becomes the server, so Ctrl-C and kill reach it and nothing is left behind."""

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from quarry.app.cli.console import note, out, out_listening
from quarry.app.cli.help import IndexCommand
from quarry.app.cli.options import (
    AllowHostOption,
    DeviceOption,
    ExamplesOption,
    HostOption,
    ListeningJsonOption,
    PortOption,
    RerankOption,
)
from quarry.app.uploads import MAX_FILE_MEGABYTES
from quarry.app.wiring import asked_options
from quarry.indexer.errors import SettingsError
from quarry.indexer.hosts import is_loopback

PASSWORD_VARIABLE = "QUARRY_UI_PASSWORD"  # noqa: S105 (a variable's name)
MIN_PASSWORD_CHARS = 8
_MAIN = Path(__file__).resolve().parents[2] / "ui" / "entry" / "main.py"
_FLAGS = {
    "browser.gatherUsageStats": "false",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": str(MAX_FILE_MEGABYTES),
    "server.showEmailPrompt": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "runner.postScriptGC": "false",  # a full collection, 0.3 s with torch loaded, after every draw
    "logger.hideWelcomeMessage": "true",  # it would ask a server on the internet for our address
    # Set here, because a .streamlit/config.toml in the folder where the app is started would decide otherwise.
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "server.xsrfCookieSameSite": "strict",
    "server.enableAgentApi": "false",
    "server.enableStaticServing": "false",
    # Set for each theme: a color for both would switch the dark theme off. Both have a contrast of 4.5 on what they stand on.
    "theme.light.primaryColor": "#a04406",
    "theme.dark.primaryColor": "#eda352",
    "theme.light.baseRadius": "medium",
    "theme.dark.baseRadius": "medium",
}


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "ui",
        cls=IndexCommand,
        short_help="Search, judge and compare in the browser.",
        help="Search, judge and compare in the browser.",
    )(ui)


def ui(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="An index, or a folder of documents to index. Default: QUARRY_INDEX, or quarry.toml; else choose in the browser."
        ),
    ] = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8501,
    rerank: RerankOption = "auto",
    examples: ExamplesOption = None,
    device: DeviceOption = "auto",
    allow_host: AllowHostOption = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            "--also", metavar="INDEX", help="Search this index, too; chosen on the page. Repeat it for several."
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--everything",
            help="Show all documents to everybody who can open the app, also those whose metadata `allow` names who may see them.",
        ),
    ] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser window.")] = False,
    as_json: ListeningJsonOption = False,
) -> None:
    """Start the app."""
    index, folder = index_of(path)
    for one in (index, *_opened(also or ())):
        if not everything:
            check_everybody_may_see(one)
    asked_options(examples)  # report a bad file here, not in the browser
    port = free_port(host, port)
    environment = {
        **os.environ,
        "PYTHONPATH": _python_path(),
        "QUARRY_UI_INDEX": str(index.absolute()),
        "QUARRY_UI_FOLDER": str(folder.absolute()) if folder else "",
        "QUARRY_UI_RERANK": rerank,
        "QUARRY_UI_DEVICE": device,
        "QUARRY_UI_HOSTS": ",".join(allowed_hosts(host, allow_host)),
        "QUARRY_UI_ALSO": json.dumps([str(one.absolute()) for one in also or ()]),
        "QUARRY_UI_EVERYTHING": "1" if everything else "",
        "QUARRY_UI_EXAMPLES": str(examples.absolute()) if examples else "",
    }
    generated = set_password(environment, host)
    if as_json:
        out_listening(address(host, port), {"index": str(index.absolute()), "password": generated})
    else:
        out(f"Quarry opens at {address(host, port)} in a few seconds (press Ctrl-C to stop)")
    if generated and not as_json:
        out(f"password: {generated}")
        note(f"it is shown only once; set {PASSWORD_VARIABLE} to choose your own")
    sys.stdout.flush()
    sys.stderr.flush()
    command = server_command(host, port, headless=no_browser or not _has_screen())
    become(command, environment)


def _opened(roots: Sequence[Path]) -> Sequence[Path]:
    """Return further indexes after opening each once, so that a wrong one is reported here. Raises IndexFormatError."""
    from quarry.indexer.opened import Index

    for root in roots:
        Index.open(root)
    return roots


def check_everybody_may_see(index: Path) -> None:
    """Refuse an index with documents that not everybody may see: the app cannot tell people apart.

    Raises:
        SettingsError: If it has such documents.
    """
    from quarry.indexer.storage.generations import Generations
    from quarry.indexer.stores.parts import hides_from_strangers

    if Generations(index).exists() and hides_from_strangers(index):
        raise SettingsError(
            "cli.app_shows_everything",
            "documents of {index} name in `allow` who may see them, and the app shows everything to everybody who opens it",
            expected="documents that everybody may see",
            do="Use `quarry serve` with keys, or give --everything to show all of them",
            index=index,
        )


def become(command: list[str], environment: dict[str, str]) -> None:
    """Replace this process by a program. Windows cannot: there this process waits for it and ends with its exit code."""
    if sys.platform == "win32":
        raise typer.Exit(subprocess.call(command, env=environment))  # noqa: S603 (our own interpreter)
    os.execve(command[0], command, environment)  # noqa: S606 (our own interpreter)


def index_of(path: Path | None) -> tuple[Path, Path | None]:
    """Return the index to open, and the folder to index first, if any.

    A folder of documents gets its index in the working directory, `NAME-index`; without a path it is `quarry-index`.

    Raises:
        IndexFormatError: If the path does not exist, or is a damaged index.
    """
    from quarry.indexer.opened import Index
    from quarry.indexer.storage.generations import Generations

    index, folder = path or Path("quarry-index"), None
    if path is not None and path.is_dir() and not Generations(path).folder.exists():
        index, folder = Path(f"{path.resolve().name or 'quarry'}-index"), path
    if Generations(index).exists():
        Index.open(index)  # report a damaged index here, not in the browser
        return index, None
    if path is not None and folder is None:
        Index.open(path)  # it says what is wrong
    return index, folder


def server_command(host: str, port: int, *, headless: bool) -> list[str]:
    """Return the command that serves the app. `-P` keeps the current folder from shadowing modules."""
    flags = {**_FLAGS, "server.address": host, "server.port": str(port), "server.headless": str(headless).lower()}
    flags["browser.serverAddress"] = host  # without it a refused page makes Streamlit ask the internet for our address
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    return [sys.executable, "-P", "-m", "quarry.app.ui.server", "run", str(_MAIN), *arguments]


def set_password(environment: dict[str, str], host: str) -> str:
    """Make sure that an app reachable from other machines has a password.

    Args:
        environment: The server's environment; receives a generated password.
        host: The address to listen on.

    Returns:
        The generated password; empty if one was set or none is needed.

    Raises:
        SettingsError: If the chosen password is too short.
    """
    chosen = environment.get(PASSWORD_VARIABLE, "")
    if chosen and len(chosen) < MIN_PASSWORD_CHARS:
        raise SettingsError(
            "cli.short_password",
            "{variable} has {count:character|characters}",
            expected="at least {least}",
            do="Choose a longer one, or unset it to have one generated",
            variable=PASSWORD_VARIABLE,
            count=len(chosen),
            least=MIN_PASSWORD_CHARS,
        )
    if chosen or is_loopback(host):
        return ""
    environment[PASSWORD_VARIABLE] = secrets.token_urlsafe(16)
    return environment[PASSWORD_VARIABLE]


def allowed_hosts(host: str, more: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the names that a Host header may have; empty for any.

    On loopback they keep out pages whose own name was made to point here (DNS rebinding). Elsewhere people reach a server under
    names that it cannot know, and a token or password is needed.

    Args:
        host: The address to listen on.
        more: Names that the user allows besides.

    Example:
        >>> allowed_hosts("127.0.0.2", ["search.example.org"])
        ('localhost', '127.0.0.1', '[::1]', '127.0.0.2', 'search.example.org')
    """
    if not is_loopback(host):
        return ()
    own = f"[{host.strip('[]')}]" if ":" in host else host
    return tuple(dict.fromkeys(("localhost", "127.0.0.1", "[::1]", own, *(name.lower() for name in more or ()))))


def free_port(host: str, port: int) -> int:
    """Return the given port if it is free, or any free port for 0.

    Raises:
        SettingsError: If the address is not one of this machine, or the port is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as err:
            raise SettingsError(
                "cli.port_in_use",
                "cannot listen on {host} port {port} ({reason})",
                expected="a free port of an address of this machine",
                do="Give another one with --port, or 0 for any",
                host=host,
                port=str(port),
                reason=err.strerror or str(err),
            ) from err
        return int(probe.getsockname()[1])


def address(host: str, port: int) -> str:
    """Return the URL to open."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 (compared, not bound)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _python_path() -> str:
    """Return PYTHONPATH with the folder of `quarry` first, so that the server runs the same code."""
    import quarry

    ours, before = str(Path(quarry.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")
    return f"{ours}{os.pathsep}{before}" if before else ours


def _has_screen() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
