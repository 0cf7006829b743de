"""Whatever was added, changed, removed, merged and rolled back: an index answers like one that is built from nothing."""

import errno
import itertools
import os
import shutil
import sqlite3
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from quarry.indexer.build import compact_index, delete_documents, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.files.sealing import describe, seal, unseal
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.stores import STORE_KINDS
from tests.fakes import WordEmbedder
from tests.indexer.build.segmented import DIM, WORDS, answers, corpus
from tests.indexer.older import into_plain_tables, keep_ids, keep_terms
from tests.indexer.writing import PROCESSES, keep_segments, update_and_die

CHANGES = st.integers(
    0, 90
)  # before which an update is killed: an addition makes 56, a merge 82 (in a Lance store 140)
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
documents = st.builds(
    Document,
    st.integers(0, 30).map(lambda number: f"d{number}"),
    texts,
    st.sampled_from(("", "Rivers", "图书馆", "Rivers of Europe")),
    st.fixed_dictionaries({"kind": st.sampled_from(("a", "b"))}),
)


class Updates(RuleBasedStateMachine):
    """Changes an index at random, and compares it with one that is built from the same documents."""

    kind = "exact"
    generations = Bundle("generations")

    def __init__(self):
        super().__init__()
        self.folder = Path(mkdtemp())
        self.index = self.folder / "index"
        self.documents = {}
        self.patch = pytest.MonkeyPatch()
        keep_segments(self.patch)
        self.rounds = 0

    def teardown(self):
        self.patch.undo()
        shutil.rmtree(self.folder)

    def options(self, **more):
        return BuildOptions(store=self.kind, analyzer="jieba", keep=50, **more)

    @initialize(given=st.lists(documents, min_size=12, max_size=20))
    def build(self, given):
        self.add(given)

    @rule(given=st.lists(documents, min_size=1, max_size=4))
    def add(self, given):
        index_documents(self.index, given, WordEmbedder(dim=DIM), self.options())
        self.documents |= {document.doc_id: document for document in given}

    @rule(given=st.lists(documents, min_size=1, max_size=4), at=st.integers(1, 40))
    def die_while_adding(self, given, at):
        """The disk fails when something is made durable, at any of the places where that happens."""
        before, calls, sync = Generations(self.index).live().name, itertools.count(1), os.fsync

        def fails(descriptor):
            if next(calls) == at:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            sync(descriptor)

        with pytest.MonkeyPatch.context() as patch, suppress(OSError):
            patch.setattr(os, "fsync", fails)
            index_documents(self.index, given, WordEmbedder(dim=DIM), self.options())
        if Generations(self.index).live().name != before:
            self.documents |= {document.doc_id: document for document in given}

    @precondition(lambda self: len(self.documents) > 2)
    @rule(
        given=st.lists(documents, min_size=1, max_size=4), what=st.sampled_from(("add", "remove", "merge")), at=CHANGES
    )
    def be_killed(self, given, what, at):
        """SIGKILL before any change that an update makes to files and folders: it is done as a whole, or not at all."""
        before, gone = Generations(self.index).live().name, sorted(self.documents)[:2] if what == "remove" else []
        arguments = (self.index, self.options(), given if what == "add" else [], gone, at)
        child = PROCESSES.Process(target=update_and_die, args=arguments, daemon=True)
        child.start()
        child.join()
        assert child.exitcode in (0, -9)
        if Generations(self.index).live().name == before:
            assert child.exitcode == -9 or what == "merge"
        elif what == "add":
            self.documents |= {document.doc_id: document for document in given}
        else:
            self.documents = {name: each for name, each in self.documents.items() if name not in gone}

    @precondition(lambda self: len(self.documents) > 2)
    @rule(data=st.data())
    def remove(self, data):
        gone = data.draw(st.lists(st.sampled_from(sorted(self.documents)), min_size=1, max_size=2, unique=True))
        delete_documents(self.index, gone, WordEmbedder(dim=DIM))
        for doc_id in gone:
            del self.documents[doc_id]

    @precondition(lambda self: len(Index.open(self.index).manifest.segments) > 2)
    @rule()
    def compact(self):
        index_documents(self.index, [], WordEmbedder(dim=DIM), self.options(compact=True))
        assert len(Index.open(self.index).manifest.segments) == 1

    @rule(target=generations)
    def remember(self):
        return Generations(self.index).live().name, dict(self.documents)

    @rule(generation=consumes(generations))
    def roll_back(self, generation):
        name, documents = generation
        generations = Generations(self.index)
        if name in generations.finished():
            generations.switch(name, "by hand")
            self.documents = documents

    @invariant()
    def answers_like_one_built_from_nothing(self):
        if not self.documents:
            return
        self.rounds += 1
        fresh = self.folder / f"fresh{self.rounds}"
        index_documents(fresh, self.documents.values(), WordEmbedder(dim=DIM), self.options())
        mine, theirs = answers(self.index), answers(fresh)
        for name, expected in theirs.items():
            assert mine[name] == expected, name
        shutil.rmtree(fresh)


