"""Model folders from elsewhere: refused in words, within seconds and without the memory that they ask for, and none of their code runs."""

import json
import os
import subprocess
import sys

import pytest

from tests import ROOT
from tests.indexer.models.hostile_folders import HOSTILE

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")]
HARMLESS = {
    "special tokens of numbers",
    "a length in words",
    "a pattern that explodes",
}  # nothing that is used of them: it may load as well


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    command = [sys.executable, "-m", "tests.indexer.models.hostile_folders", str(tmp_path_factory.mktemp("hostile"))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return {told["name"]: told for told in map(json.loads, done.stdout.splitlines())}


def test_the_model_that_they_are_made_of_loads(loaded):
    assert loaded["a sound one"]["ended"] == "loaded", loaded["a sound one"]


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_folder_made_to_hurt_is_refused_in_words(loaded, name):
    told = loaded[name]
    assert not told["ran"]
    assert told["ended"] == "refused" or (name in HARMLESS and told["ended"] == "loaded"), told
    assert told["seconds"] < 60
    assert told["peak_mb"] < 2_500
    assert name in HARMLESS or ("expected" in told["said"] or "Copy or download" in told["said"]), told
