"""Training files: every form read in both languages, and every bad line named with its number."""

import gzip
import json

import pytest

from quarry.indexer.errors import FeedbackError
from quarry.training.examples.files import read_pairs
from quarry.training.examples.rows import TrainingRow
from tests.training.reasons import said

CORPUS = [
    {"_id": "d1", "title": "借书", "text": "到服务台续借。"},
    {"_id": "d2", "title": "Hours", "text": "Open until eight."},
    {"_id": "d3", "title": "", "text": " "},
]


def lines(path, *rows):
    path.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    return path


def beir(folder, qrels):
    (folder / "qrels").mkdir()
    lines(folder / "corpus.jsonl", *(json.dumps(row, ensure_ascii=False) for row in CORPUS))
    lines(folder / "queries.jsonl", '{"_id": "q1", "text": "怎么续借"}', '{"_id": "q2", "text": "opening hours"}')
    lines(folder / "qrels" / "train.tsv", "query-id\tcorpus-id\tscore", *qrels)
    return folder


def test_flag_embedding_rows_keep_all_fields(tmp_path):
    row = '{"query": "怎么续借", "pos": ["到服务台"], "neg": ["a"], "pos_scores": [9], "neg_scores": [1.5], "prompt": "p", "type": "normal"}'
    (example,) = read_pairs(lines(tmp_path / "rows.jsonl", "", row)).examples
    assert example.row == TrainingRow("怎么续借", ("到服务台",), ("a",), (9.0,), (1.5,), "p", "normal")
    assert (example.origin, example.language, example.source) == ("file", "zh", "rows.jsonl:2")


def test_plain_pairs_need_no_negatives(tmp_path):
    path = tmp_path / "pairs.jsonl.gz"
    path.write_bytes(gzip.compress('{"query": "q", "pos": ["答案"], "source": "x"}\n'.encode()))
    assert read_pairs(path).examples[0].row == TrainingRow("q", ("答案",))
    tsv = lines(tmp_path / "pairs.tsv", "query\tpassage", "怎么续借\t到服务台", "when?\tat eight\tat the desk")
    assert [example.row for example in read_pairs(tsv).examples] == [
        TrainingRow("怎么续借", ("到服务台",)),
        TrainingRow("when?", ("at eight",), ("at the desk",)),
    ]


def test_a_folder_is_read_by_name_and_contradictions_are_counted(tmp_path):
    lines(
        tmp_path / "b.jsonl",
        '{"query": "b", "pos": ["P"], "neg": ["ｐ", "n"], "neg_scores": [3, 4], "pos_scores": [5]}',
    )
    lines(tmp_path / "a.tsv", "a\tp")
    lines(tmp_path / "notes.txt", "not data")
    found = read_pairs(tmp_path)
    assert [example.source for example in found.examples] == ["a.tsv:1", "b.jsonl:1"]
    assert found.examples[1].row == TrainingRow("b", ("P",), ("n",), (5.0,), (4.0,))
    assert said(found.left_out) == {"negatives that are also a positive of their row": 1}


def test_beir_gives_the_texts_that_an_index_has(tmp_path):
    found = read_pairs(beir(tmp_path, ["q1\td1\t1", "q1\td2\t0", "q1\tgone\t2", "q2\td3\t1"]))
    (example,) = found.examples
    assert example.row == TrainingRow("怎么续借", ("借书\n到服务台续借。",), ("Hours\nOpen until eight.",))
    assert example.positive_ids == ("d1",)
    assert said(found.left_out) == {
        "judged documents that the corpus does not have": 2,
        "queries without a positive": 1,
    }


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        (
            "a.jsonl",
            '{"query": "q", "pos": "text"}',
            "pos is one text; expected a list of texts, or it would be read letter",
        ),
        ("a.jsonl", '{"query": "q", "pos": ["p"], "neg": "text"}', "neg is one text; expected a list"),
        ("a.jsonl", '{"query": "q", "pos": ["p"], "neg": null}', "neg is missing; expected a list"),
        ("a.jsonl", '{"query": "q", "pos": []}', "pos is empty"),
        ("a.json", '[{"query": "q", "pos": ["p"]}]', "a JSON list; expected one object a line"),
        ("a.jsonl", '{"query": "q"', "not JSON"),
        ("a.tsv", "one field", "1 fields, expected 2 or 3"),
        ("a.tsv", "q\t ", "a field is empty"),
    ],
)
def test_a_bad_line_is_named(tmp_path, name, line, message):
    good = "q\tp" if name.endswith("tsv") else '{"query": "q", "pos": ["p"]}'
    path = lines(tmp_path / name, good, line)
    with pytest.raises(FeedbackError, match="expected") as caught:
        read_pairs(path)
    assert f"{path}:2: {message}" in str(caught.value)


def test_all_bad_lines_are_counted(tmp_path):
    path = lines(tmp_path / "a.jsonl", *['{"query": 1, "pos": ["p"]}'] * 8)
    with pytest.raises(FeedbackError, match=r"(?s)a\.jsonl:5: .*and 3 more"):
        read_pairs(path)


def test_nothing_to_read_is_an_error(tmp_path):
    with pytest.raises(FeedbackError, match="cannot be read"):
        read_pairs(tmp_path / "none.jsonl")
    with pytest.raises(FeedbackError, match="has no pairs"):
        read_pairs(lines(tmp_path / "empty.jsonl"))
    with pytest.raises(FeedbackError, match="unknown kind; expected"):
        read_pairs(lines(tmp_path / "rows.csv", "a,b"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(FeedbackError, match="no qrels folder"):
        read_pairs(tmp_path / "folder")


def test_beir_without_the_split_or_without_positives_is_an_error(tmp_path):
    folder = beir(tmp_path, ["q1\tgone\t1"])
    with pytest.raises(FeedbackError, match="no split 'dev'; expected one of train"):
        read_pairs(folder, split="dev")
    with pytest.raises(FeedbackError, match="has a relevant document"):
        read_pairs(folder)


@pytest.mark.data
def test_the_real_sets_are_read_whole(shared_data):
    for name, language in (("zh", "zh"), ("en", "en")):
        found = read_pairs(shared_data / f"train-pairs-{name}" / "dev.jsonl")
        assert len(found.examples) == 2000
        assert sum(example.language == language for example in found.examples) > 1000
    scifact = read_pairs(shared_data / "scifact-en")
    assert (len(scifact.examples), said(scifact.left_out)) == (809, {})
