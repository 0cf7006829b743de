"""Data sets in the three layouts, and what is said when their parts do not fit."""

import gzip
import json

import pytest

from quarry.indexer.errors import CorpusError
from quarry.indexer.records import Document
from quarry.retriever.data.datasets import documents, load_dataset, parse_queries, unknown_documents
from quarry.retriever.ranking import Query

CORPUS = """{"_id": "d1", "title": "标题", "text": "正文", "metadata": {"year": 1999}}
{"_id": 2, "text": "b\\u0000\\ud800"}
"""
QUERIES = """{"_id": "q1", "text": "问题", "kind": "short"}
{"_id": "q2", "text": "二"}
{"_id": "q3", "text": "三"}
{"_id": "q4", "text": "四"}
"""
HEADER = "query-id\tcorpus-id\tscore\n"
TOPICS = """<top>
<num> Number: q1
<title> first question
<desc> Description:
what is wanted
</top>

<top>
<num>q2</num>
<title></title>
<desc> Description:
second
question
</desc>
</top>
"""


def put(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return folder


def beir(folder, **changes):
    return put(
        folder,
        {
            "corpus.jsonl": CORPUS,
            "queries.jsonl": QUERIES,
            "qrels/test.tsv": HEADER + "q2\td1\t1\nq1\td1\t1\nq1\tgone\t0\nq9\td1\t1\nq1\td1\t1\n",
            "qrels/train.tsv": HEADER + "q3\td1\t1\nbroken line\n",
            **changes,
        },
    )


def test_beir(tmp_path):
    dataset = load_dataset(beir(tmp_path / "set"))
    assert (dataset.name, dataset.split, dataset.language) == ("set", "test", "zh")
    assert dataset.queries == (Query("q1", "问题"), Query("q2", "二"))
    assert dataset.qrels == {"q1": {"d1": 1, "gone": 0}, "q2": {"d1": 1}}
    assert dataset.metadata["q1"] == {"kind": "short"}
    assert dataset.unjudged == ("q4",)  # q3 belongs to train
    assert dataset.without_query == ("q9",)
    assert [place.rpartition("/")[2] for place in dataset.repeated] == ["test.tsv:6"]
    assert [str(note).split(" (")[0] for note in dataset.notes()] == [
        "1 query has no judgements: left out",
        "1 judged query has no text: left out",
        "1 duplicate judgement: left out",
    ]


def test_beir_compressed_is_the_same_data_set(tmp_path):
    plain = load_dataset(beir(tmp_path / "plain"))
    packed = put(
        tmp_path / "packed",
        {
            "corpus.jsonl.gz": CORPUS,
            "queries.jsonl.gz": "\ufeff" + QUERIES,
            "qrels/test.tsv.gz": HEADER + "q1\tgone\t0\nq1\td1\t1\nq2\td1\t1\n",
        },
    )
    other = load_dataset(packed)
    assert other.digest == plain.digest
    assert list(documents(other)) == list(documents(plain))


def test_digest_changes_with_a_text_or_a_grade(tmp_path):
    one = load_dataset(beir(tmp_path / "a")).digest
    assert one != load_dataset(beir(tmp_path / "b", **{"queries.jsonl": QUERIES.replace("二", "两")})).digest
    assert one != load_dataset(beir(tmp_path / "c", **{"qrels/test.tsv": "q1\td1\t2\nq1\tgone\t0\nq2\td1\t1\n"})).digest


def test_documents_are_clean_and_carry_flat_metadata(tmp_path):
    assert list(documents(load_dataset(beir(tmp_path)))) == [
        Document("d1", "正文", "标题", {"year": "1999"}),
        Document("2", "b\ufffd\ufffd", "", {}),
    ]


def test_documents_are_read_lazily(tmp_path):
    dataset = load_dataset(beir(tmp_path, **{"corpus.jsonl": CORPUS + "broken\n"}))
    stream = documents(dataset)
    assert next(stream).doc_id == "d1"
    next(stream)
    with pytest.raises(CorpusError, match=r"corpus\.jsonl:3: not JSON"):
        next(stream)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"title": "x", "text": "y"}', ":3: document id None is missing"),
        ('{"_id": "d1", "text": "again"}', ":3: duplicate document id 'd1'"),
        ('{"_id": "d9"}', ":3: document 'd9' has no text"),
        ("[]", ":3: a JSON list; expected an object"),
    ],
)
def test_a_bad_document_is_named(tmp_path, line, reason):
    dataset = load_dataset(beir(tmp_path, **{"corpus.jsonl": CORPUS + line + "\n"}))
    with pytest.raises(CorpusError, match=reason):
        list(documents(dataset))


