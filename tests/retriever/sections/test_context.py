"""Results with their sections and neighbours, within a budget, in both languages."""

import random

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.records import Document
from quarry.retriever.options import SearchOptions
from quarry.retriever.searcher import Searcher
from quarry.retriever.sections.context import read_large, with_contexts
from quarry.retriever.sentences import tokens_at_most

ENGLISH = "\n\n".join(
    [
        "# Manual",
        *(
            f"## Part {part}\n\n"
            + "\n\n".join(
                f"### Step {part}.{step}\n\n" + f"Turn the {word} valve {step} times. " * 12 for step in (1, 2, 3)
            )
            for part, word in enumerate(("red", "green", "blue"), start=1)
        ),
    ]
)
CHINESE = "\n\n".join(
    [
        "# 手册",
        *(
            f"## 第{n}章\n\n" + "\n\n".join(f"### {n}.{m} 步骤\n\n" + f"把{w}阀门转动{m}圈。" * 12 for m in (1, 2, 3))
            for n, w in ((1, "红色"), (2, "绿色"))
        ),
    ]
)
PLAIN = "\n\n".join(f"Paragraph {n} speaks of lamp {n}. " * 6 for n in range(12))


@pytest.fixture(scope="module")
def searcher(tmp_path_factory):
    root = tmp_path_factory.mktemp("sections") / "index"
    documents = [
        Document("manual.md", ENGLISH, "Manual"),
        Document("手册.md", CHINESE, "手册"),
        Document("plain.txt", PLAIN),
    ]
    index_documents(root, documents, None, BuildOptions(chunking=ChunkSpec(max_tokens=64, overlap_tokens=0)))
    return Searcher.open(root, rerank="none")


def first(searcher, query, expand, tokens, k=5):
    options = SearchOptions(route="bm25", expand=expand, expand_tokens=tokens)
    return searcher.search(query, k, options).results


@pytest.mark.parametrize(("query", "heading"), [("green valve 2", "Step 2.2"), ("绿色阀门", "2.1 步骤")])
def test_a_section_that_fits_is_taken_whole_and_no_more(searcher, query, heading):
    result = first(searcher, query, "section", 260)[0]
    context, document = result.context, searcher.index.chunks.document(result.doc_id)
    assert context.whole
    assert context.text == document.text[context.start : context.end]
    assert context.start <= result.start < result.end <= context.end
    assert tokens_at_most(context.text) <= 260
    name = result.heading.rpartition(" > ")[2]
    assert context.text.count(name) == 1 or name in context.text
    if heading in name:
        assert context.text.startswith(f"### {heading}") or "## " in context.text[:8]


def test_a_larger_budget_takes_the_section_above_and_at_last_the_document(searcher):
    sizes = [len(first(searcher, "green valve", "section", tokens, 1)[0].context.text) for tokens in (250, 800, 5_000)]
    assert sizes[0] < sizes[1] < sizes[2]
    assert first(searcher, "green valve", "section", 5_000, 1)[0].context.text == ENGLISH.strip()


def test_a_section_that_does_not_fit_gives_what_is_nearest_in_it(searcher):
    result = first(searcher, "green valve", "section", 120, 1)[0]
    assert not result.context.whole
    assert tokens_at_most(result.context.text) <= 120
    assert "red" not in result.context.text


def test_neighbors_cross_headings(searcher):
    result = first(searcher, "blue valve 1", "neighbors", 700, 1)[0]
    assert "green" in result.context.text
    assert not result.context.whole


def test_no_passage_stands_in_two_contexts_and_a_covered_result_names_the_better_one(searcher):
    results = first(searcher, "valve", "section", 700, 20)
    assert any(result.within for result in results)
    seen: dict[str, set[int]] = {}
    for result in results:
        assert (result.context is None) == (result.within is not None)
        if result.within is not None:
            owner = results[result.within - 1].context
            assert owner.start <= result.start < result.end <= owner.end
            continue
        places = set(range(result.context.start, result.context.end))
        assert not places & seen.get(result.doc_id, set())
        seen.setdefault(result.doc_id, set()).update(places)
    large = read_large(results)
    assert [result.chunk_id for result in large] == [result.chunk_id for result in results if result.within is None]
    assert all(result.text == result.context.text for result in large)


@pytest.mark.parametrize("expand", ["section", "neighbors"])
def test_what_overlapping_passages_share_is_shown_once(tmp_path, expand):
    numbered = [f"Paragraph {n} speaks of lamp {n} and its own switch." for n in range(40)]
    overlapping = BuildOptions(chunking=ChunkSpec(max_tokens=64, overlap_tokens=24))
    index_documents(tmp_path, [Document("plain.txt", " ".join(numbered))], None, overlapping)
    results = first(Searcher.open(tmp_path, rerank="none"), "lamp", expand, 130, 20)
    shown = [result.context for result in results if result.context is not None]
    assert len(shown) > 3
    text = "\n".join(context.text for context in shown)
    assert [text.count(sentence) for sentence in numbered] == [1] * len(numbered)


def test_highlights_are_those_of_the_whole_context(searcher):
    context = first(searcher, "lamp", "neighbors", 300, 1)[0].context
    assert len(context.highlights) > 6
    assert {context.text[a:b].lower() for a, b in context.highlights} == {"lamp"}


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_grown_stays_within_its_budget_and_holds_its_passage(searcher, seed):
    chance = random.Random(seed)
    how, budget = chance.choice(["section", "neighbors"]), chance.randint(1, 1_500)
    results = searcher.search(
        chance.choice(["valve", "lamp 3", "阀门", "green step"]), 10, SearchOptions(route="bm25")
    ).results
    for result in with_contexts(results, searcher.index.chunks, how, budget):
        if result.context is None:
            continue
        alone = (result.context.start, result.context.end) == (result.start, result.end)
        assert alone or tokens_at_most(result.context.text) <= budget


def test_a_budget_below_one_is_refused(searcher):
    with pytest.raises(ValueError, match="expected at least 1"):
        first(searcher, "valve", "section", 0)
