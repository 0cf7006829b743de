"""Word files: nothing that is on the page is lost, and what stands beside the text is not glued to it."""

import io
import re
import zipfile

import pytest
from docx import Document as new_docx
from docx.oxml import parse_xml

from quarry.indexer.readers.counting import chinese_number, counted
from tests.field.reading import document, line

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
CHART = (
    '<c:chartSpace xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><c:chart><c:title><c:tx><c:rich><a:p><a:r>'
    "<a:t>Visitors</a:t></a:r></a:p></c:rich></c:tx></c:title><c:plotArea><c:barChart><c:ser>"
    "<c:tx><c:strRef><c:strCache><c:pt><c:v>Pier</c:v></c:pt></c:strCache></c:strRef></c:tx>"
    "<c:cat><c:strRef><c:strCache><c:pt><c:v>June</c:v></c:pt></c:strCache></c:strRef></c:cat>"
    "<c:val><c:numRef><c:numCache><c:pt><c:v>812</c:v></c:pt></c:numCache></c:numRef></c:val>"
    "</c:ser></c:barChart></c:plotArea></c:chart></c:chartSpace>"
)


def add_parts(path, parts):
    """Add members to a docx, with their relationships: name -> (kind, content)."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    rels, types = "", ""
    for number, (name, (kind, content)) in enumerate(parts.items()):
        rels += f'<Relationship Id="rIdX{number}" Type="{REL}/{kind}" Target="{name}"/>'
        types += f'<Override PartName="/word/{name}" ContentType="application/xml"/>'
        members[f"word/{name}"] = content.encode()
    for member, end, more in (
        ("word/_rels/document.xml.rels", b"</Relationships>", rels),
        ("[Content_Types].xml", b"</Types>", types),
    ):
        members[member] = members[member].replace(end, more.encode() + end)
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)


def note(kind, text):
    plain = f'<w:{kind} w:id="7"><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:{kind}>'
    separator = f'<w:{kind} w:type="separator" w:id="0"><w:p><w:r><w:t>between</w:t></w:r></w:p></w:{kind}>'
    return f"<w:{kind}s {W}>{separator}{plain}</w:{kind}s>"


@pytest.mark.parametrize("kind", ["footnote", "endnote", "comment"])
def test_a_note_stands_after_the_paragraph_that_refers_to_it(tmp_path, kind):
    path = tmp_path / "a.docx"
    file = new_docx()
    first = file.add_paragraph("租约每年续签。")
    first._p.append(parse_xml(f'<w:r {W}><w:{kind}Reference w:id="7"/></w:r>'))
    file.add_paragraph("The last paragraph.")
    file.save(path)
    add_parts(path, {f"{kind}s.xml": (f"{kind}s", note(kind, "须提前两个月通知。"))})
    assert document(path).text == "租约每年续签。\n\n须提前两个月通知。\n\nThe last paragraph."


def test_headers_and_footers_are_read_once_and_page_numbers_alone_are_not(tmp_path):
    file = new_docx()
    for _ in range(2):
        section = file.add_section()
        section.header.is_linked_to_previous = False
        section.header.paragraphs[0].text = "Form HB-204"
        section.footer.is_linked_to_previous = False
        section.footer.paragraphs[0].text = "港务处 印制"
    file.sections[0].header.paragraphs[0].text = "- 3 -"
    file.add_paragraph("Body")
    file.save(tmp_path / "a.docx")
    text = document(tmp_path / "a.docx").text
    assert (text.count("Form HB-204"), text.count("港务处 印制"), text.count("- 3 -")) == (1, 1, 0)


def test_a_chart_gives_its_title_and_its_values(tmp_path):
    path = tmp_path / "a.docx"
    file = new_docx()
    paragraph = file.add_paragraph("Figures of the summer.")
    chart = (
        '<w:drawing><c:chart xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" '
        f'xmlns:r="{REL}" r:id="rIdX0"/></w:drawing>'
    )
    paragraph._p.append(parse_xml(f"<w:r {W}>{chart}</w:r>"))
    file.save(path)
    add_parts(path, {"chart1.xml": ("chart", CHART)})
    assert document(path).text == "Figures of the summer.\n\nVisitors\nPier: June 812"


def test_a_text_box_is_a_block_of_its_own(tmp_path):
    file = new_docx()
    paragraph = file.add_paragraph("The gates open at nine.")
    paragraph._p.append(
        parse_xml(
            f"<w:r {W}><w:pict><w:txbxContent><w:p><w:r><w:t>Bring a lamp</w:t></w:r></w:p></w:txbxContent></w:pict></w:r>"
        )
    )
    file.save(tmp_path / "a.docx")
    assert document(tmp_path / "a.docx").text == "The gates open at nine.\n\n> Bring a lamp"


def numbered(file, text, level, style=None):
    paragraph = file.add_paragraph(text, style=style)
    properties = paragraph._p.get_or_add_pPr()
    properties.append(parse_xml(f'<w:numPr {W}><w:ilvl w:val="{level}"/><w:numId w:val="90"/></w:numPr>'))


def test_clauses_have_the_numbers_that_word_counts(tmp_path):
    file = new_docx()
    numbering = file.part.numbering_part.element
    numbering.insert(
        0,
        parse_xml(
            f'<w:abstractNum {W} w:abstractNumId="80"><w:lvl w:ilvl="0"><w:start w:val="1"/>'
            '<w:numFmt w:val="chineseCountingThousand"/><w:lvlText w:val="第%1章"/></w:lvl><w:lvl w:ilvl="1"><w:start w:val="1"/>'
            '<w:numFmt w:val="lowerLetter"/><w:lvlText w:val="(%2)"/></w:lvl></w:abstractNum>'
        ),
    )
    numbering.append(parse_xml(f'<w:num {W} w:numId="90"><w:abstractNumId w:val="80"/></w:num>'))
    for text, level in (("总则", 0), ("first", 1), ("second", 1), ("附则", 0), ("third", 1)):
        numbered(file, text, level, "Heading 1" if level == 0 else None)
    file.save(tmp_path / "a.docx")
    expected = ["# 第一章 总则", "(a) first", "(b) second", "# 第二章 附则", "(a) third"]
    assert document(tmp_path / "a.docx").text.split("\n\n") == expected


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (10, "chineseCounting", "十"),
        (21, "chineseCounting", "二十一"),
        (105, "chineseCounting", "一百零五"),
        (110, "chineseCounting", "一百一十"),
        (2030, "chineseCounting", "二千零三十"),
        (28, "upperLetter", "BB"),
        (44, "lowerRoman", "xliv"),
        (7, "decimalZero", "07"),
        (7, "decimal", "7"),
        (3, "ideographTraditional", "丙"),
        (11, "ideographTraditional", "11"),
        (2, "ideographZodiac", "丑"),
        (12, "decimalEnclosedCircleChinese", "⑫"),
        (21, "chineseLegalSimplified", "贰拾壹"),
        (112, "ordinal", "112th"),
        (22, "ordinal", "22nd"),
    ],
)
def test_numbers_are_written_as_word_writes_them(number, kind, text):
    assert counted(number, kind) == text
    assert kind != "chineseCounting" or chinese_number(number) == text


def test_a_merged_label_belongs_to_each_of_its_rows(tmp_path):
    file = new_docx()
    table = file.add_table(3, 3)
    for row, texts in enumerate((("区域", "级别", "价格"), ("北岸", "学徒", "310"), ("", "技师", "420"))):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    file.save(tmp_path / "a.docx")
    assert line(tmp_path / "a.docx", "技师") == "北岸 | 技师 | 420"


def test_readings_above_characters_do_not_cut_words(tmp_path):
    file = new_docx()
    ruby = "".join(
        f"<w:ruby><w:rt><w:r><w:t>{reading}</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>{base}</w:t></w:r></w:rubyBase></w:ruby>"
        for base, reading in (("灯", "dēng"), ("塔", "tǎ"))
    )
    file.add_paragraph("")._p.append(parse_xml(f"<w:r {W}>{ruby}</w:r>"))
    file.save(tmp_path / "a.docx")
    assert document(tmp_path / "a.docx").text == "灯塔"
    assert document(tmp_path / "a.docx").meta["left_out"] == "2 ruby_readings"


def test_strict_open_xml_is_read(tmp_path):
    plain = io.BytesIO()
    file = new_docx()
    file.add_heading("Minutes", 1)
    file.add_paragraph("会议改到周五。")
    file.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(tmp_path / "a.docx", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith((".xml", ".rels")):
                content = re.sub(
                    rb"http://schemas\.openxmlformats\.org/(officeDocument|wordprocessingml|drawingml)/2006/",
                    rb"http://purl.oclc.org/ooxml/\1/",
                    content,
                )
            new.writestr(name, content)
    assert document(tmp_path / "a.docx").text == "# Minutes\n\n会议改到周五。"
