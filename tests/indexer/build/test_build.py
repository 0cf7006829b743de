"""Building, updating and never losing: documents in, a generation out, or the old one untouched."""

import errno
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quarry.app.words import words
from quarry.indexer.build import build_index, delete_documents, index_documents
from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.corpus import walk as corpus_module
from quarry.indexer.errors import CorpusError, IndexFormatError, IndexMismatchError, OtherFormatError, SearchError
from quarry.indexer.lexical.normalization import SECOND_FORM
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.files.durable import file_sha256
from quarry.indexer.storage.files.sealing import seal, unseal
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.pointer import POINTER_NAME
from tests.fakes import WordEmbedder
from tests.indexer.older import into_format_3, part_of
from tests.sizes import KILLS

TEXTS = {
    "zh/借书.md": "# 借书规则\n\n每位读者一次可以借十本书，借期三十天。\n\n## 续借\n\n到期前可以在网上续借两次。",
    "en/loans.md": "# Loans\n\nA reader may borrow ten books for thirty days.\n\n## Renewal\n\nRenew twice online before the due date.",
    "en/printer.txt": "The 3D printer PR-200 takes PLA filament of 1.75 mm.",
}


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    for name, text in TEXTS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def index(tmp_path):
    return tmp_path / "index"


def content(index: Path) -> tuple:
    """All that an index answers with: documents, chunks, vectors, terms."""
    opened = Index.open(index)
    ids = opened.chunks.digests()[0]
    analyzed = [opened.analyzer.passage_terms(text) for text in opened.chunks.texts(ids)]
    rows = {
        hit.chunk_id: hit.similarity
        for hit in opened.vectors.search(np.eye(1, opened.vectors.dim, dtype=np.float32), 99)[0]
    }
    return (
        [(d.doc_id, d.title, d.text) for d in opened.chunks.documents()],
        opened.chunks.chunks(ids),
        [rows[chunk_id] for chunk_id in ids],
        {
            word: opened.lexical.having([[word]])
            for terms in analyzed
            for word in terms
            if not word.startswith(SECOND_FORM)
        },
    )


def test_documents_are_indexed_with_ids_from_their_paths(corpus, index):
    report = build_index(index, [corpus], WordEmbedder())
    assert (report.generation, report.documents, report.added, report.switched) == ("000001", 3, 3, True)
    opened = Index.open(index)
    assert [d.doc_id for d in opened.chunks.documents()] == [
        "corpus/en/loans.md",
        "corpus/en/printer.txt",
        "corpus/zh/借书.md",
    ]
    document = opened.chunks.document("corpus/zh/借书.md")
    assert document.title == "借书规则"
    for chunk in opened.chunks.chunks(opened.chunks.digests()[0]):
        assert opened.chunks.document(chunk.doc_id).text[chunk.start : chunk.end] == chunk.text
    assert len(opened.vectors) == len(opened.lexical) == report.chunks
    assert opened.manifest.embedder.to_spec() == WordEmbedder().spec


def test_an_unchanged_corpus_costs_no_forward_pass_and_no_generation(corpus, index):
    build_index(index, [corpus], WordEmbedder())
    again = WordEmbedder()
    report = build_index(index, [corpus], again)
    assert (report.switched, report.unchanged, report.encoded, again.texts_encoded) == (False, 3, 0, 0)
    assert Generations(index).finished() == ["000001"]


def test_an_update_equals_a_build_from_scratch_and_encodes_only_what_changed(corpus, index, tmp_path):
    build_index(index, [corpus], WordEmbedder())
    (corpus / "en/printer.txt").write_text("The 3D printer PR-300 takes PETG.", encoding="utf-8")
    (corpus / "en/loans.md").unlink()
    (corpus / "zh/新.txt").write_text("图书馆周一闭馆。", encoding="utf-8")
    embedder = WordEmbedder()
    report = build_index(index, [corpus], embedder)
    assert (report.added, report.changed, report.removed, report.unchanged) == (1, 1, 1, 1)
    assert embedder.texts_encoded == report.encoded == 2
    build_index(tmp_path / "fresh", [corpus], WordEmbedder())
    assert content(index) == content(tmp_path / "fresh")


