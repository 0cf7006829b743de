"""PDF: the text layer page by page, what is filled into forms, and comments. Runs in the worker process.

page -> text, its columns read down, spaced headings as words      columns, text
-> is it writing?                                                  plausible
-> a page that is a picture, or whose text layer is garbage        ocr, when asked for; else counted
-> words and lines whole, running heads once                       text
"""

from collections import Counter
from collections.abc import Callable
from ctypes import create_string_buffer
from pathlib import Path
from typing import Any

from quarry.indexer.messages import Message
from quarry.indexer.readers.base import (
    Extract,
    Reading,
    ReadOptions,
    Unreadable,
    damaged_file,
    needs_password,
    stem,
)
from quarry.indexer.readers.pdf.columns import in_columns
from quarry.indexer.readers.pdf.plausible import is_garbage
from quarry.indexer.readers.pdf.text import REMOVED, joined_lines, unspaced, whole_words, without_running_heads

_STAMP = 120  # characters of a page that is a picture with a stamp or a header over it
_PICTURE = 0.6  # share of the page that its largest picture covers
_TELLING = 1_000  # characters of a page by which it is told whether it is writing
_MOST_ANNOTATIONS = 2_000  # of one page


def read_pdf(path: Path, options: ReadOptions = ReadOptions()) -> Reading:
    """Read text, form values and comments page by page.

    Raises:
        Unreadable: If it is encrypted, damaged or a scan. Of a file whose text layer is garbage, the name is read.
    """
    import pypdfium2 as pdfium

    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as err:
        if "password" in str(err).lower():
            raise Unreadable("encrypted", needs_password()) from err
        raise Unreadable("damaged", damaged_file("PDF", err)) from err
    reader = _Pages(document, _recognizer() if options.ocr else None)
    try:
        if len(document) == 0:
            raise Unreadable("damaged", damaged_file("PDF", "no pages"))
        if document.get_formtype():
            document.init_forms()
        for page in document:
            reader.read(page)
            page.close()
        title = str(document.get_metadata_value("Title") or "").strip()
    except pdfium.PdfiumError as err:
        raise Unreadable("damaged", damaged_file("PDF", f"page {len(reader.pages) + 1}: {err}")) from err
    finally:
        document.close()
    return _reading(reader, title or stem(path), options)


def _reading(reader: "_Pages", title: str, options: ReadOptions) -> Reading:
    reader.refuse_if_empty()
    pages, omitted = reader.pages, reader.omitted
    if not options.keep_repeated:
        pages, omitted["repeated_lines"] = without_running_heads(pages)
    text = whole_words("\n\f\n".join(pages))
    short = max(map(len, pages)) < _TELLING  # pages that are too short to tell each
    if short and omitted["garbled_pages"] < len(pages) and is_garbage(text):
        text, omitted["garbled_pages"] = "", len(pages)
    facts = {"pages": str(len(pages))}
    if reader.recognized:
        facts["recognized_pages"] = str(reader.recognized)
    shown = text if text.strip() else title  # a file without a readable page is still found by its name
    return Reading((Extract(shown, title, facts),), omitted=+omitted)


def _recognizer() -> Callable[[Any], str]:
    from quarry.indexer.readers.pdf.ocr import Recognizer

    return Recognizer().page_text


