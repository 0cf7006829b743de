"""No small file stops a run: time grows with size, and what goes over the limits of one file is a counted skip."""

import json
from dataclasses import replace
from pathlib import Path
from time import thread_time

import pytest

from quarry.indexer.build import build_index, index_documents
from quarry.indexer.build.cutting.chunking import ChunkSpec, cut_into_terms, split
from quarry.indexer.build.cutting.cutter import LARGE, Cutter
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.corpus.walk import ReadFile, read_corpus
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.models.token_spans import ScriptTokens
from quarry.indexer.readers.base import ReadOptions, Unreadable
from quarry.indexer.readers.charset import decode
from quarry.indexer.readers.text.markup import html_text
from quarry.indexer.readers.text.rows import read_json
from quarry.indexer.records import Document
from tests.hostile_texts import HOSTILE

TOKENS = ScriptTokens()
BIGRAMS = analyzer("bigram")


def seconds(work) -> float:
    best = float("inf")
    for _ in range(3):
        began = thread_time()
        work()
        best = min(best, thread_time() - began)
    return best


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_the_time_of_cutting_grows_with_the_size(name):
    _, make = HOSTILE[name]
    small, large = (Document("d", decode(make(size)).text) for size in (4_000, 64_000))
    first = seconds(lambda: cut_into_terms(small, ChunkSpec(), TOKENS, BIGRAMS))
    second = seconds(lambda: cut_into_terms(large, ChunkSpec(), TOKENS, BIGRAMS))
    assert second < 80 * max(first, 0.001), f"16 times the text took {second / first:.0f} times as long"


def test_one_long_word_is_not_scanned_once_per_letter_to_find_its_charset():
    first, second = (seconds(lambda size=size: decode(b"a" * size + b"\xe9")) for size in (4_000, 64_000))
    assert second < 80 * max(first, 0.001)


def test_hostile_files_beside_a_good_one_are_all_dealt_with(tmp_path):
    (tmp_path / "docs").mkdir()
    for number, (ending, make) in enumerate(HOSTILE.values()):
        (tmp_path / "docs" / f"{number:02}{ending}").write_bytes(make(30_000))
    (tmp_path / "docs" / "good.txt").write_text("the harbor crane")
    report = build_index(tmp_path / "ix", [tmp_path / "docs"], None, BuildOptions(analyzer="bigram"))
    assert report.documents + len(report.skipped) == len(HOSTILE) + 1


def test_combining_marks_make_no_passages_of_one_character():
    text = "a" + "\u0300" * 20_000
    assert min(len(chunk.text) for chunk in split(Document("d", text), ChunkSpec(), TOKENS)[:-1]) > 100


class LongTokens:
    """A tokenizer that takes any run of letters for one token, as WordPiece does above 100 letters."""

    name = "long"

    def spans(self, text):
        import numpy as np

        return np.array([(0, len(text))], dtype=np.int64)


def test_a_word_that_a_tokenizer_takes_for_one_token_is_not_one_passage():
    chunks = split(Document("d", "x" * 100_000), ChunkSpec(), LongTokens())
    assert max(len(chunk.text) for chunk in chunks) < 25_000


def test_a_heading_keeps_its_own_hash_and_loses_the_closing_ones():
    text = "# C#\n\none two\n\n## Loans ##\n\nthree four"
    chunks = split(Document("d", text + " word" * 500), ChunkSpec(64, 0), TOKENS)
    assert chunks[-1].heading == "C# > Loans"


def test_json_whose_keys_amplify_is_bounded():
    value = [1] * 30_000
    for _ in range(200):
        value = {"k" * 400: value}
    with pytest.raises(Unreadable) as refusal:
        read_json(Path("a.json"), json.dumps(value).encode(), ReadOptions())
    assert (refusal.value.reason, refusal.value.detail.code) == ("too large", "readers.amplified")


def test_a_book_that_names_one_chapter_many_times_is_read_once(tmp_path):
    import zipfile

    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="c" href="c.xhtml"/></manifest><spine>'
        + '<itemref idref="c"/>' * 200
        + "</spine></package>"
    )
    with zipfile.ZipFile(tmp_path / "a.epub", "w") as archive:
        archive.writestr("META-INF/container.xml", '<container><rootfile full-path="p.opf"/></container>')
        archive.writestr("p.opf", package)
        archive.writestr("c.xhtml", "<html><body><p>lighthouse</p></body></html>")
    (event,) = read_corpus({"a": tmp_path / "a.epub"})
    assert isinstance(event, ReadFile)
    assert event.documents[0].text.count("lighthouse") == 1


