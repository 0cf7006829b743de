"""One decoder, trained in context for all tests of this folder, and a file of examples for each reading."""

import pytest
import torch

from quarry.indexer.models.few_shot import write_shots
from quarry.training.fit.embedder import finetune
from quarry.training.fit.spec import TrainSpec
from tests.training.in_context.two_readings import SHOWN, SPEC, TRAINED, decoder, shots, task_rows


@pytest.fixture(scope="package")
def base(tmp_path_factory):
    return decoder(tmp_path_factory.mktemp("base") / "m")


@pytest.fixture(scope="package")
def trained(base, tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = task_rows(TRAINED, "x") + task_rows(TRAINED, "y")
    done = finetune(base, rows, TrainSpec.of(SPEC), tmp_path_factory.mktemp("run") / "r", device="cpu")
    torch.set_num_threads(threads)
    return done.folder


@pytest.fixture
def files(tmp_path):
    """One file of examples per reading."""
    for letter in "xy":
        write_shots(tmp_path / f"{letter}.jsonl", shots(letter, SHOWN[:3]))
    return tmp_path
