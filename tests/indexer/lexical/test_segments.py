"""Segments with removals, merged or not, answer like one index of what is left; rank-bm25 is the judge."""

import json
import random
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarry import demo_corpus
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.lexical import search as module
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.lexical.index import LexicalSegment, UnionIndex, open_lexical
from quarry.indexer.lexical.merge import merge_segments
from quarry.indexer.lexical.search import Bm25Search
from quarry.indexer.lexical.segment import Live, Segment
from quarry.indexer.lexical.writer import SegmentWriter, counted
from tests.indexer.lexical.reference import RankBm25Index

JIEBA = analyzer("jieba")
WORDS = ("red", "valve", "pump", "opens", "café", "北京", "大学", "图书馆", "阀门", "k8s")
NOT_THERE = ("nothing", "missing")
passages = st.lists(st.lists(st.sampled_from(WORDS), max_size=9), min_size=1, max_size=30)
queries = st.lists(st.lists(st.sampled_from((*WORDS, *NOT_THERE)), min_size=2, max_size=8), min_size=1, max_size=4)


def written(folder, documents, run):
    folder.mkdir()
    with SegmentWriter(folder, run) as writer:
        for terms in documents:
            writer.add(terms)
    return Segment.open(folder)


def content(segment):
    """Everything that a segment says, without how it says it."""
    terms = list(segment.terms)
    postings = [[values.tolist() for values in segment.postings(number)] for number in range(len(terms))]
    return terms, postings, segment.lengths.tolist()


@settings(max_examples=150, deadline=None)
@given(documents=passages, run=st.integers(1, 40))
def test_a_segment_that_was_spilled_in_runs_is_the_one_that_was_counted_at_once(documents, run):
    with TemporaryDirectory() as folder:
        assert content(written(Path(folder) / "s", documents, run)) == content(counted(documents))
        assert sorted(path.suffix for path in (Path(folder) / "s").iterdir()) == [".json", *[".npy"] * 5]


@settings(max_examples=200, deadline=None)
@given(data=st.data(), documents=passages, asked=queries)
def test_segments_with_removals_answer_like_one_index_of_what_is_left(data, documents, asked):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(documents)), max_size=4)))
    limits = list(pairwise([0, *cuts, len(documents)]))
    names = data.draw(st.permutations([f"d{number:02d}" for number in range(len(documents))]))
    ids: list[list[str]] = [sorted(names[first:stop]) for first, stop in limits]
    removed = [
        data.draw(st.sets(st.integers(0, stop - first - 1))) if stop > first else set() for first, stop in limits
    ]
    with TemporaryDirectory() as folder:
        parts = []
        for number, (first, stop) in enumerate(limits):
            (Path(folder) / str(number)).mkdir()
            made = LexicalSegment.build(Path(folder) / str(number), ids[number], documents[first:stop])
            parts.append((made, np.array(sorted(removed[number]), dtype=np.int64)))
        union = UnionIndex(parts)
        left = {
            ids[number][row]: documents[first + row]
            for number, (first, stop) in enumerate(limits)
            for row in range(stop - first)
            if row not in removed[number]
        }
        one = RankBm25Index.build(list(left), list(left.values()))
        assert len(union) == len(left)
        for term in (*WORDS, *NOT_THERE):
            assert union.idf(term) == (None if one.idf(term) is None else pytest.approx(one.idf(term), rel=1e-12))
        k = data.draw(st.integers(1, 12))
        allowed = data.draw(st.none() | st.sets(st.sampled_from(names)))
        for query in asked:
            if set(query) & set(NOT_THERE) and not any(union.idf(term) for term in query):
                continue  # then words that hold the query's characters are looked for; the reference does not know that
            expected = {hit.chunk_id: hit for hit in one.search(query, len(left) or 1, allowed=allowed)}
            found = union.search(query, k, allowed=allowed)
            assert len(found) == min(k, len(expected))
            assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected.values()][:k], rel=1e-4)
            assert found == sorted(found, key=lambda hit: (-hit.score, hit.chunk_id))
            for hit in found:
                assert hit.score == pytest.approx(expected[hit.chunk_id].score, rel=1e-4)
                assert set(hit.terms) == set(expected[hit.chunk_id].terms)
            have = {name for name, terms in left.items() if set(query) <= set(terms)}
            assert union.having([[term] for term in query]) == have


