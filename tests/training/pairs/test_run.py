"""A whole run: counts that add up, rows that can be trained on, runs that were interrupted, and planted pairs by the offline model."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from quarry.app.wiring import choose_model
from quarry.demo_corpus import documents_path
from quarry.indexer.errors import TrainingError
from quarry.training.examples.row_files import RowFiles
from quarry.training.pairs import gather as gathering
from quarry.training.pairs.filters.scoring import FilterRule
from quarry.training.pairs.records import PairOptions
from quarry.training.pairs.run import make_pairs
from tests import ROOT
from tests.fakes import WordEmbedder
from tests.training.pairs.planted import plant, shares, write_rows

NOUNS = [
    "loan",
    "desk",
    "card",
    "hall",
    "queue",
    "letter",
    "phone",
    "journal",
    "map",
    "atlas",
    "poster",
    "record",
    "reader",
    "tower",
    "garden",
    "bridge",
    "river",
    "lamp",
    "engine",
    "valley",
]
VERBS = [
    "renew",
    "return",
    "reserve",
    "print",
    "order",
    "repair",
    "open",
    "close",
    "borrow",
    "lend",
    "copy",
    "collect",
    "cancel",
    "move",
    "paint",
]


def sentences(count, seed=0):
    """Questions and answers that share their words, each its own."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        noun, verb, other = draw.choice(NOUNS), draw.choice(VERBS), draw.choice(NOUNS)
        word = f"{noun}{number:04d}"
        rows.append(
            (
                f"How do I {verb} the {word}?",
                f"You {verb} the {word} at the {other} number {draw.randrange(999)}, "
                f"beside the {draw.choice(NOUNS)} of {draw.choice(VERBS)}ed {draw.choice(NOUNS)}s.",
            )
        )
    return rows


def jsonl(path, rows):
    path.write_text(
        "".join(json.dumps({"question": q, "answer": a}, ensure_ascii=False) + "\n" for q, a in rows), encoding="utf-8"
    )
    return path


