"""An endpoint that breaks in every way, over real HTTP; and where the key goes."""

import json
import time

import pytest

from quarry.indexer.errors import ModelError, SettingsError
from quarry.indexer.lexical.analyzer import analyzer
from quarry.retriever.answers.citations import Checker
from quarry.retriever.answers.generate import NotFoundError, endpoint_for, generated, without_thoughts
from quarry.retriever.answers.prompt import NOT_FOUND, answer_language, neutral, prompt_for
from quarry.retriever.llm.endpoint import KEY_VARIABLE, Endpoint, Unanswered
from quarry.retriever.llm.stream import StreamOptions, streamed
from tests.retriever.answers.gullible import EN, ZH, Gullible, event, passage, stream_of

GOOD = "Books may be renewed twice online [1]. Fines are 0.50 euro a day [1]."
QUESTION = "How often can a book be renewed?"


def fast(server, **changes):
    return Endpoint(server.url, "tiny", **{"pause_s": 0.01, "timeout_s": 5.0, "retries": 2, **changes})


def sentences(server, limits=StreamOptions(), **changes):
    return generated(QUESTION, [EN], fast(server, **changes), Checker([EN], analyzer()), limits)


def until_it_breaks(found, match):
    kept = []
    with pytest.raises(Unanswered, match=match):
        kept.extend(sentence.text for sentence in found)
    return kept


def test_a_stream_becomes_checked_sentences(gullible):
    gullible.says(GOOD)
    found = list(sentences(gullible))
    assert [(s.text, s.citations, s.support) for s in found] == [
        ("Books may be renewed twice online.", (1,), "supported"),
        ("Fines are 0.50 euro a day.", (1,), "supported"),
    ]
    path, headers, body = gullible.requests[0]
    assert path == "/v1/chat/completions"
    assert (body["stream"], body["model"]) == (True, "tiny")
    assert "Authorization" not in headers


def test_a_sentence_comes_before_the_stream_ends(gullible):
    gullible.sends(event("Books may be renewed twice online [1]. Fi"), 3.0, event("nes.", "stop"))
    started = time.monotonic()
    assert next(iter(sentences(gullible))).citations == (1,)
    assert time.monotonic() - started < 2.5


def test_an_endpoint_that_does_not_stream_is_understood(gullible):
    content = {"choices": [{"message": {"content": GOOD}, "finish_reason": "stop"}], "usage": {}}
    gullible.sends(json.dumps(content), kind="application/json; charset=utf-8")
    assert len(list(sentences(gullible))) == 2


def test_comments_blank_lines_other_fields_and_usage_are_passed_over(gullible):
    noise = [": ping\n\n", "event: message\r\n", 'data: {"choices": [], "usage": {"total_tokens": 3}}\n\n', "id: 3\n\n"]
    gullible.sends(*noise, *stream_of(GOOD.replace("online", "在线")))
    assert list(streamed(fast(gullible), [])) == [
        GOOD.replace("online", "在线")[at : at + 7] for at in range(0, len(GOOD) - 4, 7)
    ]


def test_malformed_pieces_are_passed_over_and_said_when_nothing_else_came(gullible):
    gullible.sends("data: {broken\n\n", event(GOOD), "data: [1]\n\n", b"data: \xff\xfe\n\n", "data: [DONE]\n\n")
    assert len(list(sentences(gullible))) == 2
    gullible.sends("data: {broken\n\n", "data: [DONE]\n\n")
    assert until_it_breaks(sentences(gullible), r"the answer has no text \(1 piece could not be read\)") == []


@pytest.mark.parametrize("kind", ["text/html", "text/event-stream", "application/json"])
def test_what_is_not_json_is_no_answer(gullible, kind):
    gullible.sends("<html>Welcome</html>", kind=kind)
    assert until_it_breaks(sentences(gullible), "the answer has no text") == []


def test_a_cut_stream_keeps_what_came(gullible):
    gullible.sends(event("Books may be renewed twice online [1]. Fines are"))
    assert until_it_breaks(sentences(gullible), "the answer broke off") == [
        "Books may be renewed twice online.",
        "Fines are",
    ]


def test_a_cut_chunk_is_a_break(gullible):
    gullible.sends("40\r\n", event("Twice [1]."), status=200, Transfer_Encoding="chunked")
    until_it_breaks(sentences(gullible), "the answer (?:broke off|has no text)")


def test_an_error_inside_the_stream_is_a_break_without_its_text(gullible):
    gullible.sends(
        event("Books may be renewed twice online [1]. "), 'data: {"error": {"message": "secret-key out"}}\n\n'
    )
    with pytest.raises(Unanswered, match="reported an error in its answer") as caught:
        list(sentences(gullible))
    assert "secret-key" not in str(caught.value)


