"""HTML, XML, CSV, JSON and mail: numbers that a browser counts, words in attributes, tables in tables, fields of any form."""

import json

import pytest

from quarry.indexer.corpus.walk import ReadFile
from tests.field.reading import document, read


def text_of(path, content, encoding="utf-8"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    event = read(path)
    assert isinstance(event, ReadFile), event
    return "\n".join(f"{one.title}\n{one.text}" for one in event.documents)


@pytest.mark.parametrize(
    ("html", "parts"),
    [
        ("<ol start=3><li>dig<li>fill<ol type=a><li>sand</ol><li value=9>rest</ol>", ["3. dig", "4. fill", "a. sand", "9. rest"]),
        ("<ol reversed><li>three<li>two</ol>", ["2. three", "1. two"]),
        ("<iframe srcdoc='<p>Berth plan</p>'></iframe>", ["Berth plan"]),
        ("<svg><title>Flow</title><text>Inlet</text><text>闸门</text></svg>", ["Flow", "Inlet", "闸门"]),
        ("<map><area alt='east gate'></map><input type=submit value='Book it'><input type=date value=2024-05-06>", ["east gate", "Book it", "2024-05-06"]),
        ("<select><optgroup label='North bank'><option label='Berth 2' value=2></option></optgroup></select>", ["North bank", "Berth 2"]),
        ("<object data=a.pdf><p>The plan in words</p></object>", ["The plan in words"]),
        ("<button aria-label='Close the sluice'><img src=x.png></button>", ["Close the sluice"]),
        ("<my-card><template shadowrootmode=open><p>In the card</p></template></my-card>", ["In the card"]),
        ("<table><tr><td>A<table><tr><th>k<th>v<tr><td>1<td>2</table><td>z</table>", ["A | z\n", "k | v\n1 | 2"]),
        ("<table><tr><td><h2>Locks</h2><p>One.</p><td>side</table>", ["## Locks\n", "side"]),
    ],
)  # fmt: skip  # a table
def test_what_a_page_shows_is_read(tmp_path, html, parts):
    text = text_of(tmp_path / "a.html", f"<html><head><title>t</title></head><body>{html}</body></html>")
    assert all(part in text for part in parts), text


def test_menus_are_counted_and_read_when_a_page_has_nothing_else(tmp_path):
    (tmp_path / "a.html").write_text("<nav>Home</nav><p>Tide tables</p>")
    (tmp_path / "b.html").write_text("<nav><a>Tide tables</a></nav>")
    assert (document(tmp_path / "a.html").text, document(tmp_path / "a.html").meta["left_out"]) == (
        "Tide tables",
        "1 menus",
    )
    assert document(tmp_path / "b.html").text == "Tide tables"


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        ('<r><s name="东闸" note="shut at flood" id="s1"/><s name="West">open</s></r>', "name: 东闸\n\nnote: shut at flood\n\nname: West\n\nopen"),
        ("<a><p>Turn the <b>red</b> valve<i>s</i> twice.</p></a>", "Turn the red valves twice."),
        ("<a><p>打开<ref>阀门</ref>两次。</p><p>H<sub>2</sub>O</p></a>", "打开阀门两次。\n\nH2O"),
        ("<a><p>Turn the\n <emphasis>red</emphasis>\n valve.</p></a>", "Turn the red valve."),
        ("<r><x>one</x><y>two</y></r>", "one\n\ntwo"),
        ("<r>Depot\n <x>one</x>\n <y>two</y>\n</r>", "Depot\n\none\n\ntwo"),
        ('<f><l href="http://x.example" rel="self"/><c term="水利"/></f>', "term: 水利"),
    ],
)  # fmt: skip  # a table
def test_xml_keeps_sentences_whole_and_reads_what_stands_in_attributes(tmp_path, xml, text):
    (tmp_path / "a.xml").write_text(xml, encoding="utf-8")
    assert document(tmp_path / "a.xml").text == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('name;note\nA;"one\ntwo; and"\nB;3,5\n', 'name;note\nA;"one two; and"\nB;3,5'),
        ('name\tnote\nA\t"x\ny"\nB\tz, w\n', "name\tnote\nA\tx y\nB\tz, w"),
        ("sep=;\r\nname;note\r\nA;1\r\n", "name;note\nA;1"),
        ('name|note\nA|"x\ny"\n', "name|note\nA|x y"),
        ('a,b\n"say ""hi"", now",2\n', 'a,b\n"say "hi", now",2'),
        ("a,b\n1,2;3\n4,5\n", "a,b\n1,2;3\n4,5"),
        ("one column\nof text, with commas\n", "one column\nof text, with commas"),
    ],
)
def test_rows_of_a_table_are_told_apart_by_the_separator_that_it_has(tmp_path, content, text):
    (tmp_path / "a.csv").write_bytes(content.encode())
    assert document(tmp_path / "a.csv").text == text


