"""A file is found by its name, by any part of it, although its text never has it; other questions are answered as without names."""

import pytest

from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.fakes import WordEmbedder

FILES = {
    "西区泵站巡检表2023.txt": "# 无标题\n\n本页列出阀门与仪表的读数。",
    "SpringSchedule_v2-final.md": "# Untitled\n\nTides and lock times.",
    "notes/tenant-letter.txt": "# Draft\n\nThe rent rises in May.",
    "manual.md": "# The pump manual\n\nThe schedule of the pumps is checked in spring.",
    "other.txt": "# Untitled\n\nA letter about nothing.",
    "more.txt": "# Untitled\n\nA letter to the tenant about the boiler.",
    "rest.txt": "# Untitled\n\nAnother letter about boilers and letters.",
    "last.txt": "# Untitled\n\nThe letter of the law.",
}


@pytest.fixture(scope="module")
def searcher(tmp_path_factory):
    root = tmp_path_factory.mktemp("names")
    for name, text in FILES.items():
        (root / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "in" / name).write_text(text)
    embedder = WordEmbedder()
    build_index(root / "ix", [root / "in"], embedder, BuildOptions(analyzer="jieba"))
    return Searcher.open(root / "ix", embedder=embedder, rerank="none")


def found(searcher, query, route):
    return [
        result.source.removeprefix("in/") for result in searcher.search(query, 10, SearchOptions(route=route)).results
    ]


@pytest.mark.parametrize("route", ["bm25", "hybrid"])
@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("西区泵站巡检表", "西区泵站巡检表2023.txt"),
        ("西區泵站巡檢表2023", "西区泵站巡检表2023.txt"),
        ("西区泵站巡检表2023.txt", "西区泵站巡检表2023.txt"),
        ("巡检表 泵站", "西区泵站巡检表2023.txt"),
        ("打开西区泵站文件", "西区泵站巡检表2023.txt"),
        ("spring schedule", "SpringSchedule_v2-final.md"),
        ("SpringSchedule_v2-final.md", "SpringSchedule_v2-final.md"),
        ("springschedule", "SpringSchedule_v2-final.md"),
        ("schedule v2", "SpringSchedule_v2-final.md"),
        ("tenant letter", "notes/tenant-letter.txt"),
        ("tenant_letter.txt", "notes/tenant-letter.txt"),
        ("the file tenant-letter", "notes/tenant-letter.txt"),
    ],
)
def test_any_part_of_a_name_finds_the_file(searcher, route, query, name):
    assert name in found(searcher, query, route)[:3]


def test_the_whole_name_comes_first_and_says_why(searcher):
    answer = searcher.search("tenant-letter", 5, SearchOptions(route="bm25"))
    assert answer.results[0].source == "in/notes/tenant-letter.txt"
    assert answer.results[0].evidence.file == "in/notes/tenant-letter.txt"


def test_half_of_a_query_in_a_name_fills_a_short_list(searcher):
    assert found(searcher, "巡检表 电话号码", "bm25") == ["西区泵站巡检表2023.txt"]


@pytest.mark.parametrize("query", ["txt", "which letter is about the boiler", "of the", "2"])
def test_other_questions_name_no_file(searcher, query):
    results = searcher.search(query, 10, SearchOptions(route="bm25")).results
    assert not any(result.evidence.file for result in results)


def test_a_filter_holds_for_named_files(searcher):
    options = SearchOptions(route="bm25", filters={"source": "*other.txt"})
    assert [result.source for result in searcher.search("tenant letter", 5, options).results] == ["in/other.txt"]
