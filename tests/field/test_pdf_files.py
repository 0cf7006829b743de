"""PDF: values of forms, comments, lines of Chinese that go on, pages that are pictures, text layers that are garbage."""

import pytest

from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.corpus.walk import ReadFile
from quarry.indexer.readers.pdf.plausible import is_garbage
from quarry.indexer.readers.pdf.text import joined_lines
from tests.field.reading import document, read


def pdf(pages, extra=()):
    """Return a PDF of pages: (content stream, resources and annotations)."""
    objects = ["<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [] >> >>"]
    kids = " ".join(f"{3 + 2 * n} 0 R" for n in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    first_extra = 3 + 2 * len(pages)
    for n, (stream, more) in enumerate(pages):
        font = "/Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
        picture = f"/XObject << /I {first_extra} 0 R >>" if "/I Do" in stream else ""
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 400] /Contents {4 + 2 * n} 0 R "
            f"/Resources << {font} {picture} >> {more} >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    objects.extend(extra)
    out, places = "%PDF-1.7\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer << /Size {len(objects) + 1} /Root 1 0 R >>\n"
    )
    return (out + end + f"startxref\n{len(out)}\n%%EOF").encode("latin-1")


def words(text):
    return f"BT /F 12 Tf 20 300 Td ({text}) Tj ET"


PICTURE = (
    "<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 /Length 1 >>\n"
    "stream\nA\nendstream"
)
DRAWN = "q 300 0 0 400 0 0 cm /I Do Q"


def test_form_values_and_comments_are_read(tmp_path):
    notes = (
        "/Annots [ << /Type /Annot /Subtype /Widget /FT /Tx /T (crew) /V (Pier gang) /Rect [0 0 50 20] >> "
        "<< /Type /Annot /Subtype /Text /Contents (Check the winch) /Rect [0 50 20 70] >> ]"
    )
    (tmp_path / "a.pdf").write_bytes(pdf([(words("Permit"), notes)]))
    text = document(tmp_path / "a.pdf").text
    assert text.startswith("Permit")
    assert "Pier gang" in text
    assert "Check the winch" in text


def test_pages_that_are_pictures_are_counted_and_told(tmp_path):
    pages = [(words("The winch is oiled every spring and again before the first frost."), ""), (DRAWN, ""), (DRAWN, "")]
    (tmp_path / "a.pdf").write_bytes(pdf(pages, [PICTURE]))
    event = read(tmp_path / "a.pdf")
    assert isinstance(event, ReadFile)
    assert event.documents[0].meta["left_out"] == "2 scanned_pages"
    assert [(problem.reason, problem.detail.code) for problem in event.problems] == [
        ("partly read", "corpus.partly_read")
    ]


def test_a_scan_with_a_stamp_is_told(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf([(DRAWN + words("RECEIVED 4 MAY"), "")] * 2, [PICTURE]))
    event = read(tmp_path / "a.pdf")
    assert isinstance(event, ReadFile)
    assert event.documents[0].meta["left_out"].startswith("2 scanned_pages")


def test_an_ordinary_page_is_not_told(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf([(words("Plain words"), "")]))
    event = read(tmp_path / "a.pdf")
    assert isinstance(event, ReadFile)
    assert not event.problems


def test_a_page_of_pictures_alone_is_refused(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf([(DRAWN, "")], [PICTURE]))
    event = read(tmp_path / "a.pdf")
    assert isinstance(event, Skipped)
    assert event.detail.code == "readers.scan"


def text_page(lines):
    return "BT /F 10 Tf " + " ".join(f"1 0 0 1 {x} {y} Tm ({text}) Tj" for x, y, text in lines) + " ET"


def test_a_text_layer_of_shifted_letters_is_told_and_the_file_is_found_by_its_name(tmp_path):
    plain = "the harbour office keeps the keys of every shed and lends them to the crew that works in it on that day"
    shifted = "".join(chr((ord(c) - 97 + 7) % 26 + 97) if c.isalpha() else c for c in plain)
    rows = [shifted[start : start + 40] for start in range(0, len(shifted), 40)]
    lines = [(20, 380 - 14 * n, row) for n, row in enumerate(rows * 3)]
    (tmp_path / "sheds.pdf").write_bytes(pdf([(text_page(lines), "")]))
    event = read(tmp_path / "sheds.pdf")
    assert isinstance(event, ReadFile)
    assert event.documents[0].text == "sheds"
    assert event.documents[0].meta["left_out"] == "1 garbled_pages"
    assert [problem.reason for problem in event.problems] == ["partly read"]


