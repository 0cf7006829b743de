"""Code, configuration, notebooks, rich text, light markup, subtitles and OpenDocument: what people keep beside their documents."""

import json
import zipfile

import pytest

from quarry.indexer.build.cutting.chunking import ChunkSpec, split
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.corpus.walk import ReadFile
from quarry.indexer.models.token_spans import ScriptTokens
from quarry.indexer.readers.text.subtitles import time_at
from tests.field.reading import document, read


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tide.py", "# reckons the tide\ndef height(hour):\n    return 4\n"),
        ("tide.rs", "fn height() -> u8 { 4 }\n"),
        ("gate.ini", "[闸门]\n; 汛期关闭\nlevel=3\n"),
        ("gate.toml", 'level = "3"\n'),
        ("deploy.yml", "replicas: 3 # never one\n"),
        ("query.sql", "SELECT 1 -- overdue\n"),
        ("Makefile", "all:\n\techo tide\n"),
        ("run.log", "2025-03-01 12:00 pump started\n"),
        ("notes.howto", "Turn the valve twice.\n"),
    ],
)
def test_code_and_configuration_are_read_as_they_stand(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert document(tmp_path / name).text == text


def test_comments_of_code_are_no_headings(tmp_path):
    (tmp_path / "a.sh").write_text("# mounts the drive\nmount /dev/sdb1\n" * 40, encoding="utf-8")
    chunks = split(document(tmp_path / "a.sh"), ChunkSpec(64, 0), ScriptTokens())
    assert {chunk.heading for chunk in chunks} == {""}


@pytest.mark.parametrize("charset", ["utf-8", "gb18030", "utf-16"])
def test_text_under_an_unknown_ending_is_read_in_its_charset(tmp_path, charset):
    (tmp_path / "a.memo").write_text("水泵每季度保养一次，由机务科负责，并登记在册。\n", encoding=charset)
    assert "水泵每季度保养一次" in document(tmp_path / "a.memo").text


@pytest.mark.parametrize("content", [bytes(range(256)) * 8, b"\x7fELF\x02\x01\x01" + bytes(60), b"ab\0cd" * 50])
def test_a_binary_under_an_unknown_ending_is_a_counted_skip(tmp_path, content):
    (tmp_path / "a.dat").write_bytes(content)
    event = read(tmp_path / "a.dat")
    assert isinstance(event, Skipped)
    assert event.reason == "unsupported format"


def notebook(*cells):
    return json.dumps({"cells": list(cells), "metadata": {"kernelspec": {"language": "python"}}, "nbformat": 4})


def test_a_notebook_gives_markdown_code_and_what_the_code_printed(tmp_path):
    code = {
        "cell_type": "code",
        "source": ["gain = 4\n", "gain"],
        "outputs": [
            {"output_type": "stream", "text": ["\x1b[31mdrift 0.7\x1b[0m\n"]},
            {"output_type": "execute_result", "data": {"text/plain": ["4"]}},
            {"output_type": "display_data", "data": {"image/png": "iVBO", "text/plain": ["<Figure size 640x480>"]}},
            {"output_type": "error", "ename": "ValueError", "evalue": "no lamp", "traceback": []},
        ],
    }
    (tmp_path / "a.ipynb").write_text(notebook({"cell_type": "markdown", "source": "# 校准记录\n光电管。"}, code))
    read_ = document(tmp_path / "a.ipynb")
    assert read_.title == "校准记录"
    assert (
        read_.text == "# 校准记录\n光电管。\n\n```python\ngain = 4\ngain\n```\n\ndrift 0.7\n\n4\n\nValueError: no lamp"
    )
    assert read_.meta["left_out"] == "1 pictures"


def test_a_notebook_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.ipynb").write_text("[1, 2]")
    event = read(tmp_path / "a.ipynb")
    assert isinstance(event, Skipped)
    assert event.reason == "damaged"


RICH = rb"""{\rtf1\ansi\ansicpg936\deff0{\fonttbl{\f0\fnil\fcharset0 Arial;}{\f1\fnil\fcharset134 SimSun;}}
{\info{\title Winch log}}{\*\generator Riched20;}{\stylesheet{\s1 heading 1;}}
{\pard\outlinelevel0\f0 Winch\par}\pard\f1 \'b2\'e8\'d3\'cd\f0  oil {\b bold}\'2c \u38376?\u-26721?\par
{\pict\pngblip 89504e47}{\field{\*\fldinst HYPERLINK "http://x.example"}{\fldrslt the manual}}\par
\trowd\intbl Part\cell Price\cell\row\trowd\intbl Rope\cell 9\cell\row\pard Done{\footnote Checked twice.}\line end\par}"""


def test_rich_text_gives_words_headings_tables_and_notes(tmp_path):
    (tmp_path / "a.rtf").write_bytes(RICH)
    rich = document(tmp_path / "a.rtf")
    assert rich.title == "Winch log"
    assert rich.text.split("\n\n") == [
        "# Winch",
        "茶油 oil bold, 门鞟",
        "the manual",
        "Part | Price\nRope | 9",
        "Done Checked twice.\nend",
    ]
    assert rich.meta["left_out"] == "1 pictures"


def test_rich_text_with_trail_bytes_that_are_letters_is_whole(tmp_path):
    (tmp_path / "a.rtf").write_bytes(rb"{\rtf1\ansi\ansicpg936 \'85d\'81~\par}")
    assert document(tmp_path / "a.rtf").text == b"\x85d\x81~".decode("gb18030")


@pytest.mark.parametrize(
    ("name", "source", "text"),
    [
        ("a.rst", "Locks\n=====\n\nGates\n-----\n\nShut them.\n", "# Locks\n\n## Gates\n\nShut them.\n"),
        ("a.rst", "=====\nLocks\n=====\n\nGates\n=====\n\nx\n", "# Locks\n\n## Gates\n\nx\n"),
        ("a.tex", "\\section{闸门}\\label{s}\n% todo\nFlow is 5\\% up. % sure?\n", "## 闸门\nFlow is 5% up. \n"),
        ("a.org", "#+title: Log\n* Gates\n** East\n", "#+title: Log\n# Gates\n## East\n"),
    ],
)
def test_headings_of_light_markup_are_headings(tmp_path, name, source, text):
    (tmp_path / name).write_text(source, encoding="utf-8")
    assert document(tmp_path / name).text == text


SRT = """1
00:00:01,000 --> 00:00:03,500
<i>The lock keeper</i>

2
00:00:03,600 --> 00:00:05,000
opens at six.

3
00:01:10,000 --> 00:01:12,000
船闸六点
开放。
"""


@pytest.mark.parametrize("name", ["a.srt", "a.vtt"])
def test_subtitles_give_what_is_said_and_keep_when(tmp_path, name):
    text = SRT if name == "a.srt" else "WEBVTT\n\nNOTE by hand\n\n" + SRT.replace(",", ".")
    (tmp_path / name).write_text(text, encoding="utf-8")
    film = document(tmp_path / name)
    assert film.text == "The lock keeper\nopens at six.\n\n船闸六点开放。"
    assert time_at(film.meta["times"], film.text.index("opens")) == "0:00:01"
    assert time_at(film.meta["times"], film.text.index("船闸")) == "0:01:10"


NAMES = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"'
)


