"""The feedback log: what it refuses, what it keeps, and that kill -9 takes nothing that was acknowledged."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.indexer.errors import FeedbackError
from quarry.training.feedback.log import FeedbackEvent, FeedbackLog, ShownHit
from tests.sizes import KILLS

ROOT = Path(__file__).resolve().parents[3]
SHOWN = (
    ShownHit("loans.md#0-80", "loans.md", 1, 0.75, "fusion"),
    ShownHit("借书.md#0-9", "借书.md", 2, -3.5, "rerank"),
)


def event(**changes):
    facts = {
        "query": "how to renew",
        "action": "thumb_up",
        "session": "s-1",
        "generation": "000001",
        "chunk_id": "loans.md#0-80",
        "doc_id": "loans.md",
    }
    return FeedbackEvent(**{**facts, **changes})


@pytest.fixture
def log(tmp_path):
    with FeedbackLog.open(tmp_path / "feedback.sqlite") as opened:
        yield opened


def test_an_event_comes_back_whole(log):
    at = datetime(2026, 11, 21, 8, 30, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
    given_event = event(query="怎么续借？", action="answer", grade=3, note="第一段 <b>ok</b>\n", shown=SHOWN, at=at)
    number = log.append(given_event)
    (stored,) = log.events()
    assert (stored.number, stored.event) == (number, given_event)
    assert stored.event.language == "zh"
    assert stored.event.at.isoformat() == "2026-11-21T00:30:00.123000+00:00"
    assert stored.event.shown == SHOWN


def test_what_is_not_given_is_filled_in():
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    plain = event()
    assert before <= plain.at <= datetime.now(UTC)
    assert (plain.grade, plain.language, plain.note, plain.shown) == (1, "en", "", ())
    assert (event(action="thumb_down").grade, event(action="answer").grade, event(action="click").grade) == (0, 2, None)
    assert event(language="yue").language == "yue"


def test_numbers_grow_and_reading_can_go_on_where_it_stopped(log):
    numbers = [log.append(event(query=f"q {row}")) for row in range(1203)]
    assert numbers == sorted(set(numbers))
    assert len(log) == 1203
    assert [stored.event.query for stored in log.events(after=numbers[1199])] == ["q 1200", "q 1201", "q 1202"]
    assert [stored.number for stored in log.events()] == numbers


def test_a_reader_does_not_run_after_a_writer(log):
    log.append(event())
    seen = []
    for stored in log.events():
        seen.append(stored)
        log.append(event())
        assert len(seen) < 5
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": "like"}, "action is 'like'; expected one of thumb_up"),
        ({"query": "  \n"}, "query is empty"),
        ({"query": None}, "query is a NoneType; expected text"),
        ({"query": "x" * 8193}, "query has 8193 characters; expected at most 8192"),
        ({"note": "x" * 10_001}, "note has 10001 characters; expected at most 10000"),
        ({"action": "note", "note": " "}, "note is empty"),
        ({"session": ""}, "session is ''; expected text of 1 to 2048 characters"),
        ({"generation": None}, "generation is None; expected text"),
        ({"chunk_id": "a\0b"}, "has a NUL or half a character"),
        ({"doc_id": "a\ud800"}, "has a NUL or half a character"),
        ({"doc_id": "x" * 3000}, "doc_id is 3000 characters long"),
        ({"doc_id": ""}, "doc_id is ''"),
        ({"action": "note", "note": "n", "doc_id": ""}, "doc_id is ''"),
        ({"grade": 4}, "grade is 4 for the action 'thumb_up'; expected a whole number from 1 to 3"),
        ({"grade": 0}, "expected a whole number from 1 to 3"),
        ({"grade": True}, "grade is True"),
        ({"grade": 1.0}, "grade is 1.0"),
        ({"action": "thumb_down", "grade": 1}, "expected a whole number from 0 to 0"),
        ({"action": "click", "grade": 1}, "expected none, because it judges nothing"),
        ({"action": "withdraw", "grade": 0}, "expected none, because it judges nothing"),
        ({"at": datetime(2026, 1, 1)}, "expected a time with a time zone"),
        ({"at": "2026-01-01"}, "expected a time with a time zone"),
        ({"shown": (SHOWN[0], SHOWN[0])}, "one rank twice"),
        ({"shown": ("a",)}, "is not a ShownHit"),
        (
            {"shown": tuple(ShownHit("a", "a", rank, 0.0, "bm25") for rank in range(1, 202))},
            "shown has 201 hits; expected at most 200",
        ),
        ({"language": "x" * 17}, "language has 17 characters"),
    ],
)
def test_a_field_that_is_not_valid_is_named(changes, message):
    with pytest.raises(FeedbackError, match=message.replace("(", r"\(")):
        event(**changes)


@pytest.mark.parametrize(
    ("hit", "message"),
    [
        (("", "d", 1, 0.0, "bm25"), "chunk_id of a shown hit is ''"),
        (("c", None, 1, 0.0, "bm25"), "doc_id of a shown hit is None"),
        (("c", "d", 0, 0.0, "bm25"), "rank of a shown hit is 0"),
        (("c", "d", 1.0, 0.0, "bm25"), "rank of a shown hit is 1.0"),
        (("c", "d", 1, float("nan"), "bm25"), "score of a shown hit is nan"),
        (("c", "d", 1, "0.5", "bm25"), "score of a shown hit is '0.5'"),
        (("c", "d", 1, 0.0, "magic"), "stage of a shown hit is 'magic'"),
    ],
)
def test_a_shown_hit_that_is_not_valid_is_named(hit, message):
    with pytest.raises(FeedbackError, match=message):
        ShownHit(*hit)


@given(st.text(st.characters(), min_size=1, max_size=60), st.text(st.characters(), max_size=60))
def test_any_text_is_stored_and_read_back_as_valid_text(query, note):
    if not query.strip():
        return
    given_event = event(query=query, note=note)
    with tempfile.TemporaryDirectory() as folder, FeedbackLog.open(Path(folder) / "log") as log:
        log.append(given_event)
        (stored,) = log.events()
    assert stored.event == given_event
    stored.event.query.encode()
    assert "\0" not in stored.event.query + stored.event.note
    assert len(stored.event.query) == len(query)


def test_rows_cannot_be_changed_or_deleted(log):
    log.append(event())
    with sqlite3.connect(log.path) as other:
        for statement in ("UPDATE events SET grade = 0", "DELETE FROM events"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                other.execute(statement)
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            other.execute(
                "INSERT INTO events VALUES (9, 'q', 'like', 's', 'g', '', '', NULL, '', '[]', 'en', 'now', 1, NULL)"
            )


def test_the_file_is_durable_by_its_settings(log):
    assert log._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert log._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_damaged_row_is_named(log):
    log.append(event())
    with sqlite3.connect(log.path) as other:
        other.execute(
            "INSERT INTO events VALUES (7, 'q', 'click', 's', 'g', 'c', 'd', NULL, '', '[[1]]', 'en', 'now', 1, NULL)"
        )
    with pytest.raises(FeedbackError, match="row 7 of the feedback log is not valid"):
        list(log.events())


def changed(path, statement):
    """Change a log as damage would: the triggers are not asked."""
    with sqlite3.connect(path) as other:
        triggers = [row[0] for row in other.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]
        for name in ("no_update", "no_delete"):
            other.execute(f"DROP TRIGGER {name}")
        other.execute(statement)
        for trigger in triggers:
            other.execute(trigger)


def test_a_changed_row_and_a_lost_one_are_noticed(log):
    for number in range(3):
        log.append(event(query=f"q{number}"))
    assert len(list(log.events(after=1))) == 2
    changed(log.path, "UPDATE events SET chunk_id = 'other#0-9' WHERE number = 2")
    with pytest.raises(FeedbackError, match="row 2 of the feedback log was changed or damaged"):
        list(log.events())
    changed(log.path, "DELETE FROM events WHERE number = 2")
    with pytest.raises(FeedbackError, match="is damaged: 1 row is missing"):
        list(log.events())
    changed(log.path, "DELETE FROM events")
    with pytest.raises(FeedbackError, match="is damaged: 3 rows are missing"):
        list(log.events())


def test_a_log_of_an_older_version_is_read_and_continued(tmp_path):
    path = tmp_path / "log.sqlite"
    with FeedbackLog.open(path) as log:
        log.append(event(query="before"))
    changed(path, "ALTER TABLE events DROP COLUMN digest")
    with FeedbackLog.read(path) as log:
        assert [stored.event.query for stored in log.events()] == ["before"]
    with FeedbackLog.open(path) as log:
        log.append(event(query="after"))
        assert [stored.event.query for stored in log.events()] == ["before", "after"]


def test_reading_changes_nothing_in_the_folder(tmp_path):
    path = tmp_path / "log.sqlite"
    with FeedbackLog.open(path) as log:
        log.append(event())
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    with FeedbackLog.read(path) as log:
        assert len(list(log.events())) == 1
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_what_is_no_feedback_log_is_refused(tmp_path):
    with pytest.raises(FeedbackError, match="is not a folder; expected one to keep log.sqlite in"):
        FeedbackLog.open(tmp_path / "none" / "log.sqlite")
    (tmp_path / "text").write_text("hello " * 1000)
    with pytest.raises(FeedbackError, match="could not be used"):
        FeedbackLog.open(tmp_path / "text")
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("CREATE TABLE mine (x)")
    with pytest.raises(FeedbackError, match="is a database of something else"):
        FeedbackLog.open(tmp_path / "other")
    assert sqlite3.connect(tmp_path / "other").execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    FeedbackLog.open(tmp_path / "newer").close()
    with sqlite3.connect(tmp_path / "newer") as other:
        other.execute("PRAGMA user_version = 9")
    with pytest.raises(FeedbackError, match="has schema version 9; expected 1"):
        FeedbackLog.open(tmp_path / "newer")


def test_a_log_held_by_another_process_is_an_error_not_a_loss(tmp_path, monkeypatch):
    monkeypatch.setattr("quarry.training.feedback.log._BUSY_SECONDS", 0.1)
    with FeedbackLog.open(tmp_path / "log") as log:
        holder = sqlite3.connect(tmp_path / "log", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(FeedbackError, match=r"could not be used \(database is locked\).*Nothing was stored"):
            log.append(event())
        holder.execute("ROLLBACK")
        log.append(event())
        assert len(log) == 1


def test_threads_share_a_log(log):
    threads = [threading.Thread(target=lambda: [log.append(event()) for _ in range(25)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({stored.number for stored in log.events()}) == 200


WRITER = """
import sys
from pathlib import Path
from quarry.training.feedback.log import FeedbackEvent, FeedbackLog
log = FeedbackLog.open(Path(sys.argv[1]))
for row in range(int(sys.argv[3])):
    number = log.append(FeedbackEvent(f"q {sys.argv[2]} {row}", "note", sys.argv[2], "000001", note="备注 " * 50))
    print(number, row, flush=True)