class _Pages:
    """Reads one page after another."""

    def __init__(self, document: Any, recognize: Callable[[Any], str] | None) -> None:
        self.pages: list[str] = []
        self.omitted: Counter[str] = Counter()
        self.recognized = 0
        self._document = document
        self._recognize = recognize

    def read(self, page: Any) -> None:
        """Add the text of the next page."""
        text_page = page.get_textpage()
        text = text_page.get_text_range().replace("\0", " ").replace("\x02", "\ufffe").replace("\f", "\n")
        if text_page.count_chars() == len(text):  # otherwise positions in the text are not positions on the page
            text = in_columns(unspaced(text, text_page), text_page).replace(REMOVED, "")
        text_page.close()
        text = text.replace("\r\n", "\n")
        scanned = len(text.strip()) <= _STAMP and _picture_share(page) >= _PICTURE
        garbled = not scanned and is_garbage(text)
        if (scanned or garbled) and self._recognize is not None:
            read = self._recognize(page)
            self.recognized += bool(read.strip())
            self.omitted["unread_scans"] += not read.strip()
            known = "".join(read.split())
            stamp = "" if garbled or "".join(text.split()) in known else text
            text = "\n\n".join(part for part in (read, stamp) if part.strip())
        else:
            self.omitted["scanned_pages"] += scanned
            self.omitted["garbled_pages"] += garbled
            text = "" if garbled else text
        notes = _annotations(page, self._document, text)
        self.pages.append("\n\n".join(part for part in (joined_lines(text), *notes) if part.strip()))

    def refuse_if_empty(self) -> None:
        """Refuse a file without any text.

        Raises:
            Unreadable: `no text`, as a scan.
        """
        if any(page.strip() for page in self.pages):
            return
        if self.omitted["garbled_pages"]:
            return
        pages = len(self.pages)
        if self._recognize is not None:
            found = Message.of("readers.unread_scan", "no text was recognized on {pages:page|pages}", pages=pages)
            raise Unreadable("no text", found)
        found = Message.of(
            "readers.scan",
            "{pages:page|pages} without a text layer (a scan?)",
            do="Read it with --ocr, or run text recognition first",
            pages=pages,
        )
        raise Unreadable("no text", found)


def _picture_share(page: Any) -> float:
    """Return the share of the page that its largest picture covers."""
    from pypdfium2 import raw

    width, height = page.get_size()
    shares = [0.0]
    for picture in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3):
        left, bottom, right, top = picture.get_bounds() if hasattr(picture, "get_bounds") else picture.get_pos()
        shares.append((right - left) * (top - bottom))
    return float(max(shares) / max(1.0, width * height))


def _annotations(page: Any, document: Any, text: str) -> list[str]:
    """Return form values as `name: value` lines, and the comments, without what the text layer has anyway."""
    from pypdfium2 import raw

    known = "".join(text.split())
    found: list[str] = []
    for number in range(min(raw.FPDFPage_GetAnnotCount(page.raw), _MOST_ANNOTATIONS)):
        annotation = raw.FPDFPage_GetAnnot(page.raw, number)
        if not annotation:
            continue
        if raw.FPDFAnnot_GetSubtype(annotation) == raw.FPDF_ANNOT_WIDGET:
            found.append(_form_value(annotation, document, known))
        elif raw.FPDFAnnot_GetSubtype(annotation) != raw.FPDF_ANNOT_POPUP:
            comment = _wide(raw.FPDFAnnot_GetStringValue, annotation, b"Contents")
            found.append(comment if "".join(comment.split()) not in known else "")
        raw.FPDFPage_CloseAnnot(annotation)
    return [line for line in dict.fromkeys(found) if line.strip()]


def _form_value(annotation: Any, document: Any, known: str) -> str:
    from pypdfium2 import raw

    value = _wide(raw.FPDFAnnot_GetStringValue, annotation, b"V")
    name = ""
    if document.formenv is not None:
        form = document.formenv.raw
        value = _wide(raw.FPDFAnnot_GetFormFieldValue, form, annotation) or value
        name = _wide(raw.FPDFAnnot_GetFormFieldAlternateName, form, annotation) or _wide(
            raw.FPDFAnnot_GetFormFieldName, form, annotation
        )
    if not value.strip() or "".join(value.split()) in known or value == "Off":
        return ""
    return f"{name}: {value}" if name else value


def _wide(function: Any, *arguments: Any) -> str:
    """Call a function of PDFium that fills a buffer with UTF-16; return the text."""
    import ctypes

    from pypdfium2 import raw

    size = function(*arguments, None, 0)
    if size <= 2:  # the closing zero
        return ""
    buffer = create_string_buffer(size)
    function(*arguments, ctypes.cast(buffer, ctypes.POINTER(raw.FPDF_WCHAR)), size)
    return buffer.raw[: size - 2].decode("utf-16-le", "replace").replace("\r\n", "\n").replace("\r", "\n")
