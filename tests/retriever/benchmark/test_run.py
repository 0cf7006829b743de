"""All task kinds through mteb on small local data, without a network, checked against figures computed here."""

import json
import socket
import warnings

import numpy as np
import pytest

from quarry.indexer.errors import MissingExtraError
from quarry.retriever.benchmark import run as benchmark
from quarry.retriever.benchmark.run import run_benchmark
from quarry.retriever.benchmark.tasks.mteb_tasks import mteb_task, task_name
from quarry.retriever.benchmark.tasks.prepared import read_task
from quarry.retriever.benchmark.tasks.task_data import TaskChoice
from quarry.retriever.evaluation.measures import average_precision, ndcg
from tests.fakes import WordEmbedder

TOPICS = {"loan": ["borrow", "renew", "book", "card"], "天气": ["下雨", "晴天", "刮风", "温度"]}


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def labelled(seed, count):
    rng = np.random.default_rng(seed)
    names = list(TOPICS)
    rows = []
    for place in range(count):
        label = names[place % 2]
        rows.append({"text": " ".join(rng.choice(TOPICS[label], 3)), "label": label})
    return rows


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    base = tmp_path_factory.mktemp("tasks")
    words = [f"word{n}" for n in range(30)]
    pairs = [
        {"sentence1": f"{a} {b} 借书", "sentence2": f"{a} {c}"}
        for a, b, c in zip(words, words[5:], words[9:], strict=False)
    ]
    write(base / "sts" / "test.jsonl", [{**row, "score": n % 6} for n, row in enumerate(pairs)])
    write(base / "pairs" / "test.jsonl", [{**row, "label": n % 2} for n, row in enumerate(pairs)])
    write(base / "bitext" / "test.jsonl", [{"sentence1": f"{w} x", "sentence2": f"{w} y"} for w in words])
    write(base / "intents" / "test.jsonl", labelled(0, 40))
    write(base / "intents" / "train.jsonl", labelled(1, 200))
    write(
        base / "beir" / "corpus.jsonl",
        [{"_id": f"d{n}", "title": "", "text": f"{words[n]} {words[(n * 7) % 30]} text"} for n in range(30)],
    )
    write(base / "beir" / "queries.jsonl", [{"_id": f"q{n}", "text": f"{words[n]} {words[n + 3]}"} for n in range(20)])
    (base / "beir" / "qrels").mkdir()
    (base / "beir" / "qrels" / "test.tsv").write_text(
        "".join(f"q{n}\td{n}\t2\nq{n}\td{n + 3}\t{int(n % 2 == 0)}\n" for n in range(20))
    )
    return base


CHOICES = [
    ("beir", "Retrieval"),
    ("beir", "Reranking"),
    ("sts", "STS"),
    ("pairs", "PairClassification"),
    ("bitext", "BitextMining"),
    ("intents", "Classification"),
    ("intents", "Clustering"),
]


