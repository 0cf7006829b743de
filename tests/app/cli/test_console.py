"""What JSON for programs is made of, and how progress is told."""

import json
import re
import sys
import time
from io import StringIO

import pytest

from quarry.app.cli import console
from quarry.app.cli.console import out_json
from quarry.indexer.build import BuildReport
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.messages import Message


def test_messages_inside_records_are_sentences(capsys):
    detail = Message.of("readers.test", "it has {count:page|pages}", do="Convert it", count=1)
    names = BuildReport.__dataclass_fields__
    values = dict.fromkeys(names, 0) | {
        "skipped": (Skipped("a.pdf", "empty", detail),),
        "seconds": {"reading": 0.5},
    }
    out_json([BuildReport(**values), {"b", "a"}])
    report, names = json.loads(capsys.readouterr().out)
    assert report["skipped"] == [{"source": "a.pdf", "reason": "empty", "detail": "it has 1 page. Convert it"}]
    assert report["seconds"] == {"reading": 0.5}
    assert names == ["a", "b"]


class Terminal(StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [StringIO, Terminal])
def test_progress_says_what_it_counts_on_a_terminal_and_in_a_log(stream, monkeypatch):
    monkeypatch.setattr(console, "_LINE_EVERY_S", 0.0)
    monkeypatch.setattr(sys, "stderr", stream())
    bar = console.ProgressBar()
    bar.phase("encoding", 200)
    for _ in range(2):
        time.sleep(0.15)
        bar.advance(50)
    bar.phase("reading", None)
    time.sleep(0.15)
    bar.advance(3)
    bar.close()
    written = sys.stderr.getvalue()
    assert "encoding passages:" in written
    assert "passages/s" in written
    assert ("\r" in written) == (stream is Terminal)
    if stream is StringIO:
        assert re.search(r"^encoding passages: +50% 100/200 .* passages/s\]$", written, re.MULTILINE)
        assert re.search(r"^reading files: 3 files \[.* files/s\]$", written, re.MULTILINE)


def test_short_phases_write_no_line_into_a_log_and_quiet_ones_nothing_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stderr", StringIO())
    for bar in (console.ProgressBar(), console.ProgressBar(quiet=True)):
        bar.phase("encoding", 200)
        bar.advance(200)
        bar.close()
    assert sys.stderr.getvalue() == ""


def test_a_title_with_line_breaks_stays_on_its_line(capsys):
    from quarry.app.cli.console import out_line

    out_line("1. library\n2. forged result\r\n   forged.md")
    assert capsys.readouterr().out.count("\n") == 1


def test_json_has_nothing_that_a_terminal_obeys_and_means_the_same(capsys):
    import json

    from quarry.app.cli.console import out_json, safe

    hostile = "\x9b31m \x9d0;title\x9c \u202e \u2066 tag\U000e0041 \x7f \ufeff 借书 é"
    out_json({"title": hostile, hostile: 1})
    written = capsys.readouterr().out
    assert json.loads(written) == {"title": hostile, hostile: 1}
    assert safe(written) == written
    assert "借书 é" in written