def test_a_touched_file_with_the_same_content_is_unchanged(corpus, index):
    build_index(index, [corpus], WordEmbedder())
    os.utime(corpus / "en/printer.txt", ns=(1, 1))
    assert not build_index(index, [corpus], WordEmbedder()).switched


def test_other_readers_read_unchanged_files_again_and_once(corpus, index, tmp_path, monkeypatch):
    """Better readers give other text for the same bytes; what they give alike is not encoded again."""
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "hours.txt").write_text("The library closes at 8 p.m., 晚上八点闭馆。")
    build_index(index, [corpus, tmp_path / "second"], WordEmbedder())
    real = corpus_module.read_content

    def better(path, *rest):
        reading = real(path, *rest)
        extra = "\n\nTable: 1.75 mm." if path.name == "printer.txt" else ""
        return replace(reading, extracts=tuple(replace(e, text=e.text + extra) for e in reading.extracts))

    monkeypatch.setattr(corpus_module, "read_content", better)
    assert not build_index(index, [corpus], WordEmbedder()).switched
    monkeypatch.setattr(corpus_module, "READERS_VERSION", 99)
    embedder = WordEmbedder()
    report = build_index(index, [corpus], embedder)
    assert (report.switched, report.changed, report.unchanged, embedder.texts_encoded) == (True, 1, 2, 1)
    assert "1.75 mm" in next(d.text for d in Index.open(index).chunks.documents() if d.doc_id.endswith("printer.txt"))
    assert not build_index(index, [corpus], WordEmbedder()).switched
    report = build_index(index, [tmp_path / "second"], embedder)  # another root was not read by them yet
    assert (report.switched, report.unchanged, report.encoded) == (True, 1, 0)
    assert not build_index(index, [corpus, tmp_path / "second"], WordEmbedder()).switched


def test_an_index_that_knows_no_version_of_the_readers_opens_and_is_read_again(corpus, index):
    build_index(index, [corpus], WordEmbedder())
    before = content(index)
    path = into_format_3(index) / "chunks.sqlite"
    with sqlite3.connect(path) as table:
        table.execute("ALTER TABLE files DROP COLUMN readers")
    table.close()
    manifest = path.with_name("manifest.json")
    facts = json.loads(manifest.read_text())
    facts["files"]["chunks.sqlite"] = {"size": path.stat().st_size, "sha256": file_sha256(path)}
    del facts["checksum"]  # an older index has none
    manifest.write_text(json.dumps(facts))
    assert content(index) == before
    report = build_index(index, [corpus], WordEmbedder())
    assert (report.switched, report.unchanged, report.encoded) == (True, 3, 0)
    assert content(index) == before
    assert not build_index(index, [corpus], WordEmbedder()).switched


def test_documents_of_other_roots_stay(corpus, index, tmp_path):
    other = tmp_path / "other" / "corpus"
    other.mkdir(parents=True)
    (other / "a.txt").write_text("a second folder of the same name")
    build_index(index, [corpus], WordEmbedder())
    report = build_index(index, [other], WordEmbedder())
    assert report.documents == 4
    assert Index.open(index).chunks.roots() == {"corpus": str(corpus), "corpus~2": str(other)}
    assert build_index(index, [corpus], WordEmbedder()).documents == 4


@pytest.mark.parametrize("store", ["exact", "faiss", "lance"])
def test_the_store_can_be_changed_without_encoding_again(corpus, index, store):
    build_index(index, [corpus], WordEmbedder(), BuildOptions(store="exact"))
    before = content(index)
    report = build_index(index, [corpus], WordEmbedder(), BuildOptions(store=store))
    assert report.encoded == 0
    assert Index.open(index).manifest.store.kind == store
    after = content(index)
    assert after[:2] == before[:2]
    assert after[2] == pytest.approx(before[2], abs=1e-6)
    assert build_index(index, [corpus], WordEmbedder()).switched is False  # the kind is inherited


