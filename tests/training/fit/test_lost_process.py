"""A process that waits for another one that died says so, and what to do."""

import os
import subprocess
import sys

import pytest

from tests import ROOT

pytest.importorskip("torch").distributed.is_available() or pytest.skip("no torch.distributed", allow_module_level=True)

PEER = """
import sys
import torch
import torch.distributed as together
from pathlib import Path
from quarry.indexer.errors import TrainingError
from quarry.training.fit.failures import explained
from quarry.training.fit.spec import TrainSpec

rank = int(sys.argv[1])
together.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
together.all_reduce(torch.zeros(4))
if rank:
    import os
    os._exit(9)
try:
    with explained(TrainSpec(), Path("runs/a")):
        for _ in range(3):  # the first may still get through
            together.all_reduce(torch.zeros(4))
except TrainingError as err:
    print(err.message.code, err)
"""


def test_the_other_says_that_it_ended_and_that_the_same_command_resumes(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", PEER, str(rank), str(tmp_path / "meeting")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    said, failed = both[0].communicate(timeout=120)
    both[1].wait(timeout=120)
    assert both[0].returncode == 0, failed[-2000:]
    assert said.startswith("fit.peer_lost another process of this run ended (")
    assert "Run the same command again: it resumes from the last checkpoint" in said