def test_a_large_document_is_cut_in_a_process_with_the_same_result():
    text = "".join(f"# 第{n}章\n\nThe crane number {n} is oiled. 起重机要定期上油。\n\n" for n in range(4_000))
    assert len(text) > LARGE
    document = Document("d", text, "手册")
    cutter = Cutter(ChunkSpec(), TOKENS, BIGRAMS)
    try:
        assert cutter.cut(document) == cut_into_terms(document, ChunkSpec(), TOKENS, BIGRAMS)
        assert cutter._sandbox is not None
    finally:
        cutter.close()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ReadOptions(parser_bytes=300 << 20), "memory limit"),
        (ReadOptions(text_characters=1_000_000), "too large"),
    ],
)
def test_a_document_over_a_limit_is_a_counted_skip_and_the_others_are_indexed(tmp_path, limits, reason):
    documents = [Document("long", "水电费。" * 1_000_000), Document("short", "the harbor crane")]
    report = index_documents(tmp_path / "ix", documents, None, BuildOptions(analyzer="bigram", read=limits))
    assert report.documents == 1
    assert [(skip.source, skip.reason) for skip in report.skipped] == [("document:long", reason)]


def test_a_document_that_takes_too_long_is_a_counted_skip(tmp_path, monkeypatch):
    monkeypatch.setattr("quarry.indexer.build.cutting.cutter._SLOWEST", 10**12)
    limits = ReadOptions(parser_seconds=0.001)
    report = index_documents(
        tmp_path / "ix",
        [Document("long", "水电费。" * 500_000), Document("short", "the harbor crane")],
        None,
        BuildOptions(analyzer="bigram", read=limits),
    )
    assert [(skip.source, skip.reason) for skip in report.skipped] == [("document:long", "time limit")]
    assert report.documents == 1


def test_a_skipped_file_keeps_its_old_text_and_is_tried_again(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old words")
    settings = BuildOptions(analyzer="bigram", read=ReadOptions(text_characters=1_000))
    build_index(tmp_path / "ix", [path], None, settings)
    path.write_text("new words " * 200)
    report = build_index(tmp_path / "ix", [path], None, settings)
    assert [skip.reason for skip in report.skipped] == ["too large"]
    assert report.documents == 1
    wider = replace(settings, read=ReadOptions())
    assert build_index(tmp_path / "ix", [path], None, wider).changed == 1


def test_a_title_without_end_is_cut(tmp_path):
    (tmp_path / "a.md").write_text("---\ntitle: " + "word " * 10_000 + "\n---\ntext")
    (event,) = read_corpus({"a": tmp_path / "a.md"})
    assert not isinstance(event, Skipped)
    assert len(event.documents[0].title) <= 300


def test_spans_beyond_what_a_table_can_mean_are_not_repeated():
    html = "<table>" + "<tr><td rowspan=999 colspan=999>a" * 2_000 + "</table>"
    began = thread_time()
    text = html_text(html)[1]
    assert text.count("a") >= 2_000
    assert thread_time() - began < 20


def test_what_a_parser_of_pages_takes_too_long_for_is_refused():
    with pytest.raises(Unreadable) as refusal:
        html_text(HOSTILE["many attributes"][1](200_000).decode())
    assert (refusal.value.reason, refusal.value.detail.code) == ("damaged", "readers.attributes")


def test_very_many_choices_are_all_read():
    text = html_text("<p>x</p><select>" + "".join(f"<option value={n}>choice {n}" for n in range(3_000)) + "</select>")[
        1
    ]
    assert [line for line in text.split("\n") if line][1:] == [f"choice {n}" for n in range(3_000)]


def test_a_long_script_or_picture_is_no_list_of_attributes():
    html = f"<script>{'a = b; ' * 9_000}</script><img src='data:{'A' * 50_000}=' alt='lock gate {'a ' * 20_000}'><p>shown</p>"
    assert html_text(html)[1].endswith("shown")