@settings(max_examples=150, deadline=None)
@given(data=st.data(), documents=st.lists(passages, min_size=1, max_size=4), stretch=st.integers(1, 50))
def test_a_merge_is_the_segment_of_what_is_left(data, documents, stretch):
    masks = [np.array(data.draw(st.lists(st.booleans(), min_size=len(each), max_size=len(each)))) for each in documents]
    left = [
        terms
        for mask, each in zip(masks, documents, strict=True)
        for terms, there in zip(each, mask, strict=True)
        if there
    ]
    order = data.draw(st.none() | st.permutations(range(len(left))))
    with TemporaryDirectory() as folder:
        merge_segments(
            Path(folder),
            [Live(counted(each), mask) for each, mask in zip(documents, masks, strict=True)],
            None if order is None else np.array(order, dtype=np.int64),
            stretch=stretch,
        )
        if order is not None:
            left = [left[order.index(row)] for row in range(len(left))]
        assert content(Segment.open(Path(folder))) == content(counted(left))


def as_older(folder, form):
    """Write the files of a segment as they were before postings were packed, and in format 1 before limits had the smallest type."""
    segment = Segment.open(folder)
    lists = segment.some(0, len(segment.terms))
    kinds = ("<u4", "<i8", "<i8") if form == 1 else ("<u1", "<u4", "<u4")
    starts = np.concatenate([[0], np.cumsum(lists.dfs)])
    arrays = (lists.rows, segment.terms.arrays()[1].copy(), starts)
    for name, kind, values in zip(("rows", "places", "starts"), kinds, arrays, strict=True):
        np.save(folder / f"{name}.npy", values.astype(kind))
    np.save(folder / "counts.npy", lists.counts.astype(np.uint8))
    (folder / "blocks.npy").unlink()
    head = json.loads((folder / "postings.json").read_text())
    (folder / "postings.json").write_text(json.dumps({**head, "format": form}))


@pytest.mark.parametrize("form", [1, 2])
def test_a_segment_of_an_older_format_answers_and_is_merged_with_one_of_today(tmp_path, form):
    lines = Path(demo_corpus.__file__).with_name("queries.jsonl").read_text("utf-8").splitlines()
    terms = [JIEBA.passage_terms(json.loads(line)["text"]) for line in lines]
    half = len(terms) // 2
    parts = []
    for name, part in (("old", terms[:half]), ("new", terms[half:])):
        (tmp_path / name).mkdir()
        ids = [f"d{row + half * (name == 'new'):03d}" for row in range(len(part))]
        LexicalSegment.build(tmp_path / name, ids, part)
    as_older(tmp_path / "old", form)
    parts = [LexicalSegment.open(tmp_path / name) for name in ("old", "new")]
    union, one = (
        UnionIndex([(part, None) for part in parts]),
        UnionIndex.build([f"d{row:03d}" for row in range(len(terms))], terms),
    )
    for query in terms[::7]:
        assert union.search(query, 9) == one.search(query, 9)
    (tmp_path / "merged").mkdir()
    merge_segments(tmp_path / "merged", [Live(part.segment) for part in parts])
    assert content(Segment.open(tmp_path / "merged")) == content(counted(terms))


@pytest.mark.parametrize("passages", [256, 257, 65_536, 65_537])
def test_a_merge_writes_the_postings_that_a_build_writes(tmp_path, passages):
    lists = [["every", f"w{row % 9}"] for row in range(passages)]
    segment = written(tmp_path / "s", lists, 100_000)
    assert len(Bm25Search([Live(segment)]).search(["every"], passages)) == passages
    (tmp_path / "m").mkdir()
    merge_segments(tmp_path / "m", [Live(segment)], stretch=1000)
    for name in ("blocks", "starts", "places"):
        assert np.array_equal(np.load(tmp_path / "m" / f"{name}.npy"), np.load(tmp_path / "s" / f"{name}.npy"))
    assert (
        tmp_path / "m" / "blocks.npy"
    ).stat().st_size < 2.3 * passages + 200  # a byte for `every`, and one for the other


