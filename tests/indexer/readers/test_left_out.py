"""What is left out of documents: counted, kept, and told in words."""

from quarry.app.words import words
from quarry.indexer.readers.left_out import as_meta, counts_of, told


def test_counts_come_back_from_the_metadata():
    counts = {"scanned_pages": 2, "repeated_lines": 14}
    assert counts_of(as_meta(counts)) == counts
    assert as_meta({"pictures": 0}) == ""
    assert counts_of("what an older version wrote (run OCR)") == {}


def test_kinds_are_told_in_both_languages():
    (message,) = told({"scanned_pages": 2})
    assert str(message) == "2 pages that are pictures. Read with --ocr"
    assert words(message, "zh") == "2 页是图片。请加 --ocr 读取"


def test_a_kind_of_another_version_is_shown_as_it_is():
    assert [str(message) for message in told({"sounds": 3})] == ["3 sounds"]
