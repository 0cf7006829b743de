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
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.files.sealing import describe, seal, unseal
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.layout import CONTENTS_NAME
from quarry.indexer.storage.manifest import Manifest, describe_files
from quarry.indexer.stores import STORE_KINDS
from tests.fakes import WordEmbedder
from tests.indexer.older import into_plain_tables, keep_ids, keep_terms
from tests.indexer.writing import PROCESSES, keep_segments, update_and_die

DIM = 16
WORDS = ("river", "library", "renew", "bridge", "氧气", "黑死病", "图书馆", "河流", "valve", "pump")
QUERIES = ("river library", "图书馆 河流", "valve", "renew bridge 氧气", "pump pump 黑死病")
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


def answers(index):
    """All that an index answers with, as values that compare equal up to rounding."""
    embedder, opened = WordEmbedder(dim=DIM), Index.open(index)
    try:
        table, ids = opened.chunks, opened.chunks.digests()[0]
        count = len(ids)
        queries = embedder.embed_queries(list(QUERIES))
        tokens = [opened.analyzer.query_tokens(query) for query in QUERIES]
        filters = table.matching({"kind": "a"}) if "kind" in table.meta_values() else frozenset()
        return {
            "documents": list(table.documents()),
            "counts": (table.counts(), opened.manifest.documents, opened.manifest.chunks, len(opened.lexical)),
            "chunks": table.chunks(ids),
            "texts": table.texts(ids),
            "languages": table.languages(),
            "names": table.names_of(ids),
            "meta": table.meta_values(),
            "filter": filters,
            "vectors": sorted(opened.vectors.ids),
            "dense": [
                [(near.chunk_id, pytest.approx(near.similarity, abs=1e-6)) for near in line]
                for allowed in (None, filters)
                for k in (1, 3, count + 5)
                for line in opened.vectors.search(queries, k, allowed=allowed)
            ],
            "lexical": [
                [
                    (hit.chunk_id, pytest.approx(hit.score, rel=1e-4), hit.terms)
                    for hit in opened.lexical.search(asked, k, allowed=allowed)
                ]
                for allowed in (None, filters)
                for k in (1, 3, count + 5)
                for asked in tokens
            ],
            "idf": [pytest.approx(opened.lexical.idf(word)) for asked in tokens for word in asked],
            "having": [opened.lexical.having([asked]) for asked in tokens],
        }
    finally:
        opened.chunks.close()


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


def corpus(first, count):
    return [
        Document(
            f"d{number}",
            f"the {WORDS[number % 4]} and a {WORDS[number // 4 % 4]}, number{number}",
            "Rivers",
            {"kind": "a"},
        )
        for number in range(first, first + count)
    ]


@pytest.fixture
def segmented(tmp_path, monkeypatch):
    """An index of three segments, of which one lacks a document."""
    keep_segments(monkeypatch)
    index = tmp_path / "index"
    for first, count in ((0, 30), (30, 10), (40, 5)):
        index_documents(index, corpus(first, count), WordEmbedder(dim=DIM), BuildOptions(store="exact"))
    delete_documents(index, ["d3"], WordEmbedder(dim=DIM))
    return index


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


@pytest.mark.parametrize("name", ["segment.json", "chunks.sqlite", "lexical/blocks.npy", "vectors/store.json"])
def test_a_damaged_or_missing_file_of_a_segment_is_named(segmented, name):
    segment = Index.open(segmented).manifest.segments[1]
    path = segmented / "segments" / segment.name / name
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    with pytest.raises(IndexFormatError, match=f"{segment.name}/{name} does not match its recorded SHA-256"):
        Index.open(segmented)
    path.unlink()
    with pytest.raises(IndexFormatError, match=f"{segment.name}/{name} is missing"):
        Index.open(segmented)


def test_a_missing_segment_is_named_and_the_texts_are_not_silently_lost(segmented):
    segment = Index.open(segmented).manifest.segments[0]
    shutil.rmtree(segmented / "segments" / segment.name)
    with pytest.raises(IndexFormatError, match=f"{segment.name}/segment.json is missing"):
        Index.open(segmented)
    with pytest.raises(IndexFormatError, match="the texts of the live generation cannot be carried over"):
        index_documents(segmented, corpus(70, 1), WordEmbedder(dim=DIM))


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


