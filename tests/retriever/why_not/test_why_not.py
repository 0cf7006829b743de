"""Where a document is lost, stage by stage, in both languages; what is proposed is carried out here."""

from pathlib import Path

import numpy as np
import pytest

from quarry.indexer.build import build_index, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import QueryError
from quarry.indexer.messages import Message
from quarry.indexer.records import Document
from quarry.retriever.options import SearchOptions
from quarry.retriever.searcher import Searcher
from quarry.retriever.why_not.document import SeveralDocuments
from quarry.retriever.why_not.report import SkippedSource, why_not
from quarry.retriever.why_not.search import Search
from tests.fakes import WordEmbedder
from tests.retriever.stages.test_names import Bilingual

NUMBERED = [Document(f"notes/{n:03}.md", f"The pump of hall {n} is checked weekly.", f"Hall {n}") for n in range(150)]
DOCUMENTS = [
    *NUMBERED,
    Document("valve.md", "Close the intake valve before the winter.", "Valve", {"lang": "en", "team": "water"}),
    Document("key.md", "The key of the gate hangs in the office.", "Key", {"lang": "en"}),
    Document("copy.md", "The key of the gate hangs in the office.", "Key", {"lang": "en"}),
    Document("闸门.md", "冬季前关闭进水闸门，并检查密封条。", "闸门", {"lang": "zh", "team": "水务"}),
    Document("维修.md", "维修记录：更换了三台水泵的轴承。", "维修", {"lang": "zh", "team": "水务"}),
]


class Against:
    """A reranker that puts passages with a word last."""

    name = "tests/against"

    def __init__(self, word: str) -> None:
        self._word = word

    def score(self, query, passages):
        return np.array([-1.0 if self._word in passage else 1.0 for passage in passages], dtype=np.float32)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("why") / "index"
    index_documents(folder, DOCUMENTS, WordEmbedder())
    return folder


@pytest.fixture(scope="module")
def searcher(root):
    return Searcher.open(root, embedder=WordEmbedder(), rerank="none")


def works(found, searcher) -> bool:
    return found.change.search.rank_of(found.document.doc_ids, searcher) == found.change.rank


def test_a_document_that_is_shown_says_so(searcher):
    found = why_not(searcher, Search("冬季进水闸门", 3), "闸门.md")
    assert (found.loss.stage, found.loss.rank, found.change) == ("shown", 1, None)


def test_a_copy_is_named_with_the_result_that_it_repeats(searcher):
    shown = searcher.search("key of the gate", 3).results[0].doc_id
    found = why_not(searcher, Search("key of the gate", 3), "copy.md" if shown == "key.md" else "key.md")
    assert found.loss.stage == "collapsed"
    assert not found.change.search.options.collapse
    assert works(found, searcher)


@pytest.mark.parametrize(
    ("question", "document", "filters"),
    [("intake valve", "valve.md", {"lang": "zh"}), ("进水闸门", "闸门.md", {"lang": "en", "team": ["水务", "water"]})],
)
def test_only_the_filter_that_blocks_is_taken_away(searcher, question, document, filters):
    found = why_not(searcher, Search(question, 3, SearchOptions(filters=filters)), document)
    assert (found.loss.stage, found.loss.keys) == ("filter", ("lang",))
    assert "lang" not in (found.change.search.options.filters or {})
    assert ("team" in filters) == ("team" in (found.change.search.options.filters or {}))
    assert works(found, searcher)


@pytest.mark.parametrize(
    ("question", "document", "stage"),
    [
        ("winter -valve", "valve.md", "excluded"),
        ("冬季 -闸门", "闸门.md", "excluded"),
        ('"checked weekly" valve', "valve.md", "phrase"),
        ("“轴承” 闸门", "闸门.md", "phrase"),
    ],
)
def test_operators_of_the_question_are_named(searcher, question, document, stage):
    found = why_not(searcher, Search(question, 3), document)
    assert found.loss.stage == stage
    assert works(found, searcher)


def test_a_filter_before_an_exclusion_takes_two_steps(searcher):
    found = why_not(searcher, Search("winter -valve", 3, SearchOptions(filters={"lang": "zh"})), "valve.md")
    assert found.loss.stage == "filter"
    assert len(found.change.steps) == 2
    assert works(found, searcher)


def test_what_neither_route_hands_on_is_no_candidate(searcher):
    found = why_not(searcher, Search("the pump of hall 7", 3), "闸门.md")
    assert found.loss.stage == "candidates"
    assert found.loss.places.bm25 is None
    assert found.loss.places.dense > 100
    assert works(found, searcher)


def test_what_is_ranked_below_the_cut_comes_with_more_results(searcher):
    first = searcher.search("hall pump checked", 40).results
    found = why_not(searcher, Search("hall pump checked", 3), first[4].doc_id)
    assert (found.loss.stage, found.change.search.k, found.change.rank) == ("fusion", 5, 5)


def test_no_more_results_are_asked_for_than_it_takes(tmp_path):
    copies = [Document(f"copy{n}.md", "The pump of the hall, the pump of the hall.", "Copy") for n in range(4)]
    index_documents(tmp_path, [*copies, Document("last.md", "A pump stands there.", "Last")], None)
    found = why_not(
        Searcher.open(tmp_path, rerank="none"), Search("pump hall", 1, SearchOptions(route="bm25")), "last.md"
    )
    assert (found.loss.places.last, found.change.search.k, found.change.rank) == (5, 2, 2)


def test_a_second_stage_that_moves_a_document_down_is_named(root):
    searcher = Searcher.open(root, embedder=WordEmbedder(), rerank=Against("valve"))
    found = why_not(searcher, Search("close the intake valve", 3), "valve.md")
    assert found.loss.stage == "rerank"
    assert not found.change.search.options.rerank
    assert works(found, searcher)


