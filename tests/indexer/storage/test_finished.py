"""The tables of a finished segment: ids once, everything else by number, and queries that look up instead of reading all."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.indexer.build import build_index, delete_documents, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.opened import Index
from quarry.indexer.records import Chunk, Document, passage_id, passage_place
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.texts.contents import uri_of
from quarry.indexer.storage.texts.finished import write_finished
from tests.fakes import WordEmbedder
from tests.indexer.older import live_segment

ODD = ["a#0-5", "a", "a#b", "文档#1-2#3-4", "a!", "A", "a b\n", "document:a"]


def documents(count):
    return [Document(f"d{n}", f"passage {n} of the valves and 阀门 {n % 7}", f"Part {n % 3}") for n in range(count)]


@given(st.text(), st.integers(0, 10**15), st.integers(0, 10**15))
def test_an_id_says_document_and_place(doc_id, start, end):
    assert passage_place(passage_id(doc_id, start, end)) == (doc_id, start, end)


@pytest.mark.parametrize(
    "text", ["", "a", "a#", "a#1", "a#-1-2", "a#01-2", "a#1-2 ", "a#1-x", f"a#{'9' * 19}-2", "a#١-٢"]
)
def test_what_is_no_id_has_no_place(text):
    assert passage_place(text) is None


def test_documents_of_files_and_programs_with_odd_ids_come_back(tmp_path):
    corpus, index = tmp_path / "corpus", tmp_path / "index"
    corpus.mkdir()
    for name in ("a#0-5.txt", "plain.txt"):
        (corpus / name).write_text(f"What {name} says of valves.", encoding="utf-8")
    build_index(index, [corpus], WordEmbedder())
    index_documents(index, [Document(each, f"{each} says valve", "Title") for each in ODD], WordEmbedder())
    table = Index.open(index).chunks
    ids = sorted([*ODD, "corpus/a%230-5.txt", "corpus/plain.txt"])
    assert table.doc_ids() == ids
    assert [document.doc_id for document in table.documents()] == ids
    for each in ids:
        where = str(tmp_path / each) if each.startswith("corpus/") else f"document:{each}"
        assert table.owner(each) == where
        assert list(table.documents_of(str(table.owner(each)))) == [each]
        (passage,) = table.passages_of(each)
        assert table.chunks([passage.chunk_id]) == [passage]
    chunk_ids = list(table.chunk_ids())
    assert chunk_ids == sorted(chunk_ids)
    assert table.digests()[0] == chunk_ids == [row.chunk_id for row in table.passages()]
    assert table.root_counts() == {"corpus": (2, 2)}
    with pytest.raises(KeyError, match="a#0-99"):
        table.chunks(["a#0-99"])


def test_ids_and_pairs_of_metadata_stand_once(tmp_path):
    index_documents(tmp_path, documents(200), WordEmbedder(), BuildOptions(store="exact"))
    segment = live_segment(tmp_path)
    with closing(sqlite3.connect(segment / "chunks.sqlite")) as db:
        content = b"".join(
            str(row).encode()
            for table in ("chunks", "documents", "meta")
            for row in db.execute(f"SELECT * FROM {table}")
        )
        assert db.execute("SELECT count(*) FROM strings").fetchone() == (200,)
        assert db.execute("SELECT count(*) FROM facts").fetchone()[0] <= 4, "languages"
        assert db.execute("SELECT count(*) FROM documents WHERE file IS NULL").fetchone() == (200,)
    assert b"d199" not in content
    assert not list((segment / "vectors").glob("ids.*")), "those of the terms are the same"


def test_the_ids_of_a_store_are_those_of_the_terms_and_find_their_vectors(tmp_path):
    index_documents(tmp_path, documents(60), WordEmbedder(), BuildOptions(store="exact"))
    opened = Index.open(tmp_path)
    ids, digests = opened.chunks.digests()
    assert opened.vectors is not None and sorted(opened.vectors.ids) == ids
    queries = WordEmbedder().embed_documents(opened.chunks.texts(ids[:5]))
    found = [line[0].similarity for line in opened.vectors.search(queries, 1)]
    assert np.allclose(found, 1, atol=1e-5)
    assert len(digests) == 60


def test_a_passage_in_another_place_than_its_id_says_is_refused(tmp_path):
    built = ChunkTable.create(tmp_path / "built")
    built.put_document("f", Document("d", "text of it"), [Chunk("d#5-9", "d", "text", 0, 4, "")], [["text"]])
    built.close()
    with pytest.raises(IndexFormatError, match="another place than its id says"):
        write_finished(uri_of(tmp_path / "built", immutable=False), uri_of(tmp_path / "done", immutable=False))


def two_segments(index):
    options = BuildOptions(store="exact", analyzer="bigram")
    index_documents(index, documents(1200), WordEmbedder(), options)
    index_documents(index, [Document(f"n{n}", f"new {n}") for n in range(80)], WordEmbedder(), options)
    delete_documents(index, ["d5"], WordEmbedder())
    opened = Index.open(index)
    assert len(opened.manifest.segments) == 2
    return opened.chunks


def steps_of(table, ask):
    """Hundreds of steps of SQLite's machine; one row of a table takes ten and more."""
    taken = [0]
    table._db.set_progress_handler(lambda: taken.__setitem__(0, taken[0] + 1), 100)
    ask()
    table._db.set_progress_handler(None, 100)
    return taken[0]


def test_a_question_about_one_thing_reads_no_whole_table_of_two_segments(tmp_path):
    """A look-up through a view that SQLite cannot take apart would read everything."""
    table = two_segments(tmp_path)
    ids = ["d7#0-3", *list(table.chunk_ids())[:3]]
    whole = steps_of(table, lambda: list(table.chunk_ids()))
    for ask in (
        lambda: table.names_of(ids),
        lambda: table.chunks(ids[1:]),
        lambda: table.digests_of(ids[1:]),
        lambda: table.documents_of("document:d7"),
        lambda: table.documents_of("corpus/a.txt"),
        lambda: table.passages_of("d7"),
        lambda: table.meta(["d7"]),
        lambda: table.titles(["d7"]),
        lambda: table.owner("d7"),
        lambda: table.document("d7"),
        lambda: table.rows_of(["d7"]),
        lambda: table.named(next(iter(table.names_of(ids).values())), 20),
        lambda: table.of_source("a.txt"),
    ):
        assert steps_of(table, ask) < whole / 5
    assert steps_of(table, table.repeated) < whole / 2, "one look-up for each document of the smaller segment"


def test_files_and_their_documents_are_joined_by_an_index(tmp_path):
    """Two computed columns without a type would be compared each with each."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for n in range(120):
        (corpus / f"{n}.txt").write_text(f"valve {n}", encoding="utf-8")
    build_index(tmp_path / "index", [corpus], None)
    table = Index.open(tmp_path / "index").chunks
    assert table.root_counts() == {"corpus": (120, 120)}
    assert steps_of(table, table.root_counts) < 2 * 120, "144 pairs of a hundred would take more"


def test_a_document_in_two_segments_is_found_by_looking_up_the_smaller(tmp_path):
    table = two_segments(tmp_path)
    assert table.repeated() == []
    small = table._segments[1]
    path = tmp_path / "segments"
    name = [each.name for each in table.segments()][1]
    with closing(sqlite3.connect(path / name / "chunks.sqlite")) as db:
        db.execute("UPDATE strings SET value = 'd9' WHERE value = 'n9'")
        db.execute("UPDATE strings SET value = 'd5' WHERE value = 'n5'")  # removed from the large one
        db.commit()
    again = type(table).open(table.path)
    assert small.finished and again.repeated() == ["d9"]