def test_another_chunking_cuts_the_stored_documents_again(corpus, index, tmp_path):
    build_index(index, [corpus], WordEmbedder(), BuildOptions(chunking=ChunkSpec(64, 0)))
    shutil.move(corpus, tmp_path / "away")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.txt").write_text("more")
    build_index(index, [tmp_path / "more"], WordEmbedder(), BuildOptions(chunking=ChunkSpec(16, 0)))
    opened = Index.open(index)
    assert opened.manifest.chunking.max_tokens == 16
    assert all(len(opened.chunks.texts([i])[0]) < 120 for i in opened.chunks.digests()[0])


def test_another_model_is_refused_with_the_command_to_run_and_rebuild_allows_it(corpus, index):
    build_index(index, [corpus], WordEmbedder())
    with pytest.raises(IndexMismatchError, match=r"was built with tests/words \(1\).*--model MODEL --rebuild"):
        build_index(index, [corpus], WordEmbedder(revision="2"))
    with pytest.raises(IndexMismatchError, match="no model"):
        build_index(index, [corpus], None)
    report = build_index(index, [corpus], WordEmbedder(revision="2"), BuildOptions(rebuild=True))
    assert report.encoded == report.chunks
    with pytest.raises(IndexMismatchError, match="revision '2' against '1'"):
        Index.open(index).check_embedder(WordEmbedder().spec)


def test_a_lexical_index_needs_no_model_and_can_get_one_later(corpus, index):
    assert build_index(index, [corpus], None).encoded == 0
    assert Index.open(index).vectors is None
    assert build_index(index, [corpus], WordEmbedder()).encoded > 0
    assert Index.open(index).vectors is not None


def test_nothing_readable_is_an_error_that_counts_the_reasons(tmp_path, index):
    folder = tmp_path / "corpus"
    folder.mkdir()
    with pytest.raises(CorpusError, match=r"no readable document was found \(no files\)"):
        build_index(index, [folder], WordEmbedder())
    (folder / "empty.txt").write_text("")
    (folder / "scan.bin").write_bytes(bytes(range(256)))
    with pytest.raises(CorpusError, match="1 empty file, 1 unsupported format") as caught:
        build_index(index, [folder], WordEmbedder())
    assert words(caught.value.message, "zh").startswith("没有找到可读的文档（空文件 1 个、不支持的格式 1 个）")
    with pytest.raises(CorpusError, match="does not exist; expected a file or folder"):
        build_index(index, [tmp_path / "nowhere"], WordEmbedder())
    with pytest.raises(IndexFormatError, match="never finished"):
        Index.open(index)


def test_a_file_that_becomes_unreadable_keeps_its_old_documents(corpus, index):
    build_index(index, [corpus], WordEmbedder())
    (corpus / "en/printer.txt").write_bytes(b"\x00\x01\x02" * 999)
    report = build_index(index, [corpus], WordEmbedder())
    assert [skip.reason for skip in report.skipped] == ["unsupported format"]
    assert report.documents == 3
    assert "PR-200" in Index.open(index).chunks.document("corpus/en/printer.txt").text


def test_a_folder_that_lost_all_of_its_files_is_not_emptied_by_accident(corpus, index):
    build_index(index, [corpus], WordEmbedder())
    for path in corpus.rglob("*.*"):
        path.unlink()
    with pytest.raises(CorpusError, match="all 3 files of 'corpus' are gone.*--allow-empty"):
        build_index(index, [corpus], WordEmbedder())
    assert Index.open(index).manifest.documents == 3
    assert build_index(index, [corpus], WordEmbedder(), BuildOptions(allow_empty=True)).documents == 0


def test_programs_add_replace_and_delete_documents(index):
    index_documents(index, [Document("a", "alpha text", "A"), Document("b", "beta\0 \ud800 text")], WordEmbedder())
    assert Index.open(index).chunks.document("b").text == "beta\ufffd \ufffd text"
    report = index_documents(index, [Document("a", "another text", "A", {"lang": "en"})], WordEmbedder())
    assert (report.documents, report.changed, report.encoded) == (2, 1, 1)
    assert delete_documents(index, ["b", "stranger"], WordEmbedder()).removed == 1
    assert [d.doc_id for d in Index.open(index).chunks.documents()] == ["a"]
    with pytest.raises(ValueError, match="document id '' is not usable"):
        index_documents(index, [Document("", "x")], WordEmbedder())


