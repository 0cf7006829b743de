"""Data sets found by their layout, sampled with a fixed seed, bad lines named."""

import gzip
import json
from collections import Counter

import pytest

from quarry.indexer.errors import CorpusError, SettingsError
from quarry.retriever.benchmark.tasks.task_data import (
    TaskChoice,
    choose_tasks,
    find_tasks,
    kinds_of,
    languages_of,
    read_rows,
)


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


PAIR = {"sentence1": "借书", "sentence2": "borrow"}
LAYOUTS = {
    "sts": ({"test.jsonl": [{**PAIR, "score": 1.5}] * 3}, ("STS",)),
    "pairs": ({"test.jsonl.gz": [{**PAIR, "label": 1}] * 3}, ("PairClassification",)),
    "bitext": ({"dev.jsonl": [PAIR] * 3}, ("BitextMining",)),
    "intents": (
        {name: [{"text": "a", "label": "x"}] * 3 for name in ("test.jsonl", "train.jsonl.gz")},
        ("Classification", "Clustering"),
    ),
    "topics": ({"test.jsonl": [{"text": "a", "label": 7}] * 3}, ("Clustering",)),
    "beir": (
        {"corpus.jsonl": [{"_id": "d", "text": "t"}], "queries.jsonl": [{"_id": "q", "text": "t"}]},
        ("Retrieval", "Reranking"),
    ),
    "only-texts": ({"corpus.jsonl": [{"_id": "d", "text": "t"}]}, ()),
    "training-pairs": ({"dev.jsonl": [{"query": "a", "pos": ["b"]}]}, ()),
    "empty": ({"test.jsonl": []}, ()),
}


@pytest.fixture
def data(tmp_path):
    for name, (files, _) in LAYOUTS.items():
        for file, rows in files.items():
            write(tmp_path / name / file, rows)
    (tmp_path / "README.md").write_text("x")
    return tmp_path


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_layout_says_what_a_folder_can_serve(data, name):
    assert kinds_of(data / name) == LAYOUTS[name][1]


def test_all_data_sets_are_found_and_can_be_chosen_by_name_and_kind(data):
    assert {(choice.folder.name, choice.kind) for choice in find_tasks(data)} == {
        (name, kinds[0]) for name, (_, kinds) in LAYOUTS.items() if kinds
    }
    assert choose_tasks(data, ["intents:clustering", "sts", "intents:Clustering"]) == [
        TaskChoice(data / "intents", "Clustering"),
        TaskChoice(data / "sts", "STS"),
    ]
    assert choose_tasks(data, ["intents"])[0].name == "intents-Classification"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "nowhere",
            CorpusError,
            "nowhere is not a data set; .* holds beir, bitext, .*; expected files of a known layout",
        ),
        ("training-pairs", CorpusError, "is not a data set"),
        (
            "sts:retrieval",
            SettingsError,
            "sts:retrieval: 'retrieval' is not possible with this data; expected one of STS",
        ),
        ("intents:x", SettingsError, "'x' is not possible with this data; expected one of Classification, Clustering"),
    ],
)
def test_wrong_choices_are_named(data, name, error, message):
    with pytest.raises(error, match=message):
        choose_tasks(data, [name])


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match="nowhere is not a folder; expected one that holds data sets"):
        find_tasks(tmp_path / "nowhere")


def test_rows_are_read_whole_and_sampled_the_same_way_each_time(tmp_path):
    rows = [{"text": f"t{n}", "label": f"l{n % 3}"} for n in range(300)]
    write(tmp_path / "s" / "test.jsonl", rows)
    write(tmp_path / "s" / "train.jsonl", rows)
    choice = TaskChoice(tmp_path / "s", "Classification")
    whole = read_rows(choice, None)
    assert (len(whole.rows), len(whole.train), whole.sampled, whole.size) == (
        300,
        300,
        False,
        "300 rows, 300 training rows",
    )
    assert not read_rows(choice, 300).sampled
    some = read_rows(choice, 50)
    assert (len(some.rows), some.sampled, some.size) == (50, True, "50 of 300 rows, 192 training rows")
    assert Counter(row["label"] for row in some.train) == {"l0": 64, "l1": 64, "l2": 64}
    assert [row["text"] for row in some.rows] == sorted((row["text"] for row in some.rows), key=lambda t: int(t[1:]))
    assert read_rows(choice, 50).digest == some.digest != whole.digest
    assert read_rows(TaskChoice(tmp_path / "s", "Clustering"), None).train == ()


@pytest.mark.parametrize(
    ("kind", "row", "reason"),
    [
        ("STS", {**PAIR, "score": "high"}, "score is 'high'; expected a number"),
        ("STS", {**PAIR, "score": True}, "score is True; expected a number"),
        ("STS", {**PAIR, "sentence2": " ", "score": 1}, "sentence2 is ' '; expected text"),
        ("PairClassification", {**PAIR, "label": 2}, "label is 2; expected 0 / 1"),
        ("Clustering", {"text": "a", "label": 1.5}, "label is 1.5; expected text or a whole number"),
        ("Clustering", {"text": "a", "label": ""}, "label is ''; expected text or a whole number"),
        ("BitextMining", {"sentence1": "a"}, "sentence2 is .*; expected text"),
    ],
)
def test_bad_lines_are_named(tmp_path, kind, row, reason):
    good = {"STS": {**PAIR, "score": 1}, "PairClassification": {**PAIR, "label": 0}, "BitextMining": PAIR}
    write(tmp_path / "test.jsonl", [good.get(kind, {"text": "a", "label": "x"}), row])
    with pytest.raises(CorpusError, match=rf"test.jsonl:2: {reason}"):
        read_rows(TaskChoice(tmp_path, kind), None)


def test_too_little_or_broken_data_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match="has no test.jsonl or dev.jsonl"):
        read_rows(TaskChoice(tmp_path, "STS"), None)
    write(tmp_path / "test.jsonl", [{**PAIR, "score": 1}])
    with pytest.raises(CorpusError, match="1 row; expected at least 2"):
        read_rows(TaskChoice(tmp_path, "STS"), None)
    (tmp_path / "test.jsonl").write_text('{"sentence1": ')
    with pytest.raises(CorpusError, match="test.jsonl:1: not JSON"):
        read_rows(TaskChoice(tmp_path, "STS"), None)


def test_languages_are_told_as_mteb_writes_them():
    assert languages_of(["怎么续借图书"] * 9 + ["how to renew"]) == ["cmn-Hans", "eng-Latn"]
    assert languages_of(["how to renew books"] * 30 + ["怎么续借"]) == ["eng-Latn"]
    assert languages_of(["123 + 4"]) == ["und"]
    assert languages_of(["Comment prolonger un prêt à la bibliothèque de la ville ?"] * 5) == ["fra-Latn"]
    assert languages_of(["Jak przedłużyć wypożyczenie książki i co jest do tego potrzebne?"] * 5) == ["pol-Latn"]
    assert languages_of(["Как продлить книги в библиотеке?"] * 5) == ["rus-Cyrl"]
    assert languages_of(["怎么续借图书", "how to renew"] * 1000) == [
        "cmn-Hans",
        "eng-Latn",
    ]  # pairs, one after the other
