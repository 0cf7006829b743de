"""Titles and headings have vectors of their own: which ones are encoded, how they are stored, and what is measured of them."""

import shutil
import sqlite3

import numpy as np
import pytest

from quarry.indexer.build import delete_documents, index_documents
from quarry.indexer.build.names import measure_names
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document, name_text
from quarry.indexer.storage.layout import CHUNKS_NAME, NAMES_NAME
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.vectors.blob_cache import passage_digest
from quarry.indexer.stores.exact.store import ExactStore
from tests.fakes import WordEmbedder
from tests.indexer.older import into_format_3, live_segment, record

TOPICS = [
    "apple kiwi", "orange melon", "copper silver", "violin cello", "rugby tennis", "castle tower", "falcon eagle", "salmon trout",
    "barley wheat", "glacier valley", "piston crank", "needle thread", "candle lantern", "marble granite", "tulip daisy",
    "sonnet ballad", "pepper ginger", "harbour anchor", "comet meteor", "velvet cotton", "otter beaver", "quartz topaz",
    "saddle bridle", "walnut almond", "curtain carpet", "brandy whisky", "desert prairie", "hammer chisel", "oboe clarinet",
    "ferry tram", "turnip radish", "linen satin",
]  # fmt: skip  # a table
CHINESE = [
    "红色苹果",
    "蓝色海洋",
    "古老城墙",
    "高速火车",
    "安静图书馆",
    "明亮月亮",
    "遥远沙漠",
    "温暖厨房",
    "锋利剪刀",
    "柔软枕头",
]


def documents(named=True):
    """Two sentences on each topic, below its words as a title, or below an id."""
    for n, topic in enumerate(TOPICS):
        one, other = topic.split()
        text = f"This page describes {one} beside {other} at length. Whoever asks for {other} finds {one} below."
        yield Document(f"d{n}", text, topic if named else f"doc_{n % 4}")
    for n, topic in enumerate(CHINESE):
        text = f"这一页详细介绍{topic}的各个方面。想了解{topic}的读者可以继续往下看。"
        yield Document(f"z{n}", text, topic if named else f"doc_{n % 4}")


def titles_of(index):
    return {passage_digest(text).hex() for text in index}


@pytest.mark.parametrize("store", ["exact", "faiss", "lance"])
def test_each_distinct_title_has_one_vector_in_a_store_of_the_same_kind(tmp_path, store):
    both = [Document("a", "One text about nothing much.", "Shared title"), Document("b", "Another.", "Shared title")]
    long = Document(
        "c", "# First part\n\n" + "Words of it. " * 90 + "\n\n# Second part\n\n" + "More words. " * 90, "Guide"
    )
    embedder = WordEmbedder()
    plain = [Document(f"d{n}", f"No title in document {n}.") for n in range(5)]
    index_documents(tmp_path, [*both, long, *plain], embedder, BuildOptions(store=store))
    index = Index.open(tmp_path)
    wanted = {"Shared title", "Guide\nFirst part", "Guide\nSecond part"}
    assert set(index.names.ids) == titles_of(wanted) and index.manifest.probes.names.count == 3
    assert type(index.names) is type(index.vectors)
    (found,) = index.names.search(embedder.embed_queries(["Second part"]), 1)
    assert found[0].chunk_id == passage_digest("Guide\nSecond part").hex()
    assert {
        index.chunks.names_of([chunk])[chunk] for chunk in index.chunks.named(passage_digest("Shared title"), 9)
    } == {passage_digest("Shared title")}
    assert not index.chunks.names_of([chunk for chunk in index.vectors.ids if chunk.startswith("d")])


