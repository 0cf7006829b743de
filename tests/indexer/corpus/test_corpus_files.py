"""Walking and reading a corpus: ids, what is unchanged, and every kind of bad input as a counted skip."""

import gzip
import inspect
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.indexer.corpus.listing import Skipped, list_files, path_of, printable
from quarry.indexer.corpus.walk import ReadFile, UnchangedFile, read_corpus
from quarry.indexer.readers.base import ReadOptions
from tests.powerless import drop_powers, unreadable


def read(root, **options):
    return list(read_corpus({"docs": root}, options=ReadOptions(**options)))


def documents(root, **options):
    return {document.doc_id: document for event in read(root, **options) for document in event.documents}


def only_skip(root, **options):
    (event,) = read(root, **options)
    assert isinstance(event, Skipped), event
    return event


def test_ids_are_prefix_and_relative_path_in_a_fixed_order(tmp_path):
    for name in ("b.txt", "a/z.md", "a/中文 名（空格）.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("正文 text", encoding="utf-8")
    assert list(documents(tmp_path)) == ["docs/a/z.md", "docs/a/中文 名（空格）.txt", "docs/b.txt"]
    assert list(documents(tmp_path / "b.txt")) == ["docs"]


def test_metadata_tells_source_format_charset_and_date(tmp_path):
    path = tmp_path / "old.txt"
    path.write_bytes("编号和名称都是中文，用的是国标编码。".encode("gbk"))
    os.utime(path, (86_400 * 365, 86_400 * 365))
    (document,) = documents(tmp_path).values()
    assert document.meta == {"source": "docs/old.txt", "format": "txt", "charset": "gb18030", "modified": "1971-01-01"}
    assert document.title == "old"


def test_strange_names_are_escaped_and_found_again(tmp_path):
    names = [b"line\nbreak.txt", b"bell\x07.txt", b"not-utf8-\xff.txt", b"100%#1.txt"]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_text("text")
    ids = list(documents(tmp_path))
    assert ids == ["docs/100%25%231.txt", "docs/bell%07.txt", "docs/line%0Abreak.txt", "docs/not-utf8-%FF.txt"]
    assert all(path_of(event.file.path).read_text() == "text" for event in read(tmp_path))


@given(st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name))
def test_printable_is_reversible(name):
    path = os.fsdecode(name)
    assert (
        os.fsencode(path_of(printable("/" + path))) == os.fsencode(os.path.normpath("/" + path))
        or ".." in path
        or "/" in path
    )
    assert printable(path).isprintable()


