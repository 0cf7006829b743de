"""Help: grouped by task, nothing cut, one order of arguments, one meaning of names; completion."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from quarry.app.cli import cli, commands
from quarry.app.cli.tasks import TASKS
from tests.app.running import quarry

COMMANDS = typer.main.get_command(cli).commands


def test_commands_stand_by_task_and_none_is_missing():
    lines = quarry("--help").stdout.splitlines()
    assert [line[:-1] for line in lines if line.endswith(":") and line[:-1] in TASKS] == list(TASKS)
    listed = {
        line.split()[0] for line in lines if line.startswith("  ") and line.split() and line.split()[0] in COMMANDS
    }
    assert listed == set(COMMANDS)
    folder = Path(commands.__file__).parent
    modules = {path.stem for path in folder.glob("*.py") if "\ndef register(" in path.read_text(encoding="utf-8")}
    assert {name.replace("-", "_") for name in COMMANDS} == modules


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_into_80_columns_and_is_not_cut(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = quarry(*([name] if name else []), "--help").stdout
    assert max(map(len, text.splitlines())) <= 80
    whole = "".join(text.split())
    told = [one.help for one in COMMANDS[name].params if one.help and not getattr(one, "hidden", False)] if name else []
    told += [] if name else [command.get_short_help_str(200) for command in COMMANDS.values()]
    assert [words for words in told if "".join(words.split()) not in whole] == []
    for inner in ("<int", "<float", "<str", "<path", "<list", "{index}"):
        assert inner not in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_first_line_of_a_command_is_short_and_one_sentence(name):
    short = COMMANDS[name].get_short_help_str(200)
    assert len(short) <= 62, short
    assert short.endswith(".")
    assert short[0].isupper()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_index_is_the_first_argument(name):
    arguments = [one.name for one in COMMANDS[name].params if one.param_type_name == "argument"]
    if "index" in arguments:
        assert arguments[0] == "index" or (name, arguments[0]) == ("models", "action")
    options = {option for one in COMMANDS[name].params if not getattr(one, "hidden", False) for option in one.opts}
    assert "--index" not in options or name == "compare"  # of two runs, it only lends texts


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "completion"])
def test_every_command_that_prints_results_prints_json(name):
    assert any("--json" in one.opts for one in COMMANDS[name].params), name


@pytest.mark.parametrize("name", COMMANDS)
def test_model_is_an_embedding_model_wherever_it_is_an_option(name):
    for one in COMMANDS[name].params:
        if "--model" in one.opts and not one.hidden:
            assert "endpoint" not in one.help
            assert "odel" in one.help
    if name == "ask":
        done = quarry("ask", "nowhere", "why?", "--model", "gpt")
        assert done.returncode == 2
        assert "the language model is --endpoint-model" in " ".join(done.stderr.split())


def test_the_earlier_order_of_evaluate_is_understood(tmp_path):
    old = quarry("evaluate", tmp_path / "set", "--index", tmp_path / "index")
    new = quarry("evaluate", tmp_path / "index", tmp_path / "set")
    assert (old.returncode, old.stderr) == (new.returncode, new.stderr)
    twice = quarry("evaluate", tmp_path / "index", tmp_path / "set", "--index", tmp_path / "index")
    assert (twice.returncode, "the index is given twice" in twice.stderr) == (2, True)
    missing = quarry("evaluate", tmp_path / "index")
    assert (missing.returncode, "the dataset is missing" in missing.stderr) == (2, True)


def test_keep_and_its_earlier_name_remove_all_but_that_many_generations(tmp_path):
    (tmp_path / "docs").mkdir()
    for number in range(3):
        (tmp_path / "docs" / "a.txt").write_text(f"version {number}")
        assert quarry("index", tmp_path / "docs", "--into", tmp_path / "i", "--model", "none").returncode == 0
    assert "removed 000001" in quarry("generations", tmp_path / "i", "--keep", "2").stderr
    assert "removed 000002" in quarry("generations", tmp_path / "i", "--prune", "1").stderr
    assert quarry("generations", tmp_path / "i", "--prune", "1", "--keep", "1").returncode == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_prints_a_script_that_asks_quarry(shell):
    done = quarry("completion", shell)
    assert done.returncode == 0
    assert f"_QUARRY_COMPLETE=complete_{shell}".replace("=", "") in done.stdout.replace("=", "").replace(
        '"', ""
    ).replace("$Env:", "").replace(" ", "")


def completed(words, shell="bash"):
    asked = {"_QUARRY_COMPLETE": f"complete_{shell}", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    asked |= {"_TYPER_COMPLETE_ARGS": " ".join(words), "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run([sys.executable, "-m", "quarry"], env={**os.environ, **asked}, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout


def test_shells_complete_commands_options_and_values():
    assert completed(["quarry", "se"]).split() == ["search", "serve"]
    assert completed(["quarry", "search", "my-index", "--rou"]).split() == ["--route"]
    assert completed(["quarry", "search", "my-index", "--route", ""]).split() == ["hybrid", "dense", "bm25"]
    assert '"search":"Search an index."' in completed(["quarry", "se"], "zsh").replace("\\", "")
    assert "search\tSearch an index." in completed(["quarry", "se"], "fish")


def test_the_bash_script_works_in_bash(tmp_path):
    (tmp_path / "quarry").write_text(f"#!/bin/sh\nexec '{sys.executable}' -m quarry \"$@\"\n")
    (tmp_path / "quarry").chmod(0o755)
    script = (
        'eval "$(quarry completion bash)"\nCOMP_WORDS=(quarry compa); COMP_CWORD=1; _quarry_completion quarry\n'
        'echo "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["compact", "compare"] or done.stdout.split() == ["compare"], done.stderr
