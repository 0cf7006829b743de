"""PDF, EPUB and mail: words put together again, chapters in reading order, damaged files refused."""

import zipfile

import pytest

from quarry.indexer.readers.base import Unreadable
from quarry.indexer.readers.books import read_epub, read_msg
from quarry.indexer.readers.pdf import read_pdf
from quarry.indexer.readers.pdf.text import whole_words


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("good reasons con\ufffefirming it", "good reasons confirming it"),
        ("chat\ufffeoptimized models are optimized for chat", "chat-optimized models are optimized for chat"),
        ("a chain-of\ufffethought prompt", "a chain-of-thought prompt"),
        ("rea\ufffesoning and reasoning, rea soning", "reasoning and reasoning, rea soning"),
        ("the SKU\ufffeABC code", "the SKU-ABC code"),
        ("pages 12\ufffe13", "pages 12-13"),
        ("nothing divided", "nothing divided"),
    ],
)
def test_divided_words_are_put_together(text, whole):
    assert whole_words(text) == whole


def book(
    path, chapters, spine, container="<container><rootfiles><rootfile full-path='OPS/a.opf'/></rootfiles></container>"
):
    items = "".join(f"<item id='{name}' href='{name}%20x.xhtml'/>" for name in chapters)
    refs = "".join(f"<itemref idref='{name}'/>" for name in spine)
    package = (
        "<package xmlns:dc='x'><metadata><dc:title>书</dc:title><dc:creator>作者</dc:creator></metadata>"
        f"<manifest>{items}</manifest><spine>{refs}</spine></package>"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("OPS/a.opf", package)
        for name, html in chapters.items():
            archive.writestr(f"OPS/{name} x.xhtml", html)
    return path


def test_chapters_come_in_reading_order_and_a_missing_one_costs_only_itself(tmp_path):
    chapters = {"two": "<h1>Two</h1>", "one": "<!DOCTYPE html><h1>第一章</h1><p>正文</p>"}
    (extract,) = read_epub(book(tmp_path / "a.epub", chapters, ["one", "gone", "two"])).extracts
    assert extract.text == "# 第一章\n\n正文\n\n# Two"
    assert (extract.title, extract.meta) == ("书", {"creator": "作者"})


@pytest.mark.parametrize("container", ["<container/>", "no xml", "<rootfile full-path='missing.opf'/>"])
def test_a_book_without_its_parts_is_damaged(tmp_path, container):
    with pytest.raises(Unreadable, match=r"not a readable EPUB") as refusal:
        read_epub(book(tmp_path / "a.epub", {}, [], container))
    assert refusal.value.reason == "damaged"


def test_entities_in_a_book_are_refused(tmp_path):
    container = "<!DOCTYPE a [<!ENTITY b 'c'>]><container/>"
    with pytest.raises(Unreadable, match=r"entities"):
        read_epub(book(tmp_path / "a.epub", {}, [], container))


@pytest.mark.parametrize(
    ("reader", "message"), [(read_pdf, r"not a readable PDF"), (read_msg, r"not a readable Outlook")]
)
def test_other_content_is_damaged(tmp_path, reader, message):
    (tmp_path / "a").write_bytes(b"something else" * 100)
    with pytest.raises(Unreadable, match=message):
        reader(tmp_path / "a")
