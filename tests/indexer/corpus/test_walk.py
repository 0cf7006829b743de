"""The right text out of difficult files, or a counted reason; never a crash, never silently nothing."""

import gzip
import json
import os
import re
import signal
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarry.indexer.corpus.listing import Skipped, path_of, printable
from quarry.indexer.corpus.walk import ReadFile, UnchangedFile, read_corpus
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.readers.charset import decode
from tests.random_files import ENDINGS, PACKED_ENDINGS, STARTS


def read(folder: Path, options: ReadOptions = ReadOptions()) -> dict[str, ReadFile | Skipped]:
    """Events of one folder by file name."""
    out = {}
    for event in read_corpus({"c": folder}, options=options):
        path = event.source if isinstance(event, Skipped) else event.file.path
        out[Path(path).name] = event
    return out


def one(tmp_path: Path, name: str, content: bytes, options: ReadOptions = ReadOptions()):
    folder = tmp_path / "one"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    (event,) = read_corpus({"c": folder}, options=options)
    path.unlink()
    return event


EXPECTED_SKIPS = {
    "office/MEDRPT-2024-PAT-3847_medical_report_scan.pdf": "no text",
    "mixed/pdf/non_text_searchable.pdf": "no text",
    "names/empty.txt": "empty",
    "malformed/truncated.pdf": "damaged",
    "malformed/truncated.docx": "damaged",
}
SAME = {"gbk": "gb18030", "gb2312": "gb18030", "utf-8-sig": "utf-8", "mac-cyrillic": "mac_cyrillic", "ascii": "utf-8"}


