"""Word, Excel and PowerPoint: what stands in forms, drawings and diagrams, and the numbers that the programs count."""

import io
import struct
import zlib

import pytest
import xlsxwriter
from docx import Document
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import parse_xml
from openpyxl import Workbook
from openpyxl.worksheet.formula import ArrayFormula
from pptx import Presentation
from pptx.opc.package import Part as SlidePart

from quarry.indexer.readers.left_out import counts_of
from quarry.indexer.readers.office.number_formats import formatted
from tests.field.reading import document, line

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
DIAGRAM = "http://schemas.openxmlformats.org/drawingml/2006/diagram"


def png():
    def chunk(tag, data):
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\1\2\3")
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def cell(text, settings=""):
    return f"<w:tc><w:tcPr>{settings}</w:tcPr><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:tc>"


def table(*rows):
    return f"<w:tbl {W}>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"


def field(settings):
    return f'<w:p {W}><w:r><w:t>Berth: </w:t></w:r><w:r><w:fldChar w:fldCharType="begin"><w:ffData>{settings}</w:ffData></w:fldChar></w:r></w:p>'


LIST = '<w:ddList><w:result w:val="1"/><w:listEntry w:val="Alpha"/><w:listEntry w:val="Bravo"/></w:ddList>'


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (field(LIST), "Berth: Bravo"),
        (field('<w:checkBox><w:checked w:val="1"/></w:checkBox>'), "Berth: ☒"),
        (field('<w:checkBox><w:default w:val="0"/></w:checkBox>'), "Berth: ☐"),
        (f'<w:p {W}><w:r><w:sym w:font="Wingdings" w:char="F0FE"/><w:t> agreed</w:t></w:r></w:p>', "☒ agreed"),
        (table(cell("H1") + cell("H2"), '<w:trPr><w:gridBefore w:val="1"/></w:trPr>' + cell("below 2")), "H1 | H2\n| below 2"),
        (table(cell("Wide", '<w:hMerge w:val="restart"/>') + cell("", "<w:hMerge/>") + cell("Z")), "Wide | Wide | Z"),
        (
            f'<w:p {W}><w:r><w:pict><v:shape xmlns:v="urn:schemas-microsoft-com:vml"><v:textpath string="DRAFT 7"/></v:shape>'
            "</w:pict></w:r></w:p>",
            "DRAFT 7",
        ),
    ],
)  # fmt: skip  # a table
def test_forms_signs_and_old_merges_of_word_are_read(tmp_path, xml, text):
    word = Document()
    word.element.body.insert(0, parse_xml(xml))
    word.save(tmp_path / "a.docx")
    assert document(tmp_path / "a.docx").text == text


def test_items_of_a_list_in_a_cell_have_their_numbers(tmp_path):
    word = Document()
    inside = word.add_table(1, 1).cell(0, 0)
    inside.add_paragraph("open the valve", style="List Number")
    inside.add_paragraph("close the gate", style="List Number")
    word.save(tmp_path / "a.docx")
    assert document(tmp_path / "a.docx").text == "1. open the valve 2. close the gate"


def test_a_page_that_word_shows_as_a_part_is_read_and_embedded_files_and_pictures_are_counted(tmp_path):
    word = Document()
    word.add_picture(png())
    package = word.part.package
    page = Part(PackURI("/word/chunk.htm"), "text/html", "<p>第三章 航道</p>".encode(), package)
    name = word.part.relate_to(page, f"{R}/aFChunk")
    word.part.relate_to(Part(PackURI("/word/embeddings/a.xlsx"), "application/x", b"PK", package), f"{R}/package")
    word.element.body.insert(0, parse_xml(f'<w:altChunk {W} xmlns:r="{R}" r:id="{name}"/>'))
    word.save(tmp_path / "a.docx")
    read = document(tmp_path / "a.docx")
    assert read.text == "第三章 航道"
    assert counts_of(read.meta["left_out"]) == {"embedded_files": 1, "pictures": 1}


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (1234.5, "¥#,##0.00", "¥1,234.50"),
        (99.5, "[$¥-804]#,##0.00", "¥99.50"),
        (-12.5, "$#,##0.00_);($#,##0.00)", "($12.50)"),
        (-12.5, "#,##0.00;[Red]-#,##0.00", "-12.50"),
        (12, '0"件"', "12件"),
        (12, '"第"0"条"', "第12条"),
        (36.55, '0.0"°C"', "36.6°C"),
        (5551234, "000-0000", "555-1234"),
        (5551234567, "(###) ###-####", "(555) 123-4567"),
        (123456, "0.00E+00", "1.23E+05"),
        (0.000123, "0.00E+00", "1.23E-04"),
        (12345, '0.0,"K"', "12.3K"),
        (7, 'General"元"', "7元"),
        (0.5, "# ?/?", "0.5"),
        (1.5, "0.##", "1.5"),
        (0, '_ * #,##0.00_ ;_ * -#,##0.00_ ;_ * "-"??_ ;_ @_ ', "-"),
        (-5, "0;;;@", "-5"),
        (1, '"是";;"否"', "是"),
        (0, '"是";;"否"', "否"),
        (1234567.25, "#,##0.###", "1,234,567.25"),
        (5, "[DBNum1]0", "5"),
        (3.25, "0" * 300, "3.25"),
    ],
)
def test_numbers_have_their_currency_units_and_signs(value, form, text):
    assert formatted(value, form) == text


