"""Messages are values: parameters survive files and processes, sentences are made where they are shown."""

import pickle

import pytest

from quarry.app.words import part, words
from quarry.indexer.errors import ModelError, SearchError
from quarry.indexer.messages import Message


def test_a_sentence_says_what_was_found_expected_and_what_to_do():
    message = Message.of(
        "a.b", "{path} holds {count:passage|passages}", expected="{wanted}", do="Run it", path="x", count=1, wanted=2
    )
    assert str(message) == "x holds 1 passage; expected 2. Run it"
    assert str(Message.of("a.b", "{count:file|files}", count=1200)) == "1,200 files"
    assert str(Message.of("a.b", "nothing to do")) == "nothing to do"


def test_a_message_inside_a_message_is_shown_in_the_same_language(monkeypatch):
    from quarry.app import words as catalog

    monkeypatch.setattr(
        catalog, "chinese", lambda: {"a.in": {"found": "里面 {n}"}, "a.out": {"found": "外面：{cause}"}}
    )
    outer = Message.of("a.out", "outside: {cause}", cause=Message.of("a.in", "inside {n}", n=3))
    assert words(outer, "en") == "outside: inside 3"
    assert words(outer, "zh") == "外面：里面 3"
    assert part(outer, "do", "zh") == ""


def test_lists_are_joined_in_the_manner_of_the_language(monkeypatch):
    from quarry.app import words as catalog

    monkeypatch.setattr(catalog, "chinese", lambda: {"a.l": {"found": "{names}"}})
    message = Message.of("a.l", "{names}", names=["a", "b"])
    assert (words(message, "en"), words(message, "zh")) == ("a, b", "a、b")


def test_json_gives_the_same_message_back():
    inner = Message.of("a.in", "inside {n:.2f}", n=3.14159)
    message = Message.of("a.b", "{cause} {names}", do="Do {n}", cause=inner, names=["x"], n=2)
    again = Message.from_json(message.as_json())
    assert again == message and hash(again) == hash(message)
    assert str(again) == "inside 3.14 x. Do 2"


def test_an_older_file_has_a_sentence_and_it_is_shown_as_it_is():
    assert str(Message.from_json("used {braces}; as they were")) == "used {braces}; as they were"


@pytest.mark.parametrize("template", ["{a.__class__}", "{a[0]}", "{missing}", "{", "}", "{a!r:{b}}"])
def test_a_template_from_a_file_reaches_no_attribute_and_never_fails(template):
    assert "class" not in str(Message.of("a.b", template, a="value")).replace(template, "")


def test_an_error_keeps_its_message_across_processes():
    err = ModelError("model.x", "{folder} is not a folder", expected="one", do="Give one", folder="m")
    again = pickle.loads(pickle.dumps(err))
    assert type(again) is ModelError and again.message == err.message
    assert str(again) == "m is not a folder; expected one. Give one"
    assert isinstance(SearchError.of(err.message), SearchError)
