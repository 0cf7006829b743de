"""PDF: the text layer page by page, what is filled into forms, and comments. Runs in the worker process.

Pages that are pictures are counted: a scan is refused, a partly scanned file says how many pages are missing.
"""

import re
from collections import Counter
from ctypes import create_string_buffer
from pathlib import Path
from typing import Any

from quarry.indexer.messages import Message
from quarry.indexer.readers.base import Extract, Reading, Unreadable, damaged_file, needs_password, stem

_WORD = re.compile(r"(?<![\ufffe\w])[^\W\d_]+(?![\ufffe\w])")
_DIVIDED = re.compile(r"(?<![\w-])([\d_-]*)([^\W\d_][\w-]*)\ufffe([^\W\d_]+)")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_CLOSING = "，、；：）》」』”’"
_HAN_LINE = re.compile(f"(?<=[{_HAN}{_CLOSING}])\n(?=[{_HAN}（《「『“‘{_CLOSING}。！？])")
_CUT_ADDRESS = re.compile(r"(?:^|\s)\S{0,200}\w/[\w%.~/-]{1,200}$")
_ADDRESS_GOES_ON = re.compile(r"[\w%.~-]{1,200}/[\w%~]")
_STAMP = 120  # characters of a page that is a picture with a stamp or a header over it
_PICTURE = 0.6  # share of the page that its largest picture covers
_LONGEST_LINE = 12  # Han characters of a line that is long enough to go on in the next one
_MOST_ANNOTATIONS = 2_000  # of one page
_GARBAGE = re.compile("[\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff\0-\x08\x0e-\x1f\x80-\x9f]")
_MOST_GARBAGE = 0.2


def read_pdf(path: Path) -> Reading:
    """Read text, form values and comments page by page.

    Raises:
        Unreadable: If it is encrypted, damaged, a scan, or its text layer is garbage.
    """
    import pypdfium2 as pdfium

    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as err:
        if "password" in str(err).lower():
            raise Unreadable("encrypted", needs_password()) from err
        raise Unreadable("damaged", damaged_file("PDF", err)) from err
    pages: list[str] = []
    omitted: Counter[str] = Counter()
    try:
        if len(document) == 0:
            raise Unreadable("damaged", damaged_file("PDF", "no pages"))
        if document.get_formtype():
            document.init_forms()
        for page in document:
            pages.append(_page(page, document, omitted))
            page.close()
        title = str(document.get_metadata_value("Title") or "").strip()
    except pdfium.PdfiumError as err:
        raise Unreadable("damaged", damaged_file("PDF", f"page {len(pages) + 1}: {err}")) from err
    finally:
        document.close()
    if not any(page.strip() for page in pages):
        found = Message.of(
            "readers.scan",
            "{pages:page|pages} without a text layer (a scan?)",
            do="Run text recognition (OCR) first",
            pages=len(pages),
        )
        raise Unreadable("no text", found)
    text = _whole_words("\n\f\n".join(pages))
    if is_garbage(text):
        found = Message.of(
            "readers.garbled",
            "its text layer is garbage (fonts without a table of characters?)",
            do="Run text recognition (OCR), or export it again",
        )
        raise Unreadable("no text", found)
    return Reading((Extract(text, title or stem(path), {"pages": str(len(pages))}),), omitted=dict(omitted))


def _page(page: Any, document: Any, omitted: Counter[str]) -> str:
    text_page = page.get_textpage()
    text = text_page.get_text_range().replace("\r\n", "\n").replace("\x02", "\ufffe").replace("\f", "\n")
    text_page.close()
    if len(text.strip()) <= _STAMP and _picture_share(page) >= _PICTURE:
        omitted["pages that are pictures (run OCR)"] += 1
    notes = _annotations(page, document, text)
    return "\n\n".join(part for part in (_joined_lines(text), *notes) if part.strip())


def _joined_lines(text: str) -> str:
    """Join lines of Chinese, and addresses, that end because the page does: a word may stand on both."""
    lines = text.split("\n")
    longest = max((len(line) for line in lines), default=0)
    joined: list[str] = []
    for before, line in zip(["", *lines], lines, strict=False):
        goes_on = len(before.strip()) >= max(_LONGEST_LINE, 0.7 * longest)
        address = joined and _CUT_ADDRESS.search(before) and _ADDRESS_GOES_ON.match(line)
        if address or (joined and goes_on and _HAN_LINE.search(f"{before.strip()[-1:]}\n{line.strip()[:1]}")):
            joined[-1] = joined[-1].rstrip() + line.lstrip()
        else:
            joined.append(line)
    return "\n".join(joined)


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


def is_garbage(text: str) -> bool:
    """Whether a text layer has signs without a meaning in the place of letters: private use, controls, replacements."""
    signs = sum(not character.isspace() for character in text)
    return signs > 0 and len(_GARBAGE.findall(text)) > _MOST_GARBAGE * signs


def _whole_words(text: str) -> str:
    """Put words together that were divided at a line's end; pdfium writes U+FFFE for the hyphen and the break.

    The rest of the text shows whether the hyphen belongs to the word: not in `con-firming`, but in `chat-optimized`.
    """
    if "\ufffe" not in text:
        return text
    words = {word.lower() for word in _WORD.findall(text)}

    def whole(match: re.Match[str]) -> str:
        prefix, before, after = match.groups()
        joined, two = f"{before}{after}", f"{before}-{after}"
        if joined.lower() in words:
            return prefix + joined
        parts = "-" in before or (len(before) > 2 and len(after) > 2 and {before.lower(), after.lower()} <= words)
        return prefix + (two if parts or not after.islower() else joined)

    return _DIVIDED.sub(whole, text).replace("\ufffe", "-")
