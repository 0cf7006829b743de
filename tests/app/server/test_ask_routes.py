"""`/ask` over a real socket: the same answers as the command, with the server's model and limits."""

import threading
import time

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.asking import AT_A_TIME, Asker
from quarry.app.server.settings import ServeOptions
from quarry.indexer.errors import SettingsError
from quarry.retriever.answers import answer as module
from quarry.retriever.answers.evidence import Grounds
from quarry.retriever.llm.endpoint import KEY_VARIABLE
from tests.app.server.serving import served, small_index
from tests.retriever.answers.gullible import Gullible

QUESTION = {"question": "How often can I renew books online?", "route": "bm25"}


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in ("QUARRY_LLM_ENDPOINT", "QUARRY_LLM_MODEL", KEY_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "weigh", lambda *_: Grounds(0.9, False, 0.5, "a test says so"))


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return small_index(tmp_path_factory.mktemp("ask-route") / "index")


@pytest.fixture
def gullible(monkeypatch):
    running = Gullible()
    monkeypatch.setenv("QUARRY_LLM_ENDPOINT", running.url)
    monkeypatch.setenv("QUARRY_LLM_MODEL", "tiny")
    yield running
    running.close()


def test_sentences_of_the_documents_in_both_languages(index):
    with served(ServeOptions(index)) as running:
        english = running.client.post("/ask", json=QUESTION).json()
        chinese = running.client.post("/ask", json={"question": "图书可以在网上续借几次？"}).json()
    assert (english["origin"], english["model"], english["refused"]) == ("extractive", "", False)
    assert any("Renew books twice online." in sentence["text"] for sentence in english["sentences"])
    assert english["sources"][0]["path"] == "loans.md"
    assert "续借两次" in chinese["sentences"][0]["text"]
    assert any("BM25 answered" in remark for remark in chinese["notes"])


def test_the_servers_model_answers_and_is_checked(index, gullible):
    gullible.says("Renew books twice online [1]. Pigeons bring 40 of them [7].")
    with served(ServeOptions(index)) as running:
        answer = running.client.post("/ask", json=QUESTION).json()
        assert [s["support"] for s in answer["sentences"]] == ["supported", "unsupported"]
        assert answer["sentences"][1]["unknown"] == [7]
        assert running.client.post("/ask", json={**QUESTION, "generate": False}).json()["origin"] == "extractive"
    assert len(gullible.requests) == 1


def test_a_follow_up_is_sent_with_what_was_said_and_cited(index):
    with served(ServeOptions(index)) as running:
        first = running.client.post("/ask", json=QUESTION).json()
        cited = [name for source in first["sources"] for name in source["chunk_ids"]]
        before = [{"question": QUESTION["question"], "answer": first["sentences"][0]["text"], "cited": cited}]
        follow = running.client.post(
            "/ask", json={"question": "And how long?", "route": "bm25", "before": before}
        ).json()
        assert follow["question"] == "And how long?"
        assert f"searched for: {QUESTION['question']} And how long?" in follow["notes"]
        assert cited[0] in [name for source in follow["sources"] for name in source["chunk_ids"]]
        chat = [
            {"role": "user", "content": QUESTION["question"]},
            {"role": "assistant", "content": "Twice."},
            {"role": "user", "content": "And how long?"},
        ]
        said = running.client.post("/v1/chat/completions", json={"messages": chat}).json()["quarry"]["notes"]
        assert f"searched for: {QUESTION['question']} And how long?" in said


def test_a_request_cannot_name_an_endpoint_and_wrong_ones_are_told(index):
    with served(ServeOptions(index)) as running:
        for wrong in (
            {"endpoint": "http://localhost:1/v1"},
            {"budget": 1},
            {"question": " "},
            {"k": "3"},
        ):
            answer = running.client.post("/ask", json={**QUESTION, **wrong})
            assert answer.status_code == 422, wrong
            assert answer.json()["error"]["do"]
        assert running.client.post("/ask", json={"question": "\u200b"}).status_code in (200, 422)


def test_too_many_at_a_time_are_told_to_come_back_and_a_slow_model_is_left(index, gullible):
    gullible.sends(20.0)
    with served(ServeOptions(index, time_limit_s=2.0)) as running:
        statuses = []
        clients = [
            threading.Thread(target=lambda: statuses.append(running.client.post("/ask", json=QUESTION)))
            for _ in range(AT_A_TIME)
        ]
        for client in clients:
            client.start()
        time.sleep(0.4)
        refused = running.client.post("/ask", json=QUESTION)
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "1"
        for client in clients:
            client.join(10)
    assert {answer.status_code for answer in statuses} <= {200, 504}
    assert all(answer.json()["origin"] == "extractive" for answer in statuses if answer.status_code == 200)


def test_an_endpoint_without_a_model_is_an_error_at_the_start(monkeypatch):
    monkeypatch.setenv("QUARRY_LLM_ENDPOINT", "http://localhost:1/v1")
    with pytest.raises(SettingsError, match="QUARRY_LLM_MODEL is not; expected both"):
        Asker.from_environment(30.0)
