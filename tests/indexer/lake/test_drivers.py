"""Twenty drivers die at random moments and two finish together: every passage is there once, and no finished shard was made again."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from quarry.indexer.lake.making import Lake
from quarry.indexer.lake.publishing import publish
from quarry.indexer.opened import Index
from quarry.indexer.shards.folder import ShardFolder
from quarry.indexer.stores.lake import view
from tests import ROOT
from tests.fakes import WordEmbedder
from tests.indexer.lake.lakes import write_corpus

KILLS = 20


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    for number in range(6):
        write_corpus(folder / f"part{number}", files=120, seed=number)
    return folder


def driven(kind: str, corpus: Path, target: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "tests.indexer.lake.drivers", kind, str(corpus), str(target), str(KILLS), "5"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    assert found["first"] == 0, done.stderr[-2000:]
    assert found["codes"] == [0, 0], done.stderr[-2000:]
    assert found["changed"] == 0  # what was complete stayed as it was
    assert found["killed"] >= KILLS // 2
    assert found["shards"][0] < found["shards"][-1]
    return found


@pytest.mark.slow
def test_drivers_of_encode(tmp_path, corpus):
    driven("encode", corpus, tmp_path / "shards")
    mine, undisturbed = (ShardFolder.open(tmp_path / name) for name in ("shards", "shards-undisturbed"))
    held = [Counter(digest for shard in folder.shards() for digest in shard.digests) for folder in (mine, undisturbed)]
    assert held[0] == held[1]
    assert mine.count() == undisturbed.count()
    assert not list(mine.passages.iterdir())


@pytest.mark.slow
def test_drivers_of_a_lake(tmp_path, corpus, monkeypatch):
    monkeypatch.setattr(view, "cache_folder", lambda: tmp_path / "cache")
    driven("add", corpus, tmp_path / "lake")
    digests = []
    for name in ("lake", "lake-undisturbed"):
        report = publish(Lake.open(tmp_path / name), WordEmbedder())
        index = Index.open(tmp_path / name)
        ids, passages = index.chunks.digests()
        assert len(ids) == len(set(ids)) == report.passages
        assert report.left_out == 0
        digests.append((ids, passages, index.manifest.corpus_sha256))
    assert digests[0] == digests[1]
