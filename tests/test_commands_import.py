"""What nobody imports but a person at a prompt, benchmarks and proofs, finds all that it imports of Quarry and of the tests."""

import importlib
import pkgutil

import pytest

import tests.benchmarks
import tests.reliability

MODULES = [
    found.name
    for package in (tests.benchmarks, tests.reliability)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_a_command_of_the_tests_finds_what_it_imports(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as err:
        if (err.name or "").split(".")[0] in ("quarry", "tests"):
            raise
        pytest.skip(f"needs the package {err.name}")
