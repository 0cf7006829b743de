"""mteb's own tasks on local copies: the scores are those of mteb's task classes on the same rows, to 1e-6."""

import json
import socket

import numpy as np
import pytest

from quarry.indexer.errors import CorpusError, SettingsError
from quarry.retriever.benchmark.mteb_model import Asking, MtebEncoder
from quarry.retriever.benchmark.run import run_benchmark
from quarry.retriever.benchmark.tasks.local_copy import LocalCopy
from quarry.retriever.benchmark.tasks.named import NamedTask, check_data, is_known, named_tasks, split_names
from quarry.retriever.benchmark.tasks.native import find_copy
from quarry.retriever.benchmark.tasks.prepared import prepare
from tests.fakes import WordEmbedder
from tests.retriever.benchmark import native_data as made

mteb = pytest.importorskip("mteb")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.write_everything(tmp_path_factory.mktemp("copies"))


def table(rows):
    from datasets import Dataset

    return Dataset.from_list(list(rows))


def searched(corpus, queries, qrels, ranked=None):
    relevant = {}
    for row in qrels:
        relevant.setdefault(row["query-id"], {})[row["corpus-id"]] = row["score"]
    return {
        "corpus": table({"id": row["_id"], "title": row["title"], "text": row["text"]} for row in corpus),
        "queries": table({"id": row["_id"], "text": row["text"]} for row in queries if row["_id"] in relevant),
        "relevant_docs": relevant,
        "top_ranked": ranked,
    }


def reranked(rows):
    """Return what mteb's own conversion of the older format makes of rows."""
    import mteb.abstasks.text.reranking as old
    from datasets import DatasetDict

    task = mteb.get_task("T2Reranking")
    old.OLD_FORMAT_RERANKING_TASKS.append("T2Reranking")
    try:
        task._process_example = lambda *given: old.AbsTaskReranking._process_example(task, *given)
        old.AbsTaskReranking.transform_old_dataset_format(task, DatasetDict({"dev": table(rows)}))
    finally:
        old.OLD_FORMAT_RERANKING_TASKS.remove("T2Reranking")
    return {"default": {"dev": dict(task.dataset["default"]["dev"])}}


def ten_sets(rows):
    """Return articles in ten sets, as mteb's own class makes them."""
    sets = np.array_split([f"{row['title']} {row['text']}" for row in rows], 10)
    labels = np.array_split([row["topic"] for row in rows], 10)
    return table({"sentences": a.tolist(), "labels": b.tolist()} for a, b in zip(sets, labels, strict=True))


def syntec(data):
    corpus, queries, _ = data
    documents = [{"_id": str(n), "title": d["title"], "text": d["text"]} for n, d in enumerate(corpus)]
    asked = [{"_id": str(n), "text": q["text"]} for n, q in enumerate(queries[:25])]
    return searched(documents, asked, [{"query-id": str(n), "corpus-id": str(n), "score": 1} for n in range(25)])


def wanted_data(name):
    """Return a task's data as mteb's own loader would hold it, from the rows themselves."""
    from datasets import DatasetDict

    c, q, _ = made.search(3)
    plain = [{**row, "title": ""} for row in c]
    judged = [{"query-id": f"q{n}", "corpus-id": f"d{n}", "score": 1} for n in range(25)]
    ranked = {f"q{n}": [f"d{(n + step) % 60}" for step in (0, 7, 11, 13, 17)] for n in range(25)}
    pairs = made.pairs(11, 50)
    return {
        "T2Retrieval": lambda: {"default": {"dev": searched(*made.search(1))}},
        "NFCorpus": lambda: {"default": {"test": searched(*made.search(2))}},
        "MedicalRetrieval": lambda: {"default": {"dev": searched(plain, q, judged)}},
        "T2Reranking": lambda: reranked(made.old_reranking(4)),
        "SciDocsRR": lambda: {"default": {"test": searched(*made.search(5), ranked)}},
        "CLSClusteringS2S": lambda: DatasetDict({"test": table(made.cluster_sets(6))}),
        "TwentyNewsgroupsClustering": lambda: DatasetDict({"test": table(made.cluster_sets(7, sets=2))}),
        "STSBenchmark": lambda: DatasetDict({"test": table(made.sts(8, 60))}),
        "STS22": lambda: {"zh": DatasetDict({"test": table(made.sts(9, 30))})},
        "STS17": lambda: {"en-en": DatasetDict({"test": table(made.sts(10, 60)[1::2])})},
        "Ocnli": lambda: DatasetDict({"validation": table([{
            "sentence1": [a for a, _, _ in pairs], "sentence2": [b for _, b, _ in pairs],
            "labels": [int(c > 2) for _, _, c in pairs]}])}),
        "Banking77Classification": lambda: DatasetDict(
            {"train": table(made.classification(12, 200)), "test": table(made.classification(13, 80))}),
        "TNews": lambda: DatasetDict(
            {"train": table(made.classification(14, 200)), "validation": table(made.classification(15, 60))}),
        "AmazonCounterfactualClassification": lambda: {"en": DatasetDict(
            {"train": table(made.classification(16, 120, 2)), "test": table(made.classification(17, 40, 2))})},
        "SummEval": lambda: DatasetDict({"test": table(made.summaries(18))}),
        "SummEvalSummarization.v2": lambda: DatasetDict({"test": table(made.summaries(18))}),
        "Tatoeba": lambda: {"cmn-eng": DatasetDict({"test": table(made.translations(19))})},
        "MLSUMClusteringP2P": lambda: {"fr": DatasetDict({split: ten_sets(made.articles(seed)) for split, seed in
            (("validation", 21), ("test", 22))})},
        "SyntecRetrieval": lambda: {"default": {"test": syntec(made.search(23))}},
    }[name]()  # fmt: skip  # a table


