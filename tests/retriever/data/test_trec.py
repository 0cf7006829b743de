"""Judgements and runs as files: every form is read, every bad line is named, and our order survives other readers."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.indexer.errors import CorpusError
from quarry.retriever.data.trec import read_qrels, read_run, write_qrels, write_run

QRELS = {"q1": {"d1": 2, "d2": 0}, "问": {"文档": 1}}
TREC = "q1 0 d1 2\nq1\t0\td2\t0\n\n问 0 文档 1\n"
BEIR = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n问\t文档\t1\n"
FLAG = """{"qid": "q1", "docid": "d1", "relevance": 2}
{"qid": "q1", "docid": "d2", "relevance": 0}
{"qid": "问", "docid": "文档", "relevance": 1}
"""


def write(folder, text, name="file.txt"):
    path = folder / name
    raw = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


@pytest.mark.parametrize("text", [TREC, BEIR, FLAG, BEIR.split("\n", 1)[1]], ids=["trec", "beir", "flag", "no header"])
@pytest.mark.parametrize("name", ["qrels.txt", "qrels.tsv.gz"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "bom"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_every_form_of_judgements(tmp_path, text, name, mark, end):
    assert read_qrels(write(tmp_path, mark + text.replace("\n", end), name)).qrels == QRELS


def test_ids_with_spaces_and_line_separators_in_tsv(tmp_path):
    path = write(tmp_path, "query-id\tcorpus-id\tscore\nq 1\tmy file\u2028a.md\t1\nq 1\t全\u3000角\t1\n")
    assert read_qrels(path).qrels == {"q 1": {"my file\u2028a.md": 1, "全\u3000角": 1}}


def test_numbers_as_ids_and_negative_grades(tmp_path):
    path = write(tmp_path, '{"qid": 1, "docid": 7, "relevance": -2}\n')
    assert read_qrels(path).qrels == {"1": {"7": -2}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("q1 0 d1 1\nq1 0 d2 0.5\n", r"file\.txt:2: grade is '0\.5', not a whole number"),
        ("q1 0 d1 1\n\nq1 0 d2 high\n", r"file\.txt:3: grade is 'high'"),
        ("q1\td1\t１\n", r"file\.txt:1: grade is '１'"),
        ('{"qid": "q", "docid": "d", "relevance": 0.5}\n', r"file\.txt:1: grade is 0\.5"),
        ('{"qid": "q", "docid": "d", "relevance": true}\n', r"file\.txt:1: grade is True"),
        ('{"qid": "q", "docid": "d", "relevance": 1}\n{"qid": "q", "relevance": 1}\n', r":2: no docid in the object"),
        ('{"qid": "q", "docid": "d", "relevance": 1}\nq 0 d 1\n', r":2: not JSON"),
        ('{"qid": "q", "docid": "d", "relevance": 1}\n[1]\n', ":2: not JSON|:2: a JSON list"),
        ('{"qid": "q", "docid": null, "relevance": 1}\n', r":1: query id 'q', document id None: an id is missing"),
        ("q1 0 d1 1\nq1 0 d1\n", r":2: 3 fields; expected 4"),
        ("q1 0 d1 1 2\n", r":1: 5 fields; expected 3 or 4"),
        ("q1\t\t1\n", r":1: query id 'q1', document id ''"),
        ("q1 0 d1 1\nq1 0 d1 0\n", r":2: query 'q1', document 'd1' has grade 0, but 1 in line 1"),
        (b"q1 0 d1 1\nq1 0 \xff 0\n", r":2: not UTF-8 at byte 5"),
        ("query-id\tcorpus-id\tscore\nquery-id\tcorpus-id\tscore\n", ":2: grade is 'score'"),
    ],
)
def test_a_bad_judgement_is_named(tmp_path, text, reason):
    with pytest.raises(CorpusError, match=reason):
        read_qrels(write(tmp_path, text))


def test_all_bad_lines_are_counted_and_the_first_shown(tmp_path):
    path = write(tmp_path, "q 0 d0 1\n" + "".join(f"q 0 d{n} x\n" for n in range(1, 9)))
    with pytest.raises(CorpusError, match=r"(?s)file\.txt:2: .*file\.txt:6: .*and 3 more; expected TREC lines"):
        read_qrels(path)


def test_the_same_judgement_twice_is_counted_and_shown(tmp_path):
    path = write(tmp_path, "q 0 d 1\nq 0 e 1\nq 0 d 1\n")
    judgements = read_qrels(path)
    assert judgements.qrels == {"q": {"d": 1, "e": 1}}
    assert judgements.repeated == (f"{path}:3",)


@pytest.mark.parametrize("read", [lambda path: read_qrels(path).qrels, read_run], ids=["qrels", "run"])
def test_an_empty_file_gives_nothing(tmp_path, read):
    assert read(write(tmp_path, "\ufeff\n \n")) == {}


@pytest.mark.parametrize("read", [read_qrels, read_run])
def test_files_that_cannot_be_read(tmp_path, read):
    with pytest.raises(CorpusError, match=r"absent\.txt: cannot be read \(No such file"):
        read(tmp_path / "absent.txt")
    false = tmp_path / "false.gz"
    false.write_bytes(b"q 0 d 1\n")
    with pytest.raises(CorpusError, match=r"false\.gz: not a complete gzip file"):
        read(false)
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(TREC.encode() * 50)[:-12])
    with pytest.raises(CorpusError, match=r"cut\.gz: not a complete gzip file"):
        read(cut)


def test_forms_of_runs(tmp_path):
    expected = {"q1": [("b", 2.5), ("a", 1.0), ("c", 1.0)], "q2": [("a", -3.0)]}
    trec = "q1 Q0 c 1 1 me\nq1 Q0 b 2 2.5 me\nq1 Q0 a 3 1e0 me\nq2 Q0 a 1 -3 me\n"
    tsv = "query-id\tcorpus-id\tscore\nq1\tb\t2.5\nq1\tc\t1\nq1\ta\t1\nq2\ta\t-3\n"
    jsonl = "".join(
        f'{{"qid": "{query}", "docid": "{doc}", "score": {score}}}\n'
        for query, hits in expected.items()
        for doc, score in hits
    )
    flag = '{"eval_name": "x",\n "search_results": {"q1": {"a": 1, "b": 2.5, "c": 1}, "q2": {"a": -3}}}'
    for name, text in {"a.trec": trec, "b.tsv": tsv, "c.jsonl": jsonl, "d.json": flag, "e.json.gz": flag}.items():
        assert read_run(write(tmp_path, text, name)) == expected, name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("q Q0 d 1 high t\n", r":1: score is 'high', not a finite number"),
        ("q Q0 d 1 nan t\n", r":1: score is 'nan'"),
        ("q Q0 d 1 1_0 t\n", r":1: score is '1_0'"),
        ("q Q0 d 1 2.0 t\nq Q0 d 2 1.0 t\n", r":2: duplicate document 'd' for query 'q'"),
        ("q Q0 d 1 2.0 t\nq Q0 e 1.0 t\n", r":2: 5 fields; expected 6"),
        ('{"qid": "q", "docid": "d", "score": true}\n', r":1: score is True"),
    ],
)
def test_a_bad_line_of_a_run_is_named(tmp_path, text, reason):
    with pytest.raises(CorpusError, match=reason):
        read_run(write(tmp_path, text))


@pytest.mark.parametrize("text", ["[1]", '{"q": 1}', "{"])
def test_search_results_of_another_shape(tmp_path, text):
    with pytest.raises(CorpusError, match=r"r\.json: .*expected an object \{query: \{document: value\}\}"):
        read_run(write(tmp_path, text, "r.json"))


scores = st.lists(st.one_of(st.floats(-1e30, 1e30), st.sampled_from([0.0, 1.0, -4.5])), max_size=12)


@given(scores)
def test_our_order_is_the_only_order_of_what_is_written(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("run") / "run.trec"
    ours = [(f"d{n}", value) for n, value in enumerate(values)]  # any order, as after reranking a head
    write_run(path, {"q": ours})
    assert [doc for doc, _ in read_run(path).get("q", [])] == [doc for doc, _ in ours]
    written = np.array([line.split()[4] for line in path.read_text().splitlines()], dtype=np.float32)
    assert (np.diff(written) < 0).all()  # in single precision too


def test_scores_that_fall_already_are_kept_exactly(tmp_path):
    run = {"q": [("a b.md", 0.1 + 0.2), ("文档", 1 / 3 - 0.1)], "none": []}
    write_run(tmp_path / "run.trec.gz", run, tag="hybrid")
    assert read_run(tmp_path / "run.trec.gz") == {"q": run["q"]}


def test_other_reader_keeps_our_order(tmp_path):
    ir_measures = pytest.importorskip("ir_measures")
    write_run(tmp_path / "run.trec", {"q": [("z", 1.0), ("a", 1.0), ("m", 1.0)]})
    ours = [ir_measures.Qrel("q", "a", 1)]
    value = ir_measures.calc_aggregate([ir_measures.RR], ours, ir_measures.read_trec_run(str(tmp_path / "run.trec")))
    assert value[ir_measures.RR] == 0.5


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ({"q": [("a", 1.0), ("a", 0.5)]}, "duplicate document 'a' for query 'q'"),
        ({"q": [("a", float("nan"))]}, "score of 'a' for query 'q' is nan"),
        ({"q": [("a", 1e300)]}, "score of 'a' for query 'q' is 1e\\+300"),
        ({"q": [("a\tb", 1.0)]}, r"the id 'a\\tb' is empty or has tabs"),
        ({"": [("a", 1.0)]}, "the id '' is empty"),
    ],
)
def test_a_run_that_cannot_be_written(tmp_path, run, reason):
    with pytest.raises(ValueError, match=reason):
        write_run(tmp_path / "run.trec", run)
    assert not list(tmp_path.iterdir())


def test_tag_is_one_word(tmp_path):
    with pytest.raises(ValueError, match="tag is 'my run'; expected one word"):
        write_run(tmp_path / "run.trec", {}, tag="my run")


def test_judgements_are_written_and_read_back(tmp_path):
    write_qrels(tmp_path / "test.tsv", QRELS)
    assert read_qrels(tmp_path / "test.tsv").qrels == QRELS
    with pytest.raises(ValueError, match="the id 'a\\\\nb' is empty or has"):
        write_qrels(tmp_path / "bad.tsv", {"q": {"a\nb": 1}})


GRADES = {"q1": {"d1": 2, "d2": 0}, "怎么续借": {"d 3": 1}}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2.0\nq1\td2\t0.0\n怎么续借\td 3\t1."),
        ("test.tsv", "score\tcorpus-id\tquery-id\n2\td1\tq1\n0\td2\tq1\n1\td 3\t怎么续借"),
        ("test.tsv", "qid\titer\tdocno\trel\nq1\t0\td1\t2\nq1\t0\td2\t0\n怎么续借\t0\td 3\t1"),
        ("test.tsv", "query_id,doc_id,relevance\nq1,d1,2\nq1,d2,0\n怎么续借,d 3,1"),
        ("test.csv", 'q1,d1,2\nq1,d2,0\n怎么续借,"d 3",1'),
        ("test.jsonl", ("query-id", "corpus-id", "score")),
        ("test.jsonl", ("query_id", "doc_id", "relevance")),
        ("test.jsonl", ("qid", "pid", "label")),
        ("test.json", '{"q1": {"d1": 2, "d2": 0.0},\n "怎么续借": {"d 3": 1}}'),
    ],
)
def test_the_names_and_forms_of_the_hub_and_of_table_programs_are_read(tmp_path, name, content):
    if isinstance(content, tuple):
        rows = [(query, doc_id, float(grade)) for query, row in GRADES.items() for doc_id, grade in row.items()]
        content = "\n".join(json.dumps({**dict(zip(content, row, strict=True)), "split": "test"}) for row in rows)
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert read_qrels(path).qrels == GRADES


@pytest.mark.parametrize("grade", ["0.5", "1e0", "nan", "1.0.0", ""])
def test_a_grade_that_is_no_whole_number_is_refused(tmp_path, grade):
    path = tmp_path / "test.tsv"
    path.write_text(f"query-id\tcorpus-id\tscore\nq1\td1\t{grade}\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"test\.tsv:2: grade is .*, not a whole number"):
        read_qrels(path)


def test_a_run_may_have_the_hubs_names_too(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text('{"query-id": 1, "corpus-id": "d1", "score": 0.25}', encoding="utf-8")
    assert read_run(path) == {"1": [("d1", 0.25)]}
