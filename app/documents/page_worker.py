"""The process that draws a page of a PDF. Run as `python -m quarry.app.documents.page_worker BYTES`.

PDFium runs on files that nobody has checked, so it runs under the limits of `quarry.indexer.readers.sandbox`.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from quarry.indexer.readers.base import Unreadable, damaged_file
from quarry.indexer.readers.serving import serve

WIDTH = 1_100
"""Pixels of a picture's width."""
_TALLEST = 2.5  # times the width; a longer page is drawn smaller
_SHORTEST, _PIECE = 8, 24  # characters of the passage that are looked for at once
_MARK = (255, 214, 120)  # drawn like a text marker: what is dark stays dark
_SPACE = re.compile(r"[\s\ufffe\u00ad-]")

Box = tuple[float, float, float, float]


def answer(request: dict[str, Any], content: bytes) -> dict[str, Any]:
    """Draw one page.

    Args:
        request: `page`, from 1, and the `passage` to mark.
        content: The PDF.

    Returns:
        `png` in base64, and how many lines are marked.

    Raises:
        Unreadable: If it is damaged, encrypted, or has no such page.
    """
    import pypdfium2 as pdfium

    try:
        document = pdfium.PdfDocument(content)
    except pdfium.PdfiumError as err:
        raise Unreadable("damaged", damaged_file("PDF", err)) from err
    try:
        if not 1 <= request["page"] <= len(document):
            raise Unreadable("damaged", damaged_file("PDF", f"no page {request['page']}"))
        page = document[request["page"] - 1]
        boxes = _boxes(page.get_textpage(), request["passage"])
        return {"png": b64encode(_drawn(page, boxes)).decode(), "marked": len(boxes)}
    finally:
        document.close()


def _drawn(page: Any, boxes: list[Box]) -> bytes:
    from PIL import Image, ImageChops

    width, height = page.get_size()
    scale = min(WIDTH / max(width, 1.0), _TALLEST * WIDTH / max(height, 1.0))
    picture = page.render(scale=scale, may_draw_forms=False).to_pil().convert("RGB")
    marks = Image.new("RGB", picture.size, "white")
    for left, bottom, right, top in boxes:
        area = tuple(round(value * scale) for value in (left, height - top, right, height - bottom))
        marks.paste(_MARK, (area[0] - 1, area[1] - 1, area[2] + 1, area[3] + 1))
    out = BytesIO()
    ImageChops.multiply(picture, marks).save(out, "png", optimize=True)
    return out.getvalue()


def _boxes(text: Any, passage: str) -> list[Box]:
    """Return the lines of a page on which a passage stands, in points from the lower left."""
    ranges = found_ranges(text.get_text_range(), passage)
    return [text.get_rect(at) for start, count in ranges for at in range(text.count_rects(start, count))]


def found_ranges(page: str, passage: str) -> list[tuple[int, int]]:
    """Return where the pieces of a passage stand in the text of a page: first character and count, in order.

    The reader joins lines and divided words, and it drops running heads. So spaces and hyphens are not compared, and pieces
    are looked for each by itself.
    """
    places = [at for at, char in enumerate(page) if not _SPACE.match(char)]
    bare, wanted = "".join(page[at] for at in places), _SPACE.sub("", passage)
    if not bare:
        return []
    found: list[tuple[int, int]] = []
    before = 0
    for piece in _pieces(wanted):
        at = bare.find(piece, before)
        if at < 0:
            continue
        before = at + len(piece)
        start, end = places[at], places[before - 1] + 1
        if found and start - sum(found[-1]) <= 2:  # a space or a line break between two pieces
            start = found.pop()[0]
        found.append((start, end - start))
    return found


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _PIECE):
        piece = text[start : start + _PIECE]
        if len(piece) >= min(_SHORTEST, len(text)):
            yield piece


if __name__ == "__main__":
    serve(answer)
