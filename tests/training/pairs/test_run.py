"""A whole run: counts that add up, rows that can be trained on, sources that cannot be read, and planted pairs by the offline model."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from quarry.app.wiring import choose_model
from quarry.demo_corpus import documents_path
from quarry.indexer.errors import TrainingError
from quarry.training.examples.row_files import RowFiles
from quarry.training.pairs.filters.scoring import FilterRule
from quarry.training.pairs.records import PairOptions
from quarry.training.pairs.run import make_pairs
from tests.fakes import WordEmbedder
from tests.training.pairs.planted import plant, shares, write_rows
from tests.training.pairs.sentences import NOUNS, adds_up, jsonl, kept, sentences, true_pairs


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


def test_a_result_among_the_documents_is_no_source_of_the_next_run(tmp_path):
    jsonl(tmp_path / "a.jsonl", sentences(50))
    first = make_pairs([tmp_path], tmp_path / "out.jsonl", None)
    assert make_pairs([tmp_path], tmp_path / "out.jsonl", None).digest == first.digest


def test_paths_with_signs_in_their_names_are_read(tmp_path):
    folder = tmp_path / "a#b 100%"
    folder.mkdir()
    jsonl(folder / "x#y.jsonl", sentences(10))
    assert sum(make_pairs([Path(folder)], tmp_path / "out.jsonl", None).kept.values()) == 10