def edit_contents(index, sql):
    """Change the live generation's `contents.sqlite`, with a manifest that agrees, as a faulty version could write both."""
    live = Generations(index).live()
    with sqlite3.connect(live / CONTENTS_NAME) as db:
        db.executescript(sql)
    db.close()
    manifest = Manifest.read(live)
    manifest.model_copy(update={"files": describe_files(live)}).write(live)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO removed_rows VALUES (2, 5)",
        "INSERT INTO removed_rows VALUES (2, 4000); UPDATE segments SET passages = 9 WHERE number = 2",
        "INSERT INTO removed_rows VALUES (2, -1); UPDATE segments SET passages = 9 WHERE number = 2",
    ],
)
def test_removals_that_do_not_fit_to_a_segment_are_named(segmented, sql):
    edit_contents(segmented, sql)
    with pytest.raises(
        IndexFormatError, match=r"contents\.sqlite is damaged: .* segment \w+, which has 10 passages, is not in it"
    ):
        Index.open(segmented)


def test_a_document_in_two_segments_is_named_and_nothing_is_built_on_it(segmented):
    """Nothing says any more that the version in the first segment was replaced."""
    index_documents(segmented, [Document("d5", "valve pump river")], WordEmbedder(dim=DIM))
    assert Index.open(segmented).chunks.document("d5").text == "valve pump river"
    edit_contents(segmented, "DELETE FROM removed_documents WHERE doc_id = 'd5'")
    for act in (Index.open, lambda index: index_documents(index, corpus(60, 2), WordEmbedder(dim=DIM))):
        with pytest.raises(
            IndexFormatError, match=r"contents\.sqlite is damaged: it has documents more than once.*'d5'"
        ):
            act(segmented)
    generations = Generations(segmented)
    generations.switch(generations.previous(), Message.of("test.by_hand", "by hand"))
    assert Index.open(segmented).chunks.counts() == (44, 44)


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


@pytest.mark.parametrize("step", ["index_terms", "store_vectors", "finish_segment", "describe_generation"])
def test_a_merge_that_dies_at_any_step_leaves_what_was_there_and_can_be_made_again(segmented, monkeypatch, step):
    before = answers(segmented)
    place = (
        "quarry.indexer.build.running"
        if step in ("finish_segment", "describe_generation")
        else "quarry.indexer.build.steps"
    )
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(f"{place}.{step}", lambda *_: 1 / 0)
        compact_index(segmented, WordEmbedder(dim=DIM))
    assert answers(segmented) == before
    assert len(Index.open(segmented).manifest.segments) == 3
    assert compact_index(segmented, WordEmbedder(dim=DIM)).encoded == 0
    assert len(Index.open(segmented).manifest.segments) == 1


def test_a_segment_of_a_newer_format_is_refused_and_stays(segmented):
    generations = Generations(segmented)
    manifest = Manifest.read(generations.live())
    segment = manifest.segments[1]
    header = segmented / "segments" / segment.name / "segment.json"
    content = seal({**unseal(header), "format": 99})
    header.write_bytes(content)
    newer = segment.model_copy(update={"sha256": sha256(content).hexdigest()})
    segments = tuple(newer if one == segment else one for one in manifest.segments)
    manifest.model_copy(update={"segments": segments}).write(generations.live())
    for act in (Index.open, lambda index: index_documents(index, corpus(60, 2), WordEmbedder(dim=DIM))):
        with pytest.raises(IndexFormatError, match=r"segment\.json has format 99; .*Upgrade quarry-search"):
            act(segmented)
    assert header.read_bytes() == content


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


def test_postings_that_are_damaged_are_made_again_from_the_texts(segmented):
    before = answers(segmented)
    for path in (segmented / "segments").glob("*/lexical/blocks.npy"):
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    index_documents(segmented, [], WordEmbedder(dim=DIM), BuildOptions(store="exact"))
    assert answers(segmented) == before