def test_the_ranks_of_the_reason_are_those_of_the_stages(root):
    """`together` is the fusion's rank, whatever a second stage makes of it."""
    searcher = Searcher.open(root, embedder=WordEmbedder(), rerank=Against("valve"))
    found = why_not(searcher, Search("gate of hall 7 and the intake valve of hall 8", 1), "valve.md")
    places = found.loss.places
    assert places.fusion > 1 and places.fusion != places.last
    assert f"together rank {places.fusion}" in str(found.loss.reason)


@pytest.mark.parametrize(
    ("question", "document", "right"),
    [("halls with an intaek", "valve.md", "intake"), ("水泵 密风条", "闸门.md", "密封条")],
)
def test_a_word_that_no_passage_has_is_spelled_as_the_document_does(searcher, question, document, right):
    options = SearchOptions(route="bm25")
    lost = why_not(searcher, Search(question, 1, options), document)
    assert lost.change.steps[-1].code == "search.spell"
    assert right in lost.change.search.question
    assert works(lost, searcher)


def test_a_single_route_names_its_own_rank(searcher):
    found = why_not(searcher, Search("hall pump", 2, SearchOptions(route="bm25")), "notes/149.md")
    assert found.loss.stage == "candidates"
    assert found.loss.places.bm25 > 2
    assert works(found, searcher)


def test_a_document_is_meant_by_its_file_title_or_a_part_of_them(searcher):
    assert why_not(searcher, Search("pump", 3), "Hall 149").document.doc_ids == ("notes/149.md",)
    assert why_not(searcher, Search("pump", 3), "147.md").document.doc_ids == ("notes/147.md",)
    assert why_not(searcher, Search("闸门", 3), "闸门").document.doc_ids == ("闸门.md",)


def test_a_name_of_many_documents_and_no_name_are_errors(searcher):
    with pytest.raises(SeveralDocuments, match="means 150 documents"):
        why_not(searcher, Search("pump", 3), "notes/")
    with pytest.raises(QueryError, match="no document was named"):
        why_not(searcher, Search("pump", 3), "  ")
    with pytest.raises(QueryError):
        why_not(searcher, Search(" ", 3), "valve.md")


def test_what_is_not_indexed_names_what_is_alike_and_why_a_file_was_skipped(searcher):
    found = why_not(searcher, Search("valve", 3), "valves.md")
    assert (found.loss.stage, found.document.alike[0]) == ("not_indexed", "valve.md")
    skipped = [SkippedSource("/docs/scan.pdf", Message.plain("a scan without text"))]
    found = why_not(searcher, Search("valve", 3), "scan.pdf", skipped)
    assert found.loss.stage == "skipped"
    assert "a scan without text" in str(found.loss.reason)


def test_a_part_that_was_not_read_is_the_reason_when_the_rest_has_no_word(tmp_path):
    documents = [*NUMBERED, Document("plan.pdf", "Cover sheet.", "Plan", {"left_out": "3 scanned_pages"})]
    index_documents(tmp_path / "index", documents, None)
    searcher = Searcher.open(tmp_path / "index", rerank="none")
    found = why_not(searcher, Search("pump hall", 3, SearchOptions(route="bm25")), "plan.pdf")
    assert found.loss.stage == "part"
    assert "3 pages that are pictures" in str(found.loss.reason)


def test_a_file_that_was_written_again_or_is_gone_is_said(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(5):
        (folder / f"{n}.md").write_text(f"# Hall {n}\n\nThe pump of hall {n}.", encoding="utf-8")
    build_index(tmp_path / "index", [folder], None, BuildOptions())
    searcher = Searcher.open(tmp_path / "index", rerank="none")
    asked = Search("hall pump", 1, SearchOptions(route="bm25"))
    lost = next(f"{n}.md" for n in range(5) if why_not(searcher, asked, f"docs/{n}.md").loss.stage != "shown")
    codes = [remark.code for remark in why_not(searcher, asked, str(folder / lost)).remarks]
    assert "search.file_changed" not in codes
    (folder / lost).write_text("# Another\n\nThe text is longer than it was before.", encoding="utf-8")
    assert "search.file_changed" in [remark.code for remark in why_not(searcher, asked, f"docs/{lost}").remarks]
    Path(folder / lost).unlink()
    assert "search.file_gone" in [remark.code for remark in why_not(searcher, asked, f"docs/{lost}").remarks]


def test_a_passage_in_the_other_language_is_a_candidate_beside_the_nearest_ones(tmp_path):
    """Dense search hands on as many of the other language again: far behind all Chinese ones, it is lost by the fusion."""
    chinese = [Document(f"zh{n}", f"第{n}号水泵每周检查，记录在册。水泵房{n}。", f"泵{n}") for n in range(260)]
    english = [
        Document(
            f"en{n}",
            f"The gate of hall {n} is painted {'blue' if n % 2 else 'green'}, says keeper {n * 7}.",
            f"Hall {n}",
        )
        for n in range(40)
    ]
    index_documents(tmp_path / "index", [*chinese, *english], Bilingual())
    both = Searcher.open(tmp_path / "index", embedder=Bilingual(), rerank="none")
    found = why_not(both, Search("水泵每周检查", 3), "en3").loss
    assert found.stage == "fusion"
    assert found.places.dense > found.places.candidates >= found.places.foreign
    assert "beyond 100" in str(found.reason)
    assert why_not(both, Search("which gate is painted blue", 3), "en2").loss.places.foreign is None
