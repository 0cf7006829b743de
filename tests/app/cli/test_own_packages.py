"""The command and the adapters in a project that has packages of our folders' names, run from the checkout."""

import os
import subprocess
import sys

import pytest

from tests import ROOT


@pytest.fixture
def project(tmp_path):
    for name in ("app", "training", "indexer", "retriever"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the package of the user')")
    return tmp_path


def python(project, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("module", ["quarry", "quarry.app.cli"])
def test_the_command_runs(project, module):
    (project / "empty").mkdir()
    done = python(
        project, "-m", module, "index", str(project / "empty"), "--into", "index", "--model", "none", "--json"
    )
    assert (done.returncode, "the package of the user" in done.stderr) == (1, False), done.stderr
    assert "error: " in done.stderr  # there is nothing to index
    assert python(project, "-m", module, "--version").stdout.startswith("quarry ")


def test_the_adapters_and_the_answers_import(project):
    pytest.importorskip("langchain_core")
    code = (
        "from quarry.app.integrations import common, langchain\n"
        "from quarry.retriever.answers.answer import ask\n"
        "from quarry.training.tuning import tune"
    )
    done = python(project, "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
