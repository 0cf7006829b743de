"""`quarry.toml`, QUARRY_INDEX and `quarry config`: what is in force, from where, and what a file may not say."""

import json
import os
from pathlib import Path

import pytest
import typer

from quarry.app.cli import cli
from quarry.app.cli.configuration import COMMON, OWN, key_of, settable
from tests.app.running import quarry

COMMANDS = typer.main.get_command(cli).commands


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working directory with an index `one` of loans and an index `two` of pumps."""
    for variable in ("QUARRY_INDEX", "QUARRY_CONFIG", "QUARRY_LLM_ENDPOINT", "QUARRY_LLM_MODEL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    for name, text in (("one", "Renew loans online."), ("two", "Pumps need oil.")):
        Path(name + "-docs").mkdir()
        Path(name + "-docs", f"{name}.txt").write_text(text)
        assert quarry("index", name + "-docs", "--into", name, "--model", "none").returncode == 0
    return tmp_path


def in_force(*arguments):
    found = json.loads(quarry("config", *arguments, "--json").stdout)
    return {f"{row['command']}.{row['key']}".lstrip("."): (row["value"], row["source"]) for row in found["settings"]}


def test_a_file_above_the_working_directory_gives_the_index_and_options(work, monkeypatch):
    (work / "quarry.toml").write_text('default-index = "one"\nroute = "bm25"\n[search]\nexplain = true\n')
    (work / "below" / "further").mkdir(parents=True)
    monkeypatch.chdir(work / "below" / "further")
    done = quarry("search", "renew")
    assert done.returncode == 0, done.stderr
    assert "the route is bm25" in done.stdout
    assert done.stderr.startswith(f"index: {work / 'one'} (from {work / 'quarry.toml'})")


def test_a_flag_overrides_the_environment_that_the_file_and_that_the_default(work, monkeypatch):
    named = work / "named.toml"
    named.write_text('[ask]\nendpoint-model = "of-the-file"\n')
    monkeypatch.setenv("QUARRY_CONFIG", str(named))
    assert in_force("ask")["ask.endpoint-model"] == ("of-the-file", str(named))
    assert in_force("ask")["ask.budget"] == (2000, "default")
    monkeypatch.setenv("QUARRY_LLM_MODEL", "of-the-environment")
    assert in_force("ask")["ask.endpoint-model"] == ("of-the-environment", "QUARRY_LLM_MODEL")

    (work / "quarry.toml").write_text("top-k = 1\n")
    monkeypatch.setenv("QUARRY_CONFIG", str(work / "quarry.toml"))
    (work / "one-docs" / "two.txt").write_text("Renew other loans.")
    assert quarry("index", "one-docs", "--into", "one", "-q").returncode == 0
    by_file = json.loads(quarry("search", "one", "loans", "--json").stdout)
    by_flag = json.loads(quarry("search", "one", "loans", "-k", "2", "--json").stdout)
    assert (len(by_file["results"]), len(by_flag["results"])) == (1, 2)


def test_the_index_of_the_environment_comes_before_that_of_the_file_and_after_an_argument(work, monkeypatch):
    (work / "quarry.toml").write_text('default-index = "one"\n')
    monkeypatch.setenv("QUARRY_INDEX", "two")
    assert "Pumps" in quarry("search", "oil pumps", "--route", "bm25").stdout.replace("[", "").replace("]", "")
    assert in_force()["default-index"] == ("two", "QUARRY_INDEX")
    given = quarry("search", "one", "loans")
    assert "one.txt" in given.stdout
    assert "(from" not in given.stderr
    monkeypatch.delenv("QUARRY_INDEX")
    assert "one.txt" in quarry("documents").stdout
    assert "Renew loans online." in quarry("documents", "one-docs/one.txt").stdout


@pytest.mark.parametrize(
    "arguments", [("doctor",), ("generations",), ("documents",), ("feedback",), ("compact",), ("models", "history")]
)
def test_commands_of_an_index_take_the_default_one(work, monkeypatch, arguments):
    without = quarry(*arguments)
    assert (without.returncode, "INDEX" in without.stderr) == (2, True)
    monkeypatch.setenv("QUARRY_INDEX", str(work / "one"))
    done = quarry(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"index: {work / 'one'} (from QUARRY_INDEX)" in done.stderr


def test_an_index_without_a_question_is_not_taken_for_a_question(work, monkeypatch):
    monkeypatch.setenv("QUARRY_INDEX", "two")
    done = quarry("search", "one")
    assert (done.returncode, "give either a QUERY" in done.stderr) == (2, True)


def test_a_question_longer_than_any_path_is_a_question(work, monkeypatch):
    monkeypatch.setenv("QUARRY_INDEX", "one")
    assert quarry("search", "renew " * 2000, "--route", "bm25").returncode == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('default-indx = "a"', "the unknown key default-indx; expected one of default-index"),
        ('index = "a"', "Did you mean default-index?"),
        ("[serach]\nexplain = true", "Did you mean search?"),
        ("[search]\nexplian = true", "the unknown key search.explian"),
        ("[search]\nfrobnicate = 1", "search.frobnicate; expected one of"),
        ("[tune]\nforce = true", "sets tune.force, which belongs on the command line"),
        ("[generations]\nkeep = 1", "unknown key generations"),
        ("top-k = 0", "wrong value for top-k"),
        ("top-k = [1]", "[1] is not what --top-k takes"),
        ('[serve]\nport = "x"', "wrong value for serve.port"),
        ("[search]\nexplain = 1", "1 is not what --explain takes"),
        ('[search]\nexplain = "yes"', "'yes' is not what --explain takes"),
        ('route = "magic"', "'magic' is not one of 'hybrid', 'dense', 'bm25'"),
        ("default-index = 3", "it is no path"),
        ('[ask]\nendpoint = "http://elsewhere/v1"', "it was found, not named"),
        ("a = [", "cannot be read"),
    ],
)
def test_what_a_file_may_not_say_is_an_error_that_names_file_and_key(work, content, message):
    (work / "quarry.toml").write_text(content)
    done = quarry("doctor", "one")
    assert done.returncode == 1
    assert str(work / "quarry.toml") in done.stderr
    assert message in done.stderr
    assert quarry("--config", "none", "doctor", "one").returncode == 0
    assert quarry("doctor", "--help").returncode == 0


def test_an_endpoint_is_taken_from_a_file_that_the_user_names(work):
    (work / "mine.toml").write_text('[ask]\nendpoint = "http://127.0.0.1:9/v1"\n')
    found = quarry("--config", "mine.toml", "config")
    assert "ask.endpoint  http://127.0.0.1:9/v1  " in found.stdout
    assert quarry("--config", "nowhere.toml", "config").returncode == 1


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_found_and_not_read(work):
    (work / "quarry.toml").write_text('default-index = "one"\n')
    os.chown(work / "quarry.toml", 12345, 12345)
    done = quarry("doctor")
    assert done.returncode == 2
    assert "belongs to another user and is not read" in done.stderr
    assert quarry("--config", work / "quarry.toml", "doctor").returncode == 0


def test_paths_are_relative_to_the_file(work, monkeypatch):
    (work / "quarry.toml").write_text('model = "./models/mine"\ndefault-index = "one"\n')
    (work / "below").mkdir()
    monkeypatch.chdir(work / "below")
    found = in_force()
    assert found["index.model"][0] == str(work / "models" / "mine")
    assert found["default-index"][0] == str(work / "one")
    assert "train.model" not in found


def test_every_key_that_a_file_may_have_is_an_option():
    found = {name: [key for key, _ in settable(name, command.params)] for name, command in COMMANDS.items()}
    for name, keys in OWN.items():
        assert set(keys) <= set(found[name]), name
    assert {key for keys in found.values() for key in keys} >= set(COMMON)


def test_a_shared_key_takes_the_same_kind_of_value_in_every_command():
    kinds = {}
    for name, command in COMMANDS.items():
        for key, parameter in settable(name, command.params):
            if key in COMMON and key not in ("rerank", "model"):
                kinds.setdefault(key, set()).add((parameter.is_flag, parameter.nargs))
            assert key == key_of(parameter)
    assert all(len(found) == 1 for found in kinds.values()), kinds
