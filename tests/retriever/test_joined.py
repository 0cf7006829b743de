"""Several indexes of one encoder are searched as one: the ranking is that of an index of all their documents."""

from dataclasses import replace

import numpy as np
import pytest

from quarry.indexer.build import delete_documents, index_documents
from quarry.indexer.joined import JoinedIndex, scale_of
from quarry.indexer.joined.ids import apart, named
from quarry.indexer.messages import Message
from quarry.indexer.principals import Principals
from quarry.indexer.records import Document
from quarry.indexer.storage.facts import RerankerFacts
from quarry.retriever.answers.evidence import calibration_of, shipped_for
from quarry.retriever.answers.refusals.calibration import NAME
from quarry.retriever.rerankers.late_interaction import LateInteraction
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.several import Several
from tests.fakes import WordEmbedder
from tests.indexer.build.test_names import documents as titled_documents
from tests.retriever.stages.test_names import Bilingual

WORDS = [
    "valve",
    "pump",
    "drain",
    "gate",
    "seal",
    "motor",
    "belt",
    "wheel",
    "阀门",
    "水泵",
    "齿轮",
    "皮带",
    "bearing",
    "shaft",
    "nozzle",
    "filter",
]
QUESTIONS = ["drain valve of the pump", "motor belt", "which 阀门 for the 水泵", "shaft bearing seal nozzle", "wheel"]


