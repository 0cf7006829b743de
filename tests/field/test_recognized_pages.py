"""Scans: pieces of recognized text become lines; with the extra `ocr`, pages that are pictures are read when asked for."""

import pytest

from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.corpus.walk import ReadFile, read_corpus
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.readers.pdf.ocr import _Piece, lines_of


def piece(text, left, top, height=10.0):
    width = height * len(text) / 2
    return _Piece.of([(left, top), (left + width, top), (left + width, top + height), (left, top + height)], text)


def test_pieces_of_a_line_that_is_not_quite_level_stay_in_it():
    pieces = [
        piece("noon.", 90.0, 13.0),
        piece("opens at", 30.0, 11.0),
        piece("Lock", 0.0, 10.0),
        piece("关闭", 0.0, 30.0),
    ]
    assert lines_of(pieces) == "Lock opens at noon.\n关闭"


def test_a_page_without_text_gives_none():
    assert lines_of([]) == ""


def scan(path, words, stamp=""):
    """A PDF of one picture, with or without a stamp of text over it."""
    import pypdfium2 as pdfium
    from PIL import Image, ImageDraw, ImageFont
    from pypdfium2 import raw

    picture = Image.new("RGB", (1240, 1754), "white")
    try:
        font = ImageFont.truetype("DejaVuSans.ttf", 44)
    except OSError:
        pytest.skip("no font to draw a scan with")
    ImageDraw.Draw(picture).text((100, 200), words, "black", font)
    document = pdfium.PdfDocument.new()
    page = document.new_page(595, 842)
    drawn = pdfium.PdfImage.new(document)
    drawn.set_bitmap(pdfium.PdfBitmap.from_pil(picture))
    drawn.set_matrix(pdfium.PdfMatrix().scale(595, 842))
    page.insert_obj(drawn)
    if stamp:
        text = raw.FPDFPageObj_NewTextObj(document.raw, b"Helvetica", 12.0)
        encoded = (stamp + "\0").encode("utf-16-le")
        raw.FPDFText_SetText(text, (raw.FPDF_WCHAR * (len(encoded) // 2)).from_buffer_copy(encoded))
        raw.FPDFPageObj_Transform(text, 1, 0, 0, 1, 20, 20)
        raw.FPDFPage_InsertObject(page.raw, text)
    page.gen_content()
    document.save(path)


@pytest.mark.parametrize("stamp", ["", "RECEIVED 4 MAY"])
def test_a_scan_is_read_when_asked_for_and_told_when_not(tmp_path, stamp):
    pytest.importorskip("rapidocr")
    scan(tmp_path / "a.pdf", "The drawbridge opens at noon.", stamp)
    (plain,) = read_corpus({"a": tmp_path / "a.pdf"})
    (recognized,) = read_corpus({"a": tmp_path / "a.pdf"}, options=ReadOptions(ocr=True))
    assert isinstance(plain, Skipped) == (not stamp)
    assert isinstance(recognized, ReadFile)
    (document,) = recognized.documents
    assert "drawbridge opens at noon" in document.text
    assert stamp in document.text
    assert document.meta["recognized_pages"] == "1"
    assert "left_out" not in document.meta


def test_without_the_extra_the_file_says_what_to_install(tmp_path, monkeypatch):
    import sys

    from quarry.indexer.readers.base import Unreadable
    from quarry.indexer.readers.pdf.ocr import Recognizer

    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(Unreadable, match="quarry-search\\[ocr\\]"):
        Recognizer()
