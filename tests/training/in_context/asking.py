"""Indexes over both readings of the held-out queries, asked through the commands."""

import json

import numpy as np
from typer.testing import CliRunner

from quarry.app.cli import cli
from tests.training.in_context.two_readings import HELD, said


def run(*arguments):
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output or done.exception
    return done.stdout


def indexed(into, model, *more):
    """Index both readings of the held-out queries, one document a file."""
    folder = into.parent / "documents"
    folder.mkdir(exist_ok=True)
    for letter in "xy":
        for number, triple in enumerate(HELD):
            (folder / f"{letter}{number}.txt").write_text(said(letter, triple), encoding="utf-8")
    run("index", folder, "--into", into, "--model", model, "--device", "cpu", "--quiet", *more)
    return into


def right(index, letter, *more):
    """Return the share of held-out queries whose first passage is their answer in a reading, through `quarry search`."""
    asked = index.parent / "asked.txt"
    asked.write_text("\n".join(said("n", triple) for triple in HELD), encoding="utf-8")
    given = ["--queries", asked, "-k", 1, "--route", "dense", "--rerank", "none", "--device", "cpu", "--json"]
    found = [json.loads(line) for line in run("search", index, *given, *more).splitlines()]
    best = [one["results"][0]["text"].strip() for one in found]
    return float(np.mean([text == said(letter, triple) for text, triple in zip(best, HELD, strict=True)]))