def test_silence_ends_by_the_time_limit(gullible):
    gullible.sends(event("Books may be renewed twice online [1]. "), 30.0)
    assert until_it_breaks(sentences(gullible, timeout_s=0.4), "broke off .*timed out") == [
        "Books may be renewed twice online."
    ]
    gullible.sends(*[chunk for _ in range(200) for chunk in (": keep alive\n\n", 0.02)])
    started = time.monotonic()
    until_it_breaks(sentences(gullible, StreamOptions(seconds=0.5)), "took longer than 0.5 s")
    assert time.monotonic() - started < 3


def test_an_answer_that_never_begins_is_tried_again_and_given_up(gullible):
    gullible.answers = [
        (500, "text/plain", [], {}),
        (429, "text/plain", [], {"Retry-After": "0"}),
        (503, "text/plain", [], {}),
    ]
    assert until_it_breaks(sentences(gullible), "503") == []
    assert len(gullible.requests) == 3
    gullible.answers = [(500, "text/plain", [], {}), (200, "text/event-stream", stream_of(GOOD), {})]
    assert len(list(sentences(gullible))) == 2


def test_no_server_is_no_answer():
    gone = Gullible()
    gone.close()
    until_it_breaks(sentences(gone, retries=0), "refused")


@pytest.mark.parametrize("code", [400, 401, 403, 404])
def test_a_refusal_is_not_tried_again_and_shows_no_key(gullible, monkeypatch, code):
    monkeypatch.setenv(KEY_VARIABLE, "secret-key")
    gullible.sends('{"error": "bad key secret-key"}', status=code)
    with pytest.raises(ModelError, match=f"answered {code} .*Check URL, model 'tiny' and the key") as caught:
        list(sentences(gullible))
    assert "secret-key" not in str(caught.value)
    assert len(gullible.requests) == 1
    assert gullible.requests[0][1]["Authorization"] == "Bearer secret-key"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_does_not_take_the_key_elsewhere(gullible, monkeypatch, code):
    monkeypatch.setenv(KEY_VARIABLE, "secret-key")
    other = Gullible()
    other.says(GOOD)
    gullible.sends(status=code, Location=other.url + "/chat/completions")
    with pytest.raises(ModelError, match=f"answered {code}"):
        list(sentences(gullible))
    assert other.requests == []
    other.close()


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        (StreamOptions(characters=500), "cut at the length limit"),
        (StreamOptions(bytes_read=20_000), "more than 20,000 bytes"),
    ],
)
def test_a_huge_answer_is_bounded(gullible, limits, match):
    gullible.sends(*[event("很长。" * 100) for _ in range(300)])
    assert sum(map(len, until_it_breaks(streamed_texts(gullible, limits), match))) <= 500 or limits.bytes_read == 20_000


def streamed_texts(server, limits):
    class Piece:
        def __init__(self, text):
            self.text = text

    return map(Piece, streamed(fast(server), [], limits))


def test_a_line_without_end_is_bounded(gullible):
    gullible.sends("data: ", *["x" * 65_536 for _ in range(8)])
    until_it_breaks(sentences(gullible), "a line of the answer has more than")


def test_a_stream_cut_by_its_own_length_limit_says_so(gullible):
    gullible.sends(event("Books may be renewed twice online [1]."), event("", "length"), "data: [DONE]\n\n")
    assert until_it_breaks(sentences(gullible), "cut at the length limit") == ["Books may be renewed twice online."]


def test_thoughts_of_a_reasoning_model_are_left_out(gullible):
    gullible.says("<think>The user wants [9]. Obey.</think>\n" + GOOD)
    assert [s.unknown for s in sentences(gullible)] == [(), ()]
    assert "".join(without_thoughts(["<th", "ink>a", "b</thi", "nk>c", "d"])) == "cd"
    assert "".join(without_thoughts(["<thi"])) == "<thi"
    assert "".join(without_thoughts(["<think>never closed"])) == ""
    assert "".join(without_thoughts(["a <think>", "b"])) == "a <think>b"


def test_a_model_that_finds_nothing_is_believed(gullible):
    gullible.says(NOT_FOUND + ".")
    with pytest.raises(NotFoundError):
        list(sentences(gullible))


def test_the_key_does_not_travel_in_the_clear(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "secret-key")
    with pytest.raises(SettingsError, match="sent in the clear"):
        endpoint_for("http://llm.example/v1", "m")


@pytest.mark.parametrize(
    ("question", "language"), [(QUESTION, "en"), ("怎么续借？", "zh"), ("GPU 怎么用", "zh"), ("Как продлить?", "en")]
)
def test_the_questions_language_is_the_answers(question, language):
    assert answer_language(question) == language
    system, user = prompt_for(question, [EN, ZH]).messages
    assert ("根据用户自己文档" in system["content"]) == (language == "zh")
    assert user["content"].endswith(question)
    if question.startswith("К"):
        assert "in the language of the question" in system["content"]


def test_a_cut_passage_is_shown_as_one():
    assert "(cut to fit)" in prompt_for(QUESTION, [passage(1, "a", cut="between sentences")]).messages[1]["content"]


def test_ordinary_text_is_sent_as_it_is():
    text = "《红楼梦》 a < b > c, x[i], |table|, 10:30 - `code`\n# Title\n- item"
    assert neutral(text) == text
