"""Excel files: labels of merged cells, values under their heads, numbers as shown, formulas that were never calculated."""

from datetime import datetime, time, timedelta

import pytest
from openpyxl import Workbook
from openpyxl.comments import Comment

from quarry.indexer.readers.office.formulas import Formulas
from quarry.indexer.readers.office.sheets import shown
from tests.field.reading import document, line


def test_each_row_has_the_label_of_a_merged_cell_and_its_columns_stay_in_place(tmp_path):
    book = Workbook()
    sheet = book.active
    for row in (("站点", "班次", "值班员"), ("东闸", "早班", "李工"), (None, "夜班", "赵工"), (None, None, "钱工")):
        sheet.append(row)
    sheet.merge_cells("A2:A3")
    book.save(tmp_path / "a.xlsx")
    assert line(tmp_path / "a.xlsx", "赵工") == "东闸 | 夜班 | 赵工"
    assert line(tmp_path / "a.xlsx", "钱工").split("|")[2].strip() == "钱工"


def test_a_cell_that_spans_columns_stands_in_each(tmp_path):
    book = Workbook()
    book.active.append(("North", None, "South"))
    book.active.merge_cells("A1:B1")
    book.save(tmp_path / "a.xlsx")
    assert line(tmp_path / "a.xlsx", "South") == "North | North | South"


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (734, "0000000", "0000734"),
        (0.175, "0.0%", "17.5%"),
        (0.08, "0%", "8%"),
        (1234567.5, "#,##0.00", "1,234,567.50"),
        (48.2, "0.00", "48.20"),
        (timedelta(hours=31, minutes=20), "[h]:mm", "31:20"),
        (time(7, 45), "h:mm", "07:45"),
        (datetime(2025, 3, 9), "yyyy-mm-dd", "2025-03-09"),
        (12.0, "General", "12"),
        (0.1 + 0.2, "General", "0.3"),
        (True, "General", "True"),
        (None, "0", ""),
        ("  two   words ", "@", "two words"),
    ],
)
def test_numbers_are_as_the_sheet_shows_them(value, form, text):
    assert shown(value, form) == text


def test_formulas_that_no_program_has_calculated_have_values_or_stay_as_text(tmp_path):
    book = Workbook()
    sheet = book.active
    for row in (
        ("钢材", 400, 150, "=B1-C1"),
        ("木材", 90, 120, "=B2-C2"),
        ("合计", "=SUM(B1:B2)", "=SUM(C1:C2)", "=D1+D2"),
        ("link", '=HYPERLINK("https://x.example","交接单")', '="No. "&B1', "=VLOOKUP(1,A1:B2,2)"),
    ):
        sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    assert line(tmp_path / "a.xlsx", "木材") == "木材 | 90 | 120 | -30"
    assert line(tmp_path / "a.xlsx", "合计") == "合计 | 490 | 270 | 220"
    assert line(tmp_path / "a.xlsx", "link") == "link | 交接单 | No. 400 | =VLOOKUP(1,A1:B2,2)"
    assert document(tmp_path / "a.xlsx").meta["left_out"] == "1 formulas"


def test_formulas_that_refer_to_each_other_in_a_circle_end():
    sheet = Formulas({}, {(0, 0): "=B1+1", (0, 1): "=A1+1", (0, 2): "=1/0"})
    assert [sheet.value(0, column) for column in range(3)] == [None, None, None]


def test_comments_of_cells_are_read(tmp_path):
    book = Workbook()
    book.active.append(("Pump",))
    book.active["A1"].comment = Comment("seal was replaced in May", "somebody")
    book.save(tmp_path / "a.xlsx")
    assert "seal was replaced in May" in document(tmp_path / "a.xlsx").text
