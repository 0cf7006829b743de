"""`/v1/chat/completions` over a real socket, with OpenAI's and LangChain's own clients where they are installed."""

import json
import re

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.settings import ServeOptions
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.retriever.answers import answer as module
from quarry.retriever.answers.evidence import Grounds
from quarry.retriever.llm.endpoint import KEY_VARIABLE
from tests.app.server.serving import served, small_index
from tests.app.ui.poison import MORE, PAYLOADS
from tests.retriever.answers.gullible import Gullible

PATH = "/v1/chat/completions"
CHAT = {
    "messages": [
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": "When is the library closed?"},
        {"role": "assistant", "content": "On Mondays."},
        {"role": "user", "content": [{"type": "text", "text": "How often can I renew books online?"}]},
    ],
    "temperature": 0.2,
}


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in ("QUARRY_LLM_ENDPOINT", "QUARRY_LLM_MODEL", KEY_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "weigh", lambda *_: Grounds(0.9, False, 0.5, "a test says so"))


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return small_index(tmp_path_factory.mktemp("chat") / "my-index")


@pytest.fixture
def gullible(monkeypatch):
    running = Gullible()
    monkeypatch.setenv("QUARRY_LLM_ENDPOINT", running.url)
    monkeypatch.setenv("QUARRY_LLM_MODEL", "tiny")
    yield running
    running.close()


def chunks(text):
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def said(events):
    return "".join(choice["delta"].get("content", "") for event in events for choice in event.get("choices", ()))


def test_the_last_question_is_answered_with_numbered_sources_and_what_is_degraded(index):
    with served(ServeOptions(index)) as running:
        answer = running.client.post(PATH, json=CHAT).json()
    text = answer["choices"][0]["message"]["content"]
    assert "Renew books twice online. [1]" in text
    assert "- [1] Loans, loans.md" in text
    assert "> Note: " in text  # there are no vectors
    assert (answer["object"], answer["model"], answer["quarry"]["origin"]) == (
        "chat.completion",
        "my-index",
        "extractive",
    )
    assert answer["quarry"]["sources"][0]["path"] == "loans.md"


def test_a_chinese_question_is_answered_in_chinese(index):
    asked = {"messages": [{"role": "user", "content": "图书可以在网上续借几次？"}]}
    with served(ServeOptions(index)) as running:
        text = running.client.post(PATH, json=asked).json()["choices"][0]["message"]["content"]
    assert "续借两次" in text
    assert "出处:" in text


def test_a_stream_says_the_same_as_the_whole_answer(index, gullible):
    gullible.says("Renew books twice online [1]. Pigeons bring 40 of them [7].")
    with served(ServeOptions(index)) as running:
        whole = running.client.post(PATH, json=CHAT).json()
        streamed = running.client.post(PATH, json={**CHAT, "stream": True, "stream_options": {"include_usage": True}})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = chunks(streamed.text)
    assert said(events) == whole["choices"][0]["message"]["content"]
    assert "{not in the source" in said(events) or "{" in said(events)
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert events[-2]["quarry"]["model"] == "tiny"
    assert events[-1]["usage"]["total_tokens"] > 0
    assert len([event for event in events if said([event])]) >= 3  # sentences arrive one by one


def test_the_other_names_and_a_wrong_one(index):
    with served(ServeOptions(index, aliases={"gpt-4o": "answers"})) as running:
        for name in ("my-index", "quarry", "gpt-4o"):
            assert running.client.post(PATH, json={**CHAT, "model": name}).json()["model"] == "my-index"
        wrong = running.client.post(PATH, json={**CHAT, "model": "gpt-4"})
        assert (wrong.status_code, wrong.json()["error"]["expected"]) == (404, "my-index")


def test_a_chat_without_a_question_is_refused_before_anything_is_sent(index):
    with served(ServeOptions(index)) as running:
        for stream in (False, True):
            silent = {"messages": [{"role": "user", "content": " "}], "stream": stream}
            answer = running.client.post(PATH, json=silent)
            assert (answer.status_code, answer.json()["error"]["reason"]) == (422, "serve.no_question")


def test_nothing_of_a_document_loads_or_links_in_a_chat(tmp_path, monkeypatch):
    text = "Renew ![pixel](https://evil.example/?q=1) books [here](https://evil.example). <img src=x> Books again."
    index_documents(tmp_path / "index", [Document("a.md", text, "Renew ![p](https://evil.example/x) books", {})], None)
    for weak in (False, True):
        monkeypatch.setattr(module, "weigh", lambda *_, weak=weak: Grounds(0.5, weak, 0.5, "a test says so"))
        with served(ServeOptions(tmp_path / "index")) as running:
            answer = running.client.post(PATH, json={"messages": [{"role": "user", "content": "renew books"}]}).json()
        shown = answer["choices"][0]["message"]["content"]
        assert "Renew" in shown
        assert not any(part in shown for part in ("![", "](", "<img", "(https://evil.example/x"))


def test_openais_own_client_gets_nothing_that_acts_from_documents_or_questions(tmp_path):
    import openai

    poison = (*PAYLOADS, *MORE)
    documents = [
        Document(f"{n:02d} {p}", f"Zirconium lattice {n}: {p} here.", p, {"source": p}) for n, p in enumerate(poison)
    ]
    index_documents(tmp_path / "index", documents, None)
    with served(ServeOptions(tmp_path / "index")) as running:
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
        for number, payload in enumerate(poison):
            messages = [{"role": "user", "content": f"zirconium lattice {number} {payload}"}]
            shown = client.chat.completions.create(model="index", messages=messages).choices[0].message.content
            assert "irconium" in shown or "lattice" in shown
            # an address that stands in the document itself stays an address; nothing loads by itself or hides behind other words
            acts = re.search(r"!\[|\]\(|\]\[|<[A-Za-z/!?]|(?:javascript|data):[a-z(]", shown)
            assert acts is None, (payload, shown)
            assert not re.search(
                "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\U000e0000-\U000e007f]", shown
            )


def test_openais_own_client_chats_and_streams(index):
    import openai

    with served(ServeOptions(index)) as running:
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
        model = client.models.list().data[-1].id
        answer = client.chat.completions.create(model=model, messages=CHAT["messages"])
        assert "Renew books twice online." in answer.choices[0].message.content
        assert answer.usage.completion_tokens > 0
        pieces = client.chat.completions.create(model=model, messages=CHAT["messages"], stream=True)
        text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
        assert text == answer.choices[0].message.content


def test_langchains_own_client_chats(index):
    import langchain_openai as openai

    with served(ServeOptions(index)) as running:
        chat = openai.ChatOpenAI(model="my-index", base_url=f"{running.url}/v1", api_key="none")
        assert "Renew books twice online." in chat.invoke("How often can I renew books online?").content
        streamed = "".join(piece.text for piece in chat.stream("How often can I renew books online?"))
        assert "- [1] Loans, loans.md" in streamed