def test_chinese_and_english_questions_find_the_same_in_three_segments_as_in_one():
    lines = Path(demo_corpus.__file__).with_name("queries.jsonl").read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    terms = [JIEBA.passage_terms(text) for text in texts]
    one = UnionIndex.build([f"d{number:03d}" for number in range(len(texts))], terms)
    cuts = [(0, 9), (9, 20), (20, len(texts))]
    search = Bm25Search(
        [Live(counted(terms[first:stop])) for first, stop in cuts],
        lambda part, rows: [f"d{cuts[part][0] + row:03d}" for row in rows],
    )
    for text in [*texts, "馆", "借阅 nothing", "library library 图书馆"]:
        query = JIEBA.query_tokens(text)
        found = [(f"d{cuts[hit.part][0] + hit.row:03d}", hit.score, hit.terms) for hit in search.search(query, 7)]
        assert found == [tuple(hit) for hit in one.search(query, 7)]
        assert found


@pytest.mark.parametrize("k", [1, 10, 300])
def test_common_terms_are_skipped_without_a_change_of_the_first_k(monkeypatch, k):
    rng = np.random.default_rng(3)
    documents = [[f"w{number}" for number in rng.zipf(1.3, 40) if number < 5000] for _ in range(4000)]
    index = Bm25Search([Live(counted(documents[:3000])), Live(counted(documents[3000:]))])
    whole = Bm25Search([Live(counted(documents[:3000])), Live(counted(documents[3000:]))])
    looked_up = []
    add = Bm25Search._add
    monkeypatch.setattr(Bm25Search, "_add", lambda self, *given: (looked_up.append(given), add(self, *given))[1])
    choose = random.Random(5)
    queries = [choose.sample(choose.choice(documents), 6) for _ in range(40)]
    found = [index.search(query, k) for query in queries]
    skipped = len(looked_up)
    monkeypatch.setattr(module, "_SLACK", np.float32(0))  # no limit is ever too high: every posting is read
    everything = [whole.search(query, k) for query in queries]
    assert found == everything
    assert len(looked_up) == skipped
    assert skipped > (40 if k < 300 else 0)


def test_a_number_written_otherwise_is_found_and_makes_no_passage_longer():
    texts = ["a budget of 12,500 yuan", "a budget of 12 500 yuan", "预算一万二千五百元"]
    index = UnionIndex.build(["a", "b", "c"], [JIEBA.passage_terms(text) for text in texts])
    assert {hit.chunk_id for hit in index.search(["12500"], 5)} == {"a", "c"}
    plain = UnionIndex.build(["a", "b", "c"], [[t for t in JIEBA.passage_terms(text) if t[0] != "="] for text in texts])
    assert index.mean_length == plain.mean_length
    (one, other), (same, too) = index.search(["budget"], 2), plain.search(["budget"], 2)
    assert (one.score, other.score) == (same.score, too.score)
    assert one.score == other.score


def built(folder):
    folder.mkdir(exist_ok=True)
    LexicalSegment.build(folder, ["a", "b", "c"], [["red", "valve"], ["valve", "valve"], []])
    return folder


def test_what_was_written_is_opened_by_its_files_and_an_older_index_by_its_own(tmp_path):
    from tests.indexer.lexical.older_bm25s import OlderIndex

    new = open_lexical(built(tmp_path / "new"))
    (tmp_path / "old").mkdir()
    OlderIndex.build(["a", "b", "c"], [["red", "valve"], ["valve", "valve"], []]).save(tmp_path / "old")
    old = open_lexical(tmp_path / "old")
    assert (new.engine, old.engine) == ("postings/1", "bm25s")
    assert [hit[::2] for hit in new.search(["valve", "red"], 3)] == [
        hit[::2] for hit in old.search(["valve", "red"], 3)
    ]
    assert len(new) == len(old) == 3