def test_flag_embedding_layout(tmp_path):
    put(
        tmp_path,
        {
            "corpus.jsonl": '{"id": "d1", "title": "t", "text": "x"}\n',
            "dev_queries.jsonl": '{"id": "q1", "text": "what is it?"}\n',
            "dev_qrels.jsonl": '{"qid": "q1", "docid": "d1", "relevance": 1}\n',
            "test_queries.jsonl": '{"id": "q2", "text": "and this?"}\n',
            "test_qrels.jsonl": '{"qid": "q2", "docid": "d1", "relevance": 1}\n',
        },
    )
    assert load_dataset(tmp_path).queries == (Query("q2", "and this?"),)
    dev = load_dataset(tmp_path, "dev")
    assert (dev.queries, dev.qrels, dev.unjudged) == ((Query("q1", "what is it?"),), {"q1": {"d1": 1}}, ())
    assert next(documents(dev)) == Document("d1", "x", "t")


@pytest.mark.parametrize("name", ["topics.txt", "topics.tsv", "topics.test.xml", "topics", "queries.tsv.gz"])
def test_trec_layout(tmp_path, name):
    text = "q1\tfirst question\nq2\tsecond question\n" if ".tsv" in name else TOPICS
    split = ".test" if "test" in name else ""
    put(tmp_path, {name: text, f"qrels{split}.txt": "q1 0 d1 1\nq2 0 d2 1\n"})
    dataset = load_dataset(tmp_path)
    assert dataset.queries == (Query("q1", "first question"), Query("q2", "second question"))
    assert dataset.split == ("test" if split else "all")
    with pytest.raises(CorpusError, match=r"has no corpus\.jsonl"):
        documents(dataset)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<top>\n<num> 1\n<title> a\n<top>\n<num> 2\n<title> b\n</top>\n", r":1: <top> without </top>"),
        ("<top>\n<num> 1\n<title> a\n", r":1: <top> without </top>"),
        ("<top>\n<num> 1\n</top>\n", r":1: query id '1', text None: one is missing or empty"),
        ("<top>\n<num> 1\n<title> a\n</top>\nstray\n", r":5: text outside <top>: 'stray'"),
        ("1 no tab\n", r":1: no tab in '1 no tab'"),
        ("1\ta\n1\tb\n", r":2: duplicate query id '1'"),
        (
            '{"_id": "1", "text": "a"}\n{"_id": "2", "text": " "}\n',
            r":2: query id '2', text ' ': one is missing or empty",
        ),
        ('{"_id": "1", "text": "a"}\n{"text": "b"}\n', r":2: query id None"),
        ('{"_id": "1", "text": "a"}\n{"_id"\n', r":2: not JSON"),
        ("", r":1: no query in the file"),
    ],
)
def test_a_bad_query_is_named(tmp_path, text, reason):
    put(tmp_path, {"topics.txt": text, "qrels.txt": "1 0 d 1\n"})
    with pytest.raises(CorpusError, match=r"topics\.txt" + reason):
        load_dataset(tmp_path)


