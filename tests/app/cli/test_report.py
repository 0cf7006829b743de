"""`--html`: one page with pictures, in both languages, escaped, which loads and runs nothing."""

import json
from html.parser import HTMLParser

import pytest

from quarry.app.cli.report.charts import Axes, Bar, bars, differences, histogram, lines
from tests.app.running import quarry

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


class Seen(HTMLParser):
    """What a page holds."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def check_self_contained(page):
    assert not {"script", "img", "link", "iframe", "object", "embed", "a", "foreignobject"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href", "xlink:href")]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert "url(" not in page.html
    assert "@import" not in page.html
    assert page.tags.count("svg") >= 1


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    base = tmp_path_factory.mktemp("reports")
    (base / "docs").mkdir()
    (base / "docs" / "loans.md").write_text("# Loans\n\nBorrow ten books. Renew books twice online.")
    (base / "docs" / "pumps.md").write_text("# Pumps\n\nThe pump needs oil and a filter.")
    data = base / "set"
    (data / "qrels").mkdir(parents=True)
    texts = ["renew books", HOSTILE + " pump", "oil filter", "books online", "zzz"]
    rows = [{"_id": str(number), "text": text} for number, text in enumerate(texts)]
    (data / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = [(0, "loans"), (1, "pumps"), (2, "pumps"), (3, "loans"), (4, "loans")]
    lines_ = ["query-id\tcorpus-id\tscore", *(f"{number}\tdocs/{name}.md\t1" for number, name in judged)]
    (data / "qrels" / "test.tsv").write_text("\n".join(lines_) + "\n")
    assert quarry("index", base / "docs", "--into", base / "index", "--model", "none").returncode == 0
    return base


@pytest.mark.parametrize(("language", "word"), [("en", "Search methods"), ("zh", "检索方式")])
def test_an_evaluation_becomes_a_page_in_either_language(work, tmp_path, language, word):
    page = tmp_path / "sub" / "page.html"
    options = ("--routes", "bm25,hybrid", "--slices", "length", "--lang", language, "--save", tmp_path / "saved")
    done = quarry("evaluate", work / "index", work / "set", *options, "--html", page)
    assert done.returncode == 0, done.stderr
    assert f"wrote {page}" in done.stderr
    seen = Seen(page)
    check_self_contained(seen)
    assert ("lang", language) in seen.attributes
    assert word in seen.text
    assert "0.8000" in seen.text  # four of five questions are answered first
    assert "hybrid" in seen.text


def test_a_comparison_shows_gains_losses_and_hostile_questions_as_text(work, tmp_path):
    first = quarry(
        "evaluate", work / "index", work / "set", "--routes", "bm25", "--save", tmp_path, "--runs-to", tmp_path
    )
    assert first.returncode == 0, first.stderr
    (tmp_path / "empty.trec").write_text("0 Q0 docs/pumps.md 1 1.0 x\n")
    done = quarry(
        "compare",
        tmp_path / "empty.trec",
        tmp_path / "bm25.trec",
        "--data",
        work / "set",
        "--html",
        tmp_path / "page.html",
    )
    assert done.returncode == 0, done.stderr
    seen = Seen(tmp_path / "page.html")
    check_self_contained(seen)
    assert HOSTILE in seen.text
    assert "Largest wins" in seen.text


def test_a_report_that_cannot_be_written_is_an_error_that_names_it(work, tmp_path):
    (tmp_path / "file").write_text("")
    done = quarry(
        "evaluate", work / "index", work / "set", "--routes", "bm25", "--html", tmp_path / "file" / "page.html"
    )
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Choose another one" in done.stderr


def test_pictures_escape_their_words_and_survive_empty_and_zero_values():
    for drawn in (
        bars(HOSTILE, [Bar(HOSTILE, 0.0), Bar("b" * 80, 0.5, 0.25, 0.75)]),
        bars("none", []),
        lines(HOSTILE, Axes(HOSTILE, HOSTILE), {HOSTILE: [(1.0, 0.0)]}),
        histogram(HOSTILE, Axes(HOSTILE, HOSTILE), [0.0, 0.5, 1.0], {HOSTILE: [0.0, 0.0]}),
        differences(HOSTILE, HOSTILE, [0.0, 0.5, -0.25]),
    ):
        assert "<script" not in drawn
        assert "<img" not in drawn
        assert "nan" not in drawn
        assert drawn.endswith("</svg>")
    whole = bars("x", [Bar("a", 0.5, 0.25, 0.75)])
    assert f'width="{0.5 / 0.75 * 420:.1f}"' in whole  # the interval's end has the full width
