"""Passages with what stands around them, through every door: command line, HTTP, answers, and the adapters."""

import json

import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.app.integrations.common import passages
from quarry.indexer.build import index_documents
from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.records import Document
from quarry.retriever.answers.answer import AskOptions, ask
from quarry.retriever.options import SearchOptions
from quarry.retriever.searcher import Searcher

STEP = "Open the drain valve by {n} turns and wait until the gauge shows {n} bar. "
TEXT = "\n\n".join(f"# Step {n}\n\n" + STEP.format(n=n) * 8 for n in range(1, 5))
DOCUMENTS = [
    Document("drain.md", TEXT, "Drain"),
    Document("排水.md", "# 排水\n\n" + "打开排水阀门，等待压力表归零。" * 30, "排水"),
]
AROUND = SearchOptions(route="bm25", expand="section", expand_tokens=400)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    root = tmp_path_factory.mktemp("expanded") / "index"
    index_documents(root, DOCUMENTS, None, BuildOptions(chunking=ChunkSpec(max_tokens=48, overlap_tokens=0)))
    return root


def test_the_command_prints_the_section_and_not_twice(index):
    shown = CliRunner().invoke(
        cli, ["search", str(index), "drain valve turns", "-k", "6", "--expand", "section", "--expand-tokens", "400"]
    )
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.count("# Step 1") <= 1
    assert "in the text of result" in shown.stdout
    assert shown.stdout.count(STEP.format(n=3).strip()) <= 8


def test_json_has_the_context_beside_the_passage(index):
    words = ["search", str(index), "排水阀门", "--expand", "neighbors", "--expand-tokens", "300", "--json"]
    (line,) = CliRunner().invoke(cli, words).stdout.splitlines()
    result = json.loads(line)["results"][0]
    assert result["text"] in result["context"]["text"]
    assert result["context"]["start"] <= result["start"]


@pytest.mark.parametrize("question", ["How many turns for 3 bar?", "怎样打开排水阀门？"])
def test_answers_are_packed_from_the_sections(index, question):
    searcher = Searcher.open(index)
    small = ask(searcher, question, AskOptions(options=SearchOptions(route="bm25"), k=1))
    large = ask(searcher, question, AskOptions(options=AROUND, k=1))
    assert len(large.sources[0].text) > len(small.sources[0].text)
    assert small.sources[0].text in large.sources[0].text


def test_adapters_get_the_section_as_the_text_and_no_passage_twice(index):
    searcher = Searcher.open(index)
    found = passages(searcher, "drain valve turns", 8, AROUND)
    assert len(found) < 8
    for result, meta in found:
        assert (meta["start"], meta["end"]) == (result.start, result.end)
        assert result.text == searcher.index.chunks.document(result.doc_id).text[result.start : result.end]
    spans = sorted((result.doc_id, result.start, result.end) for result, _ in found)
    assert all(one[0] != other[0] or one[2] <= other[1] for one, other in zip(spans, spans[1:], strict=False))


def test_http_returns_the_context(index):
    pytest.importorskip("fastapi")
    from quarry.app.server.settings import ServeOptions
    from tests.app.server.serving import served
    from tests.fakes import WordEmbedder

    with served(ServeOptions(index), WordEmbedder()) as running:
        asked = {"query": "drain valve turns", "route": "bm25", "k": 6, "expand": "section", "expand_tokens": 400}
        results = running.client.post("/search", json=asked).json()["results"]
        assert results[0]["text"] in results[0]["context"]["text"]
        assert any(result["within"] for result in results)
        plain = running.client.post("/search", json={"query": "drain valve turns", "route": "bm25"}).json()["results"]
        assert plain[0]["context"] is None
        answer = running.client.post(
            "/ask", json={"question": "drain valve turns", "route": "bm25", "k": 1, "expand": "section"}
        )
        assert len(answer.json()["sources"][0]["text"]) > len(results[0]["text"])
        assert running.client.post("/search", json={**asked, "expand": "page"}).status_code == 422