def test_the_same_id_twice_keeps_the_first_and_counts_the_second(tmp_path, index):
    folder = tmp_path / "c"
    folder.mkdir()
    rows = [{"_id": "1", "text": "first"}, {"_id": "1", "text": "second"}, {"_id": "2", "text": "third"}]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = build_index(index, [folder], WordEmbedder())
    assert (report.documents, [skip.reason for skip in report.skipped]) == (2, ["duplicate id"])
    assert Index.open(index).chunks.document("1").text == "first"


def test_filters_match_any_of_the_values_of_each_key(index):
    documents = [
        Document("1", "one", "t", {"lang": "zh", "year": "2024"}),
        Document("2", "two", "t", {"lang": "en", "year": "2024"}),
        Document("3", "three", "t", {"lang": "en", "year": "2025"}),
    ]
    index_documents(index, documents, None)
    chunks = Index.open(index).chunks

    def matching(**filters: list[str]) -> list[str]:
        return sorted(chunk_id[0] for chunk_id in chunks.matching(filters))

    assert matching(lang=["en"]) == ["2", "3"]
    assert matching(lang=["en", "zh"], year=["2024"]) == ["1", "2"]
    assert matching(year=["20*"], doc_id=["[12]"]) == []
    assert matching(year=["*5"]) == ["3"]
    with pytest.raises(
        ValueError, match="no document has the metadata color; expected one of doc_id, lang, title, year"
    ):
        chunks.matching({"color": ["red"]})


def test_an_interrupted_build_keeps_what_was_encoded_and_the_next_one_goes_on(corpus, index, monkeypatch):
    monkeypatch.setattr("quarry.indexer.build.encoding._SLICE", 1)

    class Interrupted(WordEmbedder):
        def embed_documents(self, texts, *, progress=None):
            if self.texts_encoded == 2:
                raise KeyboardInterrupt
            return super().embed_documents(texts, progress=progress)

    with pytest.raises(KeyboardInterrupt):
        build_index(index, [corpus], Interrupted())
    assert list((index / "generations").iterdir()) == []
    embedder = WordEmbedder()
    report = build_index(index, [corpus], embedder)
    assert embedder.texts_encoded == report.chunks - 2


def test_a_full_disk_costs_the_new_work_only(corpus, index, monkeypatch):
    build_index(index, [corpus], WordEmbedder())
    before = content(index)
    (corpus / "new.txt").write_text("new")

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("quarry.indexer.build.running.describe_files", full)
    with pytest.raises(SearchError, match="the disk is full.*live generation is untouched"):
        build_index(index, [corpus], WordEmbedder())
    assert content(index) == before
    assert [path.name for path in (index / "generations").iterdir()] == ["000001"]


@pytest.mark.parametrize(
    "name",
    [
        "chunks.sqlite",
        "vectors/vectors.000001.npy",
        "vectors/store.json",
        "lexical/ids.npy",
        "segment.json",
        "contents.sqlite",
        "manifest.json",
    ],
)
def test_damage_is_noticed_at_open_and_the_file_is_named(corpus, index, name):
    build_index(index, [corpus], WordEmbedder())
    path = part_of(index, name)
    sound = path.read_bytes()
    for position in random.Random(0).sample(range(len(sound)), 12):
        damaged = bytearray(sound)
        damaged[position] ^= 1 << random.Random(position).randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(IndexFormatError, match=path.name.replace(".", r"\.")):
            Index.open(index)
        path.write_bytes(sound[:position])
        with pytest.raises(IndexFormatError):
            Index.open(index)
    path.write_bytes(sound)
    Index.open(index)


CHILD = """
import sys
from pathlib import Path
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from tests.fakes import WordEmbedder
corpus, index = Path(sys.argv[1]), Path(sys.argv[2])
for number in range(int(sys.argv[3]), 10_000):
    (corpus / "moving.txt").write_text(f"version number{number} of the moving file")
    report = build_index(index, [corpus], WordEmbedder(), BuildOptions(keep=3))
    print(number, report.generation, flush=True)
"""


