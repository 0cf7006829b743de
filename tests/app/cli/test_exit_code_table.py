"""Every row of the table of exit codes in docs/commands.md, met by a command that ends that way."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from tests import ROOT
from tests.app.running import quarry

TABLE = dict(
    re.findall(
        r"^\| (\d+) \| (.+) \|$", (ROOT / "docs" / "commands.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
)


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", [Document("a", "Renew a loan twice. 续借两次。", "Loans")], None)
    return tmp_path / "index"


def test_the_table_has_the_codes_that_the_commands_know():
    from quarry.app.cli.exits import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_REFUSED, EXIT_SKIPPED, EXIT_USAGE

    known = {0, EXIT_ERROR, EXIT_USAGE, EXIT_SKIPPED, EXIT_REFUSED, EXIT_INTERRUPTED}
    assert set(map(int, TABLE)) == known


def test_0_done_1_an_error_2_usage(index, tmp_path):
    assert quarry("search", index, "loan").returncode == 0
    missing = quarry("search", tmp_path / "nothing", "loan")
    assert missing.returncode == 1
    assert missing.stderr.count("\n") == 1
    assert missing.stderr.startswith("error: ")
    assert quarry("search", index, "loan", "--no-such-option").returncode == 2
    assert quarry("search", index, "").returncode == 2


def test_3_skipped_files_and_no_answer(index, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Loans\n\nRenew. 续借。", encoding="utf-8")
    (tmp_path / "docs" / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    made = ("index", tmp_path / "docs", "--into", tmp_path / "made", "--model", "none")
    assert quarry(*made, "--strict").returncode == 3
    assert quarry(*made).returncode == 0
    assert quarry("ask", index, "xylophone zebra quantum").returncode == 3


def test_130_ctrl_c(index):
    command = [sys.executable, "-m", "quarry.app.cli", "search", str(index), "--queries", "-"]
    # in the background a shell has Ctrl-C ignored, and what it starts inherits that
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)} if os.name == "posix" else {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **heard) as process:
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(8)  # it reads, and nothing comes
            ends = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < ends:  # on a busy machine it may still be starting
                process.send_signal(signal.SIGINT)
                time.sleep(2)
            assert process.poll() == 130
        finally:
            process.kill()
