"""The tools, through the real client library: in this process, and over stdio with the command."""

import asyncio
import os
import sys
import threading
import time

import pytest

pytest.importorskip("mcp")

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from quarry.app.server.mcp.opening import Opening, open_later
from quarry.app.server.mcp.tools import mcp_server
from quarry.indexer.build import index_documents
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.records import Document
from quarry.retriever.live import LiveSearcher
from tests.app.server.serving import DOCUMENTS, small_index
from tests.fakes import WordEmbedder

TOOLS = {"ask", "search", "fetch", "why_not", "outline", "section"}


async def use(client):
    async with client as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert set(tools) == TOOLS
        assert all(tool.annotations.read_only_hint for tool in tools.values())
        found = (await session.call_tool("search", {"query": "网上续借"})).structured_content
        assert found["results"][0]["title"] == "借书"
        whole = (await session.call_tool("fetch", {"id": found["results"][0]["id"]})).structured_content
        assert (whole["id"], whole["text"]) == ("借书.md", DOCUMENTS[2].text)
        assert (await session.call_tool("fetch", {"id": "loans.md"})).structured_content["title"] == "Loans"
        around = {"query": "网上续借", "expand": "section", "expand_tokens": 2_000}
        large = (await session.call_tool("search", around)).structured_content["results"][0]
        assert large["text"] == DOCUMENTS[2].text.strip()
        heads = (await session.call_tool("outline", {"id": large["id"]})).structured_content["sections"]
        part = {"id": "借书.md", "heading": heads[0]["heading"]}
        assert (await session.call_tool("section", part)).structured_content["text"] in DOCUMENTS[2].text
        wrong = await session.call_tool("section", {"id": "借书.md", "heading": "no such heading"})
        assert "expected one of" in wrong.content[0].text
        asked = {"query": "renew books", "document": "loans.md", "filters": {"lang": "zh"}}
        lost = (await session.call_tool("why_not", asked)).structured_content
        assert (lost["stage"], len(lost["change"])) == ("filter", 1)
        for name, arguments in (("search", {"query": " "}), ("search", {}), ("fetch", {"id": "nothing#0-1"})):
            wrong = await session.call_tool(name, arguments)
            assert wrong.is_error
        assert "there is no such document; expected" in wrong.content[0].text
        return found


def test_search_and_fetch_in_process(tmp_path):
    embedder = WordEmbedder()
    live = LiveSearcher(small_index(tmp_path / "index", embedder), embedder=embedder)
    assert asyncio.run(use(Client(mcp_server(lambda: live))))["notes"] == []


@pytest.mark.parametrize(
    ("question", "document", "k"),
    [
        ("loans", "借书.md", 1),  # by words alone it would be first: `search` cannot ask so
        ("key of the gate", "key.md", 3),  # a copy of a result
        ("key of the gate -office", "copy.md", 3),
        ('水泵 "key of the gate"', "valve.md", 1),
    ],
)
def test_what_why_not_proposes_can_be_passed_to_search(tmp_path, question, document, k):
    embedder = WordEmbedder()
    same = "The key of the gate hangs in the office."
    others = [
        Document("key.md", same, "Key"),
        Document("copy.md", same, "Key"),
        Document("valve.md", "Close the intake valve before the winter.", "Valve"),
    ]
    index_documents(tmp_path / "index", [*DOCUMENTS, *others], embedder)
    live = LiveSearcher(tmp_path / "index", embedder=embedder)

    async def explained():
        async with Client(mcp_server(lambda: live)) as session:
            asked = {"query": question, "document": document, "k": k}
            told = (await session.call_tool("why_not", asked)).structured_content
            found = (await session.call_tool("search", told["search"])).structured_content
            return told, [hit["id"].rpartition("#")[0] for hit in found["results"]]

    told, shown = asyncio.run(explained())
    assert told["change"]
    assert document in shown


def test_the_server_says_hello_while_the_index_is_being_opened(tmp_path):
    index, may_open = small_index(tmp_path / "index"), threading.Event()

    def slow():
        assert may_open.wait(60)
        return LiveSearcher(index, rerank="none")

    opening = Opening(slow)

    async def greet():
        async with Client(mcp_server(opening.get)) as session:
            assert {tool.name for tool in (await session.list_tools()).tools} == TOOLS
            asked = asyncio.create_task(session.call_tool("search", {"query": "网上续借"}))
            await session.list_tools()  # answered while a search waits
            assert not asked.done()
            may_open.set()
            return (await asked).structured_content

    assert asyncio.run(greet())["results"][0]["title"] == "借书"


def test_a_search_names_why_the_index_could_not_be_opened_and_the_next_one_tries_again(tmp_path):
    folder = tmp_path / "index"
    opening = Opening(lambda: LiveSearcher(folder, rerank="none"))

    async def ask():
        async with Client(mcp_server(opening.get)) as session:
            wrong = await session.call_tool("search", {"query": "books"})
            assert wrong.is_error
            assert str(folder) in wrong.content[0].text
            small_index(folder)
            return (await session.call_tool("search", {"query": "books"})).is_error

    assert asyncio.run(ask()) is False


def test_a_search_does_not_wait_for_the_delay(tmp_path):
    index, started = small_index(tmp_path / "index"), time.monotonic()
    opening = Opening(lambda: LiveSearcher(index, rerank="none"), delay_s=600)
    assert opening.get().searcher.index.manifest.documents == len(DOCUMENTS)
    assert time.monotonic() - started < 300


def test_a_folder_that_is_no_index_is_an_error_at_once(tmp_path):
    with pytest.raises(IndexFormatError):
        open_later(tmp_path, "none", "cpu")


def test_search_and_fetch_over_stdio(tmp_path):
    index = small_index(tmp_path / "index")
    arguments = ["-m", "quarry.app.cli", "mcp", str(index), "--rerank", "none"]
    server = StdioServerParameters(command=sys.executable, args=arguments, env={**os.environ, "OMP_NUM_THREADS": "1"})
    found = asyncio.run(use(Client(stdio_client(server))))
    assert "this index has no vectors" in found["notes"][0]