def test_an_empty_segment_answers_with_nothing(tmp_path):
    LexicalSegment.build(tmp_path, [], [])
    index = open_lexical(tmp_path)
    assert (len(index), index.search(["red"], 3), index.idf("red"), index.having([["red"]])) == (
        0,
        [],
        None,
        frozenset(),
    )


def test_an_exception_while_writing_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError, match="disk full"), SegmentWriter(tmp_path, run=1) as writer:
        writer.add(["red"])
        raise RuntimeError("disk full")
    assert list(tmp_path.iterdir()) == []


def test_arguments_that_contradict_each_other_are_refused(tmp_path):
    for ids, tokens, message in (
        (["b", "a"], [["x"], ["y"]], "ids out of order; expected each one once, ascending"),
        (["a", "a"], [["x"], ["y"]], "ids out of order; expected each one once, ascending"),
        (["a", "b"], [["x"]], "1 lists of terms for 2 ids; expected one list per id"),
    ):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        with pytest.raises(ValueError, match=message):
            LexicalSegment.build(folder, ids, tokens)
    segment = counted([["red"], ["green"]])
    with pytest.raises(ValueError, match=r"a mask of shape \(3,\); expected \(2,\)"):
        Live(segment, np.ones(3, np.bool_))
    with pytest.raises(ValueError, match="an order of 1 rows; expected each number from 0 to 1 once"):
        merge_segments(tmp_path, [Live(segment)], np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="k is 0; expected at least 1"):
        Bm25Search([Live(segment)]).search(["red"], 0)


def array_with(change):
    return lambda path: np.save(path, change(np.load(path)))


def head_with(**changed):
    return lambda path: path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changed}), "utf-8")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "postings.json",
            head_with(format=4),
            "found format 4; expected format 3 or older; a newer Quarry may have written it",
        ),
        (
            "postings.json",
            head_with(terms="2"),
            "found .*; expected a whole number for each of format, passages, words, terms, postings",
        ),
        ("postings.json", lambda path: path.write_text("[]", "utf-8"), "found a list; expected a JSON object"),
        ("rows.npy", array_with(lambda a: a[:-1]), "found 2 numbers; expected 3, as postings.json says"),
        ("counts.npy", array_with(lambda a: a[:-1]), "found 2 numbers; expected 3, as postings.json says"),
        ("lengths.npy", array_with(lambda a: a[:-1]), "found 2 numbers; expected 3, as postings.json says"),
        ("starts.npy", array_with(lambda a: a + 1), r"found limits out of order; expected ascending ones from 0 to \d"),
        ("places.npy", array_with(lambda a: a[::-1]), "found limits out of order; expected ascending ones from 0 to 8"),
        ("rows.npy", array_with(lambda a: a.astype(np.float32)), "found 1 dimensions of float32"),
        ("blocks.npy", array_with(lambda a: a.astype(np.float32)), "found 1 dimensions of float32"),
        ("id_places.npy", array_with(lambda a: a[:-1]), "found 2 ids; expected 3, one per passage"),
        ("ids.npy", array_with(lambda a: a[:-1]), "found limits out of order; expected ascending ones from 0 to 2"),
    ],
)
def test_damage_is_told_by_file(tmp_path, name, change, message):
    built(tmp_path)
    if name in ("rows.npy", "counts.npy"):
        as_older(tmp_path, 2)
    change(tmp_path / name)
    where = "id_places.npy" if name == "ids.npy" else name
    with pytest.raises(
        IndexFormatError, match=rf"{where} cannot be read: {message}.*quarry generations INDEX --rollback"
    ):
        open_lexical(tmp_path)


@pytest.mark.parametrize("kept", [None, 0.0, 0.5, 0.9])
def test_a_missing_or_cut_file_is_named(tmp_path, kept):
    built(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        path.unlink()
        if kept is not None:
            path.write_bytes(whole[: int(len(whole) * kept)])
        with pytest.raises(IndexFormatError, match=rf"{path.name} cannot be read: found "):
            open_lexical(tmp_path)
        path.write_bytes(whole)
    assert len(open_lexical(tmp_path)) == 3
