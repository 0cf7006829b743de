"""Which reader a file gets, what is refused before a library sees it, and that no bytes whatever stop a run."""

import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.corpus.walk import ReadFile, read_corpus
from quarry.indexer.readers.archive import check_archive
from quarry.indexer.readers.base import Reading, ReadOptions, Unreadable
from quarry.indexer.readers.formats import format_of, read_content
from quarry.indexer.readers.sandbox import Sandbox
from tests.random_files import ENDINGS, OLE, STARTS

OLE_HEAD = OLE + bytes(504)


def packed(members):
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.TXT", b"x", "txt"),
        ("README", b"x", "txt"),
        ("a.md", b"<html>", "markdown"),
        ("a.csv.gz", b"x", "csv"),
        ("a.docx", b"%PDF-1.7", "pdf"),
        ("a.pdf", b" \n<!DOCTYPE html><p>x", "html"),
        ("a.pdf", b"garbage\n%PDF-1.7", "pdf"),
        ("a.md", b"how to find %PDF-1.7 in a file", "markdown"),
        ("a.bin", packed({"word/document.xml": b""}), "docx"),
        ("a.docx", packed({"xl/workbook.xml": b""}), "xlsx"),
        ("a.zip", packed({"META-INF/container.xml": b""}), "epub"),
        ("a.xls", OLE_HEAD + "Workbook".encode("utf-16-le"), "xls"),
        ("a.xls", OLE_HEAD + "__properties_version1.0".encode("utf-16-le"), "msg"),
    ],
)
def test_content_tells_before_the_name(name, content, kind):
    assert format_of(Path(name), content) == kind


@pytest.mark.parametrize(
    ("name", "content", "reason", "message"),
    [
        ("a.exe", b"MZ", "unsupported format", r"'\.exe'"),
        ("a.zip", packed({"a.txt": b"x"}), "unsupported format", "Unpack it"),
        ("a.doc", OLE_HEAD + "WordDocument".encode("utf-16-le"), "unsupported format", "old binary"),
        ("a.docx", OLE_HEAD + "WordDocument".encode("utf-16-le"), "unsupported format", "old binary"),
        ("a.docx", OLE_HEAD + b"no stream we know", "encrypted", "password"),
        ("a.docx", OLE_HEAD + "EncryptedPackage".encode("utf-16-le"), "encrypted", "password"),
        ("a.epub", b"PK\x03\x04", "damaged", "archive"),
        ("a.pdf", b"text", "damaged", "is not pdf"),
    ],
)
def test_other_content_is_refused(name, content, reason, message):
    with pytest.raises(Unreadable, match=message) as refusal:
        format_of(Path(name), content)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("members", "reason", "message"),
    [
        ({"word/document.xml": b"<a/>", "bomb.xml": bytes(20 << 20)}, "archive bomb", "1000 times"),
        ({"word/document.xml": b"<a/>", "../../etc/cron.d/x": b"x"}, "archive bomb", "points outside"),
        ({"word/document.xml": b"<a/>", "..\\x": b"x"}, "archive bomb", "points outside"),
        ({"word/document.xml": b"<a/>", "/etc/x": b"x"}, "archive bomb", "points outside"),
        ({"word/document.xml": b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}, "archive bomb", "document type"),
        ({"word/document.xml": b"<!--" + b"x" * 70_000 + b"--><!DOCTYPE a><a/>"}, "archive bomb", "no element"),
        ({f"{number}.txt": b"" for number in range(20_001)}, "archive bomb", "20,001 members"),
    ],
)
def test_dangerous_archives_are_refused_before_they_are_opened(tmp_path, members, reason, message):
    (tmp_path / "a.docx").write_bytes(packed(members))
    with pytest.raises(Unreadable, match=message) as refusal:
        check_archive(tmp_path / "a.docx", "docx", ReadOptions())
    assert refusal.value.reason == reason


def test_an_archive_may_not_unpack_beyond_the_limit(tmp_path):
    (tmp_path / "a.docx").write_bytes(packed({"a.txt": b"ab" * 600}))
    check_archive(tmp_path / "a.docx", "docx", ReadOptions(unpacked_bytes=1200))
    with pytest.raises(Unreadable, match="1 members of 1,200 bytes"):
        check_archive(tmp_path / "a.docx", "docx", ReadOptions(unpacked_bytes=1199))


def test_a_locked_book_is_encrypted(tmp_path):
    (tmp_path / "a.epub").write_bytes(packed({"META-INF/container.xml": b"<a/>", "META-INF/rights.xml": b"<a/>"}))
    with pytest.raises(Unreadable, match="rights management") as refusal:
        check_archive(tmp_path / "a.epub", "epub", ReadOptions())
    assert refusal.value.reason == "encrypted"


def test_a_zip_bomb_in_a_docx_is_a_counted_skip_and_the_run_goes_on(tmp_path):
    from docx import Document

    Document().save(tmp_path / "bomb.docx")
    with zipfile.ZipFile(tmp_path / "bomb.docx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/bomb.xml", bytes(50 << 20))
    (tmp_path / "good.txt").write_text("text")
    bomb, good = read_corpus({"docs": tmp_path})
    assert isinstance(bomb, Skipped)
    assert bomb.reason == "archive bomb"
    assert isinstance(good, ReadFile)


def encrypted_pdf():
    """A PDF whose owner and user keys fit no password."""
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        b"<</Filter/Standard/V 1/R 2/O<" + b"41" * 32 + b">/U<" + b"42" * 32 + b">/P -4>>",
    ]
    content, offsets = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        offsets.append(len(content))
        content += b"%d 0 obj%sendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer<</Size 5/Root 1 0 R/Encrypt 4 0 R/ID[<00><00>]>>\nstartxref\n%d\n%%%%EOF" % len(content)
    return content + b"xref\n0 5\n0000000000 65535 f \n" + table + trailer


def test_a_pdf_with_a_password_is_encrypted(tmp_path):
    (tmp_path / "a.pdf").write_bytes(encrypted_pdf())
    (skip,) = read_corpus({"docs": tmp_path})
    assert skip.reason == "encrypted"


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(ReadOptions(parser_seconds=20)) as opened:
        yield opened


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.sampled_from(STARTS), rest=st.binary(min_size=1, max_size=400), ending=st.sampled_from(ENDINGS))
def test_any_bytes_under_any_name_are_read_or_refused(tmp_path, sandbox, start, rest, ending):
    path = tmp_path / f"a.{ending}" if ending else tmp_path / "a"
    path.write_bytes(start + rest)
    try:
        reading = read_content(path, format_of(path, start + rest), start + rest, ReadOptions(), sandbox)
    except Unreadable as err:
        reading = err
    assert isinstance(reading, Reading) or reading.detail
