"""Plain text, Markdown and tables: as they stand, with what they tell about themselves."""

from pathlib import Path

import pytest

from quarry.indexer.readers.base import ReadOptions, Unreadable
from quarry.indexer.readers.text.plain import read_markdown, read_table, read_text

OPTIONS = ReadOptions()


def test_text_stands_as_it_is():
    assert read_text(Path("a.txt"), b"one\r\n\r\n# two\n", OPTIONS).extracts[0].text == "one\n\n# two\n"


def test_binary_content_is_refused():
    with pytest.raises(Unreadable, match="binary"):
        read_text(Path("a.txt"), bytes(range(1, 32)) * 4, OPTIONS)


@pytest.mark.parametrize("gap", [bytes(64), bytes(4_096), bytes(1 << 17)], ids=["64", "4 KiB", "128 KiB"])
def test_blocks_that_were_never_written_are_left_out_and_counted(gap):
    words = "第一行日志\nsecond line of the log\n".encode()
    for content in (words + gap, gap + words, words + gap + words):
        (extract,) = read_text(Path("a.log"), content, OPTIONS).extracts
        assert extract.text == content.replace(gap, b"").decode()
        assert extract.meta == {"charset": "utf-8", "damaged": "1"}
    wide = ("\ufeff" + "a log\n" * (len(gap) + 10)).encode("utf-16-le")
    text = read_text(Path("a.log"), wide + bytes(64), OPTIONS).extracts[0].text
    assert text.count("a log\n") == len(gap) + 10


def test_front_matter_becomes_metadata():
    content = '---\ntitle: "标题 One"\ntags: [甲, "b"]\nauthors:\n  - Ann\n  - 李四\nempty:\n---\n# Heading\ntext\n'
    (extract,) = read_markdown(Path("a.md"), content.encode(), OPTIONS).extracts
    assert extract.title == "标题 One"
    assert extract.text == "# Heading\ntext\n"
    assert extract.meta == {"tags": ["甲", "b"], "authors": ["Ann", "李四"], "charset": "utf-8"}


def test_a_rule_is_not_front_matter():
    (extract,) = read_markdown(Path("a.md"), b"text\n---\na: b\n---\n# H\n", OPTIONS).extracts
    assert extract.text == "text\n---\na: b\n---\n# H\n"
    assert extract.title == "H"


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.csv", 'Name,Age\n"John Doe",27\n"two\nlines",3\n', "Name,Age\nJohn Doe,27\ntwo lines,3"),
        ("a.csv", '商品,单价,备注\n竹篮,38,"手工编, 不退换"\n', '商品,单价,备注\n竹篮,38,"手工编, 不退换"'),
        ("a.tsv", "名称\t数量\n苹果\t3\n", "名称\t数量\n苹果\t3"),
        ("a.csv", "a,b\u2028c\n1,2\n", "a,b\u2028c\n1,2"),
        ("a.csv", 'id,text\n1,"open\n2,x\n', 'id,text\n1,"open\n2,x\n'),
    ],
)
def test_tables_are_one_row_a_line(name, content, text):
    assert read_table(Path(name), content.encode(), OPTIONS).extracts[0].text == text