@pytest.mark.data
def test_every_difficult_file_gives_its_text_or_the_right_reason(shared_data):
    root = shared_data / "ingest-docs"
    events = {}
    for event in read_corpus({"docs": root}):
        path = event.source if isinstance(event, Skipped) else event.file.path
        events[path_of(path).relative_to(root).as_posix()] = event
    rows = [json.loads(line) for line in (root / "MANIFEST.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) > 70
    skipped = {}
    for row in rows:
        event = events[row["file"]]
        if isinstance(event, Skipped):
            skipped[row["file"]] = event.reason
            continue
        text = "\n".join(f"{document.title}\n{document.text}" for document in event.documents)
        folded = re.sub(r"\s+|\$[^$\n]*\$", "", text)
        for wanted in row["must_include"]:
            assert re.sub(r"\s+", "", wanted) in folded, row["file"]
        for unwanted in row.get("must_not_include", []):
            assert unwanted not in text, row["file"]
        charset = event.documents[0].meta.get("charset")
        if row.get("charset") and charset:
            assert charset == SAME.get(row["charset"], row["charset"]), row["file"]
    assert skipped == EXPECTED_SKIPS
    (problem,) = events["malformed/jsonl-broken-line.jsonl"].problems
    assert problem.source.endswith("jsonl-broken-line.jsonl:4")


@pytest.mark.parametrize(
    "charset", ["gb18030", "gbk", "big5", "utf-16-le", "utf-16-be", "utf-16", "utf-32", "utf-8", "utf-8-sig"]
)
def test_chinese_is_read_in_every_encoding(charset):
    text = (
        "图书馆的开放时间是上午九点到晚上八点，周一闭馆。"
        if charset != "big5"
        else "圖書館的開放時間是上午九點到晚上八點，週一閉館。"
    )
    assert decode(text.encode(charset)).text == text


def test_short_gbk_is_read_as_chinese():
    assert decode("测试文件".encode("gbk")).text == "测试文件"


def test_a_given_charset_is_not_argued_with():
    assert decode("привет".encode("cp1251"), charset="cp1251").text == "привет"


def test_structure_becomes_headings_rows_and_metadata(tmp_path):
    html = "<title>T</title><nav>menu</nav><h2>Hours</h2><p>Open <b>daily</b></p><ul><li>one<li>two</ul><script>evil()</script>"
    text = one(tmp_path, "a.html", html.encode()).documents[0].text
    assert text == "## Hours\n\nOpen daily\n\n- one\n- two"
    markdown = one(tmp_path, "a.md", "---\ntitle: 规则\ntags: [a, b]\n---\n# One\n\ntext".encode()).documents[0]
    assert (markdown.title, markdown.meta["tags"], markdown.text) == ("规则", ["a", "b"], "# One\n\ntext")
    table = one(tmp_path, "a.csv", '名称,价格\n"a, b",3\n'.encode("gb18030")).documents[0]
    assert table.text == '名称,价格\n"a, b",3'


def test_rows_of_json_become_documents(tmp_path):
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    rows = [
        {"_id": "d1", "title": "T", "text": "one", "metadata": {"lang": "en", "n": 3}},
        {"_id": "d2", "title": "only a title", "text": ""},
    ]
    with gzip.open(folder / "corpus.jsonl.gz", "wt", encoding="utf-8") as handle:
        handle.write("\n".join(map(json.dumps, rows)))
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "?"}')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    (folder / "notes.jsonl").write_text('{"id": 7, "content": "note"}\nnot json\n{"id": 8}\n')
    events = read(folder)
    assert set(events) == {"corpus.jsonl.gz", "notes.jsonl"}
    assert [(d.doc_id, d.title, d.text) for d in events["corpus.jsonl.gz"].documents] == [
        ("d1", "T", "one"),
        ("d2", "only a title", "only a title"),
    ]
    assert events["corpus.jsonl.gz"].documents[0].meta["n"] == 3
    assert [d.doc_id for d in events["notes.jsonl"].documents] == ["c/notes.jsonl/7"]
    assert [(Path(p.source).name, p.reason) for p in events["notes.jsonl"].problems] == [
        ("notes.jsonl:2", "wrong row"),
        ("notes.jsonl:3", "wrong row"),
    ]


def test_unchanged_files_are_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr("quarry.indexer.corpus.walk._TICK_NS", 0)  # as if they had been written long ago
    (tmp_path / "a.txt").write_text("text")
    (event,) = read_corpus({"c": tmp_path})
    monkeypatch.setattr(Path, "read_bytes", lambda _self: pytest.fail("the file was opened"))
    (again,) = read_corpus({"c": tmp_path}, known={event.file.path: event.file}.get)
    assert again == UnchangedFile(event.file)


def test_names_with_controls_and_foreign_bytes_round_trip(tmp_path):
    name = "a\nb\x1b[31m%#—名 ..txt"
    raw = os.fsencode(tmp_path) + b"/bad\xff.txt"
    (tmp_path / name).write_text("x")
    Path(os.fsdecode(raw)).write_text("y")
    documents = [event.documents[0] for event in read_corpus({"c": tmp_path})]
    ids = sorted(document.doc_id for document in documents)
    assert ids == ["c/a%0Ab%1B[31m%25%23—名 ..txt", "c/bad%FF.txt"]
    assert path_of(printable(tmp_path / name)) == tmp_path / name
    assert os.fsencode(path_of(printable(os.fsdecode(raw)))) == raw


def test_what_is_no_ordinary_file_is_counted_and_never_followed_out(tmp_path):
    folder, outside = tmp_path / "c", tmp_path / "outside"
    (folder / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (folder / "a.txt").write_text("text")
    os.mkfifo(folder / "pipe")
    (folder / "sub" / "loop").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    (folder / "out").symlink_to(outside)
    (folder / "gone").symlink_to(folder / "nothing")
    events = read(folder)
    reasons = {name: event.reason for name, event in events.items() if isinstance(event, Skipped)}
    assert reasons == {
        "pipe": "not a regular file",
        "loop": "link loop",
        "self": "link loop",
        "out": "not a regular file",
        "gone": "link loop",
    }
    assert isinstance(events["a.txt"], ReadFile)
    assert len(events) == 6


def _zip(path: Path, members: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path.read_bytes()


def test_archives_cannot_explode_or_escape(tmp_path):
    bomb = _zip(tmp_path / "z", {"word/document.xml": b"0" * (50 << 20)})
    assert one(tmp_path, "bomb.docx", bomb).reason == "archive bomb"
    escape = _zip(tmp_path / "z", {"word/document.xml": b"<x/>", "../../evil": b"x"})
    assert one(tmp_path, "escape.docx", escape).reason == "archive bomb"
    entities = b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><r>&b;</r>'
    assert one(tmp_path, "feed.xml", entities).reason == "archive bomb"
    book = _zip(tmp_path / "z", {"mimetype": b"application/epub+zip", "META-INF/container.xml": entities})
    assert one(tmp_path, "book.epub", book).reason == "archive bomb"
    assert (
        one(tmp_path, "big.txt.gz", gzip.compress(b"a" * 5000), ReadOptions(unpacked_bytes=1000)).reason
        == "archive bomb"
    )


def test_odd_content_is_read_or_refused_with_a_reason(tmp_path):
    assert one(tmp_path, "e.txt", b"").reason == "empty"
    assert one(tmp_path, "w.txt", b"  \n\n ").reason == "no text"
    assert one(tmp_path, "b.txt", bytes(range(256)) * 10).reason == "unsupported format"
    assert one(tmp_path, "b.exe", b"MZ\x00").reason == "unsupported format"
    assert one(tmp_path, "b.zip", _zip(tmp_path / "z", {"a.txt": b"x"})).reason == "unsupported format"
    assert one(tmp_path, "p.docx", bytes.fromhex("d0cf11e0a1b11ae1") + b"x" * 600).reason == "encrypted"
    assert one(tmp_path, "x.pdf", b"no pdf at all").reason == "damaged"
    assert one(tmp_path, "x.txt", b"x" * 100, ReadOptions(max_bytes=10)).reason == "too large"
    assert one(tmp_path, "deep.json", b"[" * 100_000).reason == "damaged"
    assert one(tmp_path, "n.txt", b"a longer line of text with one\0two").documents[0].text.endswith("one\ufffdtwo")
    assert one(tmp_path, "s.json", b'[{"text": "a\\ud800b\\u0000"}]').documents[0].text == "a\ufffdb\ufffd"
    assert len(one(tmp_path, "line.txt", b"word " * 600_000).documents[0].text) >= 2_999_999


def test_a_parser_that_hangs_or_dies_costs_one_file():
    from quarry.indexer.readers.base import Unreadable
    from quarry.indexer.readers.sandbox import Sandbox

    with Sandbox(ReadOptions(parser_seconds=0.2)) as sandbox:
        os.kill(sandbox._running(60.0).pid, signal.SIGSTOP)
        with pytest.raises(Unreadable, match="took longer than 0 s"):
            sandbox.read("pdf", Path(__file__))
    with Sandbox(ReadOptions()) as sandbox:
        with pytest.raises(Unreadable, match="not a readable PDF"):
            sandbox.read("pdf", Path(__file__))
        sandbox._running(60.0).kill()
        sandbox._process.wait()
        with pytest.raises(Unreadable, match="not a readable PDF"):  # a new process was started
            sandbox.read("pdf", Path(__file__))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=600),
    st.sampled_from([*ENDINGS, *PACKED_ENDINGS]),
    st.sampled_from(STARTS),
)
def test_random_bytes_under_any_name_are_read_or_refused(tmp_path, content, ending, head):
    event = one(tmp_path, f"file.{ending}" if ending else "file", head + content)
    if isinstance(event, ReadFile):
        for document in event.documents:
            assert document.text.strip()
            document.text.encode("utf-8")
            assert "\0" not in document.text
    else:
        assert event.reason
        assert event.detail
