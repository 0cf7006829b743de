"""Files of visitors: names stay names, contents become documents, bad ones are left out with a reason."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarry.app.uploads import MAX_FILE_MEGABYTES, MAX_FILES, MAX_NAME_CHARS, Upload, UploadJob, read_uploads
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.retriever.searcher import Searcher
from tests.fakes import WordEmbedder


def test_a_file_becomes_a_document_with_an_id_of_its_content_and_its_own_name_on_show():
    documents, skipped = read_uploads([Upload("报告 2026.md", b"# Heating\n\nPumps are checked in May.")])
    (document,) = documents
    assert not skipped
    assert document.doc_id == Upload("other name", b"# Heating\n\nPumps are checked in May.").doc_id
    assert document.doc_id.startswith("upload/")
    assert document.title == "Heating"
    assert document.meta["source"] == "upload/报告 2026.md"
    assert document.meta["format"] == "markdown"


def test_a_file_without_a_heading_is_titled_by_its_name():
    documents, _ = read_uploads([Upload("电话表.txt", "前台的电话是 1234，门卫的电话是 5678。".encode("gb18030"))])
    assert documents[0].title == "电话表"
    assert documents[0].text == "前台的电话是 1234，门卫的电话是 5678。"


def test_rows_of_a_data_file_are_documents_of_their_own():
    rows = b'{"id": "a", "text": "first row"}\nnot json\n{"id": "b", "text": "second row"}\n'
    documents, skipped = read_uploads([Upload("rows.jsonl", rows)])
    assert [document.text for document in documents] == ["first row", "second row"]
    assert len({document.doc_id for document in documents}) == 2
    assert skipped[0].source == "rows.jsonl:2"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.exe", b"MZ", "unsupported format"),
        ("empty.txt", b"", "empty"),
        ("blank.md", b"  \n ", "no text"),
        ("broken.pdf", b"%PDF-1.7 nothing", "damaged"),
        ("not.docx", b"PK\x03\x04 nothing", "damaged"),
        ("big.txt", b"x" * ((MAX_FILE_MEGABYTES << 20) + 1), "too large"),
    ],
)
def test_what_cannot_be_read_is_left_out_under_its_own_name(name, content, reason):
    documents, (skip,) = read_uploads([Upload(name, content)])
    assert not documents
    assert (skip.source, skip.reason) == (name, reason)
    assert "quarry-upload-" not in str(skip.detail)


def test_more_files_than_allowed_are_named():
    uploads = [Upload(f"{number}.txt", f"text {number}".encode()) for number in range(MAX_FILES + 2)]
    documents, skipped = read_uploads(uploads)
    assert len(documents) == MAX_FILES
    assert [skip.source for skip in skipped] == ["200.txt", "201.txt"]
    assert skipped[0].reason == "too many files"


def test_files_beyond_the_total_size_are_named_and_smaller_ones_before_them_are_read(monkeypatch):
    monkeypatch.setattr("quarry.app.uploads.MAX_TOTAL_MEGABYTES", 1)
    half = b"pumps are checked in May\n" * (300_000 // 25)
    uploads = [Upload(f"{number}.txt", half + str(number).encode()) for number in range(4)]
    documents, skipped = read_uploads(uploads)
    assert len(documents) == 3
    assert [(skip.source, skip.reason) for skip in skipped] == [("3.txt", "too many files")]
    assert "only 1 MB are taken at once" in str(skipped[0].detail)


def test_files_of_a_folder_are_shown_with_the_folders_they_came_in():
    uploads = [
        Upload("manuals/old/pumps.txt", b"Pumps run."),
        Upload("../../etc/passwd.txt", b"No path."),
        Upload("C:\\own\\c.txt", b"No path."),
    ]
    documents, _ = read_uploads(uploads)
    assert [document.meta["source"] for document in documents] == [
        "upload/manuals/old/pumps.txt",
        "upload/passwd.txt",
        "upload/c.txt",
    ]
    assert [document.title for document in documents] == ["pumps", "passwd", "c"]


def test_progress_counts_the_files_read_and_those_skipped():
    told: list[int] = []
    read_uploads([Upload("a.txt", b"a text"), Upload("b.bin", b"\0")], told.append)
    assert told == [1, 1]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.text(max_size=300) | st.sampled_from(["../../etc/passwd", "..\\..\\x.md", "/root/.ssh/id.txt", "a/../b.md"])
)
def test_no_name_is_ever_a_path(name, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cwd")
    upload = Upload(name, b"some text")
    documents, skipped = read_uploads([upload])
    assert not list(folder.iterdir())
    assert len(upload.shown_name) <= MAX_NAME_CHARS
    assert ".." not in upload.shown_name.split("/")
    assert not upload.shown_name.startswith("/")
    assert upload.shown_name.isprintable()
    assert len(documents) + len(skipped) == 1
    assert all(".." not in document.doc_id for document in documents)


def test_a_job_makes_a_new_generation_that_finds_the_file(tmp_path):
    index_documents(tmp_path / "i", [Document("a", "An old text.", "Old")], WordEmbedder())
    job = UploadJob(
        tmp_path / "i", [Upload("pumps.txt", b"Pumps are checked in May."), Upload("x.bin", b"\0")], WordEmbedder()
    )
    job.start()
    job.join(60)
    assert (job.error, job.report.added, job.report.generation) == (None, 1, "000002")
    assert [skip.source for skip in job.skipped] == ["x.bin"]
    answer = Searcher.open(tmp_path / "i", embedder=WordEmbedder()).search("when are pumps checked", 1)
    assert answer.results[0].source == "upload/pumps.txt"
    assert not answer.degraded


def test_a_job_tells_new_documents_from_those_that_were_there(tmp_path):
    index_documents(tmp_path / "i", [Document("a", "An old text.", "Old")], None)
    UploadJob(tmp_path / "i", [Upload("pumps.txt", b"Pumps are checked in May.")], None).run()
    job = UploadJob(
        tmp_path / "i",
        [
            Upload("pumps.txt", b"Pumps are checked in May."),
            Upload("fans.txt", b"Fans are cleaned."),
            Upload("copy/fans.txt", b"Fans are cleaned."),
        ],
        None,
    )
    job.run()
    assert job.error is None
    assert (job.report.added, job.report.changed, job.known) == (1, 0, 2)
    assert job.added == (Upload("", b"Fans are cleaned.").doc_id,)


def test_a_job_with_another_model_than_the_index_changes_nothing_and_says_so(tmp_path):
    index_documents(tmp_path / "i", [Document("a", "An old text.", "Old")], WordEmbedder())
    job = UploadJob(tmp_path / "i", [Upload("pumps.txt", b"Pumps.")], None)
    job.run()
    assert "vectors of two models cannot be mixed" in str(job.error)
    assert Searcher.open(tmp_path / "i").index.generation == "000001"


def test_a_job_with_nothing_readable_leaves_the_index_alone(tmp_path):
    index_documents(tmp_path / "i", [Document("a", "An old text.", "Old")], None)
    job = UploadJob(tmp_path / "i", [Upload("x.bin", b"\0")], None)
    job.run()
    assert (job.error, job.report) == (None, None)
    assert job.skipped[0].reason == "unsupported format"
    assert Searcher.open(tmp_path / "i").index.generation == "000001"
