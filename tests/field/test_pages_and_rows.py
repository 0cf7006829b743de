"""HTML and JSON: what is on the page, and every field of a row."""

import json

from quarry.indexer.corpus.walk import ReadFile
from quarry.indexer.readers.text.markup import html_text
from tests.field.reading import document, read


def lines(html: str) -> list[str]:
    return html_text(f"<html><body>{html}</body></html>")[1].split("\n")


def test_questions_in_buttons_are_read():
    assert lines("<h2><button>怎样退票？</button></h2><p>在窗口办理。</p>")[0] == "## 怎样退票？"


def test_an_open_dialog_is_read_and_a_closed_one_is_not():
    text = lines("<dialog open>No trains on Sunday</dialog><dialog>Cookie settings</dialog><p>x</p>")
    assert "No trains on Sunday" in text
    assert "Cookie settings" not in text


def test_choices_fields_and_descriptions_of_pictures_are_read():
    html = (
        "<p>Depot: <select><option>North</option><option>South</option></select></p>"
        '<img src="a.png" alt="码头平面图"><input value="Ref 9-K"><textarea>Code by mail</textarea>'
        '<input type="hidden" value="csrf"><input type="password" value="secret">'
    )
    text = " ".join(lines(html))
    assert all(part in text for part in ("North", "South", "码头平面图", "Ref 9-K", "Code by mail"))
    assert not any(part in text for part in ("csrf", "secret"))


def test_cells_that_span_rows_and_columns_stand_in_each():
    html = (
        '<table><tr><th>Zone</th><th colspan="2">Price</th></tr>'
        '<tr><td rowspan="2">Islands</td><td>2 kg</td><td>9</td></tr><tr><td>5 kg</td><td>14</td></tr></table>'
    )
    assert [line for line in lines(html) if line] == [
        "Zone | Price | Price",
        "Islands | 2 kg | 9",
        "Islands | 5 kg | 14",
    ]


def test_an_empty_cell_keeps_the_columns_apart():
    assert lines("<table><tr><td>a</td><td></td><td>c</td></tr></table>") == ["a | | c"]


def test_a_table_inside_of_a_cell_loses_no_text():
    html = "<table><tr><td>outer<table><tr><td>inner</td></tr></table></td><td>next</td></tr></table>"
    assert "outer inner | next" in lines(html)


def test_a_span_without_end_is_bounded():
    text = html_text('<table><tr><td rowspan="9999">' + "x" * 150 + "</td></tr>" + "<tr></tr>" * 9999 + "</table>")[1]
    assert len(text) < 200_000


def test_readings_above_characters_do_not_cut_words():
    html = "<ruby>灯<rp>(</rp><rt>dēng</rt><rp>)</rp>塔<rt>tǎ</rt></ruby>在岸边。"
    assert lines(html) == ["灯塔在岸边。"]


def test_fields_beside_the_text_of_a_row_can_be_found_and_filtered_on(tmp_path):
    row = {"id": 7, "text": "The lamp blinks.", "sku": "LM-9", "brand": "Lumen", "保修": {"年": 2}}
    (tmp_path / "a.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n")
    event = read(tmp_path / "a.jsonl")
    assert isinstance(event, ReadFile)
    (document,) = event.documents
    assert document.text == "The lamp blinks.\n\nsku: LM-9\nbrand: Lumen\n保修.年: 2"
    assert (document.meta["sku"], document.meta["brand"]) == ("LM-9", "Lumen")


def test_a_text_that_is_a_list_of_parts_is_read(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"id": 1, "content": [{"type": "text", "text": "Lift the tray."}]}) + "\n"
    )
    event = read(tmp_path / "a.jsonl")
    assert isinstance(event, ReadFile)
    assert "Lift the tray." in event.documents[0].text


def test_a_key_that_stands_twice_in_a_json_object_keeps_both_values(tmp_path):
    whole = tmp_path / "notes.json"
    whole.write_text(
        '{"note": "pump was dry", "备注": "阀门漏水", "note": "pump was wet", "备注": "阀门已换"}', "utf-8"
    )
    text = document(whole).text
    assert text.split("\n") == ["note: pump was dry", "note: pump was wet", "备注: 阀门漏水", "备注: 阀门已换"]


def test_a_row_whose_key_stands_twice_keeps_both_values_and_an_equal_id_stays_the_id(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "7", "text": "open", "id": "7", "remark": "first", "remark": "second"}\n', "utf-8")
    row = document(rows)
    assert row.doc_id.endswith("/7")
    assert row.text == "open\n\nremark: first\nremark: second"


def test_sentences_in_the_metadata_of_a_row_are_searched_and_addresses_are_not(tmp_path):
    rows = tmp_path / "rows.jsonl"
    metadata = {
        "remark": "valve 7 leaks at the joint",
        "备注": "东闸每周二检修一次",
        "url": "https://a.example/a b c",
        "page": 3,
    }
    rows.write_text(json.dumps({"id": "1", "text": "body", "metadata": metadata}, ensure_ascii=False) + "\n", "utf-8")
    row = document(rows)
    assert row.text == "body\n\nremark: valve 7 leaks at the joint\n备注: 东闸每周二检修一次"
    assert row.meta["page"] == 3
    assert row.meta["url"] == "https://a.example/a b c"
