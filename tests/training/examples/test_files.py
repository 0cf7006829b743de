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
        ("a.jsonl", '{"query": "q", "pos": ["p"], "neg": [1]}', "neg holds 1; expected texts"),
        ("a.jsonl", '{"query": "q", "pos": []}', "pos is empty"),
        ("a.jsonl", '{"query": "q", "pos": null}', "pos is missing"),
        ("a.jsonl", '{"messages": [{"role": "user", "content": "q"}]}', "query is missing; expected text"),
        (
            "a.jsonl",
            '{"query": "q", "pos": ["p"], "neg": ["n"], "neg_scores": [1, 2]}',
            "neg_scores has 2 numbers for 1 text",
        ),
        ("a.jsonl", '{"sentence1": "q", "sentence2": "p", "label": 0}', "a pair of sentences with a score"),
        ("a.jsonl", '{"query": "q"', "not JSON"),
        ("a.jsonl", '["one text"]', "a JSON list; expected an object, or a list of texts"),
        ("a.tsv", "one field", "1 field; expected 2 or 3"),
        ("a.tsv", "q\t ", "a field is empty"),
        ("a.csv", "q,", "a field is empty"),
    ],
)
def test_a_bad_row_is_left_out_and_named_or_refused_when_asked_to(tmp_path, name, line, message):
    good = {"tsv": "q\tp", "csv": "q,p"}.get(name[2:], '{"query": "q", "pos": ["p"]}')
    path = lines(tmp_path / name, good, line, good)
    found = read_pairs(path)
    assert [example.source for example in found.examples] == [f"{name}:1", f"{name}:3"]
    assert said(found.left_out) == {"rows that could not be read": 1}
    assert [str(row).startswith(f"{path}:2: {message}") for row in found.bad_rows] == [True]
    with pytest.raises(FeedbackError, match="expected") as caught:
        read_pairs(path, strict=True)
    assert str(caught.value).startswith(f"{path}:2: {message}")


ROW = TrainingRow("怎么续借", ("到服务台", "网上"), ("八点开门",))
ONE = TrainingRow("怎么续借", ("到服务台",), ("八点开门",))


@pytest.mark.parametrize(
    ("name", "content", "row"),
    [
        ("a.jsonl", '{"query": "怎么续借", "pos": ["到服务台", "网上"], "neg": ["八点开门"]}', ROW),
        ("a.jsonl", '{"question": "怎么续借", "positives": ["到服务台", "网上"], "negatives": ["八点开门"]}', ROW),
        ("a.jsonl", '{"anchor": "怎么续借", "positive": "到服务台", "negative": "八点开门"}', ONE),
        (
            "a.jsonl",
            '{"anchor": "怎么续借", "positive": "到服务台", "negative_1": "八点开门", "negative_2": null}',
            ONE,
        ),
        ("a.jsonl", '{"question": "怎么续借", "pos_doc": "到服务台", "neg_doc": ["八点开门"]}', ONE),
        ("a.jsonl", '["怎么续借", "到服务台", "八点开门"]', ONE),
        (
            "a.jsonl",
            '{"query": "怎么续借", "positive_passages": [{"title": "借书", "text": "到服务台"}], "negative_passages": []}',
            TrainingRow("怎么续借", ("借书\n到服务台",)),
        ),
        ("a.jsonl", '{"query": "怎么续借", "pos": "到服务台", "neg": null}', TrainingRow("怎么续借", ("到服务台",))),
        ("a.json", '[\n  {"query": "怎么续借",\n   "pos": ["到服务台"], "neg": ["八点开门"]}\n]', ONE),
        ("a.json", '{"data": [\n{"anchor": "怎么续借", "positive": "到服务台", "negative": "八点开门"}\n]}', ONE),
        ("a.json", '[["怎么续借", "到服务台", "八点开门"]]', ONE),
        ("a.csv", "query,pos,neg\n怎么续借,到服务台,八点开门", ONE),
        ("a.csv", 'id,Anchor,Positive,Negative\n7,"怎么续借","到服务台",八点开门', ONE),
        ("a.csv", "anchor;positive;negative\n怎么续借;到服务台;八点开门", ONE),
        ("a.csv", "怎么续借,到服务台,八点开门", ONE),
        ("a.csv", 'query,pos,neg\n怎么续借,"[""到服务台"", ""网上""]","[\'八点开门\']"', ROW),
        ("a.tsv", "id\tquery\tpassage\tneg\n7\t怎么续借\t到服务台\t八点开门", ONE),
    ],
)
def test_the_names_and_forms_of_other_tools_are_read(tmp_path, name, content, row):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8-sig")
    found = read_pairs(path, strict=True)
    assert [example.row for example in found.examples] == [row]


def test_a_quoted_cell_keeps_its_lines_and_commas(tmp_path):
    path = lines(tmp_path / "a.csv", "query,passage", '"a, b?","first', "", 'second"', "c,d")
    found = read_pairs(path, strict=True)
    assert [example.row.pos for example in found.examples] == [("first\n\nsecond",), ("d",)]
    assert [example.source for example in found.examples] == ["a.csv:2", "a.csv:5"]


def test_all_bad_lines_are_counted(tmp_path):
    path = lines(tmp_path / "a.jsonl", *['{"query": 1, "pos": ["p"]}'] * 8)
    with pytest.raises(FeedbackError, match=r"(?s)a\.jsonl:5: .*and 3 more"):
        read_pairs(path)  # not a single row fits


def test_nothing_to_read_is_an_error(tmp_path):
    with pytest.raises(FeedbackError, match="cannot be read"):
        read_pairs(tmp_path / "none.jsonl")
    with pytest.raises(FeedbackError, match="has no pairs"):
        read_pairs(lines(tmp_path / "empty.jsonl"))
    with pytest.raises(FeedbackError, match="unknown kind; expected"):
        read_pairs(lines(tmp_path / "rows.xlsx", "a,b"))
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
