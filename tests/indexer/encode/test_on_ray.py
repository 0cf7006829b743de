"""A real Ray cluster of two machines on this one: what it encodes is what one process encodes, also when a machine dies midway."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quarry.indexer.encode.cluster import ModelPlace, encode_on_ray
from quarry.indexer.encode.work import encode_corpus, shard_settings
from quarry.indexer.errors import MissingExtraError
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.shards.folder import ShardFolder
from tests.indexer.encode.on_ray import DEVICE
from tests.indexer.encode.test_encode import SPEC, corpus, held, model  # noqa: F401 (fixtures)

ALL_S = 480  # importing torch in three processes takes minutes on a busy machine


def on_ray(*arguments: object) -> dict[str, int]:
    """Run the script; a cluster that does not come up twice (ray#65983: 15 s for its agent, however busy the machine) is a skip."""
    pytest.importorskip("ray", reason="needs the extra `scale` (pip install -e '.[scale]')")
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.indexer.encode.on_ray", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"},
        )
        try:
            out, err = process.communicate(timeout=ALL_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        if "started" in out:
            assert process.returncode == 0, err
            found: dict[str, int] = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
            return found
    pytest.skip(f"Ray did not start twice: {err.strip().splitlines()[-1:]}")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_cluster_encodes_what_one_process_encodes_although_a_machine_dies(tmp_path, corpus, model):  # noqa: F811 (fixtures)
    done = on_ray(corpus, tmp_path / "ray", model)
    embedder = load_embedder(model, device=DEVICE)
    settings = shard_settings(embedder, str(model), SPEC, ReadOptions(), token_states=False)
    theirs = ShardFolder.create(tmp_path / "alone", settings)
    encode_corpus([corpus], theirs, embedder)
    ours = ShardFolder.open(tmp_path / "ray")
    assert held(ours) == held(theirs)
    assert done["shards"] == ours.count()
    assert not list(ours.passages.iterdir())


def test_without_ray_the_error_names_the_extra_and_the_other_way(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"quarry-search\[scale\].*--shard"):
        encode_on_ray([Path()], None, ModelPlace("", None, "cpu"), ReadOptions(), None)