def kept(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def adds_up(report):
    found = sum(report.found.values())
    for step in report.steps:
        assert step.given == found
        assert step.given == step.kept + sum(step.dropped.values())
        found = step.kept
    assert found == sum(report.kept.values())


def test_counts_add_up_and_every_dropped_pair_is_written_with_its_reason(tmp_path):
    rows = sentences(200)
    mixed = [
        *rows,
        *rows[:30],
        ("Casino", "Best online casino! Claim your bonus now at www.win.bet!!!"),
        ("", "x"),
        ("a", "b"),
    ]
    report = make_pairs(
        [jsonl(tmp_path / "a.jsonl", mixed), documents_path()],
        tmp_path / "out.jsonl",
        WordEmbedder(),
        PairOptions(dropped=tmp_path / "dropped.jsonl"),
    )
    adds_up(report)
    dropped = kept(tmp_path / "dropped.jsonl")
    assert len(dropped) + sum(report.kept.values()) == sum(report.found.values())
    reasons: dict[str, int] = {}
    for one in dropped:
        reasons[one["reason"]] = reasons.get(one["reason"], 0) + 1
    said = {str(reason): count for step in report.steps for reason, count in step.dropped.items()}
    assert reasons == said
    assert said["copy of an earlier pair"] >= 30
    assert {str(what): count for what, count in report.lost.items()} == {
        "rows without two texts that belong together": 1
    }
    assert report.digest == sha256((tmp_path / "out.jsonl").read_bytes()).hexdigest()
    assert not list(tmp_path.glob(".out*"))


def test_the_trainer_reads_the_rows(tmp_path):
    content = [
        {"sentence1": f"The {a} is near the {b}.", "sentence2": f"Near the {b} stands the {a}."}
        for a in NOUNS
        for b in NOUNS[:6]
        if a != b
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    jsonl(tmp_path / "q.jsonl", sentences(40))
    make_pairs([tmp_path / "p.jsonl", tmp_path / "q.jsonl"], tmp_path / "out.jsonl", None)
    rows = RowFiles.open([tmp_path / "out.jsonl"], strict=True)
    kinds = {(row.kind, row.prompt) for row in rows}
    assert kinds == {("symmetric_sts", "{query}"), ("normal", "")}
    assert all(row.query and row.pos for row in rows)


def test_headings_of_many_documents_are_asked_with_their_title(tmp_path):
    for number, noun in enumerate(NOUNS):
        text = f"# The {noun}\n\n{sentences(1, number)[0][1]}\n\n## Care\n\n{sentences(1, number + 99)[0][1]}\n"
        (tmp_path / f"{noun}.md").write_text(text, encoding="utf-8")
    make_pairs([tmp_path], tmp_path / "out.jsonl", None)
    queries = [row["query"] for row in kept(tmp_path / "out.jsonl") if row["kind"] == "heading"]
    assert len(queries) == len(NOUNS)
    assert "The loan Care" in queries


@pytest.mark.parametrize(
    ("rule", "rows"), [(FilterRule(keep=0.25), 25), (FilterRule(threshold=-1.0), 100), (FilterRule(threshold=1.1), 0)]
)
def test_a_threshold_and_a_share_keep_what_they_say(tmp_path, rule, rows):
    file = jsonl(tmp_path / "a.jsonl", sentences(100))
    if not rows:
        with pytest.raises(TrainingError, match="no pair is left of 100 found and 100 scored"):
            make_pairs([file], tmp_path / "out.jsonl", WordEmbedder(), PairOptions(rule))
        return
    report = make_pairs([file], tmp_path / "out.jsonl", WordEmbedder(), PairOptions(rule))
    assert sum(report.kept.values()) == rows
    adds_up(report)


def test_an_interrupted_run_goes_on_and_ends_with_the_same_file(tmp_path, monkeypatch):
    """Stopped while it reads, while it scores, and between."""
    monkeypatch.setattr(gathering, "_EVERY_S", 0.0)
    file = jsonl(tmp_path / "a.jsonl", [*sentences(1500), *sentences(300, seed=3)])
    whole = make_pairs(
        [file, documents_path()], tmp_path / "whole.jsonl", WordEmbedder(), PairOptions(dropped=tmp_path / "d1")
    )
    handled = 0

    def stopping(after):
        def observe(_name, _total):
            def tell(count):
                nonlocal handled
                handled += count
                if handled >= after:
                    raise KeyboardInterrupt

            return tell

        return observe

    for after in (300, 600, 700, 800):
        handled = 0
        with pytest.raises(KeyboardInterrupt):
            make_pairs(
                [file, documents_path()],
                tmp_path / "parts.jsonl",
                WordEmbedder(),
                PairOptions(dropped=tmp_path / "d2"),
                observer=stopping(after),
            )
    handled, read = 0, []
    again = make_pairs(
        [file, documents_path()],
        tmp_path / "parts.jsonl",
        WordEmbedder(),
        PairOptions(dropped=tmp_path / "d2"),
        observer=lambda name, _total: lambda count: read.append((name, count)),
    )
    assert sum(count for name, count in read if name == "pairs") < 1800
    assert again.digest == whole.digest
    assert (again.steps, again.found, again.kept) == (whole.steps, whole.found, whole.kept)
    assert (tmp_path / "d1").read_bytes() == (tmp_path / "d2").read_bytes()


def test_scores_of_another_version_are_not_mixed_with_new_ones(tmp_path, monkeypatch):
    from quarry.training.pairs import run

    file = jsonl(tmp_path / "a.jsonl", sentences(1500))
    whole = make_pairs([file], tmp_path / "whole.jsonl", WordEmbedder())

    def stop(name, _total):
        def tell(_count):
            if name == "scoring":
                raise KeyboardInterrupt

        return tell

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "SCORES", run.SCORES - 1)
        make_pairs([file], tmp_path / "out.jsonl", WordEmbedder(), observer=stop)
    for old in (tmp_path / ".out.jsonl.work").glob("scores.*"):
        old.write_bytes(b"\xff" * old.stat().st_size)
    scored = []
    again = make_pairs(
        [file],
        tmp_path / "out.jsonl",
        WordEmbedder(),
        observer=lambda name, _total: lambda count: scored.append(count) if name == "scoring" else None,
    )
    assert sum(scored) == 1500
    assert again.digest == whole.digest


def test_a_torn_line_is_cut_and_other_sources_begin_anew(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", sentences(100))

    def stop(_name, _total):
        def tell(_count):
            raise KeyboardInterrupt

        return tell

    with pytest.raises(KeyboardInterrupt):
        make_pairs([file], tmp_path / "out.jsonl", WordEmbedder(), observer=stop)
    work = tmp_path / ".out.jsonl.work"
    for name in ("pairs.jsonl", "bands.u32", "offsets.i64"):
        with (work / name).open("ab") as handle:
            handle.write(b"torn")
    torn = make_pairs([file], tmp_path / "out.jsonl", WordEmbedder())
    assert torn.digest == make_pairs([file], tmp_path / "new.jsonl", WordEmbedder()).digest
    with pytest.raises(KeyboardInterrupt):
        make_pairs([file], tmp_path / "out.jsonl", WordEmbedder(), observer=stop)
    jsonl(file, sentences(50, seed=9))
    assert sum(make_pairs([file], tmp_path / "out.jsonl", WordEmbedder()).found.values()) == 50


@pytest.mark.slow
def test_a_killed_command_goes_on_with_the_same_digest(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", sentences(6_000))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def command(into):
        return [
            sys.executable,
            "-m",
            "quarry",
            "pairs",
            str(file),
            "--into",
            str(into),
            "--scorer",
            "none",
            "--json",
            "-q",
        ]

    process = subprocess.Popen(
        command(tmp_path / "killed.jsonl"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    written, end = tmp_path / ".killed.jsonl.work" / "pairs.jsonl", time.monotonic() + 120
    while not (written.exists() and written.stat().st_size) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert written.exists()
    assert not (tmp_path / "killed.jsonl").exists()
    found = [
        json.loads(subprocess.run(command(tmp_path / name), env=environment, capture_output=True, check=True).stdout)
        for name in ("killed.jsonl", "whole.jsonl")
    ]
    assert found[0]["digest"] == found[1]["digest"]
    assert found[0]["steps"] == found[1]["steps"]


GENERAL = ROOT / "demo_corpus" / "general"


def true_pairs(query, passage, count=60, seed=0):
    """Questions with the paragraphs that answer them (XQuAD), each paragraph once, in two languages or one."""
    with gzip.open(GENERAL / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = {row["_id"]: row["text"] for row in map(json.loads, file)}
    queries = {row["_id"]: row["text"] for row in kept(GENERAL / "queries.jsonl")}
    found, seen = [], set()
    for line in (GENERAL / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        asked, said, grade = line.split("\t")
        fits = asked.endswith(query) and said.endswith(passage) and asked in queries and said in texts
        if int(grade) > 0 and fits and said not in seen and asked not in seen:
            seen |= {said, asked}
            found.append((queries[asked], " ".join(texts[said].split())))
    return random.Random(seed).sample(found, min(count, len(found)))


def test_planted_copies_and_spam_go_and_true_pairs_stay(tmp_path):
    rows = [row for row in plant([*true_pairs("-en", "-en"), *true_pairs("-zh", "-zh")]) if row[2] != "unrelated"]
    write_rows(tmp_path / "docs", rows)
    report = make_pairs([tmp_path / "docs"], tmp_path / "out.jsonl", None)
    adds_up(report)
    found = shares(rows, kept(tmp_path / "out.jsonl"))
    assert found["true"] > 0.9
    assert max(found["copy"], found["spam"]) < 0.05, found


@pytest.mark.slow
@pytest.mark.parametrize(("query", "passage"), [("-en", "-en"), ("-zh", "-zh"), ("-en", "-zh"), ("-zh", "-en")])
def test_true_pairs_stay_and_planted_bad_ones_go(tmp_path, query, passage):
    rows = plant(true_pairs(query, passage))
    write_rows(tmp_path / "docs", rows)
    report = make_pairs([tmp_path / "docs"], tmp_path / "out.jsonl", choose_model("auto", device="cpu").embedder)
    adds_up(report)
    found = shares(rows, kept(tmp_path / "out.jsonl"))
    assert found["true"] > 0.9, found
    assert max(found[bad] for bad in ("unrelated", "copy", "spam")) < 0.05, found


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({}, "hold no file; expected documents"),
        ({"a.jsonl": ""}, "no pair is left of 0 found and 0 scored .*1 lines that could not be read"),
        (
            {"a.jsonl": '{"question": "x y z", "answer": "Casino bonus! Click here to claim your prize!"}\n'},
            "no pair is left of 1 found",
        ),
        ({"a.bin": "\0\1\2\3"}, "no pair is left"),
    ],
)
def test_nothing_to_make_pairs_of_is_an_error_and_leaves_no_file(tmp_path, content, match):
    (tmp_path / "docs").mkdir()
    for name, text in content.items():
        (tmp_path / "docs" / name).write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match=match):
        make_pairs([tmp_path / "docs"], tmp_path / "out.jsonl", WordEmbedder())
    assert not (tmp_path / "out.jsonl").exists()


def test_one_pair_is_kept_and_the_report_says_that_it_was_not_judged(tmp_path):
    report = make_pairs([jsonl(tmp_path / "a.jsonl", sentences(1))], tmp_path / "out.jsonl", WordEmbedder())
    assert sum(report.kept.values()) == 1
    assert "1 pair is too few to be compared with random ones" in str(report.notes[0])


def test_files_that_cannot_be_read_are_counted_and_the_rest_is_used(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    jsonl(folder / "good.jsonl", sentences(40))
    (folder / "bad.jsonl").write_bytes(b'{"question": "a b c", "answer": "d e f g"}\nnot json\n{"question": "\xff"}\n')
    (folder / "broken.docx").write_bytes(b"PK\3\4 no archive")
    (folder / "bad.csv").write_bytes(b"question,answer\n" + b'"open,\n')
    report = make_pairs([folder], tmp_path / "out.jsonl", None)
    adds_up(report)
    assert sum(report.kept.values()) >= 40
    assert sum(report.lost.values()) >= 3
    assert any("bad.jsonl" in str(problem) for problem in report.problems)


def test_a_missing_path_and_a_foreign_file_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TrainingError, match="not found: .*nowhere; expected files or folders"):
        make_pairs([tmp_path / "nowhere"], tmp_path / "out.jsonl", None)
    (tmp_path / "notes.md").write_text("my notes", encoding="utf-8")
    with pytest.raises(TrainingError, match="exists and is no file of training rows"):
        make_pairs([jsonl(tmp_path / "a.jsonl", sentences(5))], tmp_path / "notes.md", None)
    assert (tmp_path / "notes.md").read_text(encoding="utf-8") == "my notes"


def test_a_full_disk_keeps_what_was_done_and_the_same_call_resumes(tmp_path, monkeypatch):
    file = jsonl(tmp_path / "a.jsonl", sentences(200))
    whole = make_pairs([file], tmp_path / "whole.jsonl", None)
    from quarry.training.pairs import staging

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(staging, "write_atomic", full)
        with pytest.raises(TrainingError, match="the disk is full; what was found so far is in .*it resumes"):
            make_pairs([file], tmp_path / "out.jsonl", None)
    assert not (tmp_path / "out.jsonl").exists()
    assert make_pairs([file], tmp_path / "out.jsonl", None).digest == whole.digest


def test_two_runs_into_one_file_do_not_mix(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", sentences(50))

    def second(_name, _total):
        with pytest.raises(TrainingError, match="another process is making"):
            make_pairs([file], tmp_path / "out.jsonl", None)
        return lambda _count: None

    make_pairs([file], tmp_path / "out.jsonl", None, observer=second)


def test_a_result_among_the_documents_is_no_source_of_the_next_run(tmp_path):
    jsonl(tmp_path / "a.jsonl", sentences(50))
    first = make_pairs([tmp_path], tmp_path / "out.jsonl", None)
    assert make_pairs([tmp_path], tmp_path / "out.jsonl", None).digest == first.digest


def test_paths_with_signs_in_their_names_are_read(tmp_path):
    folder = tmp_path / "a#b 100%"
    folder.mkdir()
    jsonl(folder / "x#y.jsonl", sentences(10))
    assert sum(make_pairs([Path(folder)], tmp_path / "out.jsonl", None).kept.values()) == 10