"""


def start(path, name, count=1_000_000):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_processes_that_start_at_once_all_get_their_rows_in(tmp_path):
    children = [start(tmp_path / "log", f"p{number}", 20) for number in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4
    for child in children:
        child.stdout.close()
    with FeedbackLog.open(tmp_path / "log") as log:
        assert log.summary().by_session == {f"p{number}": 20 for number in range(4)}


def kill_at_random(path, times, seed):
    """Rows acknowledged before a kill -9 must be there after reopening; returns how many were acknowledged."""
    rng, acknowledged = random.Random(seed), {}
    for run in range(times):
        child = start(path, f"r{run}")
        lines = []
        if run % 4:  # wait for the first row, so that the kill falls among writes; else it may fall into the opening
            lines.append(child.stdout.readline())
        time.sleep(rng.uniform(0, 0.02 if run % 4 else 0.25))
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
        child.stdout.close()
        assert child.wait(30) == -signal.SIGKILL
        for line in lines:
            if line.endswith("\n"):
                number, row = line.split()
                acknowledged[int(number)] = f"q r{run} {row}"
        with FeedbackLog.open(path) as log:
            stored = {entry.number: entry.event.query for entry in log.events()}
        assert acknowledged.items() <= stored.items()
        assert (
            len(stored) <= len(acknowledged) + run + 1
        )  # at most one row per kill was stored and not yet acknowledged
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return len(acknowledged)


@pytest.mark.slow
def test_kill_9_takes_nothing_that_was_acknowledged(tmp_path):
    assert kill_at_random(tmp_path / "log", KILLS, seed=2) > KILLS


def test_a_full_disk_is_an_error_and_keeps_what_was_stored(tmp_path):
    script = WRITER.replace(
        "log = ", "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\nlog = "
    )
    script = "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + script
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "log"), "s", "100000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "FeedbackError" in done.stderr
    assert "could not be used" in done.stderr
    acknowledged = len(done.stdout.splitlines())
    assert acknowledged > 5
    with FeedbackLog.open(tmp_path / "log") as log:
        assert len(log) >= acknowledged


def test_the_log_is_importable_without_heavy_packages():
    code = "import sys, quarry.training.feedback.log, quarry.training.examples.rows; print([m for m in ('torch', 'transformers', 'streamlit', 'faiss') if m in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_methods_of_the_log_answer_for_the_whole_log(log):
    log.append(event(session="a"))
    log.append(event(session="b", action="thumb_down"))
    log.append(event(session="c", action="answer"))
    assert [(j.grade, j.sessions) for j in log.judgements()] == [(1, 3)]
    assert [j.grade for j in log.judgements("latest")] == [2]
    assert log.document_grades() == {"how to renew": {"loans.md": 1}}
    assert log.summary().events == 3
    assert json.dumps(log.summary().by_action) == '{"answer": 1, "thumb_down": 1, "thumb_up": 1}'
