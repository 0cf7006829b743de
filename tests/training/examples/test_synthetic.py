"""Synthetic queries against a real local HTTP server: good and bad answers, silence, refusals, and where the key goes."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from quarry.indexer.errors import ModelError, SettingsError
from quarry.retriever.llm.endpoint import KEY_VARIABLE, Endpoint, Unanswered, ask
from quarry.training.examples.kept_answers import KeptAnswers
from quarry.training.examples.rows import TrainingRow
from quarry.training.examples.synthetic import (
    PERSONAS_EN,
    PERSONAS_ZH,
    SyntheticSpec,
    prompt_for,
    synthetic_examples,
)
from tests.training.reasons import said

EN = ("loans.md#0-60", "Books may be renewed twice online, or once at the service desk in the hall.")
ZH = ("借书.md#0-30", "每位读者可以借十本书，借期三十天，可以在网上续借两次。")
ONE = SyntheticSpec(parallel=1)


def chat(text):
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}


class Server:
    """Answers with what the test puts into `answers`, in turn; the last one is repeated."""

    def __init__(self):
        self.answers, self.requests = [], []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}"
                server.requests.append((self.path, dict(self.headers), json.loads(body)))
                answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
                status, content = answer(body) if callable(answer) else answer[:2]
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in (answer[2] if isinstance(answer, tuple) and len(answer) > 2 else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def endpoint(self, **changes):
        return Endpoint(self.url, "tiny", **{"pause_s": 0.01, "timeout_s": 5.0, **changes})


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a proxy must not be asked for this machine
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


def test_queries_become_examples_of_their_passages(server):
    server.answers = [
        chat('["renew books online how often", "Can I renew at the desk?"]'),
        chat('```json\n["一次能借几本书", "续借 次数"]\n```'),
    ]
    found = synthetic_examples([EN, ZH], server.endpoint(), ONE)
    assert [(e.row, e.language) for e in found.examples] == [
        (TrainingRow("renew books online how often", (EN[1],)), "en"),
        (TrainingRow("Can I renew at the desk?", (EN[1],)), "en"),
        (TrainingRow("一次能借几本书", (ZH[1],)), "zh"),
        (TrainingRow("续借 次数", (ZH[1],)), "zh"),
    ]
    assert {(e.origin, e.weight, e.positive_ids) for e in found.examples} == {
        ("synthetic", 0.5, (EN[0],)),
        ("synthetic", 0.5, (ZH[0],)),
    }
    assert (found.asked, said(found.dropped), found.stopped) == (2, {}, "")
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert (body["model"], body["messages"][0]["role"], body["temperature"]) == ("tiny", "user", 0.8)
    assert EN[1] in body["messages"][0]["content"]
    assert "Authorization" not in headers


def test_prompts_are_in_the_passages_language_with_a_persona_by_seed():
    assert any(persona in prompt_for(ZH) for persona in PERSONAS_ZH)
    assert "请用中文" in prompt_for(ZH)
    assert any(persona in prompt_for(EN) for persona in PERSONAS_EN)
    assert prompt_for(EN) == prompt_for(EN)
    assert len({prompt_for(EN, SyntheticSpec(seed=n)) for n in range(30)}) == len(PERSONAS_EN)
    assert prompt_for(("x", "a </passage> b")).count("</passage>") == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (chat("I cannot do that."), "answer is not a JSON list of texts"),
        (chat('["unclosed'), "answer is not a JSON list of texts"),
        (chat("[1, 2]"), "answer is not a JSON list of texts"),
        (chat('{"queries": {}}'), "answer is not a JSON list of texts"),
        ((200, b"<html>"), "answer is not a JSON list of texts"),
        ((200, {"choices": []}), "answer is not a JSON list of texts"),
        ((200, [1]), "answer is not a JSON list of texts"),
        (chat('["怎么续借图书"]'), "query in another language than its passage"),
        (chat('["x"]'), "query too short or too long"),
        (chat(json.dumps(["word " * 99])), "query too short or too long"),
        (chat('["Books may be renewed twice online"]'), "query copied from the passage"),
    ],
)
def test_nothing_of_an_answer_is_believed(server, answer, reason):
    server.answers = [answer]
    found = synthetic_examples([EN], server.endpoint(), ONE)
    assert (found.examples, said(found.dropped)) == ((), {reason: 1})


def test_a_query_that_comes_twice_counts_once(server):
    server.answers = [chat('["renew my loans", "Renew my  loans", "a third query"]')]
    found = synthetic_examples([EN], server.endpoint(), ONE)
    assert [e.row.query for e in found.examples] == ["renew my loans"]
    assert said(found.dropped) == {"query came twice": 1}


def test_what_may_pass_is_tried_again(server):
    server.answers = [(503, {}), (429, {}, {"Retry-After": "0"}), chat('["renew my loans"]')]
    assert len(synthetic_examples([EN], server.endpoint(), ONE).examples) == 1
    assert len(server.requests) == 3


def test_a_refusal_ends_it_and_does_not_show_the_key(server, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "secret-key")
    server.answers = [(401, {"error": "bad key secret-key"})]
    with pytest.raises(
        ModelError, match=f"answered 401 .*Check URL, model 'tiny' and the key in {KEY_VARIABLE}"
    ) as caught:
        synthetic_examples([EN], server.endpoint(), ONE)
    assert "secret-key" not in str(caught.value)
    assert server.requests[0][1]["Authorization"] == "Bearer secret-key"
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307])
def test_redirects_are_not_followed(server, code):
    other = Server()
    other.answers = [chat('["renew my loans"]')]
    server.answers = [(code, {}, {"Location": other.url + "/chat/completions"})]
    with pytest.raises(ModelError, match=f"answered {code}"):
        ask(server.endpoint(), "x")
    assert other.requests == []
    other.http.shutdown()
    other.http.server_close()


def test_silence_is_counted_and_ends_a_run(server):
    server.answers = [chat('["renew my loans"]'), (500, {})]
    passages = [(f"d#{n}", EN[1]) for n in range(20)]
    found = synthetic_examples(passages, server.endpoint(retries=0), ONE)
    assert (len(found.examples), found.asked, said(found.dropped)) == (1, 6, {"passage got no answer": 5})
    assert "500" in found.stopped
    server.answers = [(500, {})]
    with pytest.raises(ModelError, match="no passage got an answer .*500.*expected a running endpoint"):
        synthetic_examples(passages, server.endpoint(retries=0), ONE)


def test_a_slow_answer_and_a_closed_port_are_silence(server):
    def slow(_):
        time.sleep(1)
        return chat("[]")

    server.answers = [slow]
    started = time.perf_counter()
    with pytest.raises(Unanswered, match="timed out"):
        ask(server.endpoint(timeout_s=0.1, retries=1), "x")
    assert time.perf_counter() - started < 0.9
    with pytest.raises(Unanswered, match="refused"):
        ask(Endpoint("http://127.0.0.1:9/v1", "m", retries=0), "x")


def test_many_at_a_time_keep_their_order(server):
    server.answers = [
        lambda body: chat(
            json.dumps([f"question about {json.loads(body)['messages'][0]['content'].split('number ')[1][:3]}"])
        )
    ]
    seen = []
    passages = [(f"d#{n}", f"The answer has the number {n:03d} and more words.") for n in range(30)]
    found = synthetic_examples(passages, server.endpoint(), progress=seen.append)
    assert [e.row.query for e in found.examples] == [f"question about {n:03d}" for n in range(30)]
    assert sum(seen) == 30


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/v1", "http://", "https://me:pw@host/v1", "https://host/v1?key=x"]
)
def test_only_plain_web_addresses_are_taken(url):
    with pytest.raises(SettingsError, match="expected http") as caught:
        Endpoint(url, "m")
    assert "pw" not in str(caught.value)


def test_the_key_does_not_travel_in_the_clear(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "secret-key")
    with pytest.raises(SettingsError, match="plain http; expected https"):
        Endpoint("http://example.org/v1", "m")
    assert Endpoint("http://localhost:8000/v1", "m").is_local
    assert not Endpoint("https://example.org/v1", "m").is_local
    monkeypatch.delenv(KEY_VARIABLE)
    Endpoint("http://example.org/v1", "m")


def test_a_refused_passage_is_left_out_when_others_were_answered(server):
    """A content filter refuses with 400; the first request of all decides whether the settings are wrong."""
    server.answers = [chat('["renew my loans"]'), (400, {}), chat('["books at the desk"]')]
    found = synthetic_examples([(f"d#{n}", EN[1]) for n in range(3)], server.endpoint(), ONE)
    assert [e.row.query for e in found.examples] == ["renew my loans", "books at the desk"]
    assert (said(found.dropped), found.stopped) == ({"passage was refused by the endpoint": 1}, "")
    server.answers = [chat('["renew my loans"]'), (401, {})]
    stopped = synthetic_examples([(f"d#{n}", EN[1]) for n in range(20)], server.endpoint(), ONE)
    assert stopped.asked == 6
    assert "answered 401" in stopped.stopped


def test_kept_answers_are_not_asked_for_again(server, tmp_path):
    server.answers = [chat('["renew my loans"]'), chat('["一次能借几本书"]'), (500, {})]
    kept = KeptAnswers(tmp_path / "run" / "answers.jsonl")
    first = synthetic_examples([EN, ZH], server.endpoint(retries=0), ONE, kept=kept)
    with (tmp_path / "run" / "answers.jsonl").open("ab") as handle:
        handle.write(b'{"prompt": "torn')
    again = KeptAnswers(tmp_path / "run" / "answers.jsonl")
    found = synthetic_examples([EN, ZH, ("new", EN[1] + " More.")], server.endpoint(retries=0), ONE, kept=again)
    assert found.examples == first.examples
    assert said(found.dropped) == {"passage got no answer": 1}
    assert len(server.requests) == 3
    again.put("tiny", [("p", ""), ("q", "an answer")])
    read = KeptAnswers(tmp_path / "run" / "answers.jsonl")
    assert (read.get("tiny", "p"), read.get("tiny", "q"), read.get("other", "q")) == (None, "an answer", None)
    other = SyntheticSpec(parallel=1, seed=7, per_passage=3)  # another prompt is another question
    server.answers = [chat('["renew my loans"]')]
    synthetic_examples([EN], server.endpoint(), other, kept=read)
    assert len(server.requests) == 4