@pytest.mark.parametrize("words_", ["HARVEST SUPPER", "LOCKS"])
def test_letters_that_are_set_apart_are_words(tmp_path, words_):
    x, lines = 10.0, []
    for letter in words_:
        x += 18
        lines += [(x, 300, letter)] if letter != " " else []
    (tmp_path / "a.pdf").write_bytes(pdf([(text_page([*lines, (20, 200, "Tickets at the gate.")]), "")]))
    assert document(tmp_path / "a.pdf").text.split("\n")[0] == words_


def test_answers_to_choose_from_are_no_word(tmp_path):
    lines = [(20 + 18 * n, 300, letter) for n, letter in enumerate("ABCDE")]
    (tmp_path / "a.pdf").write_bytes(pdf([(text_page(lines), "")]))
    assert "ABCDE" not in document(tmp_path / "a.pdf").text


LEFT = (
    "The dredger works from the",
    "north pier to the slipway",
    "until the end of the week",
    "and rests on the Sunday.",
)
RIGHT = ("Moorings are let by the", "month to members of the", "club. Others ask at the", "office before they tie up.")


def test_columns_that_are_drawn_row_by_row_are_read_down(tmp_path):
    lines = [part for n in range(4) for part in ((10, 340 - 14 * n, LEFT[n]), (165, 340 - 14 * n, RIGHT[n]))]
    lines = [(10, 370, "Notices of the harbour office for all of the crews and their guests"), *lines]
    (tmp_path / "a.pdf").write_bytes(pdf([(text_page(lines), "")]))
    text = " ".join(document(tmp_path / "a.pdf").text.split())
    assert " ".join(LEFT + RIGHT) in text
    assert text.startswith("Notices of the harbour office")


def test_rows_of_a_table_are_read_across(tmp_path):
    rows = [("Rope", "9"), ("Chain", "14"), ("Anchor", "80"), ("Buoy", "25"), ("Lamp", "7")]
    lines = [
        part for n, (name, price) in enumerate(rows) for part in ((10, 340 - 14 * n, name), (165, 340 - 14 * n, price))
    ]
    (tmp_path / "a.pdf").write_bytes(pdf([(text_page(lines), "")]))
    assert "Anchor 80" in document(tmp_path / "a.pdf").text


def test_lines_of_chinese_go_on_where_the_page_breaks_them():
    text = "起重机每季度保养一次，由机务\n科负责。保养前须断开总电源并\n放下吊钩。\n附则\n本表自发布之日起执行。"
    assert (
        joined_lines(text)
        == "起重机每季度保养一次，由机务科负责。保养前须断开总电源并放下吊钩。\n附则\n本表自发布之日起执行。"
    )


def test_lines_of_english_stay():
    assert joined_lines("The winch is oiled\nevery spring.") == "The winch is oiled\nevery spring."


@pytest.mark.parametrize(
    ("text", "garbage"),
    [
        ("\ue054\ue068\ue065 \ue072\ue065", True),
        ("\x05\x01\x15 \x16", True),
        ("\ufffd\ufffd\ufffd abc", True),
        ("The bullet \uf0b7 is of a symbol font", False),
        ("普通的文字。", False),
        ("7KH JDXJH DQG WKH ZHLU DUH UHDG E\\ WKH NHHSHU " * 4, True),
        ("M8 SUS304 BOLT WASHER NUT FLANGE DN50 PN16 GASKET EPDM " * 4, False),
        ("THE KEEPER READS THE GAUGE AND THE WEIR " * 5, False),
        ("", False),
    ],
)
def test_text_layers_of_signs_without_a_meaning_are_garbage(text, garbage):
    assert is_garbage(text) == garbage