def open_document(path, kind, body):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        archive.writestr(
            "content.xml",
            f"<office:document-content {NAMES}><office:body><office:{kind}>{body}</office:{kind}></office:body>"
            "</office:document-content>",
        )


def test_an_open_document_has_headings_lists_tables_and_notes(tmp_path):
    body = (
        '<text:h text:outline-level="2">Sluice<text:s text:c="2"/>gate</text:h>'
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        "<text:p>Raise it<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Slowly.</text:p>"
        "</text:note-body></text:note> by hand.</text:p>"
        "<text:list><text:list-item><text:p>oil</text:p></text:list-item></text:list>"
        '<table:table table:name="T"><table:table-row><table:table-cell table:number-columns-spanned="2"><text:p>East</text:p>'
        "</table:table-cell><table:covered-table-cell/><table:table-cell><text:p>West</text:p></table:table-cell></table:table-row>"
        "</table:table>"
    )
    open_document(tmp_path / "a.odt", "text", body)
    text = document(tmp_path / "a.odt").text
    assert text == "## Sluice gate\n\nRaise it by hand.\n\nSlowly.\n\n- oil\n\nEast | East | West"


def test_an_open_spreadsheet_keeps_its_columns(tmp_path):
    cell = "<table:table-cell{}><text:p>{}</text:p></table:table-cell>"
    empty = '<table:table-cell table:number-columns-repeated="2"/>'
    twice = cell.format(' table:number-columns-repeated="2"', "7")
    rows = (
        f"<table:table-row>{cell.format('', '站')}{empty}{cell.format('', '值')}</table:table-row>"
        f'<table:table-row table:number-rows-repeated="1048000">{empty}</table:table-row>'
        f"<table:table-row>{twice}</table:table-row>"
    )
    open_document(tmp_path / "a.ods", "spreadsheet", f'<table:table table:name="水位">{rows}</table:table>')
    assert document(tmp_path / "a.ods").text == "## 水位\n\n站 |  |  | 值\n7 | 7"


def test_slides_of_an_open_presentation_are_pages(tmp_path):
    page = "<draw:page><draw:frame><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame></draw:page>"
    open_document(tmp_path / "a.odp", "presentation", page.format("Locks") + page.format("Gates"))
    assert document(tmp_path / "a.odp").text == "# Locks\n\n\f\n\n# Gates"


def test_an_encrypted_open_document_is_told(tmp_path):
    open_document(tmp_path / "a.odt", "text", "<text:p>x</text:p>")
    with zipfile.ZipFile(tmp_path / "a.odt", "a") as archive:
        archive.writestr("META-INF/manifest.xml", "<manifest><encryption-data/></manifest>")
    event = read(tmp_path / "a.odt")
    assert isinstance(event, Skipped)
    assert event.reason == "encrypted"


def test_every_kind_says_its_format(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    event = read(tmp_path / "a.py")
    assert isinstance(event, ReadFile)
    assert (event.documents[0].meta["format"], event.documents[0].title) == ("code", "a.py")
