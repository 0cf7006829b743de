"""OpenDocument: numbers of lists and headings, shapes, forms and objects."""

import zipfile

import pytest

from tests.field.reading import document
from tests.field.test_everyday_formats import NAMES, open_document

MORE = (
    'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" xmlns:form="urn:oasis:names:tc:opendocument:xmlns:form:1.0" '
    'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:chart="urn:oasis:names:tc:opendocument:xmlns:chart:1.0" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"'
)
STYLES = (
    '<text:list-style style:name="L1"><text:list-level-style-number text:level="1" style:num-format="1" style:num-suffix="."/>'
    '<text:list-level-style-number text:level="2" style:num-format="a" style:num-prefix="(" style:num-suffix=")"/>'
    '</text:list-style><text:outline-style style:name="Outline"><text:outline-level-style text:level="1" style:num-format="1"/>'
    '<text:outline-level-style text:level="2" style:num-format="1" text:display-levels="2"/></text:outline-style>'
)


def write(path, body, styles="", objects=()):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        for name, inner in (("content.xml", f"<office:text>{body}</office:text>"), *objects):
            archive.writestr(
                name,
                f"<office:document-content {NAMES} {MORE}><office:styles>{styles}</office:styles><office:body>{inner}</office:body>"
                "</office:document-content>",
            )


def items(*texts, settings="", inner=""):
    listed = "".join(f"<text:list-item><text:p>{text}</text:p></text:list-item>" for text in texts)
    return f'<text:list text:style-name="L1" {settings}>{listed}{inner}</text:list>'


def test_lists_and_headings_have_the_numbers_that_are_counted(tmp_path):
    sub = "<text:list-item><text:p>berth</text:p><text:list><text:list-item><text:p>east</text:p></text:list-item></text:list></text:list-item>"
    heading = '<text:h text:outline-level="{}">{}</text:h>'
    body = (
        heading.format(1, "Locks")
        + heading.format(2, "Gates")
        + items("moor", inner=sub)
        + "<text:p>Then</text:p>"
        + items("leave", settings='text:continue-numbering="true"')
        + items("again")
        + f"<text:list><text:list-item>{heading.format(2, 'Weirs')}</text:list-item></text:list>"
    )
    write(tmp_path / "a.odt", body, STYLES)
    assert document(tmp_path / "a.odt").text.split("\n\n") == [
        "# 1 Locks",
        "## 1.1 Gates",
        "1. moor\n2. berth\n  (a) east",
        "Then",
        "3. leave",
        "1. again",
        "## 1.2 Weirs",
    ]


def test_a_shape_does_not_run_into_the_words_around_it(tmp_path):
    write(
        tmp_path / "a.odt",
        "<text:p>Keep<draw:custom-shape><text:p>left</text:p><text:p>bank</text:p></draw:custom-shape> out</text:p>",
    )
    assert document(tmp_path / "a.odt").text == "Keep out\n\n> left\n> bank"


def test_what_is_filled_into_a_form_is_read_and_secrets_are_not(tmp_path):
    body = (
        '<office:forms><form:form form:name="F"><form:text form:name="Keeper" form:current-value="Lin Tao"/>'
        '<form:password form:name="Code" form:current-value="4711"/>'
        '<form:checkbox form:label="agreed" form:current-state="checked"/></form:form></office:forms><text:p>x</text:p>'
    )
    write(tmp_path / "a.odt", body)
    assert document(tmp_path / "a.odt").text == "Keeper: Lin Tao\n\n☒ agreed\n\nx"


def test_charts_are_read_and_pictures_without_a_description_are_counted(tmp_path):
    body = (
        '<text:p>x<draw:frame><draw:object xlink:href="./Object 1"/><draw:image xlink:href="./r.png"/></draw:frame></text:p>'
        '<text:p><draw:frame><draw:image xlink:href="a.png"/></draw:frame></text:p>'
    )
    cells = "<table:table-cell><text:p>春</text:p></table:table-cell><table:table-cell><text:p>4</text:p></table:table-cell>"
    chart = (
        "<office:chart><chart:chart><chart:title><text:p>吨位</text:p></chart:title>"
        f"<table:table><table:table-row>{cells}</table:table-row></table:table></chart:chart></office:chart>"
    )
    write(tmp_path / "a.odt", body, objects=[("Object 1/content.xml", chart)])
    read = document(tmp_path / "a.odt")
    assert read.text == "x\n\n> 吨位\n> 春 | 4"
    assert read.meta["left_out"] == "1 pictures"


def test_a_cell_that_spans_rows_stands_in_each_and_boxes_above_a_sheet_are_read(tmp_path):
    cell = "<table:table-cell{}><text:p>{}</text:p></table:table-cell>"
    box = "<table:shapes><draw:frame><draw:text-box><text:p>ask first</text:p></draw:text-box></draw:frame></table:shapes>"
    tall = cell.format(' table:number-rows-spanned="2"', "东闸")
    rows = (
        f"<table:table-row>{tall}{cell.format('', '早班')}</table:table-row>"
        f"<table:table-row><table:covered-table-cell/>{cell.format('', '夜班')}</table:table-row>"
    )
    open_document(tmp_path / "a.ods", "spreadsheet", f'<table:table table:name="S">{box}{rows}</table:table>')
    assert document(tmp_path / "a.ods").text == "## S\n\n东闸 | 早班\n东闸 | 夜班\n\nask first"


@pytest.mark.parametrize("kind", ["draw:custom-shape", "draw:rect", "draw:g"])
def test_shapes_of_a_slide_are_read(tmp_path, kind):
    inner = "<text:p>lock keeper</text:p>"
    inner = f"<draw:frame><draw:text-box>{inner}</draw:text-box></draw:frame>" if kind == "draw:g" else inner
    open_document(tmp_path / "a.odp", "presentation", f"<draw:page><{kind}>{inner}</{kind}></draw:page>")
    assert document(tmp_path / "a.odp").text == "# lock keeper"
