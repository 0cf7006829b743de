"""The tools over streamable HTTP: the official client library against a real server, and what must be refused."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager

import httpx
import pytest

pytest.importorskip("mcp")

import httpx2
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from quarry.app.keys import KeyRing, add_key
from quarry.app.server.door.callers import Callers
from quarry.app.server.mcp.http import MAX_BODY_BYTES, http_app
from quarry.app.server.mcp.tools import mcp_server
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.retriever.live import LiveSearcher
from tests.app.server.serving import DOCUMENTS, small_index
from tests.app.server.test_mcp_tools import use
from tests.fakes import WordEmbedder

TOKEN = "0123456789abcdef"
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "search", "arguments": {"query": "网上续借"}},
}
HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
def serve(tmp_path):
    embedder = WordEmbedder()
    live = LiveSearcher(small_index(tmp_path / "index", embedder), embedder=embedder)
    with ExitStack() as stack:
        yield lambda token="", loopback=True: stack.enter_context(serving(live, token, loopback))


@contextmanager
def serving(live, token, loopback=True):
    callers = Callers(token, KeyRing(live.root))
    app = http_app(mcp_server(lambda: live), callers, hosts=("127.0.0.1", "localhost", "[::1]") if loopback else ())
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/mcp"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def post(url, body=CALL, **headers):
    return httpx.post(url, json=body, headers={**HEADERS, **headers}, timeout=30)


def test_the_client_library_searches_and_fetches(serve):
    assert asyncio.run(use(Client(serve())))["notes"] == []


def test_a_key_opens_its_own_documents_to_every_tool(tmp_path):
    index = tmp_path / "keyed"
    hidden = Document("pay.md", "# Salaries\n\nThe gate keeper earns 4,000.", "Salaries", {"allow": ["board"]})
    index_documents(index, [*DOCUMENTS, hidden], None)
    ann, board = (add_key(index, name, [name]) for name in ("ann", "board"))
    live = LiveSearcher(index)
    calls = [
        ("search", {"query": "gate keeper salaries", "k": 10}),
        ("fetch", {"id": "pay.md"}),
        ("outline", {"id": "pay.md"}),
        ("section", {"id": "pay.md", "heading": "Salaries"}),
        ("why_not", {"query": "books", "document": "pay"}),
        ("search", {"query": "books", "filters": {"allow": "board"}}),
    ]

    async def said(url, secret):
        headers = {"Authorization": f"Bearer {secret}"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(url, http_client=http)) as one,
        ):
            return [str(await one.call_tool(name, arguments)) for name, arguments in calls]

    with serving(live, "") as url:
        assert post(url).status_code == 401
        seen, refused = asyncio.run(said(url, board)), asyncio.run(said(url, ann))
    assert all("pay.md" in each or "Salaries" in each for each in seen[:5])
    assert not any(word in each for each in refused for word in ("4,000", "Salaries'", "pay.md#"))
    assert "there is no such document" in refused[1]


def test_many_clients_at_once_each_get_their_own_answer(serve):
    url = serve()

    async def ask(query):
        async with Client(url) as session:
            return (await session.call_tool("search", {"query": query})).structured_content["results"][0]["title"]

    async def ask_all():
        return await asyncio.gather(*[ask(query) for query in ["renew books", "网上续借"] * 8])

    assert asyncio.run(ask_all()) == ["Loans", "借书"] * 8


def test_an_unknown_tool_and_a_huge_argument_are_errors_and_not_the_end(serve):
    url = serve()

    async def misuse():
        async with Client(url) as session:
            long = await session.call_tool("search", {"query": "续借 renew " * 5_000})
            assert "characters and was cut" in long.structured_content["notes"][0]
            far = await session.call_tool("fetch", {"id": "书" * 10_000})
            assert far.is_error
            assert "the id has 10,000 characters; expected" in far.content[0].text
            wrong = await session.call_tool("search", {"query": ["a", "list"]})
            assert wrong.is_error

    asyncio.run(misuse())
    assert (
        post(url, {**CALL, "params": {"name": "search", "arguments": {"query": "x" * MAX_BODY_BYTES}}}).status_code
        == 413
    )
    unknown = post(url, {**CALL, "params": {"name": "delete_everything", "arguments": {}}}).json()
    assert "delete_everything" in str(unknown)
    assert "error" in unknown or unknown["result"]["isError"]
    assert post(url, {"nothing": 1}).status_code == 400
    assert httpx.post(url, content=b"{", headers={**HEADERS, "Content-Type": "application/json"}).status_code == 400
    assert "借书" in post(url).text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "http://127.0.0.1"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:8001"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
    ],
)
def test_on_loopback_other_sites_are_kept_out(serve, headers, status):
    assert post(serve(), **headers).status_code == status


def test_elsewhere_the_token_opens_and_nothing_else(serve):
    url = serve(TOKEN, loopback=False)
    for authorization in ("", f"Basic {TOKEN}", "Bearer wrong", f"Bearer {TOKEN}x", "Bearer"):
        refused = post(url, **({"Authorization": authorization} if authorization else {}))
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert "expected the header `Authorization: Bearer TOKEN`" in refused.json()["error"]
        assert TOKEN not in refused.text
    assert post(url, Authorization=f"Bearer {TOKEN}", Host="quarry.example").status_code == 200

    async def with_token():
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            return await use(Client(streamable_http_client(url, http_client=http)))

    assert asyncio.run(with_token())["results"]
    with pytest.raises(BaseException):  # noqa: B017 (the library has its own groups of errors)
        asyncio.run(use(Client(url)))


@pytest.mark.slow
def test_the_command_prints_its_address_and_token_and_ends_with_0(tmp_path):
    index = small_index(tmp_path / "index")
    command = [sys.executable, "-m", "quarry.app.cli", "mcp", str(index), "--rerank", "none", "--http", "--port", "0"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "QUARRY_TOKEN": ""}
    process = subprocess.Popen(
        [*command, "--host", "0.0.0.0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    )
    try:
        url = process.stdout.readline().split("answers MCP at ")[1].split(" ")[0]
        token = process.stdout.readline().removeprefix("token: ").strip()
        for _ in range(200):
            try:
                assert post(url).status_code == 401
                break
            except httpx.TransportError:
                time.sleep(0.05)
        assert "借书" in post(url, Authorization=f"Bearer {token}").text
        process.send_signal(signal.SIGTERM)
        rest, log = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, log
    assert rest == ""
    assert "续借" not in log