def test_unchanged_files_are_not_opened(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("text")
    monkeypatch.setattr("quarry.indexer.corpus.walk._TICK_NS", 0)  # as if it had been written long ago
    (first,) = read(tmp_path)
    known = {first.file.path: first.file}
    monkeypatch.setattr(type(path), "read_bytes", lambda _: pytest.fail("it was opened"))
    assert list(read_corpus({"docs": tmp_path}, known=known.get)) == [UnchangedFile(first.file)]


def test_a_touched_file_with_the_same_content_is_unchanged(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("text")
    (first,) = read(tmp_path)
    os.utime(path, ns=(1, 1))
    (event,) = read_corpus({"docs": tmp_path}, known={first.file.path: first.file}.get)
    assert isinstance(event, UnchangedFile)
    assert event.file.sha256 == first.file.sha256


def test_a_changed_file_and_a_file_of_another_root_are_read_again(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("text")
    (first,) = read(tmp_path)
    known = {first.file.path: first.file}
    assert isinstance(next(read_corpus({"other": tmp_path}, known=known.get)), ReadFile)
    path.write_text("txet")
    os.utime(path, ns=(1, 1))
    assert isinstance(next(read_corpus({"docs": tmp_path}, known=known.get)), ReadFile)


def test_an_empty_folder_gives_nothing(tmp_path):
    assert read(tmp_path) == []


def test_a_missing_root_is_a_skip(tmp_path):
    assert only_skip(tmp_path / "gone").reason == "unreadable"


def test_hidden_files_and_office_locks_are_left_out(tmp_path):
    for name in (".hidden.txt", "~$lock.docx", ".git/config.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    assert read(tmp_path) == []


@pytest.mark.timeout(20)
def test_pipes_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    assert only_skip(tmp_path).reason == "not a regular file"
    assert only_skip(tmp_path / "pipe.txt").reason == "not a regular file"


def test_link_loops_end_and_folders_are_read_under_their_own_name(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("text")
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    events = read(tmp_path)
    assert [event.documents[0].doc_id for event in events if isinstance(event, ReadFile)] == ["docs/real/a.txt"]
    assert [event.reason for event in events if isinstance(event, Skipped)] == ["link loop"] * 3


def test_links_that_leave_the_root_are_refused(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "root" / "gone.txt").symlink_to(tmp_path / "nowhere")
    events = read(tmp_path / "root")
    assert {path_of(event.source).name: event.reason for event in events} == {
        "link.txt": "not a regular file",
        "gone.txt": "link loop",
    }


def test_links_into_a_hidden_folder_are_followed(tmp_path):
    (tmp_path / ".versions").mkdir()
    (tmp_path / ".versions" / "a.txt").write_text("text")
    (tmp_path / "a.txt").symlink_to(".versions/a.txt")
    (tmp_path / "current").symlink_to(".versions")
    (tmp_path / "again").symlink_to(".versions")
    assert list(documents_of_files(tmp_path)) == ["docs/a.txt", "docs/again/a.txt"]


def documents_of_files(root):
    return [event.documents[0].doc_id for event in read(root) if isinstance(event, ReadFile)]


def test_folders_nested_deeply_do_not_exhaust_the_stack(tmp_path):
    # 60 folders and a small stack; pytest itself could not clean up after 1,500
    (tmp_path / "/".join("d" * 60)).mkdir(parents=True)
    (tmp_path / "/".join("d" * 60) / "a.txt").write_text("text")
    depth = len(inspect.stack())
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(depth + 50)
        found = list(list_files(tmp_path))
    finally:
        sys.setrecursionlimit(limit)
    assert [path.name for path in found] == ["a.txt"]


BAD_FILES = [
    ("empty.txt", b"", "empty"),
    ("empty.pdf", b"", "empty"),
    ("empty.txt.gz", gzip.compress(b""), "empty"),
    ("blank.md", b" \n\t\n", "no text"),
    ("tags.html", b"<html><script>x</script></html>", "no text"),
    ("program.exe", b"MZ\x90", "unsupported format"),
    ("binary.txt", bytes(range(32)) * 9, "unsupported format"),
    ("picture", b"\x89PNG\r\n\x1a\n" + bytes(500), "unsupported format"),
    ("not.pdf", b"plain words", "damaged"),
    ("not.docx", b"plain words", "damaged"),
    ("cut.docx", b"PK\x03\x04 and no directory", "damaged"),
    ("not.json", b"{broken", "damaged"),
    ("not.xml", b"<a><b></a>", "damaged"),
    ("cut.txt.gz", gzip.compress(b"text" * 99)[:-9], "damaged"),
    ("bad.txt.gz", b"\x1f\x8b" + b"x" * 99, "damaged"),
    ("deep.json", b"[" * 100_000 + b"]" * 100_000, "damaged"),
    ("packed.docx.gz", gzip.compress(b"PK\x03\x04"), "damaged"),
    ("packed.pdf.gz", gzip.compress(b"%PDF-1.4 ..."), "unsupported format"),
]


# Named by the file: gzip writes the time into its bytes, and all workers of pytest-xdist must see the same names.
@pytest.mark.parametrize(("name", "content", "reason"), BAD_FILES, ids=[name for name, _, _ in BAD_FILES])
def test_bad_files_are_skipped_with_their_reason(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    skip = only_skip(tmp_path)
    assert (skip.reason, path_of(skip.source)) == (reason, tmp_path / name)
    assert skip.detail


def test_large_files_and_gzip_bombs_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x" * 101)
    assert only_skip(tmp_path, max_bytes=100).reason == "too large"
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"a" * 60) + gzip.compress(b"b" * 60))
    assert only_skip(tmp_path, unpacked_bytes=119).reason == "archive bomb"
    assert documents(tmp_path, unpacked_bytes=120)["docs/a.txt.gz"].text == "a" * 60 + "b" * 60


def test_a_file_without_rights_is_a_skip(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    code = (
        "from pathlib import Path; from quarry.indexer.corpus.walk import read_corpus; "
        f"(event,) = read_corpus({{'docs': Path({str(tmp_path)!r})}}); print(event.reason)"
    )
    with unreadable(tmp_path / "a.txt"):  # another process: root may read everything
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=drop_powers)
    assert (done.stdout, done.stderr) == ("unreadable\n", "")


def test_three_megabytes_in_one_line_are_read(tmp_path):
    (tmp_path / "line.txt").write_text("很长的一行 " * 500_000, encoding="utf-8")
    assert len(documents(tmp_path)["docs/line.txt"].text) == 3_000_000


def test_nul_and_lone_surrogates_are_replaced_and_counted(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\0two and some more words")
    (tmp_path / "b.json").write_text(
        '[{"id": "x\\u0000", "text": "a\\ud800b", "title": "t\\ud800", "metadata": {"k": "\\udc00"}}]'
    )
    found = documents(tmp_path)
    assert found["docs/a.txt"].text == "one\ufffdtwo and some more words"
    assert found["docs/a.txt"].meta["damaged"] == "1"
    row = found["docs/b.json/x\ufffd"]
    assert (row.text, row.title, row.meta["k"], row.meta["damaged"]) == ("a\ufffdb", "t\ufffd", "\ufffd", "1")


def beir(folder):
    rows = [
        {"_id": "文档/1", "title": "T", "text": "one", "metadata": {"year": 2024, "tags": ["a"]}},
        {"_id": 7, "title": "", "text": "two"},
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "query"}\n')
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\t1\t1\n")


def test_a_beir_corpus_keeps_its_ids_and_leaves_queries_and_judgements_out(tmp_path):
    beir(tmp_path)
    found = documents(tmp_path)
    assert list(found) == ["文档/1", "7"]
    assert found["文档/1"].title == "T"
    assert found["文档/1"].meta["year"] == 2024
    assert found["文档/1"].meta["tags"] == ["a"]


def test_a_packed_beir_corpus_is_the_same(tmp_path):
    beir(tmp_path)
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress((tmp_path / "corpus.jsonl").read_bytes()))
    (tmp_path / "corpus.jsonl").unlink()
    assert list(documents(tmp_path)) == ["文档/1", "7"]


def test_queries_without_a_corpus_are_documents(tmp_path):
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "query"}\n')
    assert list(documents(tmp_path)) == ["docs/queries.jsonl/q1"]


def test_rows_get_their_id_or_their_number_and_broken_lines_are_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "x", "text": "one"}\n{broken\n\n{"text": "three"}\n{"text": ""}\n')
    (event,) = read(tmp_path)
    assert [document.doc_id for document in event.documents] == ["docs/a.jsonl/x", "docs/a.jsonl/4"]
    assert [problem.source.rpartition(":")[2] for problem in event.problems] == ["2", "5"]
    assert {problem.reason for problem in event.problems} == {"wrong row"}


def test_rows_of_a_corpus_without_beir_ids_are_told_apart_by_file(tmp_path):
    (tmp_path / "corpus.jsonl").write_text('{"text": "one"}\n{"id": "b", "text": "two"}\n')
    assert list(documents(tmp_path)) == ["docs/corpus.jsonl/1", "docs/corpus.jsonl/b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"charset": "no-such"}, "no-such"),
        ({"charset": "hex"}, "hex"),
        ({"max_bytes": 0}, "above 0"),
        ({"parser_seconds": -1}, "above 0"),
    ],
)
def test_options_that_read_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ReadOptions(**options)


def test_a_given_charset_is_used_for_all_text(tmp_path):
    (tmp_path / "a.txt").write_bytes("žluť".encode("cp1250"))
    assert documents(tmp_path, charset="cp1250")["docs/a.txt"].text == "žluť"


def test_an_archive_in_an_unknown_encoding_does_not_end_the_run(tmp_path):
    """One flipped bit in the first line of a Word file's XML once ended the run of a whole folder."""
    import zipfile

    from quarry.indexer.corpus.walk import ReadFile, read_corpus

    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        archive.writestr("word/document.xml", '<?xml version="1.0" encoding="UVF-8"?><w:document/>')
    (tmp_path / "b.txt").write_text("A text about libraries.")
    events = list(read_corpus({"m": tmp_path}))
    assert [type(event).__name__ for event in events] == ["Skipped", "ReadFile"]
    assert isinstance(events[1], ReadFile)


def test_a_reader_that_fails_in_an_unforeseen_way_costs_its_file_only(tmp_path, monkeypatch):
    import quarry.indexer.corpus.walk as walk

    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("A text about libraries.")
    real = walk.read_content

    def failing(path, *rest):
        if path.name == "a.txt":
            raise ZeroDivisionError("unforeseen")
        return real(path, *rest)

    monkeypatch.setattr(walk, "read_content", failing)
    skipped, read = walk.read_corpus({"m": tmp_path})
    assert (skipped.reason, str(skipped.detail)) == ("damaged", "the parser failed with ZeroDivisionError: unforeseen")
    assert len(read.documents) == 1