def test_what_lies_above_the_cells_of_a_sheet_is_read(tmp_path):
    book = xlsxwriter.Workbook(str(tmp_path / "a.xlsx"))
    sheet = book.add_worksheet("S")
    sheet.write_column("A1", [1, 2])
    sheet.insert_textbox(2, 2, "ask the harbor master")
    chart = book.add_chart({"type": "column"})
    chart.set_title({"name": "Tonnage"})
    chart.add_series({"name": "春季", "values": "=S!$A$1:$A$2"})
    sheet.insert_chart("E5", chart)
    sheet.set_header('&L&"Arial,Bold"Port of Example&R&P')
    sheet.insert_image(9, 9, "x.png", {"image_data": png(), "description": "map of berths"})
    book.close()
    text = document(tmp_path / "a.xlsx").text
    assert all(part in text for part in ("ask the harbor master", "Tonnage", "春季", "map of berths"))
    assert "Port of Example" in text.split("\n")


def test_a_formula_for_several_cells_is_calculated(tmp_path):
    book = Workbook()
    book.active.append([1, 2])
    book.active["C1"] = ArrayFormula("C1", "=SUM(A1:B1)")
    book.save(tmp_path / "a.xlsx")
    assert line(tmp_path / "a.xlsx", "1 |") == "1 | 2 | 3"


def test_numbered_paragraphs_of_a_slide_have_their_numbers(tmp_path):
    deck = Presentation()
    frame = deck.slides.add_slide(deck.slide_layouts[6]).shapes.add_textbox(0, 0, 9, 9).text_frame
    frame.text = "moor"
    for number, words in enumerate(("unload", "note", "leave")):
        frame.add_paragraph().text = words
        frame.paragraphs[-1].level = int(number == 1)
    for paragraph, kind in zip(
        frame.paragraphs, ("ea1ChsPeriod", "ea1ChsPeriod", "alphaLcParenBoth", "ea1ChsPeriod"), strict=True
    ):
        paragraph._p.get_or_add_pPr().append(parse_xml(f'<a:buAutoNum {A} type="{kind}"/>'))
    deck.save(tmp_path / "a.pptx")
    assert document(tmp_path / "a.pptx").text.split("\n") == ["一. moor", "二. unload", "(a) note", "三. leave"]


def test_diagrams_and_comments_of_a_slide_are_read(tmp_path):
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    package = slide.part.package
    diagram = f'<d:dataModel xmlns:d="{DIAGRAM}" {A}><a:t>weigh anchor</a:t></d:dataModel>'.encode()
    data = slide.part.relate_to(
        SlidePart(PackURI("/ppt/diagrams/data1.xml"), "application/xml", package, diagram), f"{R}/diagramData"
    )
    comment = b'<p:cmLst xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"><p:cm><p:text>check it</p:text></p:cm></p:cmLst>'
    slide.part.relate_to(
        SlidePart(PackURI("/ppt/comments/comment1.xml"), "application/xml", package, comment), f"{R}/comments"
    )
    slide.shapes._spTree.append(
        parse_xml(
            f'<p:graphicFrame xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" {A} xmlns:r="{R}">'
            '<p:nvGraphicFramePr><p:cNvPr id="9" name="D"/><p:cNvGraphicFramePr/><p:nvPr/></p:nvGraphicFramePr>'
            '<p:xfrm><a:off x="0" y="0"/><a:ext cx="9" cy="9"/></p:xfrm>'
            f'<a:graphic><a:graphicData uri="{DIAGRAM}"><d:relIds xmlns:d="{DIAGRAM}" r:dm="{data}"/></a:graphicData></a:graphic>'
            "</p:graphicFrame>"
        )
    )
    deck.save(tmp_path / "a.pptx")
    assert document(tmp_path / "a.pptx").text == "weigh anchor\n\ncheck it"
