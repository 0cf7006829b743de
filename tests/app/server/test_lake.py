"""`quarry serve`, MCP and the pages on a lake: answers, documents, following what is published, and no changes."""

import asyncio
import time

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("mcp")

from mcp import Client

from quarry.app.server.mcp.tools import mcp_server
from quarry.app.server.settings import ServeOptions
from quarry.indexer.lake.adding import add_to_lake
from quarry.indexer.lake.publishing import publish
from quarry.indexer.stores.lake import view
from quarry.indexer.stores.lake.view import as_index
from quarry.retriever.live import LiveSearcher
from tests.app.server.serving import DOCUMENTS, served
from tests.fakes import WordEmbedder
from tests.indexer.lake.lakes import filled_lake


@pytest.fixture
def lake(tmp_path, monkeypatch):
    """A lake of three documents, and the folder that they came from."""
    monkeypatch.setattr(view, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(view, "_EVERY_S", 0.0)
    folder = tmp_path / "docs"
    folder.mkdir()
    for document in DOCUMENTS:
        (folder / document.doc_id).write_text(document.text, "utf-8")
    return filled_lake(tmp_path / "lake", folder), folder


def test_a_server_answers_from_a_lake_follows_it_and_changes_nothing(lake):
    opened, folder = lake
    with served(ServeOptions(as_index(opened.objects.uri), rerank="none"), embedder=WordEmbedder()) as one:
        answer = one.client.post("/search", json={"query": "网上续借", "filters": {"lang": "zh"}}).json()
        assert answer["results"][0]["doc_id"] == "docs/借书.md"
        assert one.client.post("/ask", json={"question": "how often can I renew books?"}).status_code == 200
        listed = one.client.get("/documents").json()
        assert listed["total"] == 3
        shown = one.client.get("/documents/docs/loans.md").json()
        assert "Renew books twice online" in shown["passages"][0]["text"]
        missed = {"query": "renew books", "document": "docs/hours.md", "filters": {"lang": "zh"}}
        assert one.client.post("/why-not", json=missed).json()["stage"] == "filter"
        assert one.client.get("/health").status_code == 200

        sent = one.client.post("/documents", json={"documents": [{"id": "new", "text": "a zebra walks"}]})
        assert (sent.status_code, sent.json()["error"]["reason"]) == (403, "serve.read_only")

        (folder / "zebra.md").write_text("A zebra walks on the shore.", "utf-8")
        add_to_lake(opened, [folder], WordEmbedder())
        publish(opened, WordEmbedder())
        for _ in range(200):
            found = one.client.post("/search", json={"query": "zebra", "route": "bm25"}).json()["results"]
            if found:
                break
            time.sleep(0.05)
        assert found[0]["doc_id"] == "docs/zebra.md"


def test_mcp_searches_fetches_and_reads_sections_of_a_lake(lake):
    live = LiveSearcher(as_index(lake[0].objects.uri), embedder=WordEmbedder(), rerank="none")

    async def use():
        async with Client(mcp_server(lambda: live)) as session:
            found = (await session.call_tool("search", {"query": "网上续借", "expand": "section"})).structured_content
            whole = (await session.call_tool("fetch", {"id": found["results"][0]["id"]})).structured_content
            assert whole["text"] == DOCUMENTS[2].text
            heads = await session.call_tool("outline", {"id": "docs/loans.md"})
            assert not heads.is_error
            asked = {"query": "renew books", "document": "docs/loans.md", "filters": {"lang": "zh"}}
            assert (await session.call_tool("why_not", asked)).structured_content["stage"] == "filter"

    asyncio.run(use())
