"""docs/evaluation.md: its commands exist with these options, and its table of layouts is what the code serves."""

import re
import shlex
from pathlib import Path

import typer

from quarry.app.cli import cli
from quarry.app.cli.commands.evaluate import PRESETS
from quarry.retriever.benchmark.tasks.task_data import KINDS

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_every_command_line_has_only_real_options():
    commands = typer.main.get_command(cli).commands
    lines = [line for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
    lines += re.findall(r"`(quarry [^`\n]+)`", TEXT)
    assert len(lines) >= 10
    for line in lines:
        name, *words = shlex.split(line)[1:]
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_kinds_and_presets_are_named():
    assert all(kind in TEXT for kind in KINDS)
    assert all(f"--preset {name}" in TEXT for name in PRESETS)
