"""The command line as a user meets it: real processes, real exit codes; results on stdout, remarks on stderr."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quarry.app.cli.console import safe
from tests.indexer.older import part_of

ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def quarry(*arguments: object, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "quarry.app.cli", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, env=ENVIRONMENT, timeout=300)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("cli")
    (base / "docs").mkdir()
    (base / "docs" / "loans.md").write_text("# Loans\n\nBorrow ten books for thirty days. Renew books twice online.")
    (base / "docs" / "借书.md").write_text("---\nlang: zh\n---\n# 借书\n\n每位读者可以借十本书，可以在网上续借两次。")
    (base / "docs" / "empty.txt").write_text("")
    done = quarry("index", base / "docs", "--into", base / "index", "--model", "none")
    assert done.returncode == 0, done.stderr
    assert "2 documents" in done.stdout
    assert "1 skipped: 1 empty" in done.stdout
    return base


def test_help_is_quick_to_load_and_names_every_command():
    done = quarry("--help")
    assert done.returncode == 0
    for command in ("index", "search", "generations", "models", "doctor", "demo"):
        assert f"\n  {command} " in done.stdout
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import quarry.app.cli, sys; print([m for m in ('torch', 'transformers', 'faiss', 'lancedb', 'streamlit') if m in sys.modules])",
        ],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert loaded.stdout.strip() == "[]", loaded.stderr


def test_search_prints_passages_with_sources_and_marks(folder):
    done = quarry("search", folder / "index", "怎么续借", "--route", "bm25", "-k", "1")
    assert done.returncode == 0
    assert "1. 借书" in done.stdout
    assert "docs/借书.md" in done.stdout
    assert "[续借]" in done.stdout


def test_explain_shows_stages_terms_and_times(folder):
    done = quarry("search", folder / "index", "renew books", "--explain")
    assert "BM25 #1" in done.stdout
    assert "terms: " in done.stdout
    assert "dense   missing" in done.stdout
    assert "degraded: dense: this index has no vectors; BM25 answered" in done.stderr
    assert "total " in done.stdout


def test_json_is_one_object_per_query_and_filters_hold(folder):
    done = quarry("search", folder / "index", "books 续借", "--json", "--filter", "lang=zh")
    answer = json.loads(done.stdout)
    assert [result["doc_id"] for result in answer["results"]] == ["docs/借书.md"]
    assert answer["results"][0]["evidence"]["bm25"]["rank"] == 1
    assert answer["degraded"]


def test_many_queries_write_a_trec_run(folder, tmp_path):
    queries = b'{"_id": "q1", "text": "renew books"}\n{"_id": "q2", "text": "\xe7\xbb\xad\xe5\x80\x9f"}\n'
    (tmp_path / "queries.jsonl").write_bytes(queries)
    done = quarry("search", folder / "index", "--queries", tmp_path / "queries.jsonl", "--run", tmp_path / "run.trec")
    assert done.returncode == 0, done.stderr
    rows = [
        line.split("\t") if "\t" in line else line.split() for line in (tmp_path / "run.trec").read_text().splitlines()
    ]
    assert ("q1", "docs/loans.md", "1") in {(row[0], row[2], row[3]) for row in rows}
    assert ("q2", "docs/借书.md", "1") in {(row[0], row[2], row[3]) for row in rows}
    lines = quarry("search", folder / "index", "--queries", "-", "--json", stdin="renew books\n续借\n".encode())
    assert [json.loads(line)["results"][0]["doc_id"] for line in lines.stdout.splitlines()] == [
        "docs/loans.md",
        "docs/借书.md",
    ]


def test_generations_roll_back_and_forth(folder, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in (1, 2):
        (docs / "a.txt").write_text(f"version {number}")
        assert quarry("index", docs, "--into", tmp_path / "i", "--model", "none").returncode == 0
    assert quarry("generations", tmp_path / "i").stdout.splitlines()[2].split()[:2] == ["000002", "live"]
    assert quarry("generations", tmp_path / "i", "--rollback").stdout.splitlines()[1].split()[:2] == ["000001", "live"]
    assert "version 1" in quarry("search", tmp_path / "i", "version").stdout.replace("[", "").replace("]", "")
    none = quarry("generations", tmp_path / "i", "--rollback")
    assert (none.returncode, "nothing to roll back to" in none.stderr) == (1, True)
    rows = json.loads(quarry("generations", tmp_path / "i", "--switch", "000002", "--json").stdout)
    assert [row["live"] for row in rows] == [False, True]


def test_doctor_is_quiet_on_a_sound_index_and_names_the_damaged_file(folder, tmp_path):
    import shutil

    sound = quarry("doctor", folder / "index")
    assert sound.returncode == 0, sound.stdout
    assert "WARNING model: no embedding model: BM25 only" in sound.stdout
    shutil.copytree(folder / "index", tmp_path / "i")
    path = part_of(tmp_path / "i", "chunks.sqlite")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    broken = quarry("doctor", tmp_path / "i", "--json")
    assert broken.returncode == 1
    failures = [row for row in json.loads(broken.stdout) if row["severity"] == "failure"]
    assert "chunks.sqlite" in failures[0]["message"]
    assert failures[0]["remedy"].startswith("quarry ")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lexical/ids.npy", "chunks.sqlite", "contents.sqlite", "manifest.json", "pointer"])
def test_the_command_that_the_doctor_names_mends_the_index(folder, tmp_path, name):
    index = tmp_path / "i"
    assert quarry("index", folder / "docs", "--into", index, "--model", "none", "-q").returncode == 0
    path = index / "quarry-index.json" if name == "pointer" else part_of(index, name)
    path.write_bytes(path.read_bytes()[:-20])
    failures = [row for row in json.loads(quarry("doctor", index, "--json").stdout) if row["severity"] == "failure"]
    command = failures[0]["remedy"].replace("PATH", str(folder / "docs")).replace("--model auto", "--model none")
    mended = quarry(*command.split()[1:])
    assert mended.returncode == 0, mended.stderr
    assert quarry("doctor", index).returncode == 0


def test_compact_says_when_there_is_one_segment_already(folder):
    done = quarry("compact", folder / "index")
    assert done.returncode == 0, done.stderr
    assert "one segment already, generation 000001" in done.stdout


def test_models_lists_what_is_known():
    rows = json.loads(quarry("models", "--json").stdout)
    assert {"BAAI/bge-m3", "BAAI/bge-reranker-v2-m3", "Qwen/Qwen3-Embedding-0.6B"} <= {row["model"] for row in rows}
    assert "BAAI/bge-small-zh-v1.5" in quarry("models").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["search", "INDEX", ""], 2, "is empty; expected a question or some keywords"),
        (["search", "INDEX", "x", "-k", "0"], 2, "Invalid value for '-k'"),
        (["search", "INDEX"], 2, "give either a QUERY or --queries FILE"),
        (["search", "INDEX", "x", "--filter", "lang"], 2, "is not KEY=VALUE"),
        (["search", "INDEX", "x", "--filter", "color=red"], 2, "no document has the metadata color"),
        (["search", "INDEX", "--queries", "/nowhere"], 1, "the queries file /nowhere cannot be read"),
        (["search", "/nowhere", "x"], 1, "does not exist; expected an index"),
        (["doctor", "/nowhere"], 1, ""),
        (["index", "/nowhere", "--into", "TEMP"], 1, "does not exist; expected a file or folder"),
        (
            ["index", "DOCS", "--into", "TEMP", "--store", "chroma", "--model", "none"],
            2,
            "Invalid value for '--store'",
        ),
        (
            ["index", "DOCS", "--into", "TEMP", "--chunk-tokens", "3", "--model", "none"],
            2,
            "chunk tokens is 3; expected at least 16",
        ),
        (["index", "DOCS", "--into", "TEMP", "--model", "no/such"], 1, "no/such cannot be found"),
        (["index", "DOCS", "--into", "TEMP", "--model", "none", "--strict"], 3, ""),
    ],
)
def test_mistakes_are_one_clear_line_and_the_right_exit_code(folder, tmp_path, arguments, code, message):
    places = {"INDEX": folder / "index", "DOCS": folder / "docs", "TEMP": tmp_path / "new"}
    done = quarry(*[places.get(argument, argument) for argument in arguments])
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_exits_with_130_and_the_index_can_be_built_afterwards(ctrl_c, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(2000):
        (docs / f"{number}.txt").write_text("图书馆的开放时间和借书规则。" * 100)
    command = [sys.executable, "-m", "quarry.app.cli", "index", docs, "--into", tmp_path / "i", "--model", "none"]
    child = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "i" / "generations").glob(".*/contents.sqlite")):
        time.sleep(0.05)
    child.send_signal(2)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "interrupted; what was encoded is kept" in errors
    assert "Traceback" not in errors
    search = quarry("search", tmp_path / "i", "x")
    assert "never finished" in search.stderr


def test_text_of_documents_cannot_move_the_terminals_cursor():
    assert safe("a\x1b[2Jb\u202ec\x9bd\te\n") == "a\ufffd[2Jb\ufffdc\ufffdd\te\n"


def test_a_closed_pipe_is_no_error(folder):
    def piped(arguments: str, reader: str) -> subprocess.CompletedProcess[str]:
        script = f"'{sys.executable}' -m quarry {arguments} | {reader}; exit ${{PIPESTATUS[0]}}"
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=ENVIRONMENT)

    first = piped("models", "head -1")
    assert (first.returncode, first.stderr.count("Traceback"), first.stdout[:5]) == (0, 0, "model")
    for arguments in (f"search '{folder / 'index'}' renew --json", "models --json", "--help", "search --help"):
        unread = piped(arguments, "true")
        assert unread.returncode == 0, arguments
        assert not {"Error", "Traceback", "BrokenPipe"} & set(unread.stderr.replace(":", " ").split()), unread.stderr


def test_evaluate_measures_routes_and_gives_a_verdict(folder, tmp_path):
    data = tmp_path / "set"
    (data / "qrels").mkdir(parents=True)
    (data / "queries.jsonl").write_text(
        '{"_id": "1", "text": "renew books"}\n{"_id": "2", "text": "续借"}\n{"_id": "3", "text": "zzz"}\n'
    )
    qrels = "query-id\tcorpus-id\tscore\n1\tdocs/loans.md\t1\n2\tdocs/借书.md\t2\n3\tdocs/nowhere.md\t1\n"
    (data / "qrels" / "test.tsv").write_text(qrels)
    (data / "corpus.jsonl").write_text('{"_id": "docs/loans.md", "text": "x"}\n')
    done = quarry(
        "evaluate", data, "--index", folder / "index", "--routes", "bm25,hybrid", "--json", "--save", tmp_path / "saved"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["routes"]["bm25"]["means"]["nDCG@10"]["value"] == pytest.approx(2 / 3)
    assert report["routes"]["bm25"]["per_query"]["3"]["nDCG@10"] == 0
    assert report["comparisons"]["hybrid"]["verdict"] == "too few queries"
    assert report["routes"]["hybrid"]["degraded"]
    assert "1 of 3 judged documents are not in the index (first docs/nowhere.md)" in done.stderr
    from quarry.retriever.evaluation.saved import list_evaluations, load_evaluation

    saved = [load_evaluation(path) for path in list_evaluations(tmp_path / "saved")]
    assert {one.meta.route for one in saved} == {"bm25", "hybrid"}
    none = quarry("evaluate", data, "--index", folder / "index", "--routes", "bm25+rerank")
    assert (none.returncode, "no reranker is on this machine" in none.stderr) == (1, True)
    wrong = quarry("evaluate", data, "--index", folder / "index", "--routes", "magic")
    assert "unknown route 'magic'; expected one of bm25, dense, hybrid" in wrong.stderr