OF_ONE_SUBSET = {"Tatoeba": ["cmn-eng"], "MLSUMClusteringP2P": ["fr"]}  # benchmarks score others, too
SUBSETS = {"STS22": ["zh"], "STS17": ["en-en"], "AmazonCounterfactualClassification": ["en"]}
NAMES = ["T2Retrieval", "NFCorpus", "MedicalRetrieval", "T2Reranking", "SciDocsRR", "CLSClusteringS2S", "TwentyNewsgroupsClustering",
         "STSBenchmark", "STS22", "STS17", "Ocnli", "Banking77Classification", "TNews", "AmazonCounterfactualClassification",
         "SummEval", "SummEvalSummarization.v2", "Tatoeba", "MLSUMClusteringP2P", "SyntecRetrieval"]  # fmt: skip  # a list


def task_of(name):
    if name in OF_ONE_SUBSET:
        return mteb.get_task(name, hf_subsets=OF_ONE_SUBSET[name])
    return (
        mteb.get_task(name, eval_splits=["test"], hf_subsets=SUBSETS[name]) if name in SUBSETS else mteb.get_task(name)
    )


def chosen(name, data):
    """Return the task with the subset that the benchmarks score."""
    if name in OF_ONE_SUBSET:
        return [NamedTask(task_of(name), find_copy(data, task_of(name)))]
    if name not in SUBSETS:
        return named_tasks(name, data)
    benchmark = "C-MTEB" if name == "STS22" else "MTEB(eng, v1)"
    return [task for task in named_tasks(benchmark, data) if task.name == name]


