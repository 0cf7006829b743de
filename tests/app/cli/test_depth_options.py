"""`--cutoff-layers` and `--compress`: how much of a layerwise reranker runs, from the command line."""

import json

import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.app.wiring import reranker_asking
from quarry.indexer.errors import ModelError
from quarry.retriever.rerankers.cross_encoder import load_reranker
from quarry.retriever.rerankers.depth import Depth
from quarry.retriever.searcher import Searcher
from tests.retriever.rerankers.test_gemma import NAME, folder
from tests.retriever.rerankers.tiny_rerankers import PASSAGES

__all__ = ["folder"]

QUERY = "renew a book"


@pytest.fixture
def index(tmp_path, folder):
    (folder / "quarry.json").write_text(json.dumps({"model": NAME}))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"compress_layers": [1]}))
    documents = tmp_path / "documents"
    documents.mkdir()
    for number, text in enumerate(PASSAGES):
        (documents / f"{number}.txt").write_text(text, encoding="utf-8")
    run("index", documents, "--into", tmp_path / "index", "--model", "none", "-q")
    return tmp_path / "index"


def run(*arguments):
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


@pytest.mark.parametrize(("layers", "ratio"), [(2, 1), (3, 1), (3, 2), (2, 8)])
def test_search_runs_as_much_of_the_reranker_as_is_asked_for(index, folder, layers, ratio):
    given = ["--rerank", folder, "--device", "cpu:float32", "--cutoff-layers", layers, "--compress", ratio, "--json"]
    found = json.loads(run("search", index, QUERY, *given))["results"]
    reranker = load_reranker(folder, model_id=NAME, device="cpu:float32", cutoff_layers=layers, compress=ratio)
    wanted = Searcher.open(index, rerank=reranker).search(QUERY).results
    assert len(found) >= 2
    assert {result["stage"] for result in found} == {"rerank"}
    assert [result["score"] for result in found] == pytest.approx([result.score for result in wanted], abs=1e-4)
    whole = load_reranker(folder, model_id=NAME, device="cpu:float32", cutoff_layers=3)
    other = [result.score for result in Searcher.open(index, rerank=whole).search(QUERY).results]
    assert (other == pytest.approx([result["score"] for result in found], abs=1e-4)) == ((layers, ratio) == (3, 1))


@pytest.mark.parametrize(("layers", "ratio"), [(2, 1), (3, 2)])
def test_evaluate_runs_as_much_of_the_reranker_as_is_asked_for(index, folder, tmp_path, layers, ratio):
    data = tmp_path / "data"
    (data / "qrels").mkdir(parents=True)
    (data / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": QUERY}) + "\n")
    (data / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tdocuments/0.txt\t1\n")
    given = ["--rerank", folder, "--device", "cpu:float32", "--cutoff-layers", layers, "--compress", ratio]
    run("evaluate", index, data, "--routes", "bm25+rerank", *given, "--runs-to", tmp_path / "runs")
    lines = [line.split() for line in (tmp_path / "runs" / "bm25+rerank.trec").read_text().splitlines()]
    reranker = load_reranker(folder, model_id=NAME, device="cpu:float32", cutoff_layers=layers, compress=ratio)
    wanted = Searcher.open(index, rerank=reranker).search(QUERY).results
    assert [line[2] for line in lines] == [result.doc_id for result in wanted]
    assert [float(line[4]) for line in lines] == pytest.approx([result.score for result in wanted], abs=1e-4)


def test_a_depth_without_a_reranker_is_an_error(index):
    with pytest.raises(ModelError, match="there is no reranker with --rerank none; expected a layerwise reranker"):
        reranker_asking(index, "none", "cpu", Depth(compress=2))
    assert reranker_asking(index, "none", "cpu", Depth()) == "none"
