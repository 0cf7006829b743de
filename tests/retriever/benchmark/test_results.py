"""Averages, tables, comparisons and model cards out of stored results."""

import json
import re
import shutil

import numpy as np
import pytest
import yaml

from quarry.indexer.errors import CorpusError, SettingsError
from quarry.retriever.benchmark.results.averages import TaskScore, averages
from quarry.retriever.benchmark.results.card import card_scores, read_card
from quarry.retriever.benchmark.results.card_text import merged_entries, score_lines
from quarry.retriever.benchmark.results.compare import average_precision, compare_results, spearman
from quarry.retriever.benchmark.results.stored import model_folder, model_name, read_results
from quarry.retriever.benchmark.results.tables import draw_radar, markdown_table
from quarry.retriever.benchmark.run import run_benchmark
from quarry.retriever.benchmark.tasks.choices import chosen
from quarry.retriever.benchmark.tasks.named import NamedTask
from quarry.retriever.benchmark.tasks.native import find_copy
from tests import ROOT
from tests.fakes import WordEmbedder
from tests.retriever.benchmark import native_data as made

mteb = pytest.importorskip("mteb")

TASKS = "T2Retrieval,T2Reranking,STSBenchmark,Ocnli,Banking77Classification,CLSClusteringS2S,SummEval,SummEvalSummarization.v2"


class Blurred(WordEmbedder):
    """Sees only the first two words."""

    def _embed(self, texts):
        return super()._embed([" ".join(text.split()[:2]) for text in texts])


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    data = made.write_everything(tmp_path_factory.mktemp("copies"))
    found = {}
    for name, model in (("good", WordEmbedder()), ("blurred", Blurred(revision="blurred"))):
        into = tmp_path_factory.mktemp(name)
        task = mteb.get_task("Tatoeba", hf_subsets=["cmn-eng"])
        choices = [*chosen(TASKS, data).choices, NamedTask(task, find_copy(data, task))]
        found[name] = into, list(run_benchmark(model, choices, into))
    return found


def test_forums_of_one_task_count_once_and_subsets_are_averaged_first():
    forums = [TaskScore(f"CQADupstack{n}Retrieval", "Retrieval", float(n)) for n in range(12)]
    other = [
        TaskScore("NQ", "Retrieval", 40.0),
        TaskScore("STS17", "STS", 70.0, "en-en"),
        TaskScore("STS17", "STS", 80.0, "de-de"),
    ]
    found = averages([*forums, *other])
    assert found.tasks == {"CQADupstackRetrieval": 5.5, "NQ": 40.0, "STS17": 75.0}
    assert (found.kinds, found.overall) == ({"Retrieval": 22.75, "STS": 75.0}, pytest.approx(120.5 / 3))
    assert averages([*forums, TaskScore("CQADupstackRetrieval", "Retrieval", 9.0)]).overall == 9.0
    assert averages(forums[:3]).counts == {"Retrieval": 3}
    with pytest.raises(ValueError, match="there are no scores"):
        averages([])


def test_the_stored_items_make_the_score(scored):
    _, results = scored["good"]
    into = scored["good"][0]
    for stored in read_results(into):
        (score,) = [found.score for found in results if found.task == stored.task]
        items = stored.items
        assert items.score == pytest.approx(score, abs=1e-6)
        if items.statistic == "mean" and items.values:
            assert np.mean(list(items.values.values())) == pytest.approx(score, abs=1e-4), stored.task
        gold, values = (np.array(list(each.values())) for each in (items.gold, items.values))
        if items.statistic == "spearman":
            assert spearman(gold, values) == pytest.approx(score, abs=1e-4)
        if items.statistic == "average precision":
            assert 0 < average_precision(gold, values) <= 1


def test_statistics_agree_with_scipy_and_sklearn():
    stats, metrics = pytest.importorskip("scipy.stats"), pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    gold, values = rng.integers(0, 2, 80).astype(float), rng.normal(size=80)
    assert spearman(gold, values) == pytest.approx(stats.spearmanr(gold, values)[0])
    assert average_precision(gold, values) == pytest.approx(metrics.average_precision_score(gold, values))


def test_a_model_that_sees_less_is_worse_where_that_can_be_shown(scored):
    good, blurred = (read_results(scored[name][0]) for name in ("good", "blurred"))
    found = {each.task: each for each in compare_results(good, blurred)}
    assert found["T2Retrieval"].verdict == "worse"
    assert found["T2Retrieval"].high < 0
    assert found["Tatoeba"].count == 40
    assert found["Tatoeba"].verdict == "worse"
    assert found["SummEval"].count == found["SummEvalSummarization.v2"].count == 24
    assert found["SummEvalSummarization.v2"].low < found["SummEvalSummarization.v2"].high
    assert found["CLSClusteringS2S"].verdict == "too few"
    assert {each.verdict for each in compare_results(good, good)} <= {"no difference shown", "too few"}
    assert all(each.difference == 0 for each in compare_results(good, good))


def test_other_data_is_never_tested_against(scored, tmp_path):
    into = tmp_path / "into"
    shutil.copytree(scored["good"][0], into)
    (path,) = into.glob("items/*/*/STSBenchmark.json")
    path.write_text(path.read_text().replace('"data": "', '"data": "other'))
    found = {each.task: each.verdict for each in compare_results(read_results(scored["good"][0]), read_results(into))}
    assert found["STSBenchmark"] == "other data"