def _kill_while_building(corpus: Path, index: Path, kills: int) -> None:
    rng = random.Random(7)
    acknowledged = 0
    for _ in range(kills):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(corpus), str(index), str(acknowledged + 1)],
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = [child.stdout.readline()]  # at least one build is acknowledged, then any moment may be the last
        time.sleep(rng.random() * 0.4)
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
        child.stdout.close()
        child.wait()
        acknowledged = int([line for line in lines if line.endswith("\n")][-1].split()[0])
        text = Index.open(index).chunks.document("corpus/moving.txt").text
        assert int(text.split()[1].removeprefix("number")) >= acknowledged
        assert len(Index.open(index).vectors) == Index.open(index).manifest.chunks


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_a_generation_answering(corpus, index):
    _kill_while_building(corpus, index, KILLS)


def test_a_reader_keeps_its_generation_while_a_new_one_is_built(corpus, index):
    build_index(index, [corpus], WordEmbedder())
    reader = Index.open(index)
    before = reader.chunks.document("corpus/en/printer.txt").text
    (corpus / "en/printer.txt").write_text("changed", encoding="utf-8")
    for number in range(4):
        (corpus / "n.txt").write_text(f"number {number}")
        build_index(index, [corpus], WordEmbedder(), BuildOptions(keep=1))
    assert reader.chunks.document("corpus/en/printer.txt").text == before
    assert reader.vectors.search(np.eye(1, 64, dtype=np.float32), 1)[0]
    assert Index.open(index).chunks.document("corpus/en/printer.txt").text == "changed"


@pytest.mark.parametrize(
    "name",
    [
        "vectors/vectors.000001.npy",
        "vectors/store.json",
        "lexical/ids.npy",
        "segment.json",
        "contents.sqlite",
        "chunks.sqlite",
        "manifest.json",
        "pointer",
    ],
)
def test_a_damaged_index_is_mended_by_the_command_that_its_error_names(corpus, index, name):
    build_index(index, [corpus], WordEmbedder())
    sound = content(index)
    path = index / POINTER_NAME if name == "pointer" else part_of(index, name)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(IndexFormatError, match="--rebuild"):
        Index.open(index)
    if name.startswith(("vectors", "lexical")):
        report = build_index(index, [corpus], WordEmbedder())  # made again from the texts
        encoded = (
            3 if name.startswith("vectors") or name == "lexical/ids.npy" else 0
        )  # whose ids those of the vectors are
        assert (report.switched, report.encoded, report.unchanged) == (True, encoded, 3)
    else:
        with pytest.raises(IndexFormatError, match="--rebuild"):
            build_index(index, [corpus], WordEmbedder())
        report = build_index(index, [corpus], WordEmbedder(), BuildOptions(rebuild=True))
        assert (report.switched, report.encoded) == (True, 0)
    assert content(index) == sound
    assert not build_index(index, [corpus], WordEmbedder()).switched


def test_a_newer_index_is_never_written_over(corpus, index):
    build_index(index, [corpus], WordEmbedder())
    path = index / POINTER_NAME
    pointer = {**unseal(path), "format": 99}
    path.write_bytes(seal(pointer))
    for settings in (BuildOptions(), BuildOptions(rebuild=True)):
        with pytest.raises(
            OtherFormatError, match="has format 99; expected a format that .* reads: 1, 2, 3, 4. Upgrade"
        ):
            build_index(index, [corpus], WordEmbedder(), settings)
    with pytest.raises(OtherFormatError, match="has format 99"):
        Generations(index).switch("000001", Message.of("test.by_hand", "by hand"))
    assert unseal(path) == pointer


def test_damaged_embeddings_of_earlier_runs_are_named_and_cost_only_themselves(corpus, index):
    build_index(index, [corpus], WordEmbedder())
    (cache,) = (index / "embeddings").glob("*.sqlite")
    cache.write_bytes(b"no database at all" * 300)
    (corpus / "new.txt").write_text("new words")
    with pytest.raises(IndexFormatError, match=r"\.sqlite is damaged .*Remove this file and index again"):
        build_index(index, [corpus], WordEmbedder())
    assert Index.open(index).manifest.documents == 3
    cache.unlink()
    assert build_index(index, [corpus], WordEmbedder()).documents == 4
