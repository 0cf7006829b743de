"""The answer panel without a browser: off until asked for, kept, honest about what it rests on."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from quarry.app.ui.shared.session import feedback_path
from quarry.training.feedback.log import FeedbackLog
from tests.app.ui.search.test_search_page import ask, button, html


@pytest.fixture
def without_endpoint(monkeypatch):
    monkeypatch.delenv("QUARRY_LLM_ENDPOINT", raising=False)
    monkeypatch.delenv("QUARRY_LLM_MODEL", raising=False)


@pytest.fixture
def endpoint(monkeypatch):
    """A stand-in for a language model that streams what the list holds; its requests are kept."""
    asked: list[dict] = []
    pieces = ["Books can be renewed twice online [1]. ", "A renewal costs 77 euros [1]."]

    class Model(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for piece in pieces:
                row = {"choices": [{"index": 0, "delta": {"content": piece}}]}
                self.wfile.write(f"data: {json.dumps(row)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("QUARRY_LLM_ENDPOINT", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("QUARRY_LLM_MODEL", "stand-in")
    yield asked
    server.shutdown()
    server.server_close()


def switch(test):
    return test.toggle(key="with_answer")


def captions(test):
    return [element.value for element in test.caption]


def test_the_panel_is_off_until_asked_for_and_then_kept(app, lexical_index, without_endpoint):
    test = app(lexical_index)
    ask(test, "how often can books be renewed online")
    assert not switch(test).value
    assert "q-answer" not in html(test).replace(".q-answer", "")
    switch(test).set_value(True).run()
    assert not test.exception
    assert test.query_params["answer"] == "1"
    assert "Renew books twice online" in html(test).split("class='q-answer'")[1]
    assert "<span class='q-cite'>[1]</span>" in html(test)
    again = app(lexical_index, q="books renewed online", answer="1")
    assert switch(again).value
    assert "class='q-answer'" in html(again)


def test_a_source_opens_the_passage_in_its_document(app, lexical_index, without_endpoint):
    test = app(lexical_index, q="renew books twice online", answer="1")
    (source,) = [element for element in test.button if element.key == "source-1"]
    assert source.label == "1 · Loans"
    source.click().run()
    assert not test.exception
    assert "q-passage" in html(test).replace(".q-passage", "")


def test_a_question_that_the_documents_do_not_answer_is_refused_in_both_languages(app, lexical_index, without_endpoint):
    test = app(lexical_index, q="quantum books of zirconium lattices in superconducting magnets", answer="1")
    assert not test.exception
    assert "class='q-answer'" not in html(test)
    assert any("Not in your documents" in text for text in captions(test))
    assert any("Nearest passages" in text for text in captions(test))
    test.segmented_control(key="language").set_value("zh").run()
    assert any("您的文档里似乎没有答案" in text for text in captions(test))
    assert any("最接近的段落" in text for text in captions(test))
    assert switch(test).label == "回答"


def test_a_model_answers_with_checked_citations_and_is_asked_once(app, lexical_index, endpoint):
    test = app(lexical_index, q="how often can books be renewed online", answer="1")
    assert not test.exception
    shown = html(test).split("class='q-answer'")[1]
    assert "Books can be renewed twice online.<span class='q-cite'>[1]</span>" in shown
    assert "<span class='q-unsure'>A renewal costs 77 euros.</span>" in shown
    assert "not in the source: 77" in shown
    test.run()
    assert len(endpoint) == 1


def test_an_endpoint_without_a_model_is_an_error_and_the_results_stay(app, lexical_index, endpoint, monkeypatch):
    monkeypatch.delenv("QUARRY_LLM_MODEL")
    test = app(lexical_index, q="renew books twice online", answer="1")
    assert not test.exception
    assert "There is no answer" in test.error[0].value
    assert "<b>Loans</b>" in html(test)
    assert button(test, "Search")


def follow_up(test, number, text):
    test.text_input(key=f"follow-up-text-{number}").set_value(text)
    button(test, "Ask").click().run()


def test_a_follow_up_question_reads_what_was_cited_before_and_another_question_begins_anew(
    app, lexical_index, without_endpoint
):
    test = app(lexical_index, q="renew books twice online", answer="1")
    follow_up(test, 1, "and what about them?")
    assert not test.exception
    assert "<b>and what about them?</b>" in html(test)
    assert "Searched for: renew books twice online and what about them?" in html(test)
    assert html(test).count("class='q-answer'") == 2
    assert {"source-1", "source-1-1"} <= {element.key for element in test.button}
    ask(test, "renew books online twice")
    assert html(test).count("class='q-answer'") == 1


def test_a_model_may_rewrite_the_question_where_the_app_was_started_with_one(app, lexical_index, endpoint):
    test = app(lexical_index, q="how often can books be renewed online", answer="1")
    assert not test.toggle(key="with_rewrite").value and len(endpoint) == 1
    test.toggle(key="with_rewrite").set_value(True).run()
    assert not test.exception and test.query_params["rewrite"] == "1"
    assert len(endpoint) == 3  # what to search for, and the answer


def test_without_a_model_nothing_can_be_rewritten(app, lexical_index, without_endpoint):
    test = app(lexical_index, q="renew books twice online", answer="1")
    assert "with_rewrite" not in [element.key for element in test.toggle]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Ask for an answer", "It stands among the open questions now.")),
        ("zh", ("请人解答", "已列入待解答的问题。")),
    ],
)
def test_a_refused_question_is_passed_on_with_one_click(app, lexical_index, without_endpoint, language, words):
    question = "quantum books of zirconium lattices in superconducting magnets"
    test = app(lexical_index)
    test.session_state["language"] = language
    ask(test, question)
    switch(test).set_value(True).run()
    label, done = words
    button(test, label).click().run()
    assert not test.exception
    assert any(done in caption for caption in captions(test))
    assert label not in [element.label for element in test.button]
    with FeedbackLog.open(feedback_path(lexical_index)) as log:
        assert log.summary().unanswered == (question,)


def test_the_last_follow_up_question_says_what_to_do_next(app, lexical_index, without_endpoint):
    test = app(lexical_index, q="renew books twice online", answer="1")
    for number in range(8):
        test.text_input(key=f"follow-up-text-{number + 1}").set_value(f"and {number} books?")
        button(test, "Ask").click().run()
        assert not test.exception
    assert any("ask a new question above" in caption for caption in captions(test))
    assert "Ask" not in [element.label for element in test.button]