def test_bad_judgements_are_named(tmp_path):
    with pytest.raises(CorpusError, match=r"test\.tsv:2: grade is '0\.5', not a whole number"):
        load_dataset(beir(tmp_path, **{"qrels/test.tsv": HEADER + "q1\td1\t0.5\n"}))


def test_judgements_of_other_queries(tmp_path):
    with pytest.raises(CorpusError, match=r"none of its 1 queries is among the 4 of queries\.jsonl"):
        load_dataset(beir(tmp_path, **{"qrels/test.tsv": HEADER + "x\td1\t1\n"}))


def test_folders_that_are_no_data_set(tmp_path):
    put(tmp_path, {"readme.txt": "x"})
    with pytest.raises(
        CorpusError, match=r"no data set here \(found readme\.txt\); expected queries\.jsonl with qrels"
    ):
        load_dataset(tmp_path)
    with pytest.raises(CorpusError, match="is not a folder; expected a data set folder"):
        load_dataset(tmp_path / "readme.txt")


def test_splits_that_are_not_clear(tmp_path):
    beir(tmp_path)
    with pytest.raises(CorpusError, match="there is no split 'prod'; expected one of test, train"):
        load_dataset(tmp_path, "prod")
    (tmp_path / "qrels/test.tsv").rename(tmp_path / "qrels/a.tsv")
    with pytest.raises(CorpusError, match="no split was named; expected one of a, train"):
        load_dataset(tmp_path)
    (tmp_path / "qrels/train.tsv").unlink()
    assert load_dataset(tmp_path).split == "a"


def test_judged_documents_that_the_corpus_lacks(tmp_path):
    dataset = load_dataset(beir(tmp_path))
    unknown = unknown_documents(dataset.qrels, {document.doc_id for document in documents(dataset)})
    assert (unknown.count, unknown.first, unknown.relevant, unknown.judged) == (1, ("gone",), 0, 2)
    assert unknown_documents({"q": {"a": 1, "b": 0}, "r": {"b": 2}}, set()).relevant == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("how?\n\n 为什么？\n", [("1", "how?"), ("2", "为什么？")]),
        ("a\thow?\nb\twhy?\n", [("a", "how?"), ("b", "why?")]),
        ('\ufeff{"_id": "x", "text": "how?"}\r\n', [("x", "how?")]),
        (TOPICS, [("q1", "first question"), ("q2", "second question")]),
    ],
)
def test_queries_that_were_typed(content, expected):
    assert [(query.query_id, query.text) for query in parse_queries(content.encode(), "standard input")] == expected


def test_typed_queries_that_are_bad_are_named():
    with pytest.raises(CorpusError, match="standard input:2: no tab in 'b why"):
        parse_queries(b"a\thow?\nb why?\n", "standard input")
    with pytest.raises(CorpusError, match="standard input:1: no query in the file"):
        parse_queries(b"\n\n", "standard input")
    with pytest.raises(CorpusError, match="standard input:2: not UTF-8"):
        parse_queries("a\n问".encode("gbk"), "standard input")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "queries", "judgements", "language"),
    [
        ("scifact-en", 300, 339, "en"),
        ("sqlfaq-zh", 281, 281, "zh"),
        ("writerhelp-zh2en", 696, 696, "zh"),
        ("cranfield-en", 225, 1836, "en"),
    ],
)
def test_published_sets_have_their_published_counts(shared_data, name, queries, judgements, language):
    if not (shared_data / name).is_dir():
        pytest.skip(f"needs ../shared/data/{name}")
    dataset = load_dataset(shared_data / name)
    assert (len(dataset.queries), sum(map(len, dataset.qrels.values())), dataset.language) == (
        queries,
        judgements,
        language,
    )
    assert dataset.without_query == ()
    known = {document.doc_id for document in documents(dataset)}
    counted = unknown_documents(dataset.qrels, known)
    assert counted.count == 0, counted
    assert json.dumps(dataset.notes()) == "[]"