@pytest.fixture(scope="module")
def results(data, tmp_path_factory):
    def refuse(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise AssertionError(f"the network was asked for {address}")

    into = tmp_path_factory.mktemp("into")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        choices = [task for name in NAMES for task in chosen(name, data)]
        return into, {found.task: found for found in run_benchmark(WordEmbedder(), choices, into)}


@pytest.mark.parametrize("name", NAMES)
def test_the_score_is_that_of_mtebs_own_class_on_the_same_rows(name, results, tmp_path):
    task = task_of(name)
    task.dataset, task.data_loaded = wanted_data(name), True
    encoder = MtebEncoder(WordEmbedder())
    (own,) = mteb.evaluate(encoder, [task], cache=None, co2_tracker=False, show_progress_bar=False).task_results
    found = results[1][name]
    assert found.score == pytest.approx(own.get_score(), abs=1e-6)
    assert 0 < found.score <= 1 or name.startswith("SummEval")
    assert (found.kind, found.measure) == (task.metadata.type, task.metadata.main_score)


def test_results_say_the_language_of_what_was_scored(results):
    found = results[1]
    assert found["STS22"].languages == ("cmn-Hans",)
    assert found["T2Retrieval"].languages == ("cmn-Hans",)
    assert found["STS17"].languages == ("eng-Latn",)
    assert found["Tatoeba"].languages == ("cmn-Hans", "eng-Latn")
    assert found["MLSUMClusteringP2P"].languages == ("fra-Latn",)


def test_finished_tasks_are_reused_until_their_data_or_their_instruction_changes(data, results, tmp_path):
    into, _ = results
    (again,) = run_benchmark(WordEmbedder(), named_tasks("STSBenchmark", data), into)
    assert again.reused
    made.write_jsonl(tmp_path / "STSBenchmark" / "test.jsonl", made.sts(99, 30))
    (changed,) = run_benchmark(WordEmbedder(), named_tasks("STSBenchmark", tmp_path), into)
    assert (changed.reused, changed.size) == (False, "30 rows")


def test_benchmarks_have_the_papers_tasks(data):
    assert len(named_tasks("C-MTEB", data)) == 35
    assert len(named_tasks("MTEB(cmn, v1)", data)) == 31
    english = named_tasks("MTEB(eng, v1)", data)
    assert len(english) == 56
    (stack,) = [task for task in english if task.name == "CQADupstackRetrieval"]
    assert (len(stack.parts), stack.here) == (12, False)


def test_an_aggregate_is_the_mean_of_its_parts(tmp_path):
    (stack,) = named_tasks("CQADupstackRetrieval", tmp_path)
    for number, part in enumerate(stack.parts):
        corpus, queries, qrels = made.search(20 + number, documents=30, queries=8)
        for name, rows in (("corpus.jsonl", corpus), ("queries.jsonl", queries), ("qrels/test.jsonl", [
            row for row in qrels if int(row["corpus-id"][1:]) < 30])):  # fmt: skip  # a table
            made.write_jsonl(tmp_path / part.name / name, rows)
    (found,) = run_benchmark(WordEmbedder(), named_tasks("CQADupstackRetrieval", tmp_path), tmp_path / "into")
    folder = tmp_path / "into" / "results" / "tests__words" / "1"
    parts = [
        json.loads((folder / f"{part.name}.json").read_text())["scores"]["test"][0]["main_score"]
        for part in stack.parts
    ]
    assert found.score == pytest.approx(sum(parts) / 12, abs=1e-4)
    (again,) = run_benchmark(WordEmbedder(), named_tasks("CQADupstackRetrieval", tmp_path), tmp_path / "into")
    assert (again.reused, again.score) == (True, pytest.approx(found.score, abs=1e-6))


def test_commas_inside_parentheses_belong_to_a_name():
    assert split_names("MTEB(eng, v1),TNews, own:sts") == ["MTEB(eng, v1)", "TNews", "own:sts"]
    assert is_known("MTEB(cmn, v1)")
    assert is_known("C-MTEB")
    assert is_known("TNews")
    assert not is_known("own")


def test_missing_data_names_the_folder_that_is_expected(data, tmp_path):
    with pytest.raises(CorpusError, match="has no copy of STS12; expected a folder named .*mteb/sts12-sts"):
        check_data(named_tasks("STS12", tmp_path), tmp_path)
    (tmp_path / "STS12").mkdir()
    with pytest.raises(CorpusError, match="STS12 has no file for default, split test"):
        prepare(named_tasks("STS12", tmp_path)[0])


def test_published_names_are_not_given_to_samples(data):
    with pytest.raises(SettingsError, match="TNews cannot be sampled"):
        prepare(named_tasks("TNews", data)[0], 10)


def test_wrong_columns_and_broken_files_are_named(tmp_path):
    made.write_jsonl(tmp_path / "NFCorpus" / "corpus.jsonl", [{"key": "d", "text": "x"}])
    made.write_jsonl(tmp_path / "NFCorpus" / "queries.jsonl", [{"_id": "q", "text": "x"}])
    made.write_jsonl(tmp_path / "NFCorpus" / "qrels" / "test.jsonl", [{"query-id": "q", "corpus-id": "d", "score": 1}])
    with pytest.raises(CorpusError, match="corpus has no column id; it has key, text"):
        prepare(named_tasks("NFCorpus", tmp_path)[0])
    (tmp_path / "NFCorpus" / "corpus.jsonl").write_text("{nonsense\n")
    with pytest.raises(CorpusError, match=r"corpus\.jsonl"):
        prepare(named_tasks("NFCorpus", tmp_path)[0])
    (tmp_path / "NFCorpus" / "corpus.jsonl").unlink()
    (tmp_path / "NFCorpus" / "corpus.parquet").write_text("PAR1 no")
    with pytest.raises(CorpusError, match=r"corpus\.parquet cannot be read"):
        prepare(named_tasks("NFCorpus", tmp_path)[0])


def test_a_readme_cannot_lead_out_of_its_folder(tmp_path):
    made.write_jsonl(tmp_path / "secret.jsonl", [{"text": "x"}])
    (tmp_path / "copy").mkdir()
    for pattern in ("../secret.jsonl", str(tmp_path / "secret.jsonl")):
        (tmp_path / "copy" / "README.md").write_text(
            f"---\nconfigs:\n- config_name: default\n  data_files: {pattern}\n---\n"
        )
        assert not LocalCopy(tmp_path / "copy").has("default", "train")


def test_no_instruction_is_used_for_a_model_that_has_none():
    assert Asking.of(WordEmbedder()).prompts is None
