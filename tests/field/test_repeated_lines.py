"""Banners, menus and footers of a site, running heads of a PDF: left out, told, and kept when asked for."""

import pytest

from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.corpus.walk import ReadFile, read_corpus
from quarry.indexer.opened import Index
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.readers.pdf.text import without_running_heads
from quarry.indexer.readers.repeated import repeated_lines, without_repeated

TOPICS = ("缆绳", "船闸", "浮标", "泊位", "吊车", "水泵")


def page(topic, own=""):
    return (
        f"<html><head><title>{topic}</title></head><body><div>本站使用 Cookie 统计访问量，请选择接受或拒绝。</div>"
        f"<ul><li>首页</li><li>缆绳</li><li>船闸</li></ul><div>首页 > {topic}</div><h1>{topic}</h1>"
        f"<p>{topic}每季度检查一次。{own}</p><h2>联系</h2><p>{topic}组电话另见内线表。</p>"
        "<div>订阅我们的简报</div><footer>港务处 版权所有</footer></body></html>"
    )


def write_site(folder, topics=TOPICS):
    folder.mkdir(parents=True, exist_ok=True)
    for topic in topics:
        (folder / f"{topic}.html").write_text(page(topic), encoding="utf-8")


def texts(folder, **options):
    events = read_corpus({"s": folder}, options=ReadOptions(**options))
    return {event.documents[0].title: event.documents[0] for event in events if isinstance(event, ReadFile)}


def test_what_repeats_over_the_pages_of_a_site_is_left_out_and_counted(tmp_path):
    write_site(tmp_path)
    read = texts(tmp_path)
    assert read["船闸"].text == "首页 > 船闸\n\n# 船闸\n\n船闸每季度检查一次。\n\n## 联系\n\n船闸组电话另见内线表。"
    assert read["船闸"].meta["left_out"] == "6 repeated_lines"


def test_what_repeats_is_kept_when_asked_for(tmp_path):
    write_site(tmp_path)
    kept = texts(tmp_path, keep_repeated=True)["船闸"]
    assert "Cookie" in kept.text
    assert "left_out" not in kept.meta


def test_a_few_pages_are_no_site(tmp_path):
    write_site(tmp_path, TOPICS[:3])
    assert all("Cookie" in document.text for document in texts(tmp_path).values())


def test_pages_of_a_site_may_lie_in_folders_of_their_own(tmp_path):
    for topic in TOPICS:
        write_site(tmp_path / topic, [topic])
    assert not any("Cookie" in document.text for document in texts(tmp_path).values())


def test_copies_of_one_page_are_no_site(tmp_path):
    for number in range(6):
        (tmp_path / f"{number}.html").write_text(page("船闸"), encoding="utf-8")
    (event, *_) = read_corpus({"s": tmp_path})
    assert "Cookie" in event.documents[0].text


def test_a_sentence_that_repeats_amid_the_text_stays():
    shared = "Report every fault to the harbour office on the day that it is found."
    own = "This page says at some length what is peculiar to part {n}, and it says it in more than eighty characters."
    pages = [f"# Part {n}\n\n{own.format(n=n)}\n\n{shared}\n\n{own.format(n=-n)}" for n in range(1, 7)]
    repeated = repeated_lines(pages)
    assert shared in repeated
    assert without_repeated(pages[0], repeated) == (pages[0], 0)


def test_a_page_that_would_be_empty_stays():
    assert without_repeated("Menu\n\nFooter", {"Menu", "Footer"}) == ("Menu\n\nFooter", 0)


def indexed(index, folder, **options):
    report = build_index(index, [folder], None, BuildOptions(read=ReadOptions(**options)))
    return report, {document.title: document.text for document in Index.open(index).chunks.documents()}


def test_a_site_that_grows_is_read_as_if_it_were_new(tmp_path):
    write_site(tmp_path / "s", TOPICS[:3])
    _, few = indexed(tmp_path / "index", tmp_path / "s")
    assert "Cookie" in few["船闸"]
    write_site(tmp_path / "s")
    report, grown = indexed(tmp_path / "index", tmp_path / "s")
    _, fresh = indexed(tmp_path / "other", tmp_path / "s")
    assert grown == fresh
    assert report.left_out == {"repeated_lines": 6 * len(TOPICS)}


def test_an_index_remembers_that_what_repeats_is_kept(tmp_path):
    write_site(tmp_path / "s")
    _, first = indexed(tmp_path / "index", tmp_path / "s", keep_repeated=True)
    report, later = indexed(tmp_path / "index", tmp_path / "s")
    assert first == later
    assert not report.switched
    report, dropped = indexed(tmp_path / "index", tmp_path / "s", keep_repeated=False)
    assert report.switched
    assert "Cookie" not in dropped["船闸"]


def test_running_heads_stand_once_and_page_numbers_not_at_all():
    pages = [
        f"Harbour manual\nOwn {word}\nIt says more.\nAnd more.\nEnd {word}.\n第 {n} 页，共 5 页"
        for n, word in enumerate("abcde", 1)
    ]
    left, count = without_running_heads(pages)
    assert [page.count("Harbour manual") for page in left] == [1, 0, 0, 0, 0]
    assert [page.count("共 5 页") for page in left] == [1, 0, 0, 0, 0]
    assert all(f"Own {word}" in page for word, page in zip("abcde", left, strict=True))
    assert count == 4 + 4


def test_bare_page_numbers_go_and_numbered_headings_stay():
    numbers = (1, 1, 2, 2, 3)
    pages = [
        f"Rule {n}\nOwn {word}\nMore.\nAnd more.\nEnd {word}.\n- {at} -"
        for at, (n, word) in enumerate(zip(numbers, "abcde", strict=True))
    ]
    left, count = without_running_heads(pages)
    assert [page.split("\n")[0] for page in left] == [f"Rule {n}" for n in numbers]
    assert count == 5


@pytest.mark.parametrize("count", [2, 6])
def test_pages_with_heads_of_their_own_stay(count):
    pages = [
        "\n".join(f"{part} {word}" for part in ("Own", "two", "three", "four", "five", "six"))
        for word in "abcdef"[:count]
    ]
    assert without_running_heads(pages) == (pages, 0)