def test_an_update_encodes_only_new_titles_and_drops_those_that_are_gone(tmp_path):
    embedder = WordEmbedder()
    index_documents(tmp_path, documents(), embedder)
    encoded = embedder.texts_encoded
    index_documents(tmp_path, [Document("more", "A text below a title that is there.", TOPICS[0])], embedder)
    assert embedder.texts_encoded - encoded == 1
    index_documents(tmp_path, [Document("new", "A text below another title.", "安静的 library")], embedder)
    assert embedder.texts_encoded - encoded == 3
    delete_documents(tmp_path, ["new"], embedder)
    index = Index.open(tmp_path)
    assert set(index.names.ids) == titles_of([*TOPICS, *CHINESE])
    assert index.manifest.probes.names.count == len(index.names) == len(TOPICS) + len(CHINESE)
    assert embedder.texts_encoded - encoded == 3


def test_titles_that_tell_have_a_high_quality_and_ids_have_none(tmp_path):
    index_documents(tmp_path / "titles", documents(), WordEmbedder())
    index_documents(tmp_path / "ids", documents(named=False), WordEmbedder())
    telling, ids = (Index.open(tmp_path / name).manifest.probes for name in ("titles", "ids"))
    assert telling.names.quality > 0.5 * telling.quality["all"].dense
    assert ids.names.quality < 0.25 * ids.quality["all"].dense
    assert (telling.names.count, ids.names.count) == (len(TOPICS) + len(CHINESE), 4)


def test_the_measurement_by_hand(tmp_path):
    """Of two sentences one finds its title first and the other second of three: gains 1 and 0.63, rescaled by chance 0.71."""
    names = ExactStore.create(tmp_path, 3)
    names.add(["01", "02", "03"], np.eye(3, dtype=np.float32))
    questions = np.array([[0.8, 0.6, 0.0], [0.8, 0.6, 0.0]], dtype=np.float32)
    facts = measure_names(questions, [b"\1", b"\2"], names, np.array([0.1, 0.3]), [b"\1", b"\3"])
    chance = (1 + 1 / np.log2(3) + 0.5) / 3
    assert facts.quality == pytest.approx(((1 + 1 / np.log2(3)) / 2 - chance) / (1 - chance))
    assert facts.offset == pytest.approx((0.8 + 0.0) / 2 - 0.2)
    assert measure_names(questions, [None, None], names, np.array([]), []).quality == 0


def test_an_index_from_before_opens_and_the_next_run_adds_titles_without_encoding_passages(tmp_path):
    embedder = WordEmbedder()
    index_documents(tmp_path, documents(), embedder)
    before = made_older(tmp_path)
    assert Index.open(tmp_path).names is None and before.probes.names is None
    report = index_documents(tmp_path, [], embedder)
    assert report.switched and report.encoded == 0
    assert len(Index.open(tmp_path).names) == len(TOPICS) + len(CHINESE)
    assert not index_documents(tmp_path, [], embedder).switched


def made_older(root):
    """Take out of the live generation what titles brought: the store, the column and the facts."""
    live = into_format_3(root)
    manifest = Manifest.read(live)
    shutil.rmtree(live / NAMES_NAME)
    with sqlite3.connect(live / CHUNKS_NAME) as db:
        db.execute("DROP INDEX chunks_name")
        db.execute("ALTER TABLE chunks DROP COLUMN name")
    db.close()
    probes = manifest.probes.model_copy(update={"names": None})
    manifest.model_copy(update={"probes": probes}).write(live)
    record(live)
    return Manifest.read(live)


def test_a_damaged_store_of_titles_is_named(tmp_path):
    index_documents(tmp_path, documents(), WordEmbedder())
    path = next((live_segment(tmp_path) / NAMES_NAME).glob("vectors*"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IndexFormatError, match=f"{NAMES_NAME}/{path.name}"):
        Index.open(tmp_path)


def test_a_lexical_index_has_no_titles_store(tmp_path):
    index_documents(tmp_path, documents(), None)
    assert Index.open(tmp_path).names is None
    assert not (live_segment(tmp_path) / NAMES_NAME).exists()


def test_the_text_of_a_title_with_headings():
    assert name_text("Guide", "Guide > First") == "Guide\nFirst"
    assert name_text("指南", "") == "指南"
    assert name_text("", "安装 > 常见问题") == "安装 > 常见问题"
    assert name_text("", "") == ""