def test_a_table_that_excel_saves_as_unicode_text_is_read(tmp_path):
    assert "东闸\t夜班" in text_of(tmp_path / "a.csv", "站点\t班次\r\n东闸\t夜班\r\n", "utf-16")


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ({"text": "body", "title": {"zh": "水泵手册"}}, ["title.zh: 水泵手册"]),
        ({"text": "body", "metadata": "approved by Lin"}, ["metadata: approved by Lin"]),
        ({"_id": "1", "id": "PX-4471", "doc_id": "Z9", "text": "body"}, ["id: PX-4471", "doc_id: Z9"]),
        ({"text": "body", "open": True}, ["open: true"]),
        ({"text": ["para one", "para two"], "note": "n"}, ["para one", "para two", "note: n"]),
        ({"content": {"body": "deep"}, "text": "top"}, ["content.body: deep", "top"]),
    ],
)
def test_fields_of_a_row_are_found_whatever_their_form(tmp_path, row, parts):
    text = text_of(tmp_path / "a.jsonl", json.dumps(row, ensure_ascii=False) + "\n")
    assert all(part in text for part in parts), text


def test_attachments_are_named_in_their_mail_and_read_also_without_a_name(tmp_path):
    mail = (
        "Subject: s\nFrom: a@b.example\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=A\n\n--A\n"
        "Content-Type: text/plain\n\nbody\n--A\nContent-Type: application/octet-stream\nContent-Disposition: attachment\n\n"
        "pump log of May\n--A\nContent-Type: image/png\nContent-Disposition: attachment; filename*=utf-8''%E9%97%B8.png\n\n"
        "\x00\x01\x02\x03\n--A--\n"
    )
    text = text_of(tmp_path / "a.eml", mail)
    assert "pump log of May" in text
    assert "Attachments: 闸.png" in text


def test_merged_cells_of_rich_text_are_repeated(tmp_path):
    rich = (
        rb"{\rtf1\ansi\trowd\clmgf\cellx1\clmrg\cellx2\cellx3\intbl Wide\cell\cell Z\cell\row"
        rb"\trowd\clvmgf\cellx1\cellx2\intbl East\cell a\cell\row\trowd\clvmrg\cellx1\cellx2\intbl\cell b\cell\row}"
    )
    (tmp_path / "a.rtf").write_bytes(rich)
    assert document(tmp_path / "a.rtf").text == "Wide | Wide | Z\nEast | a\nEast | b"


def test_a_cell_that_spans_the_rest_of_a_table_stands_in_each_row(tmp_path):
    (tmp_path / "a.html").write_text("<table><tr><th rowspan=0>区<td>1<tr><td>2<tr><td>3</table>", encoding="utf-8")
    assert document(tmp_path / "a.html").text.split("\n") == ["区 | 1", "区 | 2", "区 | 3"]


def test_whom_a_mail_did_not_reach_is_read(tmp_path):
    (tmp_path / "a.eml").write_text(
        "Subject: Undelivered\nFrom: a@b.c\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=q\n\n"
        "--q\nContent-Type: text/plain\n\nNot delivered.\n"
        "--q\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nFinal-Recipient: rfc822; pier@harbor.example\n--q--\n"
    )
    text = document(tmp_path / "a.eml").text
    assert "Not delivered." in text
    assert "Final-Recipient: rfc822; pier@harbor.example" in text


def test_escaped_signs_of_latex_are_the_signs(tmp_path):
    (tmp_path / "a.tex").write_text("\\section{Flow \\& head}\nSet max\\_flow to 5\\%. % hidden\n")
    assert document(tmp_path / "a.tex").text == "## Flow & head\nSet max_flow to 5%. \n"
