"""`quarry tune` with data that cannot be learnt from: one line that says what to do, exit code 1, the index as it was."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.log import FeedbackLog, feedback_path
from tests.app.running import quarry
from tests.training.tuning.faults import digests
from tests.training.tuning.test_embedder import index, model, rows

__all__ = ["index", "model"]


def line(**content) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"


GOOD = b"".join(line(query=row.query, pos=list(row.pos)) for row in rows(12))
FILES = {
    "nothing": (b"", "pairs.jsonl has no pairs; expected"),
    "three": (GOOD.splitlines(keepends=True)[0] * 3, "there are 3 examples; expected at least 10"),
    "one query": (
        b"".join(line(query="怎么修理", pos=list(row.pos)) for row in rows(30)),
        "1 queries form 1 groups that belong together",
    ),
    "one passage": (
        b"".join(line(query=row.query, pos=["the same answer"]) for row in rows(30)),
        "30 queries form 1 groups",
    ),
    "a number for a list": (GOOD + line(query="a", pos=7), ":13: pos is 7; expected"),
    "a broken line": (GOOD[:-1] + b'\n{"query": \n' + GOOD, ":13: not JSON"),
    "not UTF-8": (GOOD + '{"query": "修理"}\n'.encode("gb18030"), ":13: "),
    "no positive": (GOOD + line(query="a", pos=[]), ":13: pos is empty; expected at least one relevant passage"),
}


def refused(index, *options, expected):
    before = digests(index)
    done = quarry("tune", index, *options, "--quiet")
    assert done.returncode == 1, done
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert expected in done.stderr
    assert done.stdout == ""
    assert digests(index) == before
    return done.stderr


@pytest.mark.parametrize("name", FILES)
def test_pairs_that_cannot_be_learnt_from(index, tmp_path, name):
    """With --strict, which refuses a file for one bad row; without it the row is left out (tests/training/examples)."""
    content, expected = FILES[name]
    (tmp_path / "pairs.jsonl").write_bytes(content)
    said = refused(index, "--pairs", tmp_path / "pairs.jsonl", "--strict", expected=expected)
    assert "pairs.jsonl" in said or "examples" in said or "queries" in said


def test_a_data_set_without_judgements_to_train_on(index, tmp_path):
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_bytes(line(_id="d", title="", text="text"))
    (folder / "queries.jsonl").write_bytes(line(_id="q", text="query"))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    refused(index, "--pairs", folder, expected="train")
    refused(index, "--pairs", tmp_path / "none", expected="none")


def test_a_log_that_is_empty_and_one_that_contradicts_itself(index):
    with FeedbackLog.open(feedback_path(index)):
        pass
    refused(index, expected="there are 0 examples; expected at least 10")
    with FeedbackLog.open(feedback_path(index)) as log:
        for number, row in enumerate(rows(40)):
            for day, (voter, kind) in enumerate(
                (("a", "thumb_up"), ("b", "thumb_down"), ("c", "thumb_up"), ("d", "thumb_down"))
            ):
                at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day, minutes=number)
                log.append(
                    FeedbackEvent(
                        row.query, kind, voter, "000001", f"d{number}#0-{len(row.pos[0])}", f"d{number}", at=at
                    )
                )
    said = refused(index, expected="there are 0 examples; expected at least 10")
    assert "disputed" in said or "contradict" in said


def test_a_learning_rate_that_is_absurd(index, tmp_path):
    (tmp_path / "pairs.jsonl").write_bytes(GOOD)
    (tmp_path / "settings.toml").write_text("learning_rate = 1e30")
    refused(
        index,
        "--pairs",
        tmp_path / "pairs.jsonl",
        "--settings",
        tmp_path / "settings.toml",
        expected="learning_rate: Input should be less than or equal to 0.01",
    )
