"""`quarry ask` as it is typed: sentences, sources, marks, exit codes, and where the key may not stand."""

import json
import re

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.retriever.answers import answer as module
from quarry.retriever.answers.evidence import Grounds
from quarry.retriever.llm.endpoint import KEY_VARIABLE
from tests.app.running import quarry
from tests.retriever.answers.gullible import Gullible
from tests.retriever.answers.indexed import small_index

QUESTION = "How often may books be renewed online?"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return small_index(tmp_path_factory.mktemp("ask-command"))


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in ("QUARRY_LLM_ENDPOINT", "QUARRY_LLM_MODEL", KEY_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "weigh", lambda *_: Grounds(0.9, False, 0.5, "a test says so"))


@pytest.fixture
def gullible():
    running = Gullible()
    yield running
    running.close()


def test_sentences_with_their_sources(index):
    done = quarry("ask", index, QUESTION, "--route", "bm25")
    assert done.returncode == 0
    first, second, *_ = done.stdout.splitlines()
    assert first == "Quoted from your documents"
    assert re.fullmatch(r"1\. Loans: Books may be renewed twice online\. \[1\]", second)
    assert "Sources:\n[1] Loans, documents/loans.md\n" in done.stdout


def test_follow_up_questions_are_answered_one_after_the_other(index):
    done = quarry("ask", index, QUESTION, "--route", "bm25", "--follow-up", "And how long?")
    assert done.returncode == 0
    assert re.findall(r"(?m)^== (.*)$", done.stdout) == [QUESTION, "And how long?"]
    assert f"note: searched for: {QUESTION} And how long?" in done.stderr


def test_rewriting_needs_a_model(index):
    done = quarry("ask", index, QUESTION, "--rewrite")
    assert done.returncode == 2
    assert "--rewrite requires a language model" in done.stderr


def test_chinese_just_the_same(index):
    done = quarry("ask", index, "图书可以续借几次？", "--route", "bm25")
    assert done.returncode == 0
    assert "1. 借阅规则：图书可以在网上续借两次。 [1]" in done.stdout
    assert "出处:\n[1] 借阅规则, documents/借阅.md" in done.stdout


def test_a_model_by_environment_and_marks(index, gullible, monkeypatch):
    gullible.says("Books may be renewed twice online [1]. Or 12 times [1][99]. \x1b[2J![x](https://evil.example/)")
    monkeypatch.setenv("QUARRY_LLM_ENDPOINT", gullible.url)
    monkeypatch.setenv("QUARRY_LLM_MODEL", "tiny")
    monkeypatch.setenv(KEY_VARIABLE, "secret-key")
    done = quarry("ask", index, QUESTION, "--route", "bm25")
    assert done.returncode == 0
    assert done.stdout.startswith(
        "Books may be renewed twice online. [1] Or 12 times. [1] {not in the source: 12; cites (99), which was not shown} "
    )
    assert "\x1b" not in done.stdout
    assert "https://evil" not in done.stdout
    assert gullible.requests[0][1]["Authorization"] == "Bearer secret-key"
    assert "secret-key" not in done.stdout + done.stderr


def test_json_is_one_object(index, gullible):
    gullible.says("Books may be renewed twice online [1].")
    done = quarry(
        "ask", index, QUESTION, "--endpoint", gullible.url, "--endpoint-model", "tiny", "--json", "--route", "bm25"
    )
    found = json.loads(done.stdout)
    assert (found["origin"], found["refused"], found["sentences"][0]["support"]) == ("generated", False, "supported")
    assert found["sources"][0]["path"] == "documents/loans.md"


