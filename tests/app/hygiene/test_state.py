"""The state of a collection, by the library and by the command."""

import json
import re
from datetime import date

import pytest

from quarry.app.hygiene.state import state_of
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.training.feedback.events import FeedbackEvent, ShownHit
from quarry.training.feedback.log import FeedbackLog, feedback_path
from tests.app.cli.test_report import HOSTILE, Seen, check_self_contained
from tests.app.running import quarry

LONG = "Borrow ten books for thirty days and renew each of them twice online before the loan ends. "
DOCUMENTS = [
    Document("loans.md", LONG, "Loans", {"modified": "2019-03-01", "format": "markdown"}),
    Document("copy.md", LONG + "\n", "Loans again", {"modified": "2026-01-05", "format": "markdown"}),
    Document(
        "借书.md", "每位读者可以借十本书，借期三十天，可以在网上续借两次。", HOSTILE, {"left_out": "2 scanned_pages"}
    ),
]


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS, None)
    return tmp_path / "index"


def asked(index, count):
    with FeedbackLog.open(feedback_path(index)) as log:
        for number in range(count):
            shown = (
                ShownHit("loans.md#0-9", "loans.md", 1, 1.0, "bm25"),
                ShownHit("copy.md#0-9", "copy.md", 4, 0.5, "bm25"),
            )
            log.append(FeedbackEvent(f"question {number}", "note", "s", "000001", note="nothing", shown=shown))


def test_what_is_in_it_twice_or_not_read_is_told(index):
    state = state_of(index)
    assert (state.documents, state.duplicates) == (3, (("copy.md", "loans.md"),))
    assert (state.languages["en"], state.languages["zh"]) == (2, 1)
    assert state.years == {"2019": 1, "2026": 1, "unknown": 1}
    assert state.left_out == {"scanned_pages": 2}
    assert (state.never_found, state.stale, state.questions) == (None, (), 0)


def test_old_documents_that_answer_and_those_that_nobody_finds(index):
    asked(index, 20)
    state = state_of(index, today=date(2026, 11, 26))
    assert [(one.id, one.modified, one.questions) for one in state.stale] == [("loans.md", "2019-03-01", 20)]
    assert state.never_found == ("借书.md",)
    assert len(state.open_questions) == 20
    assert state_of(index, stale_days=5_000, today=date(2026, 11, 26)).stale == ()


def test_few_questions_say_nothing_about_what_is_never_found(index):
    asked(index, 19)
    assert state_of(index).never_found is None


@pytest.mark.parametrize(("language", "words"), [("en", "Nearly the same"), ("zh", "几乎相同")])
def test_the_command_prints_json_and_writes_a_page_that_loads_nothing(index, tmp_path, language, words):
    asked(index, 20)
    done = quarry("report", index, "--json", "--html", tmp_path / "page.html", "--lang", language)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["duplicates"] == [["copy.md", "loans.md"]]
    page = Seen(tmp_path / "page.html")
    check_self_contained(page)
    assert words in page.text
    shown = quarry("report", index, "--lang", language)
    assert words in shown.stdout
    assert "copy.md = loans.md" in shown.stdout


@pytest.mark.parametrize(("language", "more"), [("en", "5 more; --json lists all"), ("zh", "另有 5 项")])
def test_what_a_page_leaves_out_is_said(index, tmp_path, language, more):
    asked(index, 25)
    many = [
        Document(f"{n}.txt", f"Text {n}.", "", {"format": f"f{n}"}) for n in range(23)
    ]  # 25 with those of the index
    index_documents(index, many, None)
    done = quarry("report", index, "--html", tmp_path / "page.html", "--lang", language)
    assert done.returncode == 0, done.stderr
    text = Seen(tmp_path / "page.html").text
    assert text.count(more) == 2  # questions and formats
    assert len(re.findall(r"question \d+", text)) == 20
    assert more in quarry("report", index, "--lang", language).stderr
