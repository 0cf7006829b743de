"""Documents of a program beside those of folders: who owns an id, what is replaced, and what comes back."""

import json

import pytest

from quarry.indexer import Document, Index, build_index, delete_documents, index_documents


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "docs"
    path.mkdir()
    (path / "loans.txt").write_text("Borrow ten books for thirty days.")
    rows = [{"_id": name, "text": f"The fee of {name} is ten cents."} for name in ("late", "lost")]
    (path / "fees.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def index(tmp_path, folder):
    build_index(tmp_path / "index", [folder], None)
    return tmp_path / "index"


def texts(index):
    return {document.doc_id: document.text for document in Index.open(index).chunks.documents()}


def test_a_deleted_document_comes_back_when_its_folder_is_indexed_again(index, folder):
    before = texts(index)
    for doc_id in before:
        assert delete_documents(index, [doc_id], None).removed == 1
        assert set(texts(index)) == set(before) - {doc_id}
        again = build_index(index, [folder], None)
        assert (again.switched, again.added, again.changed, again.removed) == (True, 1, 0, 0)
        assert texts(index) == before
        assert not build_index(index, [folder], None).switched


def test_a_file_that_is_gone_takes_its_other_documents_along_after_one_was_deleted(index, folder):
    deleted = next(name for name in texts(index) if "late" in name)
    delete_documents(index, [deleted], None)
    (folder / "fees.jsonl").unlink()
    assert build_index(index, [folder], None).removed == 1
    assert not [name for name in texts(index) if "lost" in name]


def test_a_program_replaces_a_document_of_a_folder_and_keeps_it_until_it_deletes_it(index, folder):
    doc_id = next(name for name in texts(index) if "loans" in name)
    report = index_documents(index, [Document(doc_id, "Borrow twelve books.")], None)
    assert (report.switched, report.added, report.changed, report.skipped) == (True, 0, 1, ())
    again = build_index(index, [folder], None)
    assert [(skip.source.rpartition("/")[2], str(skip.reason)) for skip in again.skipped] == [
        ("loans.txt", "duplicate id")
    ]
    assert texts(index)[doc_id] == "Borrow twelve books."
    (folder / "loans.txt").write_text("Borrow eleven books.")
    build_index(index, [folder], None)
    assert texts(index)[doc_id] == "Borrow twelve books."
    delete_documents(index, [doc_id], None)
    assert build_index(index, [folder], None).added == 1
    assert texts(index)[doc_id] == "Borrow eleven books."


def test_a_program_owns_a_document_of_a_folder_even_when_it_sends_the_same_text(index, folder):
    doc_id, text = next(item for item in texts(index).items() if "loans" in item[0])
    original = next(d for d in Index.open(index).chunks.documents() if d.doc_id == doc_id)
    index_documents(index, [original], None)
    (folder / "loans.txt").write_text("Another text.")
    build_index(index, [folder], None)
    assert texts(index)[doc_id] == text


def test_the_second_file_with_an_id_is_indexed_when_the_first_is_gone(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    row = json.dumps({"_id": "same", "text": "The text of A."})
    corpora = [tmp_path / name / "corpus.jsonl" for name in ("a", "b")]
    corpora[0].write_text(row)
    corpora[1].write_text(row.replace("A.", "B."))
    index = tmp_path / "index"
    report = build_index(index, corpora, None)
    assert [str(skip.reason) for skip in report.skipped] == ["duplicate id"]
    corpora[0].write_text(row.replace("same", "other"))
    build_index(index, corpora, None)
    assert "The text of B." in texts(index).values()


def test_ids_come_in_order_and_without_texts(index):
    chunks = Index.open(index).chunks
    assert chunks.doc_ids() == [document.doc_id for document in chunks.documents()] == sorted(chunks.doc_ids())
    assert len(chunks.doc_ids()) == 3