def test_the_table_has_averages_first_and_counts_tasks(scored):
    found = averages(score for each in read_results(scored["good"][0]) for score in each.task_scores())
    lines = markdown_table({"a|b": found, "two": averages([TaskScore("NQ", "Retrieval", 50.0)])}).splitlines()
    assert lines[0] == "|  | a\\|b | two |"
    assert lines[2].endswith("(9) | 50.00 (1) |")
    assert lines[4].startswith("| Retrieval | ")
    assert re.search(r"\| NQ \| - \| 50.00 \|", "\n".join(lines))


@pytest.mark.parametrize("kinds", [9, 1])
def test_a_picture_is_drawn(scored, tmp_path, kinds):
    pytest.importorskip("matplotlib")
    scores = [score for each in read_results(scored["good"][0]) for score in each.task_scores()]
    found = averages(scores[:kinds])
    draw_radar(tmp_path / "new" / "radar.png", {"one": found, "two": found})
    assert (tmp_path / "new" / "radar.png").read_bytes().startswith(b"\x89PNG")


CARD = """---
tags:
- mteb
model-index:
- name: small
  results:
  - task:
      type: STS
    dataset:
      type: mteb/sts12-sts
      name: MTEB STS12
      config: default
      split: test
      revision: None
    metrics:
    - type: cos_sim_pearson
      value: 70.00000000000001
    - type: cos_sim_spearman
      value: 71.5
  - task:
      type: PairClassification
    dataset:
      type: mteb/x
      name: MTEB TwitterURLCorpus
      config: default
      split: test
      revision: 8b6510b
    metrics:
    - type: max_ap
      value: 90.0
    - type: cos_sim_ap
      value: 85.25
license: mit
---

# 小模型
---
text
"""


def test_a_card_is_read_and_written_back_unchanged(tmp_path):
    (tmp_path / "README.md").write_text(CARD)
    card = read_card(tmp_path)
    assert card.text() == CARD
    assert [(score.task, score.score) for score in card_scores(card)] == [("STS12", 71.5), ("TwitterURLCorpus", 85.25)]
    assert "| Average over tasks | 78.38 (2) |" in score_lines(card)


@pytest.mark.parametrize("text", ["# no head", "---\n[\n---\n", "---\n- a list\n---\n"])
def test_what_is_no_card_is_refused(tmp_path, text):
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(SettingsError, match="is no model card"):
        read_card(tmp_path / "README.md")


def test_new_entries_replace_those_of_the_same_data():
    (old, other) = yaml.safe_load(CARD.split("---\n")[1])["model-index"][0]["results"]
    new = {**old, "metrics": []}
    assert merged_entries([old, other], [new]) == [new, other]


def test_results_become_entries_with_every_measure_that_cards_tell(scored):
    entries = [entry for each in read_results(scored["good"][0]) for entry in each.entries()]
    told = {entry["task"]["type"]: [metric["type"] for metric in entry["metrics"]] for entry in entries}
    assert {
        f"{m}_at_{k}" for m in ("map", "mrr", "ndcg", "precision", "recall") for k in (1, 3, 5, 10, 100, 1000)
    } <= set(told["Retrieval"])
    assert told["Reranking"] == ["map", "mrr"]
    assert told["Clustering"] == ["v_measure"]
    assert told["STS"] == [f"{a}_{b}" for a in ("cos_sim", "euclidean", "manhattan") for b in ("pearson", "spearman")]
    assert {f"{a}_{b}" for a in ("cos_sim", "dot", "euclidean", "manhattan") for b in ("accuracy", "ap", "f1", "precision", "recall")} | {
        "max_accuracy", "max_ap", "max_f1"} == set(told["PairClassification"])  # fmt: skip  # a set
    assert told["Summarization"] == ["cos_sim_pearson", "cos_sim_spearman", "dot_pearson", "dot_spearman"]
    assert {"accuracy", "f1"} <= set(told["Classification"])
    (sts,) = [entry for entry in entries if entry["task"]["type"] == "STS"]
    assert sts["dataset"] == {
        "type": "mteb/stsbenchmark-sts", "name": "MTEB STSBenchmark", "config": "default", "split": "test",
        "revision": "b0fddb56ed78048fa8b90373c8a3cfc37b684831",
    }  # fmt: skip  # one entry


def test_folders_without_results_or_with_several_models_are_refused(scored, tmp_path):
    with pytest.raises(CorpusError, match="holds no results of mteb"):
        model_folder(tmp_path)
    for name in ("good", "blurred"):
        shutil.copytree(scored[name][0] / "results", tmp_path / "results", dirs_exist_ok=True)
    with pytest.raises(SettingsError, match="holds results of 2 models"):
        model_folder(tmp_path)
    assert model_name(tmp_path / "results" / "tests__words" / "blurred") == "tests/words blurred"
    path = tmp_path / "results" / "tests__words" / "1" / "SummEval.json"
    path.write_text(json.dumps({"no": "result"}))
    with pytest.raises(CorpusError, match=r"SummEval\.json is no result of mteb"):
        read_results(path.parent)


PAPERS = ROOT.parent / "shared" / "papers"


@pytest.mark.skipif(not PAPERS.is_dir(), reason="needs the papers beside the checkout")
def test_the_published_card_gives_its_published_averages_and_is_written_back_unchanged():
    (path,) = PAPERS.glob("004_*.txt")
    card = read_card(path)
    found = averages(card_scores(card))
    kinds = ("Retrieval", "Clustering", "PairClassification", "Reranking", "STS", "Summarization", "Classification")
    shown = [round(found.overall, 2), *(round(found.kinds[kind], 2) for kind in kinds)]
    assert shown == [63.98, 53.9, 46.98, 85.8, 59.48, 81.56, 32.06, 76.21]
    assert (len(found.tasks), len(card.entries)) == (56, 68)
    assert card.text() == path.read_text(encoding="utf-8")
