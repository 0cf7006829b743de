"""What is installed, with licenses, as a list and as a bill of materials."""

import json
from importlib.metadata import version

import pytest

from quarry.app.supply import bill_of_materials, installed
from tests.app.running import quarry


def test_every_package_that_runs_is_listed_with_a_version_and_a_license():
    packages = {package.name: package for package in installed()}
    assert packages["numpy"].version == version("numpy")
    assert {"torch", "streamlit", "tokenizers"} <= packages.keys()  # the last one is needed by another
    assert not {"pytest", "ruff", "mypy"} & packages.keys()
    assert [package.name for package in packages.values() if not package.license] == []
    assert all(need in packages for package in packages.values() for need in package.needs)


def test_the_bill_of_materials_names_each_once_and_what_it_depends_on():
    packages = installed()
    content = bill_of_materials(packages)
    references = [component["bom-ref"] for component in content["components"]]
    own = content["metadata"]["component"]["bom-ref"]
    assert (content["bomFormat"], content["specVersion"]) == ("CycloneDX", "1.6")
    assert len(set(references)) == len(references) == len(packages) - 1
    edges = {edge["ref"]: edge["dependsOn"] for edge in content["dependencies"]}
    assert edges.keys() == {own, *references}
    assert set().union(*edges.values()) <= edges.keys()
    assert f"pkg:pypi/numpy@{version('numpy')}" in edges[own]


@pytest.mark.parametrize("option", ["--licenses", "--sbom"])
def test_the_command_prints_them(option):
    done = quarry(option)
    assert done.returncode == 0
    assert "numpy" in done.stdout
    if option == "--sbom":
        assert json.loads(done.stdout)["components"]
