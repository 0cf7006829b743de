"""The `Example:` sections of docstrings run as they stand.

They run in a folder that holds `documents/`, four documents of the demo corpus in both languages, and `my-index`, a BM25 index
of them (so no model is needed). Each docstring gets a fresh copy.
"""

import doctest
import shutil
from importlib import import_module
from pathlib import Path

import pytest

from quarry.demo_corpus import documents_path
from quarry.indexer.build import build_index

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("indexer", "retriever", "training", "app")
DOCUMENTS = ("en/chloroplast-1.md", "en/rhine-1.html", "zh/黑死病-1.jsonl", "zh/氧-1.txt")
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules_with_examples() -> list[str]:
    """Name the modules with a prompt at the beginning of a line; others are not imported."""
    return sorted(
        ".".join(("quarry", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if any(line.lstrip().startswith(">>> ") for line in path.read_text(encoding="utf-8").splitlines())
    )


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [
        test for name in modules_with_examples() for test in finder.find(import_module(name), name) if test.examples
    ]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    for name in DOCUMENTS:
        (folder / "documents").mkdir(exist_ok=True)
        shutil.copy(documents_path() / name, folder / "documents")
    build_index(folder / "my-index", [folder / "documents"], None)
    return folder


@pytest.fixture
def workplace(prepared, tmp_path, monkeypatch):
    folder = shutil.copytree(prepared, tmp_path / "examples")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("example", examples(), ids=lambda test: test.name)
def test_the_example_of_a_docstring_prints_what_it_says(example, workplace):
    said: list[str] = []
    failed, tried = doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=said.append)
    assert tried
    assert not failed, "".join(said)


def test_an_example_that_prints_something_else_fails():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(optionflags=OPTIONS).run(wrong, out=lambda _: None).failed == 1
