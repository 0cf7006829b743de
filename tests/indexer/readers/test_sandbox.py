"""The parser process: started late, limited in time and memory, replaced after a death."""

import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from quarry.indexer.messages import Message
from quarry.indexer.readers.base import ReadOptions, Unreadable
from quarry.indexer.readers.formats import read_content
from quarry.indexer.readers.sandbox import Sandbox
from quarry.indexer.readers.serving import reply_to
from quarry.indexer.readers.worker import answer


@pytest.fixture
def docx(tmp_path):
    from docx import Document

    document = Document()
    document.add_paragraph("正文 text")
    document.save(tmp_path / "a.docx")
    return tmp_path / "a.docx"


def test_it_is_started_at_the_first_need_and_used_again(docx):
    with Sandbox(ReadOptions()) as sandbox:
        assert sandbox._process is None
        assert sandbox.read("docx", docx).extracts[0].text == "正文 text"
        first = sandbox._process.pid
        assert sandbox.read("docx", docx).extracts[0].text == "正文 text"
        assert sandbox._process.pid == first
        process = sandbox._process
    assert process.poll() is not None


def test_a_file_that_takes_too_long_is_given_up_and_the_process_ended(docx):
    with Sandbox(ReadOptions(parser_seconds=0.001)) as sandbox:
        with pytest.raises(Unreadable, match=r"took longer than 0 s") as refusal:
            sandbox.read("docx", docx)
        assert refusal.value.reason == "time limit"
        assert sandbox._process is None


def test_the_next_file_is_read_after_the_process_died(docx):
    with Sandbox(ReadOptions()) as sandbox:
        sandbox.read("docx", docx)
        sandbox._process.kill()
        sandbox._process.wait()
        assert sandbox.read("docx", docx).extracts[0].text == "正文 text"


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is kept on Linux only")
def test_a_file_that_takes_too_much_memory_is_given_up(docx, tmp_path):
    with zipfile.ZipFile(docx) as old:
        members = {name: old.read(name) for name in old.namelist()}
    body = "".join(f"<w:p><w:r><w:t>{number}</w:t></w:r></w:p>" for number in range(400_000))
    members["word/document.xml"] = members["word/document.xml"].replace(b"<w:p>", body.encode() + b"<w:p>", 1)
    with zipfile.ZipFile(tmp_path / "large.docx", "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in members.items():
            new.writestr(name, content)
    with Sandbox(ReadOptions(parser_bytes=250 << 20)) as sandbox:
        with pytest.raises(Unreadable, match=r"more memory than is allowed") as refusal:
            sandbox.read("docx", tmp_path / "large.docx")
        assert refusal.value.reason == "memory limit"
        assert sandbox.read("docx", docx).extracts[0].text == "正文 text"


def test_modules_in_the_current_folder_are_not_run(docx, tmp_path, monkeypatch):
    for name in ("json.py", "docx.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    with Sandbox(ReadOptions()) as sandbox:
        sandbox.read("docx", docx)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("kind", "module", "extra"), [("msg", "oxmsg", "[mail]"), ("xls", "xlrd", "[xls]")])
def test_a_missing_extra_is_named(monkeypatch, kind, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    reply = replied(kind, Path("a"))
    assert reply["reason"] == "missing extra"
    assert extra in str(Message.from_json(reply["detail"]))


def replied(kind, path):
    return json.loads(reply_to(answer, {"kind": kind, "path": os.fsencode(path).hex()}, b""))


def test_an_unexpected_failure_of_a_parser_is_a_reason(monkeypatch, tmp_path):
    def broken(_):
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("quarry.indexer.readers.office.word.read_docx", broken)
    reply = replied("docx", tmp_path)
    assert reply["reason"] == "damaged"
    assert str(Message.from_json(reply["detail"])) == "the parser failed with ZeroDivisionError: inside"


def test_a_large_text_is_read_in_the_process_and_a_small_one_here(tmp_path):
    with Sandbox(ReadOptions(charset="gb18030")) as sandbox:
        small, large = "猫在垫子上。", "猫在垫子上。" * 20_000
        for text, started in ((small, False), (large, True)):
            content = text.encode("gb18030")
            reading = read_content(tmp_path / "a.txt", "txt", content, ReadOptions(charset="gb18030"), sandbox)
            assert reading.extracts[0].text == text
            assert (sandbox._process is not None) == started
