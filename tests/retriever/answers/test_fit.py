"""How well each passage fits: the same number whatever k is, in order of fit, and weak words where nothing fits."""

from math import log

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.records import Document, passage_text
from quarry.retriever.answers.evidence import weigh
from quarry.retriever.answers.refusals.fit import fit_of, search_with_fit
from quarry.retriever.answers.refusals.observed import Observed
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.fakes import WordEmbedder

TOPICS = ("harbor cranes lift containers", "bees dance for nectar", "violins need rosin", "glaciers carve valleys")
DOCUMENTS = [Document("renew.md", "A library book can be renewed twice online before it is due.", "Renewing")] + [
    Document(f"{number}.md", f"{TOPICS[number % 4]} in report {number}, page {number * 7}.") for number in range(60)
]
QUESTION = "how often can a library book be renewed online"


@pytest.fixture(scope="module", params=["hybrid", "bm25"])
def searched(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "index"
    index_documents(folder, DOCUMENTS, WordEmbedder())
    searcher = Searcher.open(folder, embedder=WordEmbedder(), rerank="none")
    return searcher, SearchOptions(route=request.param)


def test_the_passage_that_answers_is_strong_and_the_others_are_weak(searched):
    searcher, options = searched
    answer = searcher.search(QUESTION, 10, options)
    fit = fit_of(answer, searcher)
    assert len(fit.hits) == len(answer.results)
    assert not fit.nothing
    assert fit.message() is None
    assert fit.hits[0].word == "strong"
    assert all(hit.value < fit.hits[0].value for hit in fit.hits[1:])


def test_strengths_do_not_depend_on_how_many_results_are_asked_for(searched):
    searcher, options = searched
    one, first = search_with_fit(searcher, QUESTION, 1, options)
    ten, fit = search_with_fit(searcher, QUESTION, 10, options)
    assert (len(one.results), one.results) == (1, ten.results[:1])
    assert first.hits == fit.hits[:1]


def test_the_best_passage_is_read_like_the_whole_search(searched):
    searcher, options = searched
    answer = searcher.search(QUESTION, 10, options)
    embedder = None if options.route == "bm25" else searcher.embedder()
    assert fit_of(answer, searcher).grounds == weigh(QUESTION, answer, searcher.index, embedder)


@pytest.mark.parametrize("question", ["qwxz vbnmk plugh", "report zebra migration in Kenya"])
def test_where_nothing_fits_every_word_is_weak_and_a_sentence_says_so(searched, question):
    searcher, options = searched
    fit = fit_of(searcher.search(question, 10, options), searcher)
    assert fit.nothing
    assert {hit.word for hit in fit.hits} <= {"weak"}
    assert "nothing in the documents" in str(fit.message())


def test_judging_the_hits_neither_searches_again_nor_cuts_a_passage_into_words_again(searched, monkeypatch):
    searcher, options = searched
    answer = searcher.search(QUESTION, 10, options)
    expected = fit_of(answer, searcher)

    def refused(*_):
        raise AssertionError("a search or an analysis of a passage")

    monkeypatch.setattr(type(searcher), "rank", refused)
    monkeypatch.setattr(type(searcher.index.analyzer), "tokens", refused)
    monkeypatch.setattr(type(searcher.index.analyzer), "passage_terms", refused)
    assert fit_of(answer, searcher) == expected


@pytest.mark.parametrize("question", [QUESTION, "report 7 page 49 glaciers", "什么是 harbor"])
def test_the_words_that_a_passage_has_are_those_that_its_analysis_gives(searched, question):
    searcher, options = searched
    index, results = searcher.index, searcher.search(question, 10, options).results
    wanted = set(index.analyzer.query_tokens(question))
    weights = {term: index.lexical.idf(term) or log(1 + (len(index.lexical) + 0.5) / 0.5) for term in wanted}
    for result, signals in zip(results, Observed(question, results, index, None).each(), strict=True):
        has = wanted & set(index.analyzer.tokens(passage_text(result.title, result.heading, result.text)))
        assert signals.cover == pytest.approx(sum(weights[term] for term in has) / sum(weights.values()))
