"""`quarry estimate` from the command line."""

import json

import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.indexer.build import index_documents
from quarry.indexer.errors import ModelError
from quarry.indexer.records import Document


def run(*arguments):
    return CliRunner().invoke(cli, ["estimate", *map(str, arguments)])


def test_all_figures_are_printed_and_a_derived_speed_says_so():
    done = run("--documents", "100M", "--model", "bge-m3", "--gpu", "h100", "--gpus", "8")
    assert done.exit_code == 0, done.exception
    for row in (
        "100,000,000 documents of 400 words, BAAI/bge-m3, 8 x h100",
        "passages",
        "tokens",
        "device hours",
        "index",
        "requests",
    ):
        assert row in done.stdout
    assert "memory of a reader" in done.stdout
    assert "nobody has measured" not in done.stderr
    assert "nobody has measured a100" in run("--documents", "1M", "--gpu", "a100").stderr


def test_the_length_of_documents_comes_from_an_index_of_some(tmp_path):
    index_documents(tmp_path / "ix", [Document(str(n), "word " * 50) for n in range(4)], None)
    done = run("--documents", "50k", "--sample", tmp_path / "ix", "--json")
    found = json.loads(done.stdout)
    assert (found["words"], found["passages"], found["device"]["name"]) == (50.0, 50_000, "cpu")


@pytest.mark.parametrize("count", ["many", "0", "-5", "1e6"])
def test_a_number_that_is_none_is_a_usage_error(count):
    done = run(f"--documents={count}")
    assert done.exit_code == 2
    assert "expected a number such as 20000, 50k or 100M" in done.stderr


def test_a_model_of_unknown_size_is_named():
    done = run("--documents", "5", "--model", "own")
    assert isinstance(done.exception, ModelError)
    assert str(done.exception).startswith("nothing is known of the size of own; expected one of bge-m3")
