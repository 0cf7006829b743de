"""Documents, judgments and questions that try to act on a terminal, in a real one (a pseudo-terminal): they are shown as text."""

import os
import pty
import re
import selectors
import subprocess
import sys
import time

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.log import FeedbackLog, feedback_path
from tests.app.ui.poison import MORE, PAYLOADS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")]
POISON = (*PAYLOADS, *MORE)
_OWN = re.compile(r"\x1b\[[0-9;]*m")  # colors and bold, which Quarry writes itself
_ACTS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2028\u2029\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminal") / "index"
    documents = [
        Document(f"{n:02d} {p}", f"text {p} poisonword", p, {"lang": p, "source": p}) for n, p in enumerate(POISON)
    ]
    index_documents(folder, documents, None)
    with FeedbackLog.open(feedback_path(folder)) as log:
        for payload in POISON:
            log.append(FeedbackEvent(payload, "note", "s", "000001", "", "", note=payload))
            log.append(FeedbackEvent(payload, "thumb_up", "s", "000001", "", documents[0].doc_id, note=payload))
    return folder


def typed(*arguments):
    """Return what a command shows in a terminal of 200 columns."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "quarry", *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment, close_fds=True
    )
    os.close(terminal)
    shown, until = b"", time.monotonic() + 120
    waiting = (
        selectors.DefaultSelector()
    )  # select() takes no descriptors above 1,023, and this process may have more open
    waiting.register(controller, selectors.EVENT_READ)
    while time.monotonic() < until:
        ready = waiting.select(0.2)
        if ready:
            try:
                block = os.read(controller, 1 << 16)
            except OSError:  # the other side is closed
                break
            shown += block
        elif process.poll() is not None:
            break
    waiting.close()
    os.close(controller)
    assert process.wait(30) in (0, 1, 3, 4)
    return shown.decode().replace("\r\n", "\n")


def acting(shown):
    """Return what would act on a terminal, with what stands around it."""
    clean = _OWN.sub("", shown)
    return [clean[max(0, found.start() - 20) : found.end() + 20] for found in _ACTS.finditer(clean)] + [
        line for line in clean.split("\n") if "\r" in line
    ]


def test_at_least_a_hundred_payloads_are_tried():
    assert len(set(POISON)) >= 100


@pytest.mark.parametrize("more", [(), ("--explain",), ("--json",)])
def test_results_are_text_and_one_for_each_document(index, more):
    shown = typed("search", index, "poisonword", "-k", "100", *more)
    assert acting(shown) == []
    if not more:
        numbers = [int(n) for n in re.findall(r"^\s*(\d+)\. ", _OWN.sub("", shown), re.MULTILINE)]
        assert numbers == list(range(1, len(POISON) + 1)), "a document forged a result"


@pytest.mark.parametrize("command", [("documents",), ("feedback",), ("doctor",), ("gaps",)])
def test_lists_are_text(index, command):
    assert acting(typed(command[0], index, *command[1:])) == []


@pytest.mark.parametrize("number", [10, 41, 42, -9, -10, -11, -12, -8])
def test_a_question_comes_back_as_text(index, number):
    assert acting(typed("search", index, f"{POISON[number]} poisonword")) == []


def test_an_answer_is_text(index):
    assert acting(typed("ask", index, "poisonword text PWNED")) == []