def documents(count, seed):
    draw = np.random.default_rng(seed)
    return [
        Document(
            f"d{number}",
            " ".join(draw.choice(WORDS, 12)) + f" number{number}.",
            f"Part {number % 5}",
            {"half": number // 2 % 2},
        )
        for number in range(count)
    ]


def cut(root, every, embedder, parts=2):
    whole = index_documents(root / "whole", every, embedder) and Searcher.open(root / "whole", embedder=embedder)
    searchers = {}
    for part in range(parts):
        index_documents(root / f"part{part}", every[part::parts], embedder)
        searchers[f"part{part}"] = Searcher.open(root / f"part{part}", embedder=embedder)
    return whole, searchers


def ids(answer):
    return [hit.chunk_id for hit in answer.results]


def above_the_last(answer):
    """Return the passages above the last score, of which more may be even."""
    return {hit.chunk_id for hit in answer.results if hit.score > answer.results[-1].score + 1e-6}


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("route", ["bm25", "dense"])
@pytest.mark.parametrize("filters", [None, {"half": 1}])
def test_a_route_ranks_and_scores_as_in_one_index(tmp_path, route, parts, filters):
    whole, searchers = cut(tmp_path, documents(60, 1), WordEmbedder(), parts)
    several = Several(searchers)
    if route == "dense":  # titles are raised by what each index measured on itself, which is pooled
        for searcher in (whole, Searcher.joined(searchers)):
            searcher.pipeline.names = None
    for question in (*QUESTIONS, "valve -pump", '"drain"'):
        options = SearchOptions(route=route, rerank=False, filters=filters)
        one, (found, _) = whole.search(question, 20, options), several.search(question, 20, options)
        np.testing.assert_allclose([hit.score for hit in one.results], [hit.score for hit in found.results], rtol=1e-5)
        assert above_the_last(one) == above_the_last(found) and len(found.results) > 3
        assert {hit.index for hit in found.results} == set(searchers)
        assert all(hit.evidence.terms for hit in found.results) or route == "dense"


def test_the_fusion_is_that_of_one_index_where_nothing_was_measured(tmp_path):
    whole, searchers = cut(tmp_path, documents(7, 2), WordEmbedder())
    for question in QUESTIONS:
        one, (found, fit) = whole.search(question, 5), Several(searchers).search(question, 5)
        assert ids(one) == ids(found)
        assert len(fit.hits) == len(found.results)
        assert [report.stage for report in one.stages] == [report.stage for report in found.stages]


def test_documents_of_one_name_stay_two_and_a_copy_says_in_which_index_it_is(tmp_path):
    text = "Open the drain valve before the pump is removed."
    for name, extra in (("a", "Hot."), ("b", "Cold.")):
        index_documents(
            tmp_path / name, [Document("same", text), Document("own", f"The valve is {extra}")], WordEmbedder()
        )
    several = Several({name: Searcher.open(tmp_path / name, embedder=WordEmbedder()) for name in ("a", "b")})
    found, _ = several.search("drain valve", 10)
    assert sorted((hit.index, hit.doc_id, hit.title, hit.source) for hit in found.results) == [
        ("a", "own", "own", "own"),
        ("a", "same", "same", "same"),
        ("b", "own", "own", "own"),
    ]
    (copy,) = next(hit for hit in found.results if hit.doc_id == "same").copies
    assert (copy.index, copy.doc_id, copy.title, copy.place) == ("b", "same", "same", "b: same")
    every, _ = several.search("drain valve", 10, SearchOptions(collapse=False))
    assert [(hit.index, hit.doc_id) for hit in every.results].count(("b", "same")) == 1


def test_what_is_hidden_counts_in_no_statistic(tmp_path):
    secret = [replace(one, doc_id=f"s{number}", meta={"allow": "board"}) for number, one in enumerate(documents(30, 5))]
    index_documents(tmp_path / "a", [*documents(20, 3), *secret], WordEmbedder())
    index_documents(tmp_path / "b", documents(20, 4), WordEmbedder())
    index_documents(tmp_path / "open", documents(20, 3), WordEmbedder())
    opened = {name: Searcher.open(tmp_path / name, embedder=WordEmbedder()) for name in ("a", "b", "open")}
    options = SearchOptions(route="bm25", principals=Principals.of("ann"))
    for question in QUESTIONS:
        seen, _ = Several({"a": opened["a"], "b": opened["b"]}).search(question, 20, options)
        without, _ = Several({"a": opened["open"], "b": opened["b"]}).search(question, 20, SearchOptions(route="bm25"))
        assert [(hit.chunk_id, hit.score) for hit in seen.results] == [
            (hit.chunk_id, hit.score) for hit in without.results
        ]


def test_two_indexes_of_one_language_each_become_one_of_two_languages(tmp_path):
    english = [
        Document(f"e{n}", f"The {word} is opened before the pump number {n}.") for n, word in enumerate(WORDS[:8] * 2)
    ]
    chinese = [Document(f"z{n}", f"打开第{n}号水泵之前，先关闭阀门和齿轮。") for n in range(16)]
    index_documents(tmp_path / "en", english, WordEmbedder())
    index_documents(tmp_path / "zh", chinese, WordEmbedder())
    parts = {name: Searcher.open(tmp_path / name, embedder=WordEmbedder()) for name in ("en", "zh")}
    languages = Searcher.joined(parts).pipeline.languages
    assert {name: len(members) for name, members in languages.members.items()} == {"en": 16, "zh": 16}
    for name, mean in languages.centroids.items():
        store = parts[name].index.vectors
        np.testing.assert_allclose(mean, store.vectors_of(np.arange(len(store))).mean(axis=0), atol=1e-6)
    alone = [part.index.manifest.probes.spread for part in parts.values()]
    assert Searcher.joined(parts).index.manifest.probes.spread > np.mean(alone) > 0  # the languages are apart, too
    found, _ = Several(parts).search("阀门 pump", 20)
    assert {hit.index for hit in found.results} == {"en", "zh"}


def test_an_update_of_one_index_is_seen_and_what_is_joined_is_kept(tmp_path):
    _, searchers = cut(tmp_path, documents(20, 6), WordEmbedder())
    before = Searcher.joined(searchers)
    assert Searcher.joined(searchers) is before
    assert len(before.index.lexical) == 20
    delete_documents(tmp_path / "part1", ["d1", "d3"], WordEmbedder())
    newer = {name: searcher.newest() for name, searcher in searchers.items()}
    assert len(Searcher.joined(newer).index.lexical) == 18


def test_another_encoder_is_searched_apart_and_the_answer_says_so(tmp_path):
    _, searchers = cut(tmp_path, documents(20, 7), WordEmbedder())
    index_documents(tmp_path / "other", documents(9, 8), WordEmbedder(dim=32))
    other = Searcher.open(tmp_path / "other", embedder=WordEmbedder(dim=32))
    assert len(Several(searchers).sides) == 1
    assert not any(notice.code == "search.merged" for notice in Several(searchers).search("drain valve")[0].notices)
    several = Several({**searchers, "other": other})
    assert [list(side.searchers) for side in several.sides] == [["part0", "part1"], ["other"]]
    found, _ = several.search("drain valve", 30)
    assert {hit.index for hit in found.results} == {"part0", "part1", "other"}
    assert any("part0, part1; other" in str(notice) for notice in found.notices)
    with pytest.raises(ValueError, match="not of one scale"):
        JoinedIndex.join({"a": searchers["part0"].index, "b": other.index})


def test_what_an_index_learned_is_left_out_of_a_joint_search_and_the_answer_says_so(tmp_path):
    _, searchers = cut(tmp_path, documents(20, 9), WordEmbedder())
    facts = RerankerFacts(
        model="m",
        digest="d",
        folder="models/r",
        base="b",
        parent="p",
        run="r",
        verdict=Message.of("gate.x", "better"),
        forced=False,
        promoted="2026-01-01T00:00:00+00:00",
    )
    first = searchers["part0"]
    manifest = first.index.manifest.model_copy(update={"query_shift": facts})
    taught = Searcher(replace(first.index, manifest=manifest), first.lazy_embedder, first.lazy_reranker)
    found, _ = Several({**searchers, "part0": taught}).search("drain valve")
    assert any(notice.code == "search.learned_alone" and "part0" in str(notice) for notice in found.notices)


def test_several_indexes_ask_for_as_much_as_the_strictest_of_them(tmp_path):
    _, searchers = cut(tmp_path, documents(20, 10), WordEmbedder())
    index = Searcher.joined(searchers).index
    base = shipped_for(index)
    for name, threshold in (("part0", 0.6), ("part1", 0.9)):
        part = searchers[name].index
        own = replace(base, fingerprint=part.manifest.embedder.fingerprint, thresholds={"meaning en": threshold})
        own.save(tmp_path / name / NAME)
    assert calibration_of(index)[0].thresholds == {"meaning en": 0.9}
    (tmp_path / "part1" / NAME).unlink()
    calibration_of(index)
    assert calibration_of(index)[0].thresholds == {"meaning en": max(0.6, base.model("meaning").answered)}


class Letters:
    """Token states of an index, made of its passages' ids."""

    model = "tests/letters"

    def __init__(self, name, by_id):
        self.name, self._by_id, self.projection = name, by_id, self

    def opened(self, _):
        return self

    def project(self, tokens):
        return tokens

    def of(self, own):
        return [self._by_id[each] for each in own]


class Tokens:
    """A TokenEmbedder of two axes."""

    width = 2
    spec = tokens = None

    def embed_queries(self, texts):
        raise NotImplementedError

    embed_documents = embed_documents_and_tokens = state_spans = embed_queries

    def query_tokens(self, text):
        return np.array([[letter == "a", letter == "b"] for letter in text], np.float32)


def test_tokens_are_compared_with_the_states_of_each_passages_own_index():
    one, other = np.array([[127, 0]], np.int8), np.array([[0, 127]], np.int8)
    late = LateInteraction({"x": Letters("x", {"p": one}), "y": Letters("y", {"p": other})}, Tokens)
    asked = [named("y", "p"), named("x", "p"), named("y", "p")]
    np.testing.assert_allclose(late.similarities("a", asked), [0, 1, 0], atol=1e-6)
    assert [apart(each) for each in asked[:2]] == [("y", "p"), ("x", "p")]


def test_a_scale_is_an_encoder_and_an_analyzer(tmp_path):
    index_documents(tmp_path / "words", documents(9, 11), None)
    index_documents(tmp_path / "vectors", documents(9, 11), WordEmbedder())
    words, vectors = (
        Searcher.open(tmp_path / name, embedder=one).index
        for name, one in (("words", None), ("vectors", WordEmbedder()))
    )
    assert scale_of(words) != scale_of(vectors)
    assert scale_of(words) == scale_of(words)
    joined = JoinedIndex.join({"a": words, "b": words})
    assert (joined.vectors, len(joined.lexical)) == (None, 18)


def test_an_index_that_is_too_small_for_vectors_of_its_titles_is_searched_by_meaning_with_one_that_has_them(tmp_path):
    """It answered by words alone: a passage's title had no vector to be raised by."""
    small = [
        Document("valve.md", "# Valves\n\nThe drain valve is opened twice a year.", "Valves"),
        Document("pay.md", "Pay.", "Pay"),
    ]
    for name, every in (("small", small), ("large", titled_documents())):
        index_documents(tmp_path / name, every, Bilingual())
    searchers = {name: Searcher.open(tmp_path / name, embedder=Bilingual()) for name in ("small", "large")}
    assert searchers["small"].index.names is None and searchers["large"].index.names is not None
    for first in ("small", "large"):
        parts = {first: searchers[first], **searchers}
        found, _ = Several(parts).search("the drain valve", 20)
        assert (found.degraded, found.results[0].doc_id) == ((), "valve.md")
        assert found.results[0].evidence.dense is not None