def machine(kind):
    return type(f"Updates{kind}", (Updates,), {"kind": kind})


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORE_KINDS)
def test_any_sequence_of_updates_answers_like_a_new_index(kind):
    from hypothesis.stateful import run_state_machine_as_test

    wanted = settings(
        max_examples=4 if kind == "lance" else 12,
        stateful_step_count=8,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine(kind), settings=wanted)


def test_an_update_writes_a_segment_and_leaves_the_others_alone(segmented):
    first = Index.open(segmented).manifest
    index_documents(segmented, corpus(60, 2), WordEmbedder(dim=DIM))
    second = Index.open(segmented).manifest
    assert len(first.segments) == 3
    assert second.segments[:3] == first.segments
    assert [segment.passages for segment in second.segments] == [30, 10, 5, 2]


def test_removing_writes_no_segment(segmented):
    before = sorted(path.name for path in (segmented / "segments").iterdir())
    delete_documents(segmented, ["d31"], WordEmbedder(dim=DIM))
    assert sorted(path.name for path in (segmented / "segments").iterdir()) == before
    opened = Index.open(segmented)
    assert opened.chunks.counts() == (43, 43)
    assert opened.vectors.details["count"] == len(opened.vectors) == 43


def test_what_no_generation_names_is_pruned_and_what_one_names_stays(segmented):
    index_documents(segmented, [], WordEmbedder(dim=DIM), BuildOptions(compact=True, keep=2))
    generations = Generations(segmented)
    assert len(list((segmented / "segments").iterdir())) == 4  # three of the generation before, and the merged one
    generations.prune(1)
    (only,) = (segmented / "segments").iterdir()
    assert [segment.name for segment in Index.open(segmented).manifest.segments] == [only.name]


def test_vectors_that_are_equal_in_two_segments_come_in_id_order(tmp_path, monkeypatch):
    keep_segments(monkeypatch)
    index = tmp_path / "index"
    for names in (["b", "d", "x", "y", "z"], ["a", "e"], ["c"]):
        given = [Document(name, "river library") for name in names]
        index_documents(index, given, WordEmbedder(dim=DIM), BuildOptions(store="exact"))
    opened = Index.open(index)
    assert len(opened.manifest.segments) > 1
    found = opened.vectors.search(WordEmbedder(dim=DIM).embed_queries(["river library"]), 5)[0]
    assert [near.chunk_id.partition("#")[0] for near in found] == ["a", "b", "c", "d", "e"]
    assert len({near.similarity for near in found}) == 1
    assert np.isclose(found[0].similarity, 1.0)


