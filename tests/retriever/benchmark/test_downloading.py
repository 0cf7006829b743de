"""`--download` for real: mteb and datasets fetch a tiny data set from a hub on loopback; a hub that fails is said soon."""

import json
import os
import subprocess
import sys
from time import perf_counter

import pytest

from quarry.indexer.errors import CorpusError
from quarry.retriever.benchmark.run import score_tasks
from quarry.retriever.benchmark.search_model import MtebBaseline
from quarry.retriever.benchmark.tasks.downloading import download_data
from quarry.retriever.benchmark.tasks.named import named_tasks
from tests import ROOT
from tests.retriever.benchmark import native_data as made
from tests.retriever.benchmark.local_hub import LocalHub

mteb = pytest.importorskip("mteb")

STARTUP = 60.0  # seconds that importing mteb may take on a busy machine


@pytest.fixture
def folder(tmp_path):
    for split, seed, count in (("test", 8, 60), ("train", 9, 10)):
        made.write_jsonl(tmp_path / "hub" / "mteb" / "stsbenchmark-sts" / f"{split}.jsonl", made.sts(seed, count))
    return tmp_path


@pytest.fixture
def serve(folder):
    hubs = []

    def start(stalls=""):
        hubs.append(LocalHub(folder / "hub", stalls=stalls))
        return hubs[-1]

    yield start
    for hub in hubs:
        hub.close()


def environment(folder, endpoint, **more):
    """Return the environment of a machine that has downloaded nothing yet and knows no proxy."""
    proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    own = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    paths = {"HF_HOME": str(folder / "hf"), "PYTHONPATH": str(ROOT)}
    return own | paths | {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0"} | more


def quarry(env, *arguments):
    command = [sys.executable, "-m", "quarry.app.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=240, check=False)


def benchmark(folder, env, *more):
    given = (
        "--search",
        "mteb-bm25",
        "--download",
        "--data",
        folder / "none",
        "--into",
        folder / "into",
        "--json",
        *more,
    )
    return quarry(env, "benchmark", "--tasks", "NFCorpus", *given)


def test_data_that_is_not_here_is_downloaded_by_mteb_and_scored_as_a_copy_is(folder, serve):
    corpus, queries, qrels = made.search(2)
    data = folder / "hub" / "mteb" / "nfcorpus"
    for name, rows in (("corpus", corpus), ("queries", queries), ("qrels", qrels)):
        made.write_jsonl(data / f"{name}.jsonl", rows)
    configs = (("corpus", "corpus", "corpus"), ("queries", "queries", "queries"), ("default", "test", "qrels"))
    lines = [f"- config_name: {c}\n  data_files:\n  - split: {s}\n    path: {f}.jsonl\n" for c, s, f in configs]
    (data / "README.md").write_text(f"---\nconfigs:\n{''.join(lines)}---\n")
    hub = serve()
    env = environment(folder, hub.endpoint)
    found = benchmark(folder, env)
    assert found.returncode == 0, found.stderr
    (task,) = json.loads(found.stdout)["tasks"]
    assert (task["task"], task["size"], task["languages"]) == ("NFCorpus", "25 queries, 60 documents", ["eng-Latn"])
    assert any(line.startswith("GET /datasets/mteb/nfcorpus/resolve/") for line in hub.asked)
    (copy,) = score_tasks(MtebBaseline(), named_tasks("NFCorpus", folder / "hub"), folder / "copied")
    assert copy.score == pytest.approx(task["score"], abs=1e-9)


def test_a_hub_that_refuses_is_an_error_within_seconds(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    told = r"the data of NFCorpus could not be downloaded \(the hub does not answer at 127.0.0.1.*copy the data set into --data"
    with pytest.raises(CorpusError, match=told):
        download_data(mteb.get_task("NFCorpus"))


def test_a_hub_that_is_switched_off_is_not_asked(serve, monkeypatch):
    hub = serve()
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CorpusError, match=r"could not be downloaded \(HF_HUB_OFFLINE is set\)"):
        download_data(mteb.get_task("NFCorpus"))
    assert hub.asked == []


_GUARDED = """
import sys
import mteb
from quarry.indexer.errors import CorpusError
from quarry.retriever.benchmark.tasks.downloading import download_data
try:
    download_data(mteb.get_task(sys.argv[1]), silence=4)
except CorpusError as err:
    print(err, flush=True)
"""


def guarded(folder, task, endpoint):
    command = [sys.executable, "-c", _GUARDED, task]
    env = environment(folder, endpoint)
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=240, check=False).stdout


def test_a_data_set_that_the_hub_lacks_is_named(folder, serve):
    assert "expected mteb/nfcorpus on the hub" in guarded(folder, "NFCorpus", serve().endpoint)


@pytest.mark.parametrize("stalls", ["README", "test.jsonl"])
def test_a_hub_that_falls_silent_is_given_up_soon(folder, serve, stalls):
    started = perf_counter()
    told = guarded(folder, "STSBenchmark", serve(stalls).endpoint)
    assert "the data of STSBenchmark could not be downloaded (the hub at 127.0.0.1 has not answered for 4 s)" in told
    assert perf_counter() - started < STARTUP + 30
