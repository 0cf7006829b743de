"""Systems without POSIX's `fcntl` and `resource`, such as Windows: everything imports, and the program starts."""

import subprocess
import sys
from pathlib import Path

import pytest

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
@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_imports_without_fcntl_and_resource(package):
    names = modules(package)
    out = without_posix(f"for name in {names!r}: importlib.import_module(name)\nprint('imported')")
    assert out.splitlines()[-1] == "imported"


def test_the_program_starts_without_fcntl_and_resource():
    out = without_posix("sys.argv = ['quarry', '--help']\nfrom quarry.app.cli import main\nmain()")
    assert "index" in out
    assert "search" in out
