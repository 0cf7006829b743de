"""A page of a PDF as a picture: the passage is marked, and a file that cannot be drawn is refused with what to do."""

from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from quarry.app.documents.originals import NoOriginal, Original
from quarry.app.documents.page_picture import is_pdf, page_picture
from quarry.app.documents.page_worker import WIDTH, found_ranges
from quarry.demo_corpus import documents_path
from quarry.indexer.corpus.walk import ReadFile, SourceFile, read_corpus

MARKED = (255, 214, 120)


def original(path: Path) -> Original:
    content = path.read_bytes()
    indexed = SourceFile(str(path), "a", len(content), 0, sha256(content).hexdigest())
    return Original(path.resolve(), path.name, len(content), indexed)


def colors(png: bytes) -> set[tuple[int, ...]]:
    picture = Image.open(BytesIO(png))
    assert picture.format == "PNG"
    assert picture.width == WIDTH
    return {color for _, color in picture.getcolors(1 << 20)}


@pytest.mark.parametrize("name", ["zh/诺曼人-1.pdf", "en/european-union-law-1.pdf"])
def test_the_passage_is_marked_on_its_page_and_nothing_is_without_one(name):
    path = documents_path() / name
    (read,) = [event for event in read_corpus({"a": path}) if isinstance(event, ReadFile)]
    pages = read.documents[0].text.split("\f")
    passage = pages[-1][:300]
    assert is_pdf(original(path))
    assert MARKED in colors(page_picture(original(path), len(pages), passage))
    assert MARKED not in colors(page_picture(original(path), len(pages), "what stands on no page of it"))


def test_a_damaged_file_and_a_page_that_is_not_there_are_refused(tmp_path):
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 nothing")
    with pytest.raises(NoOriginal, match="Save the original file"):
        page_picture(original(broken), 1, "")
    with pytest.raises(NoOriginal, match="no page 99"):
        page_picture(original(documents_path() / "zh/免疫系统-1.pdf"), 99, "")


def test_a_passage_is_found_across_line_breaks_and_divided_words():
    page = (
        "Running head\r\nThe pump in the cel\ufffe\r\nlar is checked in May, and the\r\nengineer signs the book.\r\n12"
    )
    passage = "The pump in the cellar is checked in May, and the engineer signs the book."
    (found,) = found_ranges(page, passage)
    start, count = found
    assert page[start : start + count].startswith("The pump")
    assert page[start : start + count].endswith("the book.")
    assert found_ranges(page, "a passage of another page altogether") == []
    assert found_ranges("", passage) == []
