"""kill -9 in the middle of promotion, rollback and saving a checkpoint: what answers is whole, and training goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.sizes import KILLS

pytestmark = pytest.mark.slow


def killed(what: str, kills: int = KILLS) -> dict[str, Any]:
    """Run `tests.training.killing` where files cost no disk."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with TemporaryDirectory(dir=memory) as folder:
        command = [sys.executable, "-m", "tests.training.killing", what, folder, str(kills)]
        done = subprocess.run(command, cwd=Path(__file__).parents[3], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_kills_over_promotion_rollback_and_indexing():
    found = killed("promotion", KILLS // 3)
    assert min(found["kills"]["promote"], found["kills"]["back"]) >= KILLS // 3
    assert min(found["finished"].values()) > 0, found  # each was also let through


def test_kills_over_saving_a_checkpoint():
    found = killed("checkpoints")
    assert found["kills"] == KILLS
    assert found["steps"] > KILLS / 4, found