def test_a_segment_that_two_generations_share_outlives_either(segmented):
    generations = Generations(segmented)
    older = generations.live().name
    index_documents(segmented, corpus(60, 2), WordEmbedder(dim=DIM))
    newer = generations.live().name
    shared = {one.name for one in Manifest.read(generations.folder / older).segments}
    assert shared < {one.name for one in Manifest.read(generations.folder / newer).segments}
    generations.switch(older, Message.of("test.by_hand", "by hand"))
    generations.discard(newer)
    assert {path.name for path in (segmented / "segments").iterdir()} == shared
    assert Index.open(segmented).chunks.counts() == (44, 44)


def into_format_3(index):
    """Rewrite the live segments as they were: ids in full wherever they are meant."""
    rewritten(index, 3, into_plain_tables)


def into_format_2(index):
    """Rewrite the live segments as they were: terms with the texts as well, digests in hex, an entry of a file for each document."""

    def rewrite(path):
        into_plain_tables(path)
        with sqlite3.connect(path) as db:
            ids = [row[0] for row in db.execute("SELECT chunk_id FROM chunks")]
            db.execute("UPDATE documents SET sha256 = lower(hex(sha256))")
            db.execute("INSERT INTO files SELECT file, '', length(text), 0, sha256, 0 FROM documents")
        db.close()
        keep_terms(path, {chunk_id: ["kept"] for chunk_id in ids})  # others than there are, to see which are taken

    rewritten(index, 2, rewrite)


def rewritten(index, version, rewrite):
    """Rewrite the texts of the live segments, and seal them as of an older format."""
    generations = Generations(index)
    manifest, written = Manifest.read(generations.live()), []
    for segment in manifest.segments:
        folder = index / "segments" / segment.name
        rewrite(folder / "chunks.sqlite")
        keep_ids(folder / "vectors")
        header = folder / "segment.json"
        files = describe(folder, [path for path in folder.rglob("*") if path.is_file() and path != header])
        facts = {name: fact.model_dump() for name, fact in files.items()}
        header.write_bytes(seal({**unseal(header), "format": version, "files": facts}))
        size = sum(fact.size for fact in files.values())
        written.append(segment.model_copy(update={"sha256": sha256(header.read_bytes()).hexdigest(), "bytes": size}))
    manifest.model_copy(update={"segments": tuple(written)}).write(generations.live())


@pytest.mark.parametrize("into_older", [into_format_2, into_format_3])
def test_segments_of_older_formats_answer_and_are_merged(segmented, into_older):
    before = answers(segmented)
    into_older(segmented)
    assert answers(segmented) == before
    report = index_documents(segmented, corpus(0, 45), WordEmbedder(dim=DIM))
    assert (report.added, report.changed, report.unchanged) == (1, 0, 44)  # d3 was removed
    delete_documents(segmented, ["d3", "d4"], WordEmbedder(dim=DIM))
    index_documents(segmented, corpus(4, 1), WordEmbedder(dim=DIM))
    assert answers(segmented) == before
    compact_index(segmented, WordEmbedder(dim=DIM))
    assert answers(segmented) == before
    (segment,) = Manifest.read(Generations(segmented).live()).segments
    with sqlite3.connect(segmented / "segments" / segment.name / "chunks.sqlite") as db:
        names = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
        columns = {row[1] for row in db.execute("PRAGMA table_info(chunks)")}
    db.close()
    assert "strings" in names and not {"terms", "chunk_id"} & columns


def test_a_merge_analyzes_no_passage_again(segmented, monkeypatch):
    before = answers(segmented)
    with monkeypatch.context() as patch:
        patch.setattr("quarry.indexer.build.cutting.chunking.cut_into_terms", lambda *_: 1 / 0)
        patch.setattr("quarry.indexer.build.cutting.cutter.cut_into_terms", lambda *_: 1 / 0)
        compact_index(segmented, WordEmbedder(dim=DIM))
    assert answers(segmented) == before
    assert not list((segmented / "segments").rglob("*.tmp"))
