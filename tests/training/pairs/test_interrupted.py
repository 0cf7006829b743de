"""Runs that are interrupted, killed or out of room go on where they were, and what another version or other sources made is not mixed in."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from quarry.demo_corpus import documents_path
from quarry.indexer.errors import TrainingError
from quarry.training.pairs import gather as gathering
from quarry.training.pairs.records import PairOptions
from quarry.training.pairs.run import make_pairs
from tests import ROOT
from tests.fakes import WordEmbedder
from tests.training.pairs.sentences import jsonl, sentences


def test_an_interrupted_run_goes_on_and_ends_with_the_same_file(tmp_path, monkeypatch):
    """Stopped while it reads, while it scores, and between."""
    monkeypatch.setattr(gathering, "_EVERY_S", 0.0)
    file = jsonl(tmp_path / "a.jsonl", [*sentences(1500), *sentences(300, seed=3)])
    whole = make_pairs(
        [file, documents_path()], tmp_path / "whole.jsonl", WordEmbedder(), PairOptions(dropped=tmp_path / "d1")
    )
    handled = 0

    def stopping(after):
        def observe(_name, _total):
            def tell(count):
                nonlocal handled
                handled += count
                if handled >= after:
                    raise KeyboardInterrupt

            return tell

        return observe

    for after in (300, 600, 700, 800):
        handled = 0
        with pytest.raises(KeyboardInterrupt):
            make_pairs(
                [file, documents_path()],
                tmp_path / "parts.jsonl",
                WordEmbedder(),
                PairOptions(dropped=tmp_path / "d2"),
                observer=stopping(after),
            )
    handled, read = 0, []
    again = make_pairs(
        [file, documents_path()],
        tmp_path / "parts.jsonl",
        WordEmbedder(),
        PairOptions(dropped=tmp_path / "d2"),
        observer=lambda name, _total: lambda count: read.append((name, count)),
    )
    assert sum(count for name, count in read if name == "pairs") < 1800
    assert again.digest == whole.digest
    assert (again.steps, again.found, again.kept) == (whole.steps, whole.found, whole.kept)
    assert (tmp_path / "d1").read_bytes() == (tmp_path / "d2").read_bytes()


def test_scores_of_another_version_are_not_mixed_with_new_ones(tmp_path, monkeypatch):
    from quarry.training.pairs import run

    file = jsonl(tmp_path / "a.jsonl", sentences(1500))
    whole = make_pairs([file], tmp_path / "whole.jsonl", WordEmbedder())

    def stop(name, _total):
        def tell(_count):
            if name == "scoring":
                raise KeyboardInterrupt

        return tell

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "SCORES", run.SCORES - 1)
        make_pairs([file], tmp_path / "out.jsonl", WordEmbedder(), observer=stop)
    for old in (tmp_path / ".out.jsonl.work").glob("scores.*"):
        old.write_bytes(b"\xff" * old.stat().st_size)
    scored = []
    again = make_pairs(
        [file],
        tmp_path / "out.jsonl",
        WordEmbedder(),
        observer=lambda name, _total: lambda count: scored.append(count) if name == "scoring" else None,
    )
    assert sum(scored) == 1500
    assert again.digest == whole.digest


def test_a_torn_line_is_cut_and_other_sources_begin_anew(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", sentences(100))

    def stop(_name, _total):
        def tell(_count):
            raise KeyboardInterrupt

        return tell

    with pytest.raises(KeyboardInterrupt):
        make_pairs([file], tmp_path / "out.jsonl", WordEmbedder(), observer=stop)
    work = tmp_path / ".out.jsonl.work"
    for name in ("pairs.jsonl", "bands.u32", "offsets.i64"):
        with (work / name).open("ab") as handle:
            handle.write(b"torn")
    torn = make_pairs([file], tmp_path / "out.jsonl", WordEmbedder())
    assert torn.digest == make_pairs([file], tmp_path / "new.jsonl", WordEmbedder()).digest
    with pytest.raises(KeyboardInterrupt):
        make_pairs([file], tmp_path / "out.jsonl", WordEmbedder(), observer=stop)
    jsonl(file, sentences(50, seed=9))
    assert sum(make_pairs([file], tmp_path / "out.jsonl", WordEmbedder()).found.values()) == 50


@pytest.mark.slow
def test_a_killed_command_goes_on_with_the_same_digest(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", sentences(6_000))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def command(into):
        return [
            sys.executable,
            "-m",
            "quarry",
            "pairs",
            str(file),
            "--into",
            str(into),
            "--scorer",
            "none",
            "--json",
            "-q",
        ]

    process = subprocess.Popen(
        command(tmp_path / "killed.jsonl"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    written, end = tmp_path / ".killed.jsonl.work" / "pairs.jsonl", time.monotonic() + 120
    while not (written.exists() and written.stat().st_size) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert written.exists()
    assert not (tmp_path / "killed.jsonl").exists()
    found = [
        json.loads(subprocess.run(command(tmp_path / name), env=environment, capture_output=True, check=True).stdout)
        for name in ("killed.jsonl", "whole.jsonl")
    ]
    assert found[0]["digest"] == found[1]["digest"]
    assert found[0]["steps"] == found[1]["steps"]


def test_a_full_disk_keeps_what_was_done_and_the_same_call_resumes(tmp_path, monkeypatch):
    file = jsonl(tmp_path / "a.jsonl", sentences(200))
    whole = make_pairs([file], tmp_path / "whole.jsonl", None)
    from quarry.training.pairs import staging

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(staging, "write_atomic", full)
        with pytest.raises(TrainingError, match="the disk is full; what was found so far is in .*it resumes"):
            make_pairs([file], tmp_path / "out.jsonl", None)
    assert not (tmp_path / "out.jsonl").exists()
    assert make_pairs([file], tmp_path / "out.jsonl", None).digest == whole.digest


def test_two_runs_into_one_file_do_not_mix(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", sentences(50))

    def second(_name, _total):
        with pytest.raises(TrainingError, match="another process is making"):
            make_pairs([file], tmp_path / "out.jsonl", None)
        return lambda _count: None

    make_pairs([file], tmp_path / "out.jsonl", None, observer=second)
