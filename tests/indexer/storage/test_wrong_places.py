"""Folders and files that are whole but stand in the wrong place, and what damage may not do: be copied, or be gone back to."""

import shutil

import pytest

from quarry.app.keys import add_key
from quarry.app.ui.evaluate.benchmarks import FOLDER as BENCHMARKS
from quarry.app.ui.evaluate.presenter import OWN_JUDGEMENTS as JUDGED
from quarry.app.watched import WatchNote
from quarry.indexer.build import build_index, compact_index, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.segments import Segments
from quarry.retriever.answers.refusals.calibration import NAME as EVIDENCE
from tests.fakes import WordEmbedder
from tests.indexer.writing import DIM, keep_segments, text_of

BACK = Message.of("cli.rolled_back", "rolled back")


def add(index, number, **settings):
    index_documents(index, [Document(f"d{number}", f"text number {number}")], None, BuildOptions(**settings))


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_generation_copied_over_another_is_refused(tmp_path):
    for number in (1, 2):
        add(tmp_path, number)
    generations = tmp_path / "generations"
    shutil.rmtree(generations / "000002")
    shutil.copytree(generations / "000001", generations / "000002")
    with pytest.raises(IndexFormatError, match="is that of generation 000001; expected that of its own folder"):
        Index.open(tmp_path)


def test_what_was_rolled_back_is_not_gone_back_to(tmp_path):
    generations = Generations(tmp_path)
    for number in (1, 2, 3):
        add(tmp_path, number)
    generations.switch_back(generations.previous(), BACK)
    assert generations.pointer().generation == "000002"
    add(tmp_path, 4, keep=4)
    assert generations.previous() == "000002"
    generations.switch_back("000002", BACK)
    assert generations.previous() == "000001"


def test_a_damaged_generation_is_not_gone_back_to(tmp_path):
    generations = Generations(tmp_path)
    for number in (1, 2):
        add(tmp_path, number)
    flip(generations.folder / "000001" / "contents.sqlite")
    with pytest.raises(IndexFormatError, match="generation 000001 is damaged: .*contents.sqlite"):
        generations.switch_back("000001", BACK)
    assert generations.pointer().generation == "000002"


def test_candidates_of_killed_runs_push_no_generation_out(tmp_path):
    generations = Generations(tmp_path)
    for number in (1, 2):
        add(tmp_path, number)
    for number in (3, 4):
        add(tmp_path, number, go_live=False, keep=9)
    assert generations.finished() == ["000001", "000002", "000003", "000004"]
    add(tmp_path, 5, keep=2)
    assert generations.finished() == ["000002", "000004", "000005"]
    assert generations.previous() == "000002"


@pytest.mark.parametrize("name", ["chunks.sqlite", "blocks.npy"])
def test_damage_is_not_merged_into_a_segment_with_a_fresh_checksum(tmp_path, monkeypatch, name):
    # as if the index were larger than 256 MiB
    monkeypatch.setattr("quarry.indexer.storage.files.sealing._VERIFY_BELOW", 0)
    keep_segments(monkeypatch)
    for first in (1, 6):
        documents = [Document(f"d{number}", text_of(f"d{number}", number)) for number in range(first, first + 5)]
        index_documents(tmp_path, documents, WordEmbedder(dim=DIM), BuildOptions(analyzer="bigram"))
    before = Index.open(tmp_path).manifest.segments
    assert len(before) == 2
    flip(next(Segments(tmp_path).path(before[0].name).rglob(name)))
    with pytest.raises(IndexFormatError, match=name):
        compact_index(tmp_path, WordEmbedder(dim=DIM))
    assert Index.open(tmp_path).manifest.segments == before


def test_an_index_in_the_folder_of_its_documents_does_not_read_itself(tmp_path):
    (tmp_path / "a.txt").write_text("A text about libraries.")
    build_index(tmp_path, [tmp_path], None)
    report = build_index(tmp_path, [tmp_path], None)
    assert (report.documents, report.added, report.skipped) == (1, 0, ())


def test_what_other_rooms_keep_in_an_index_folder_is_no_document_either(tmp_path):
    (tmp_path / "a.txt").write_text("A text about libraries.")
    build_index(tmp_path, [tmp_path], None)
    add_key(tmp_path, "ann", ["staff"])
    note = WatchNote(tmp_path, [tmp_path])
    note.built("000001")
    (tmp_path / EVIDENCE).write_text('{"what": "thresholds of this index"}')
    for folder in (BENCHMARKS, JUDGED):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "results.json").write_text('{"task": "a result"}')
    report = build_index(tmp_path, [tmp_path], None)
    note.close()
    assert (report.documents, report.added, report.skipped) == (1, 0, ())
