"""A tuning run without memory, on a full disk, or with files that cannot grow: one sentence, and the index as it was."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quarry.indexer.errors import (
    SearchError,
)
from quarry.indexer.storage.generations import Generations
from quarry.training.examples.rows import TrainingRow, write_training_rows
from quarry.training.tuning import tune
from tests.training.tuning.faults import digests
from tests.training.tuning.test_embedder import general, index, model, pairs, plan, rows

__all__ = ["general", "index", "model", "pairs"]
LIMITED = """
import resource, sys
from pathlib import Path
import quarry.training.fit.loop.trainer  # its imports are not what is to fail
from tests.training.tuning.test_embedder import plan
from tests.training.tuning.faults import Until
from quarry.indexer.errors import SearchError
from quarry.training.fit.spec import TrainSpec
from quarry.training.tuning import tune
index, general, pairs, what = *map(Path, sys.argv[1:4]), sys.argv[4]
def no_memory():
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
def no_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(what), resource.RLIM_INFINITY))
spec = TrainSpec(epochs=4, batch_size=16, learning_rate=5e-3, eval_steps=6, checkpoint_steps=6, patience=0)
if what == "memory":
    spec = TrainSpec(batch_size=4096, token_budget=1 << 20)
    watch = Until("training on", no_memory)
else:
    watch = Until("run", no_disk)
try:
    tune(index, plan(general, pairs, spec=spec), run="r", observer=watch)
except SearchError as err:
    print(type(err).__name__, err)
"""


def limited(index, general, pairs, what):
    command = [sys.executable, "-c", LIMITED, str(index), str(general), str(pairs), what]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_no_memory_at_the_first_step(index, general, tmp_path):
    many = [
        TrainingRow(row.query, row.pos, tuple(f"{row.pos[0]} {word * 120}" for word in "abcd")) for row in rows(800)
    ]
    write_training_rows(tmp_path / "many.jsonl", many)
    before = digests(index)
    said = limited(index, general, tmp_path / "many.jsonl", "memory")
    assert said.startswith("TrainingError memory ran out with batch_size 4096")
    assert digests(index) == before


@pytest.mark.slow
@pytest.mark.parametrize("most", [2_000, 60_000, 200_000])
def test_files_that_cannot_grow(index, general, pairs, most):
    """The data, the checkpoint or the candidate do not fit; with room the run goes on to the end."""
    before = digests(index)
    said = limited(index, general, pairs, str(most))
    assert any(words in said for words in ("File too large", "disk is full", "Make room"))  # torch tells no reason
    assert said.split()[0] in ("TrainingError", "FeedbackError", "SearchError")
    after = digests(index)
    assert {name: after[name] for name in before} == before
    assert {Path(name).parts[0] for name in after.keys() - before.keys()} <= {"embeddings"}
    assert Generations(index).finished() == ["000001"]
    assert tune(index, plan(general, pairs), run="r").promoted


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system in memory")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # lazily: an index may still be mapped into memory


@pytest.mark.slow
def test_a_disk_that_is_full(index, general, pairs, small_disk):
    shutil.copytree(index, small_disk / "index")
    before = digests(small_disk / "index")
    rest = shutil.disk_usage(small_disk).free
    (small_disk / "ballast").write_bytes(b"x" * (rest - 300_000))
    with pytest.raises(SearchError, match="No space left on device|disk is full"):
        tune(small_disk / "index", plan(general, pairs), run="r")
    after = digests(small_disk / "index")
    assert {name: after[name] for name in before} == before
    assert Generations(small_disk / "index").finished() == ["000001"]
