"""The commands of `python -m tests.reliability`, small; docs/reliability.md has the large runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def said(*arguments):
    command = [sys.executable, "-m", "tests.reliability", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_kills_lose_nothing_and_a_reader_never_sees_an_error():
    pytest.importorskip("fastapi")
    kinds = ["build", "append", "delete", "switch", "merge", "upload", "feedback", "documents"]
    found = said("kills", "--each", "10", "--only", *kinds)
    assert [each["kind"] for each in found] == kinds
    assert all(each["kills"] == 10 and each["lost"] == 0 and each["reader"] > 0 for each in found)
    assert all(each["acknowledged"] > 0 for each in found if each["kind"] in ("feedback", "documents"))


def test_damage_is_noticed_or_harmless():
    found = said("damage", "--places", "40", "--only", "exact", "tokens", "cache", "run")
    assert [each["silent"] for each in found] == [[], [], [], []]
    assert all(each.get("refused by name", 0) + each.get("an older state taken", 0) > 5 for each in found)


def test_mutants_are_read_or_skipped_within_the_limits():
    found = said("files", "--mutants", "8")
    assert {each["format"] for each in found} >= {
        "pdf",
        "docx",
        "xlsx",
        "pptx",
        "epub",
        "html",
        "csv",
        "json",
        "md",
        "txt",
    }
    assert all(each["slowest_s"] < 60 for each in found)


def test_of_two_writers_at_the_same_moment_the_second_is_refused_or_waits_its_turn():
    (found,) = said("faults", "--only", "writers", "--rounds", "3")
    assert found["tried"] == found["refused"] + found["both finished"] == 3


def test_a_run_of_kills_goes_on_from_an_earlier_one(tmp_path):
    pytest.importorskip("fastapi")
    out = tmp_path / "counts.json"
    out.write_text(json.dumps({"rows": [{"kind": "append", "shares": 9, "kills": 8, "lost": 0}], "failures": []}))
    found = said("kills", "--each", "10", "--only", "append", "delete", "--processes", "2", "--out", str(out))
    assert {each["kind"]: (each["kills"], each["shares"]) for each in found} == {"append": (10, 10), "delete": (10, 1)}
    assert json.loads(out.read_text())["rows"] == found
    assert said("kills", "--each", "10", "--only", "append", "--processes", "2", "--out", str(out)) == found
