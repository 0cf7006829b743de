"""Word, PowerPoint and Excel files made here, so that every part of the text is known."""

import zipfile

import pytest

from quarry.indexer.readers.base import Unreadable
from quarry.indexer.readers.office.sheets import read_xls, read_xlsx
from quarry.indexer.readers.office.slides import read_pptx
from quarry.indexer.readers.office.word import read_docx

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def raw_docx(path, body):
    """A Word file whose body is given as XML."""
    from docx import Document

    Document().save(path)
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members["word/document.xml"] = (
        f'<w:document xmlns:w="{W}" xmlns:mc="{MC}"><w:body>{body}</w:body></w:document>'.encode()
    )
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    return path


MC = "http://schemas.openxmlformats.org/markup-compatibility/2006"


def p(text):
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_docx_headings_lists_tables_and_pages(tmp_path):
    from docx import Document

    document = Document()
    document.core_properties.title = "书名 Title"
    document.add_heading("书名 Title", 0)
    document.add_heading("第一章 One", 1)
    document.add_paragraph("正文。")
    document.add_paragraph("an item", style="List Bullet")
    table = document.add_table(2, 2)
    for row, texts in zip(table.rows, (("名称", "数量"), ("苹果", "3")), strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    document.add_page_break()
    document.add_heading("Two", 2)
    document.save(tmp_path / "a.docx")
    (extract,) = read_docx(tmp_path / "a.docx").extracts
    assert extract.title == "书名 Title"
    assert extract.meta == {"pages": "2"}
    assert (
        extract.text == "# 书名 Title\n\n# 第一章 One\n\n正文。\n\n- an item\n\n名称 | 数量\n苹果 | 3\n\n\f\n\n## Two"
    )


def test_docx_text_in_content_controls_and_insertions_is_kept_and_deletions_are_not(tmp_path):
    body = (
        f"<w:sdt><w:sdtContent>{p('inside control')}</w:sdtContent></w:sdt>"
        "<w:p><w:ins><w:r><w:t>inserted</w:t></w:r></w:ins><w:del><w:r><w:delText>deleted</w:delText></w:r></w:del></w:p>"
    )
    text = read_docx(raw_docx(tmp_path / "a.docx", body)).extracts[0].text
    assert text == "inside control\n\ninserted"


def test_docx_text_boxes_come_once(tmp_path):
    box = f"<w:txbxContent>{p('in the box')}</w:txbxContent>"
    body = (
        f"<w:p><w:r><w:t>before </w:t><mc:AlternateContent><mc:Choice Requires='x'>{box}</mc:Choice>"
        f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r></w:p>"
    )
    assert read_docx(raw_docx(tmp_path / "a.docx", body)).extracts[0].text == "before\n\n> in the box"


def test_docx_nested_tables_come_once(tmp_path):
    inner = f"<w:tbl><w:tr><w:tc>{p('inner')}</w:tc></w:tr></w:tbl>"
    body = f"<w:tbl><w:tr><w:tc>{p('outer')}{inner}{p('')}</w:tc><w:tc>{p('right')}</w:tc></w:tr></w:tbl>"
    assert read_docx(raw_docx(tmp_path / "a.docx", body)).extracts[0].text == "outer inner | right"


def test_pptx_slides_are_pages_with_titles_tables_and_notes(tmp_path):
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "第一页"
    slide.placeholders[1].text = "要点"
    slide.notes_slide.notes_text_frame.text = "备注 note"
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Two"
    table = second.shapes.add_table(1, 2, Inches(1), Inches(1), Inches(2), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "a", "b"
    deck.save(tmp_path / "a.pptx")
    (extract,) = read_pptx(tmp_path / "a.pptx").extracts
    assert extract.text == "# 第一页\n\n要点\n\n备注 note\n\f\n# Two\n\na | b"
    assert extract.meta == {"pages": "2"}


def test_xlsx_sheets_are_sections_and_wrong_dimensions_lose_nothing(tmp_path):
    from datetime import datetime

    from openpyxl import Workbook

    book = Workbook()
    book.active.title = "库存"
    book.active.append(["名称", "数量", "日期"])
    book.active.append(["苹果", 3.0, datetime(2024, 5, 1)])
    book.create_sheet("empty")
    book.save(tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.xlsx") as old:
        members = {name: old.read(name) for name in old.namelist()}
    sheet = members["xl/worksheets/sheet1.xml"]
    assert b'ref="A1:C2"' in sheet
    members["xl/worksheets/sheet1.xml"] = sheet.replace(b'ref="A1:C2"', b'ref="A1"')
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    assert read_xlsx(tmp_path / "b.xlsx").extracts[0].text == "## 库存\n\n名称 | 数量 | 日期\n苹果 | 3 | 2024-05-01"


@pytest.mark.parametrize("reader", [read_docx, read_pptx, read_xlsx])
def test_an_archive_without_the_parts_is_damaged(tmp_path, reader):
    path = tmp_path / f"a.{reader.__name__[5:]}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "x")
    with pytest.raises(Unreadable, match="not a readable"):
        reader(path)


def test_xls_that_is_none_is_damaged(tmp_path):
    (tmp_path / "a.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(Unreadable, match="not a readable Excel"):
        read_xls(tmp_path / "a.xls")