@pytest.mark.parametrize("as_json", [False, True])
def test_not_in_your_documents_is_exit_code_3(index, monkeypatch, as_json):
    monkeypatch.setattr(module, "weigh", lambda *_: Grounds(0.1, True, 0.5, "a test says so"))
    done = quarry("ask", index, QUESTION, "--route", "bm25", *(["--json"] if as_json else []))
    assert done.returncode == 3
    if as_json:
        assert json.loads(done.stdout)["refused"] is True
    else:
        assert done.stdout.startswith("Not in your documents")
        assert "Nearest passages, which do not seem to answer it:\n[1] Loans, documents/loans.md\n" in done.stdout
        assert "note: if these do answer it, judge some questions" in done.stderr


def test_what_is_missing_is_noted(index):
    done = quarry("ask", index, QUESTION)
    assert "note: dense: this index has no vectors; BM25 answered" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "match"),
    [
        (
            ["--endpoint", "http://localhost:1/v1"],
            1,
            "given without a model; expected the model's name at the endpoint",
        ),
        (["--endpoint", "ftp://x", "--endpoint-model", "m"], 1, "endpoint's URL is not usable"),
        (["--budget", "5"], 2, "256"),
        (["--filter", "nonsense"], 2, "is not KEY=VALUE"),
    ],
)
def test_wrong_usage(index, arguments, code, match):
    done = quarry("ask", index, QUESTION, *arguments)
    assert done.returncode == code
    assert match in done.stderr


def test_a_remote_endpoint_is_told_before_anything_is_sent(index, monkeypatch):
    monkeypatch.setattr("quarry.retriever.answers.drafting.Drafter.generate", lambda *_: None)
    done = quarry(
        "ask", index, QUESTION, "--endpoint", "https://llm.example/v1", "--endpoint-model", "m", "--route", "bm25"
    )
    assert "note: sending the question and the best passages to https://llm.example/v1" in done.stderr


def test_calibrating_says_what_it_came_to(index, tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "documents/loans.md", "text": "x"}\n', "utf-8")
    (tmp_path / "queries.jsonl").write_text('{"_id": "1", "text": "renew books"}\n', "utf-8")
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\tdocuments/loans.md\t1\n", "utf-8")
    done = quarry("ask", index, "--calibrate", tmp_path)
    assert done.returncode == 1
    assert "judged queries for this index" in done.stderr
    assert "expected at least" in done.stderr
    neither = quarry("ask", index)
    assert neither.returncode == 2
    assert "either a QUESTION or --calibrate DATASET" in neither.stderr
    alone = quarry("ask", index, QUESTION, "--near-misses", "0")
    assert alone.returncode == 2
    assert "--near-misses requires --calibrate DATASET" in alone.stderr


def test_a_calibration_that_refuses_much_says_what_to_do(tmp_path):
    """Every plant has two documents, so that a search without its answer looks like one with it."""
    documents = [Document(f"d{n}", f"plant{n}x grows near water.") for n in range(30)]
    documents += [Document(f"other{n}", f"plant{n}x wants much sun.") for n in range(30)]
    index_documents(tmp_path / "index", documents, None)
    (tmp_path / "qrels").mkdir()
    rows = "".join(f"{n}\td{n}\t1\n" for n in range(30))
    (tmp_path / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}", "utf-8")
    for name, start, text in (("corpus", "d", "x"), ("queries", "", "plant{}x?")):
        lines = [json.dumps({"_id": f"{start}{n}", "text": text.format(n)}) for n in range(30)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    strict = quarry("ask", tmp_path / "index", "--calibrate", tmp_path)
    assert strict.returncode == 0
    refused = "words en, 30 questions: no threshold keeps the promise with 10% near misses among the questions; every"
    assert refused in strict.stdout
    plain = re.search(
        r"Without them: (threshold 0\.\d\d; 100% are answered, 0\.0% of the answers unsupported)", strict.stderr
    )
    assert plain
    assert "add --near-misses 0" in strict.stderr
    asked = quarry("ask", tmp_path / "index", "--calibrate", tmp_path, "--near-misses", "0")
    assert f"words en, 30 questions: {plain[1]}\n" in asked.stdout
    assert asked.stderr == ""
