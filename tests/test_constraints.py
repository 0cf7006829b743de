"""The versions of `.ci/constraints.txt` are ones that pyproject.toml allows, and every package that Quarry asks for has one."""

import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LINES = (ROOT / ".ci" / "constraints.txt").read_text("utf-8").splitlines()
PINNED = {
    canonicalize_name(name): version for name, _, version in (line.partition("==") for line in LINES if line[:1] != "#")
}
IN_TEST = [
    "offline",
    "fast-zh",
    "mail",
    "xls",
    "eval",
    "train",
    "langchain",
    "llama-index",
    "haystack",
    "serve",
    "mcp",
    "scale",
    "milvus",
    "qdrant",
    "test",
]
ASKED = [*PROJECT["dependencies"], *(each for extra in IN_TEST for each in PROJECT["optional-dependencies"][extra])]


@pytest.mark.parametrize("text", [each for each in ASKED if not each.startswith("quarry-search")])
def test_a_package_that_quarry_asks_for_is_pinned_within_its_bounds(text):
    asked = Requirement(text)
    assert asked.specifier.contains(PINNED[canonicalize_name(asked.name)], prereleases=True)


def test_nothing_but_names_and_versions_is_in_the_file():
    assert all(line.startswith("#") or (" " not in line and "/" not in line and "==" in line) for line in LINES)
