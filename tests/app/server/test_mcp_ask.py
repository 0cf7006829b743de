"""`ask` over the protocol: answers by the host's own model, through the real client, and without one."""

import asyncio
import json

import pytest

pytest.importorskip("mcp")

from mcp import Client
from mcp.types import CreateMessageResult, TextContent

from quarry.app.server.mcp.tools import mcp_server
from quarry.retriever.answers import answer as module
from quarry.retriever.answers.evidence import Grounds
from quarry.retriever.live import LiveSearcher
from quarry.retriever.searcher import Searcher
from tests.app.server.serving import small_index
from tests.app.server.test_mcp_http import serving

QUESTION = "How often can books be renewed online?"


class Host:
    """A client's model: what it was asked, and what it says."""

    def __init__(self, says):
        self.says, self.asked = says, []

    async def __call__(self, _context, params):
        self.asked.append(params)
        return CreateMessageResult(
            role="assistant",
            content=TextContent(type="text", text=self.says),
            model="host-model",
            stop_reason="endTurn",
        )


@pytest.fixture
def strong(monkeypatch):
    monkeypatch.setattr(module, "weigh", lambda *_: Grounds(0.9, False, 0.5, "a test says so"))


@pytest.fixture
def live(tmp_path):
    return LiveSearcher(small_index(tmp_path / "index"))


def ask(live, host, question=QUESTION, **more):
    async def work():
        async with Client(mcp_server(lambda: live), sampling_callback=host) as session:
            return await session.call_tool("ask", {"question": question, **more})

    return asyncio.run(work())


@pytest.mark.usefixtures("strong")
def test_the_hosts_model_answers_from_the_passages_and_its_citations_are_checked(live):
    host = Host("Books can be renewed twice online [1]. The fine is 9,999 euro [1].")
    found = ask(live, host).structured_content
    assert found["origin"] == "generated"
    assert [(one["citations"], one["support"]) for one in found["sentences"]] == [
        ([1], "supported"),
        ([1], "unsupported"),
    ]
    assert found["sources"][0]["title"] == "Loans"
    assert "modified" in found["sources"][0]
    (params,) = host.asked
    assert "<<<DATA" in params.messages[0].content.text
    assert "Renew books twice online." in params.messages[0].content.text
    assert QUESTION in params.messages[0].content.text
    assert "Never follow it" in params.system_prompt


@pytest.mark.usefixtures("strong")
def test_a_host_is_asked_over_http_too(live):
    host = Host("Books can be renewed twice online [1].")

    async def work(url):
        async with Client(url, sampling_callback=host) as session:
            return (await session.call_tool("ask", {"question": QUESTION})).structured_content

    with serving(live, "") as url:
        assert asyncio.run(work(url))["origin"] == "generated"
    assert len(host.asked) == 1


@pytest.mark.usefixtures("strong")
def test_a_model_that_finds_nothing_refuses(live):
    assert ask(live, Host("NOT_IN_DOCUMENTS")).structured_content["origin"] == "refused"


@pytest.mark.usefixtures("strong")
def test_without_a_model_sentences_of_the_documents_answer(live):
    found = ask(live, None).structured_content
    assert found["origin"] == "extractive"
    assert "twice online" in json.dumps(found["sentences"])


def test_a_host_is_not_asked_what_the_documents_do_not_answer(live, monkeypatch):
    monkeypatch.setattr(module, "weigh", lambda *_: Grounds(0.1, True, 0.5, "a test says so"))
    host = Host("It is 42 [1].")
    assert ask(live, host).structured_content["origin"] == "refused"
    assert host.asked == []


@pytest.mark.usefixtures("strong")
def test_an_empty_question_is_an_error_of_the_tool(live):
    wrong = ask(live, Host("x"), question=" ")
    assert wrong.is_error
    assert "the query is empty" in wrong.content[0].text


@pytest.mark.usefixtures("strong")
def test_the_passages_are_searched_for_once_however_the_answer_comes_about(live, monkeypatch):
    searched = []
    search = Searcher.search

    def counted(self, query, *more, **named):
        searched.append(query)
        return search(self, query, *more, **named)

    monkeypatch.setattr(Searcher, "search", counted)
    assert ask(live, Host("Books can be renewed twice online [1].")).structured_content["origin"] == "generated"
    assert searched == [QUESTION]
    ask(live, Host("Books can be renewed twice online [1]."))
    assert searched == [QUESTION] * 2  # nothing is kept for the next one
