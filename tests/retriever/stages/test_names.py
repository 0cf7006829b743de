"""Titles in dense search: who is raised and how far, what is left as it is, and how the answer says so."""

import numpy as np
import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.language import language_of
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.stages.names import SHARE, SHARE_ACROSS, Asked, Names, share_of
from tests.fakes import WordEmbedder
from tests.indexer.build.test_names import CHINESE, TOPICS, documents, made_older

DENSE = SearchOptions(route="dense")


class Bilingual(WordEmbedder):
    """Words of both languages meet in their topic; a longer text is farther from it, as if it spoke of much besides."""

    def _embed(self, texts):
        out = []
        for text in texts:
            vector = super()._embed([text])[0] * (0.3 + 0.02 * len(text))
            for row, name in enumerate([*TOPICS, *CHINESE]):
                if any(word in text for word in name.split()):
                    vector[row] += 2.0
            vector[-1 if language_of(text) == "zh" else -2] += 0.5
            out.append(vector / np.linalg.norm(vector))
        return np.array(out, dtype=np.float32)


@pytest.fixture(scope="module")
def titled(tmp_path_factory):
    root = tmp_path_factory.mktemp("titled")
    index_documents(root, documents(), Bilingual())
    return root


def test_the_share_is_full_where_no_words_are_shared_and_never_below_a_tenth():
    assert share_of(0.0) == pytest.approx(SHARE_ACROSS)
    assert share_of(0.075) == pytest.approx((SHARE + SHARE_ACROSS) / 2)
    assert share_of(0.15) == share_of(1.0) == pytest.approx(SHARE)


@pytest.mark.parametrize("question", ["apple", "红色苹果", "copper or silver?", "锋利剪刀怎么用"])
def test_a_passage_is_raised_by_its_share_of_the_lead_of_its_title_and_never_lowered(titled, question):
    index, embedder = Index.open(titled), Bilingual()
    vector = embedder.embed_queries([question])[0]
    searcher = Searcher.open(titled, embedder=embedder)
    results = searcher.search(question, 50, DENSE).results
    assert len(results) == len(TOPICS) + len(CHINESE)
    offset, share = index.manifest.probes.names.offset, share_of(searcher.pipeline.coverage(question))
    foreign = searcher.pipeline.languages.foreign(question) if searcher.pipeline.languages else frozenset()
    raised = 0
    for result in results:
        title = float(embedder.embed_documents([result.title])[0] @ vector)
        lead = title - offset - result.evidence.dense.score
        wanted = (SHARE_ACROSS if result.chunk_id in foreign else share) * max(0.0, lead)
        assert result.evidence.named == pytest.approx(wanted, abs=1e-5)
        assert result.score == pytest.approx(
            result.evidence.dense.score + result.evidence.raised + result.evidence.named, abs=1e-6
        )
        raised += wanted > 0
    assert raised > 0
    assert [result.score for result in results] == sorted((result.score for result in results), reverse=True)


def test_a_passage_that_only_its_title_leads_to_is_found(titled):
    """Passages that dense search alone puts far behind come in through their title, with their true cosine."""
    index, embedder = Index.open(titled), Bilingual()
    names = Names.of(index, lambda _question: 0.0, None)
    vector = embedder.embed_queries(["apple"])[0]
    found = names.raise_by(Asked("apple", vector, None), [])[0]
    assert found.chunk_id.startswith("d0#")
    text = index.chunks.texts([found.chunk_id])
    assert found.cosine == pytest.approx(float(embedder.embed_documents(text)[0] @ vector), abs=1e-5)
    assert names.raise_by(Asked("apple", vector, frozenset()), []) == []


def test_filters_hold(titled):
    searcher = Searcher.open(titled, embedder=Bilingual())
    only = searcher.search("apple", 50, SearchOptions(route="dense", filters={"doc_id": ["d1*"]})).results
    assert {result.doc_id for result in only} == {"d1", *(f"d1{n}" for n in range(10))}


@pytest.mark.parametrize("route", ["dense", "hybrid"])
def test_the_answer_says_what_titles_did(titled, route):
    answer = Searcher.open(titled, embedder=Bilingual()).search("apple", 3, SearchOptions(route=route))
    reasons = [report.reason for report in answer.stages if report.stage == "dense" and report.reason]
    assert any("titles raised passages by up to 0." in str(reason) for reason in reasons)
    assert answer.results[0].evidence.named > 0


def test_titles_that_say_nothing_and_texts_without_titles_change_nothing(tmp_path):
    """Ids for titles: every score is the cosine, exactly as without titles."""
    index_documents(tmp_path / "ids", documents(named=False), WordEmbedder())
    index_documents(tmp_path / "none", (Document(one.doc_id, one.text) for one in documents()), WordEmbedder())
    for name in ("ids", "none"):
        searcher = Searcher.open(tmp_path / name, embedder=WordEmbedder())
        assert searcher.pipeline.names is None
        for result in searcher.search("apple beside kiwi", 50, DENSE).results:
            assert result.evidence.named == 0
            assert result.score == pytest.approx(result.evidence.dense.score + result.evidence.raised, abs=1e-6)


def test_an_index_from_before_answers_without_titles_and_says_how_to_add_them(tmp_path):
    index_documents(tmp_path, documents(), Bilingual())
    made_older(tmp_path)
    answer = Searcher.open(tmp_path, embedder=Bilingual()).search("apple", 3, DENSE)
    assert all(result.evidence.named == 0 for result in answer.results)
    (reason,) = [report.reason for report in answer.stages if report.stage == "dense"]
    assert "quarry index PATH --into INDEX" in str(reason)
