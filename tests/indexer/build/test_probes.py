"""Probes: what is cut out of passages, where both routes put the rest, and what an update costs."""

import json
from math import log2

import pytest

from quarry.indexer.build import build_index, delete_documents, index_documents
from quarry.indexer.build.measuring.probes import Probe, cut_out
from quarry.indexer.build.measuring.routes import Parts, bm25_rank
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.lexical.index import UnionIndex
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from tests.fakes import WordEmbedder


def test_one_sentence_is_taken_out_and_the_others_stay_in_order():
    text = "The library opens at nine o'clock. It closes late on Thursdays only. Books are lent for thirty days."
    question, rest = cut_out(text, "seed")
    assert question in text and question.endswith(".")
    assert rest.split() == text.replace(question, "").split()
    assert cut_out(text, "seed") == (question, rest)
    assert len({cut_out(text, str(seed))[0] for seed in range(20)}) == 3


def test_chinese_is_cut_at_its_own_signs():
    assert cut_out("图书馆九点开门，周四关门较晚。每位读者可以借十本书。", "a") in [
        ("图书馆九点开门，周四关门较晚。", "每位读者可以借十本书。"),
        ("每位读者可以借十本书。", "图书馆九点开门，周四关门较晚。"),
    ]


def test_a_single_sentence_is_halved_and_short_texts_are_left_alone():
    question, rest = cut_out("books that are lent to members of the library are renewed online twice", "a")
    assert f"{rest} {question}" == "books that are lent to members of the library are renewed online twice"
    assert cut_out("Too short. To cut.", "a") is None
    assert cut_out("", "a") is None


def test_the_rank_by_bm25_is_that_of_the_passage_without_its_sentence():
    """d0 without its sentence has `red`, once; the one passage that has it twice stands before it, the others behind."""
    words = analyzer("jieba")
    texts = {
        "d0#0-9": "red apple pie kiwi plum",
        "d1#0-9": "red red apple",
        "d2#0-9": "apple kiwi",
        "d3#0-9": "plum kiwi fig",
    }
    index = UnionIndex.build(list(texts), [words.tokens(text) for text in texts.values()])
    parts = Parts(None, words, index, None, 13 / 4)
    assert bm25_rank(parts, Probe("d0#0-9", "red apple", "red kiwi plum")) == 2
    assert bm25_rank(parts, Probe("d0#0-9", "red apple", "kiwi plum")) > 10  # nothing is left to be found by
    whole = index.search(["red", "appl"], 4)
    assert [hit.chunk_id for hit in whole][:2] == ["d1#0-9", "d0#0-9"]


def texts(count: int) -> list[Document]:
    """Documents of two sentences that share two words of their own, and nothing but small words with other documents."""
    syllables = [first + vowel for first in "bdfgklmn" for vowel in "aeio"]
    names = [one + other + "x" for one in syllables for other in syllables[:4]]
    return [
        Document(f"d{n:03d}", f"Now {one} with {other}, {one} with {other}. Then {other} and {one}, {other} and {one}.")
        for n, (one, other) in enumerate(zip(names[:count], reversed(names), strict=False))
    ]


def test_the_measurement_is_in_the_manifest_and_the_same_for_the_same_texts(tmp_path):
    index_documents(tmp_path / "a", texts(60), WordEmbedder())
    index_documents(tmp_path / "b", reversed(texts(60)), WordEmbedder())
    first, second = (Index.open(tmp_path / name).manifest.probes for name in "ab")
    assert first == second
    quality = first.quality["all"]
    assert quality.probes == 32
    assert 0 < quality.dense <= 1 and 0 < quality.bm25 <= 1
    assert first.spread > 0


def test_too_little_text_is_not_measured_and_a_lexical_index_has_no_probes(tmp_path):
    index_documents(tmp_path / "few", texts(5), WordEmbedder())
    assert Index.open(tmp_path / "few").manifest.probes.quality == {}
    index_documents(tmp_path / "words", texts(60), None)
    assert Index.open(tmp_path / "words").manifest.probes is None


def bicycles(count):
    return [
        Document(f"new{n}", f"A new passage about bicycles, number {n}. They stand in the yard behind the house.")
        for n in range(count)
    ]


def test_a_large_index_keeps_the_measurement_until_a_tenth_of_the_passages_has_changed(tmp_path, monkeypatch):
    monkeypatch.setattr("quarry.indexer.build.measuring.measurement.KEPT_FROM", 60)
    embedder = WordEmbedder()
    index_documents(tmp_path, texts(60), embedder)
    before, encoded = Index.open(tmp_path).manifest.probes, embedder.texts_encoded
    assert (before.passages, before.changed) == (60, 0)
    index_documents(tmp_path, bicycles(4), embedder)
    assert embedder.texts_encoded - encoded == 4  # the passages, and no probe
    assert Index.open(tmp_path).manifest.probes == before.model_copy(update={"changed": 4})
    delete_documents(tmp_path, ["new0", "new1"], embedder)
    assert Index.open(tmp_path).manifest.probes.changed == 6
    delete_documents(tmp_path, ["new2"], embedder)
    after = Index.open(tmp_path).manifest.probes
    assert (after.passages, after.changed) == (61, 0) and after.quality != before.quality


def test_a_new_measurement_encodes_only_new_probes(tmp_path):
    embedder = WordEmbedder()
    index_documents(tmp_path, texts(60), embedder)
    before, encoded = Index.open(tmp_path).manifest.probes, embedder.texts_encoded
    index_documents(tmp_path, bicycles(1), embedder)
    assert Index.open(tmp_path).manifest.probes.changed == 0
    index_documents(tmp_path, bicycles(7), embedder)
    assert 7 <= embedder.texts_encoded - encoded <= 14  # the passages, and rests of those among the sample
    delete_documents(tmp_path, [f"new{n}" for n in range(7)], embedder)
    assert Index.open(tmp_path).manifest.probes == before


def test_another_model_or_store_is_measured_again(tmp_path):
    index_documents(tmp_path, texts(60), WordEmbedder())
    before = Index.open(tmp_path).manifest.probes
    index_documents(tmp_path, [], WordEmbedder("2"), BuildOptions(rebuild=True))
    assert Index.open(tmp_path).manifest.probes.spread != before.spread


def test_an_index_from_before_the_probes_opens_and_the_next_run_adds_them(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for document in texts(60):
        (folder / f"{document.doc_id}.txt").write_text(document.text)
    embedder = WordEmbedder()
    build_index(tmp_path / "index", [folder], embedder)
    live = Generations(tmp_path / "index").live()
    manifest = Manifest.read(live)
    manifest.model_copy(update={"probes": None}).write(live)
    content = json.loads((live / "manifest.json").read_text())
    assert content["probes"] is None
    assert Index.open(tmp_path / "index").manifest.probes is None
    encoded = embedder.texts_encoded
    report = build_index(tmp_path / "index", [folder], embedder)
    assert report.switched and report.encoded == 0 and embedder.texts_encoded == encoded
    assert Index.open(tmp_path / "index").manifest.probes == manifest.probes
    assert not build_index(tmp_path / "index", [folder], embedder).switched


def test_a_random_order_has_a_quality_of_about_0(tmp_path):
    from quarry.indexer.build.names import above_chance

    assert above_chance(list(range(1, 21)), 20) == pytest.approx(0)
    assert above_chance([1, 1, 1], 20) == 1.0
    assert above_chance([2], 1_000_000) == pytest.approx(1 / log2(3), abs=1e-4)
