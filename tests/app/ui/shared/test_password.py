"""The password in front of the app."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from quarry.app.ui.shared.frame import STYLE
from quarry.app.ui.shared.password import FREE_TRIES, LONGEST_WAIT, Gate

PAGES = sorted((Path(__file__).resolve().parents[4] / "app" / "ui" / "pages").glob("*.py"))


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("quarry.app.ui.shared.password.time.monotonic", lambda: now[0])
    return now


def test_the_right_password_opens():
    assert Gate("correct horse").opens("1.2.3.4", "correct horse")
    assert not Gate("correct horse").opens("1.2.3.4", "correct horsf")
    assert Gate("密码密码密码").opens("1.2.3.4", "密码密码密码")
    assert not Gate("correct horse").opens("1.2.3.4", "\ud800")


def test_wrong_tries_make_the_next_ones_wait_longer_and_longer(clock):
    gate = Gate("correct horse")
    waits = []
    for _ in range(10):
        assert not gate.opens("a", "wrong")
        waits.append(gate.wait("a"))
        clock[0] += gate.wait("a")
    assert waits[: FREE_TRIES + 2] == [0.0, 0.0, 1.0, 2.0, 4.0]
    assert waits[-1] == LONGEST_WAIT


def test_while_waiting_not_even_the_right_password_opens_but_another_address_may(clock):
    gate = Gate("correct horse")
    for _ in range(FREE_TRIES):
        gate.opens("a", "wrong")
    assert not gate.opens("a", "correct horse")
    assert gate.opens("b", "correct horse")
    clock[0] += gate.wait("a")
    assert gate.opens("a", "correct horse")
    assert gate.wait("a") == 0


def test_many_addresses_do_not_fill_the_memory(clock):
    gate = Gate("correct horse")
    for number in range(10_100):
        gate.opens(str(number), "wrong")
    assert len(gate._failures) <= 10_000


def test_comparing_takes_no_short_cut(monkeypatch):
    asked = []
    monkeypatch.setattr("quarry.app.ui.shared.password.hmac.compare_digest", lambda a, b: asked.append((a, b)) or True)
    assert Gate("secret12").opens("a", "x")
    assert asked == [(b"x", b"secret12")]


def test_nothing_is_shown_before_the_password(app, lexical_index):
    test = app(lexical_index, password="correct horse", q="renew books")
    assert [field.label for field in test.text_input] == ["Password"]
    assert [one.proto.body for one in test.get("html")] == [STYLE]
    test.text_input[0].set_value("wrong")
    test.button[0].click().run()
    assert test.error[0].value == "This is not the password."
    test.text_input[0].set_value("correct horse")
    test.button[0].click().run()
    assert not test.exception
    assert test.text_input(key="q").value == "renew books"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_page_can_be_had_without_the_frame_and_the_password(page, lexical_index, monkeypatch):
    monkeypatch.setenv("QUARRY_UI_INDEX", str(lexical_index))
    monkeypatch.setenv("QUARRY_UI_PASSWORD", "correct horse")
    test = AppTest.from_file(str(page), default_timeout=60).run()
    assert not test.exception
    assert [field.label for field in test.text_input] == ["Password"]
    assert len(test.button) == 1