@pytest.fixture(scope="module")
def results(data, tmp_path_factory):
    pytest.importorskip("mteb")

    def refuse(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise AssertionError(f"the network was asked for {address}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.delenv("HF_HUB_OFFLINE", raising=False)
        choices = [TaskChoice(data / name, kind) for name, kind in CHOICES]
        into = tmp_path_factory.mktemp("results")
        return into, {r.task: r for r in run_benchmark(WordEmbedder(), choices, into)}


def documents_and_queries(data):
    documents = [json.loads(line) for line in (data / "beir" / "corpus.jsonl").read_text().splitlines()]
    queries = [json.loads(line) for line in (data / "beir" / "queries.jsonl").read_text().splitlines()]
    return documents, queries, read_task(TaskChoice(data / "beir", "Reranking"))


def ranked(model, query, documents):
    scores = model.embed_queries([query["text"]]) @ model.embed_documents([d["text"] for d in documents]).T
    return [documents[place]["_id"] for place in np.argsort(-scores[0], kind="stable")]


def test_retrieval_and_reranking_agree_with_our_own_measures(data, results):
    model = WordEmbedder()
    documents, queries, task = documents_and_queries(data)
    gains, precisions = [], []
    for query in queries:
        grades = task.qrels[query["_id"]]
        gains.append(ndcg(ranked(model, query, documents), grades, 10))
        some = [d for d in documents if d["_id"] in task.candidates[query["_id"]]]
        precisions.append(average_precision(ranked(model, query, some), grades))
    assert results[1]["beir-Retrieval"].score == pytest.approx(np.mean(gains), abs=1e-4)
    assert results[1]["beir-Reranking"].score == pytest.approx(np.mean(precisions), abs=1e-4)


def cosines(data, name):
    model = WordEmbedder()
    rows = [json.loads(line) for line in (data / name / "test.jsonl").read_text().splitlines()]
    left, right = (model.embed_documents([row[side] for row in rows]) for side in ("sentence1", "sentence2"))
    return rows, (left * right).sum(axis=1), left @ right.T


def ranks(values):
    values = np.round(np.asarray(values, dtype=np.float64), 6)
    return np.array([(values < value).sum() + ((values == value).sum() - 1) / 2 for value in values])


class Talkative(WordEmbedder):
    """Says what scikit-learn says in each draw of a classification that does not converge, and something of its own."""

    def embed_documents(self, texts):
        warnings.warn_explicit("lbfgs failed", UserWarning, "sklearn.py", 1, module="sklearn.linear_model._logistic")
        warnings.warn_explicit("the disk is nearly full", UserWarning, "disk.py", 1, module="disk")
        return super().embed_documents(texts)


def test_scikit_learn_is_silent_about_its_draws_and_others_are_heard(data, tmp_path):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        list(run_benchmark(Talkative(), [TaskChoice(data / "intents", "Classification")], tmp_path))
    said = {str(one.message) for one in heard}
    assert "the disk is nearly full" in said
    assert "lbfgs failed" not in said


def test_sts_is_the_rank_correlation_of_cosines(data, results):
    rows, scores, _ = cosines(data, "sts")
    expected = np.corrcoef(ranks([row["score"] for row in rows]), ranks(scores))[0, 1]
    assert results[1]["sts-STS"].score == pytest.approx(expected, abs=5e-3)


def test_pairs_are_scored_by_average_precision(data, results):
    rows, scores, _ = cosines(data, "pairs")
    order = np.argsort(-scores, kind="stable")
    labels = np.array([row["label"] for row in rows])[order]
    expected = (np.cumsum(labels) / np.arange(1, len(labels) + 1))[labels == 1].mean()
    assert results[1]["pairs-PairClassification"].score == pytest.approx(expected, abs=0.02)  # sklearn joins ties


def test_translations_topics_and_intents_are_found(results):
    found = results[1]
    assert found["bitext-BitextMining"].score == 1
    assert found["intents-Classification"].score == 1
    assert found["intents-Clustering"].score > 0.5


def test_results_are_mtebs_own_files_with_honest_names(data, results):
    into, found = results
    result = found["intents-Classification"]
    assert result.path == str(into / "results" / "tests__words" / "1" / "intents-Classification.json")
    content = json.loads((into / "results" / "tests__words" / "1" / "intents-Classification.json").read_text())
    assert content["task_name"] == "intents-Classification"
    assert content["scores"]["test"][0]["main_score"] == result.score
    assert content["dataset_revision"] == read_task(TaskChoice(data / "intents", "Classification")).digest
    assert (result.kind, result.measure, result.reused) == ("Classification", "accuracy", False)
    assert result.languages == ("cmn-Hans", "eng-Latn")
    assert (
        json.loads((into / "results" / "tests__words" / "1" / "model_meta.json").read_text())["name"] == "tests/words"
    )


def test_finished_tasks_are_not_run_again_and_changed_data_is(data, results, tmp_path):
    into, found = results
    model, said = WordEmbedder(), []
    (again,) = run_benchmark(model, [TaskChoice(data / "bitext", "BitextMining")], into, progress=said.append)
    assert (again.reused, again.score, model.texts_encoded) == (True, found["bitext-BitextMining"].score, 0)
    assert [str(message) for message in said] == ["1 of 1: bitext-BitextMining, 30 rows"]
    write(tmp_path / "bitext" / "test.jsonl", [{"sentence1": "a b", "sentence2": w} for w in ("a", "b", "c")])
    (changed,) = run_benchmark(model, [TaskChoice(tmp_path / "bitext", "BitextMining")], into)
    assert (changed.reused, changed.size) == (False, "3 rows")
    assert changed.score < 1
    (there,) = run_benchmark(model, [TaskChoice(tmp_path / "bitext", "BitextMining")], into)
    assert (there.reused, there.score) == (True, pytest.approx(changed.score, abs=1e-6))


def test_a_sample_says_so_in_its_name(data, tmp_path):
    pytest.importorskip("mteb")
    sample = read_task(TaskChoice(data / "intents", "Classification"), 10)
    assert task_name(sample) == "intents-Classification-sample10"
    assert "10 of 40 rows" in mteb_task(sample).metadata.description
    search = read_task(TaskChoice(data / "beir", "Retrieval"), 5)
    assert task_name(search) == "beir-Retrieval-sample5"
    with pytest.raises(ValueError, match="limit is 1; expected at least 2"):
        read_task(TaskChoice(data / "beir", "Retrieval"), 1)


def test_without_mteb_the_extra_is_named(data, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"mteb is not installed.*quarry-search\[eval\]"):
        next(run_benchmark(WordEmbedder(), [TaskChoice(data / "sts", "STS")], tmp_path))
