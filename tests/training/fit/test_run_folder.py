"""The run's folder: whole checkpoints only, another run is not overwritten, half lines are left out."""

import subprocess

import pytest

from quarry.indexer.errors import TrainingError
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit import run_folder
from quarry.training.fit.rows.table import RowTable
from quarry.training.fit.run_folder import RunFolder, dev_scores, digest_of, losses, versions

CONFIG = {"what": "embedder", "base": {"model": "m"}, "rows_digest": "1", "dev_digest": "", "spec": {}, "processes": 1}


def checkpoint(run: RunFolder, step: int, *, sealed: bool = True) -> None:
    folder = run.checkpoints / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"123")
    if sealed:
        run.seal(folder)


def test_only_whole_checkpoints_count_and_the_others_go(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin(CONFIG)
    assert run.last_checkpoint() is None
    for step, sealed in ((9, True), (10, True), (100, False)):
        checkpoint(run, step, sealed=sealed)
    (run.checkpoints / "checkpoint-10" / "weights").write_bytes(b"12")  # cut off after it was sealed
    reader = RunFolder(tmp_path / "run", writes=False)
    assert reader.last_checkpoint().name == "checkpoint-9"
    assert len(list(run.checkpoints.iterdir())) == 3
    assert run.last_checkpoint().name == "checkpoint-9"
    assert [path.name for path in run.checkpoints.iterdir()] == ["checkpoint-9"]


def test_a_checkpoint_with_one_flipped_bit_does_not_count(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin(CONFIG)
    checkpoint(run, 9)
    checkpoint(run, 10)
    (run.checkpoints / "checkpoint-10" / "weights").write_bytes(b"122")
    assert run.last_checkpoint().name == "checkpoint-9"


def test_a_checkpoint_of_an_older_version_counts_by_its_sizes(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin(CONFIG)
    checkpoint(run, 9, sealed=False)
    (run.checkpoints / "checkpoint-9" / "complete.json").write_text('{"weights": 3}')
    assert run.last_checkpoint().name == "checkpoint-9"


def test_settings_may_change_until_there_is_something_to_lose(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin(CONFIG)
    run.begin(CONFIG | {"spec": {"mini_batch": 8}})  # such as after memory ran out in the first step
    checkpoint(run, 3)
    run.begin(CONFIG | {"spec": {"mini_batch": 8}, "versions": {"torch": "other"}})
    with pytest.raises(TrainingError, match="holds a run with another spec; expected the same"):
        run.begin(CONFIG)
    run.finish({"steps": 3})
    assert run.result() == {"steps": 3}
    with pytest.raises(TrainingError, match="holds a run with another rows_digest, spec"):
        run.begin(CONFIG | {"rows_digest": "2"})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "论文.txt").write_text("text")
    with pytest.raises(TrainingError, match="is not empty and holds no run"):
        RunFolder(tmp_path / "mine").begin(CONFIG)


def test_the_log_survives_a_cut_and_forgets_what_is_run_again(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin(CONFIG)
    run.add({"step": 0, "dev": 0.25})
    run.add({"step": 1, "loss": 2.0})
    run.add({"step": 2, "loss": 1.5})
    with (tmp_path / "run" / "log.jsonl").open("a") as handle:
        handle.write('{"step": 3, "lo')
    assert losses(run.lines()) == [(1, 2.0), (2, 1.5)]
    assert dev_scores(run.lines()) == [(0, 0.25)]
    run.forget_after(1)
    assert run.lines() == [{"step": 0, "dev": 0.25}, {"step": 1, "loss": 2.0}]
    RunFolder(tmp_path / "run", writes=False).add({"step": 9})
    assert len(run.lines()) == 2


def test_digests_tell_contents_apart_and_ignore_the_order_of_keys():
    assert digest_of({"a": 1, "b": (2,)}) == digest_of({"b": [2], "a": 1})
    row = TrainingRow("问", ("答",))
    assert RowTable.of([row]).digest != RowTable.of([row, row]).digest
    assert RowTable.of([row]).digest != RowTable.of([TrainingRow("问", ("答",), prompt="p")]).digest
    assert versions()["torch"]


def test_the_commit_of_somebody_elses_repository_is_not_recorded(tmp_path, monkeypatch):
    """Installed in a virtual environment inside a user's repository, even one that tracks the environment."""

    def git(*arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    installed = tmp_path / ".venv" / "site-packages" / "run_folder.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("x", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "theirs"\n', encoding="utf-8")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "one")
    monkeypatch.setattr(run_folder, "__file__", str(installed))
    assert "commit" not in run_folder.versions()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "quarry-search"\n', encoding="utf-8")
    assert len(run_folder.versions()["commit"]) == 40  # our own checkout


def test_a_damaged_configuration_is_no_run_to_resume(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin(CONFIG)
    checkpoint(run, 3)
    path = tmp_path / "run" / "config.json"
    path.write_bytes(path.read_bytes().replace(b"embedder", b"embed\xacer"))
    with pytest.raises(TrainingError, match="is not empty and holds no run"):
        run.begin(CONFIG)
