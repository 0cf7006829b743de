"""Texts as they are stored: once, compressed, and read as they were."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.indexer.build import build_index, index_documents
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.texts.generation_texts import open_texts
from quarry.indexer.storage.texts.packing import packed, unpacked
from tests.fakes import WordEmbedder
from tests.indexer.older import into_plain_tables, live_segment, write_texts_plainly

LONG = "\n\n".join(
    f"第{n}段。图书馆每天开放，读者可以续借两次。Section {n} is about valves and pumps." for n in range(400)
)
DOCUMENTS = [
    Document("note", "Renew books twice online, or at the desk. " * 5, "Renewals"),
    Document("long", LONG),
    Document("pages", "first page " * 30 + "\f" + "第二页的内容" * 40 + "\f" + "third"),
]


@given(st.text(st.characters(), max_size=400))
def test_any_text_comes_back(text):
    assert unpacked(packed(text)) == text
    assert unpacked(packed(text * 3)) == text * 3


def rows(index):
    with sqlite3.connect(live_segment(index) / "chunks.sqlite") as db:
        found = db.execute(
            """SELECT s.value, c.text, d.text, c.start, c."end" FROM chunks c JOIN documents d ON d.number = c.document
               JOIN strings s ON s.number = d.number"""
        ).fetchall()
    db.close()
    return found


def test_a_text_is_stored_once_and_compressed(tmp_path):
    index_documents(tmp_path, DOCUMENTS, WordEmbedder())
    stored = rows(tmp_path)
    assert all(isinstance(whole, bytes) for _, _, whole, _, _ in stored)
    assert {own for name, own, *_ in stored if name != "long"} == {None}
    assert all(own is not None for name, own, *_ in stored if name == "long"), "reading one would unpack all of it"
    size = sum(len(whole) for _, whole in {(name, whole) for name, _, whole, _, _ in stored})
    assert size < 0.4 * sum(len(document.text.encode()) for document in DOCUMENTS)


def test_whatever_reads_texts_reads_them_whole(tmp_path):
    index_documents(tmp_path, DOCUMENTS, WordEmbedder())
    table = Index.open(tmp_path).chunks
    assert {document.doc_id: document.text for document in table.documents()} == {
        document.doc_id: document.text for document in DOCUMENTS
    }
    for document in DOCUMENTS:
        passages = table.passages_of(document.doc_id)
        assert [chunk.text for chunk in passages] == [document.text[chunk.start : chunk.end] for chunk in passages]
        assert table.chunks([chunk.chunk_id for chunk in passages]) == passages
        assert table.document(document.doc_id) == document
    assert [row.characters for row in table.rows_of(["pages", "note"])] == [
        len(DOCUMENTS[2].text),
        len(DOCUMENTS[0].text),
    ]
    assert [table.page_at("pages", at) for at in (0, 329, 331, len(DOCUMENTS[2].text))] == [1, 1, 2, 3]
    assert table.page_at("note", 3) is None
    assert sorted(row.passage for row in table.passages()) == sorted(table.texts(table.digests()[0]))


def test_column_heads_that_a_passage_repeats_are_kept(tmp_path):
    """Such a passage is no part of its document, so its text is stored."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    lines = ["name,price,stock", *(f"valve number {n},{n}.50,{n * 7}" for n in range(200))]
    (corpus / "parts.csv").write_text("\n".join(lines), encoding="utf-8")
    index = tmp_path / "index"
    build_index(index, [corpus], WordEmbedder())
    table = Index.open(index).chunks
    passages = [chunk for document in table.documents() for chunk in table.passages_of(document.doc_id)]
    assert len(passages) > 3
    for chunk in passages:
        assert chunk.text == table.chunks([chunk.chunk_id])[0].text
    assert len(set(table.digests()[1])) == len(passages)


def test_a_segment_with_plain_texts_is_read(tmp_path):
    index_documents(tmp_path, DOCUMENTS, WordEmbedder())
    before = Index.open(tmp_path).chunks
    expected = [list(before.documents()), before.chunks(before.digests()[0])]
    before.close()
    into_plain_tables(live_segment(tmp_path) / "chunks.sqlite")
    with sqlite3.connect(live_segment(tmp_path) / "chunks.sqlite") as db:
        write_texts_plainly(db)
    db.close()
    table = open_texts(Generations(tmp_path).live())  # without comparing digests
    assert [list(table.documents()), table.chunks(table.digests()[0])] == expected


def test_a_damaged_text_is_an_error_with_a_remedy():
    stored = packed("The library lends books. " * 20)
    with pytest.raises(IndexFormatError, match=r"a stored text is damaged .*quarry doctor"):
        unpacked(stored[:-8] + bytes(8))
