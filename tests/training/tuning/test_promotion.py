"""Promotion is one unit: documents, vectors, model and lineage change together, and one call goes back."""

import json

import pytest

from quarry.indexer.build import build_candidate, delete_documents, index_documents
from quarry.indexer.errors import IndexFormatError, IndexMismatchError
from quarry.indexer.lake.relabel import with_reranker
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.facts import RerankerFacts
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.training.tuning.history import history
from quarry.training.tuning.promotion import lineage_of, promote, roll_back
from tests.fakes import WordEmbedder

BETTER = Message.of("tuning.promote", "Promote")
DOCUMENTS = [Document("a", "图书馆可以续借两次。"), Document("b", "Renew a book twice before it is due.")]


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS, WordEmbedder("base"))
    return tmp_path / "index"


def load(facts):
    return WordEmbedder(facts.to_spec().revision)


def tune(index, revision, *, forced=False):
    parent = Index.open(index).manifest
    name = build_candidate(index, WordEmbedder(revision)).generation
    promote(index, name, lineage_of(parent, f"run-{revision}", BETTER, forced=forced, calibration={"threshold": 0.5}))
    return name


def revision(index):
    return Index.open(index).manifest.embedder.to_spec().revision


def test_a_promotion_is_live_with_its_lineage(index):
    tune(index, "tuned", forced=True)
    manifest = Index.open(index).manifest
    assert (manifest.generation, manifest.lineage.parent, manifest.lineage.forced) == ("000002", "000001", True)
    assert manifest.lineage.base.to_spec().revision == "base"
    assert manifest.lineage.calibration == {"threshold": 0.5}
    assert str(Generations(index).pointer().history[-1].reason) == "promoted against the verdict"


def test_a_verdict_keeps_its_numbers_on_disk_and_an_older_one_is_a_sentence(index):
    verdict = Message.of("tuning.refused", "Refused: {reasons}", reasons=[Message.of("tuning.worse", "it is worse")])
    name = build_candidate(index, WordEmbedder("tuned")).generation
    parent = Index.open(index).manifest
    promote(index, name, lineage_of(parent, "run", verdict, forced=True, calibration={}))
    manifest = Index.open(index).manifest
    assert manifest.lineage.verdict == verdict
    content = json.loads(manifest.model_dump_json())
    content["lineage"]["verdict"] = "Refused: it is worse"  # as versions up to 0.1.0 wrote it
    older = Manifest.model_validate(content)
    assert older.lineage.verdict == Message.plain("Refused: it is worse")
    assert str(older.lineage.verdict) == str(verdict)


def test_rollback_goes_to_the_old_generation_when_the_documents_are_the_same(index):
    tune(index, "tuned")
    assert roll_back(index, load) == "000001"
    assert revision(index) == "base"
    with pytest.raises(IndexFormatError, match="the model of generation 000001 was not tuned here"):
        roll_back(index, load)


def test_rollback_keeps_documents_that_came_later(index):
    tune(index, "tuned")
    index_documents(index, [Document("c", "第三篇文档")], WordEmbedder("tuned"))
    delete_documents(index, ["a"], WordEmbedder("tuned"))
    loaded = []
    roll_back(index, lambda facts: loaded.append(load(facts)) or loaded[-1])
    opened = Index.open(index)
    assert revision(index) == "base"
    assert [document.doc_id for document in opened.chunks.documents()] == ["b", "c"]
    assert loaded[0].texts_encoded == 1  # only the passage that the base model had never seen


def test_two_promotions_are_walked_back_one_by_one(index):
    tune(index, "first")
    tune(index, "second")
    index_documents(index, [Document("c", "第三篇文档")], WordEmbedder("second"))
    roll_back(index, load)
    assert revision(index) == "first"
    roll_back(index, load)
    assert revision(index) == "base"


def test_a_candidate_of_other_documents_is_not_promoted(index):
    parent = Index.open(index).manifest
    name = build_candidate(index, WordEmbedder("tuned")).generation
    index_documents(index, [Document("c", "第三篇文档")], WordEmbedder("base"))
    lineage = lineage_of(parent, "run", BETTER, forced=False, calibration={})
    with pytest.raises(IndexMismatchError, match="generation 000002 has other documents than 000003"):
        promote(index, name, lineage)
    assert revision(index) == "base"
    with pytest.raises(IndexFormatError, match="generation '000009' is not here"):
        promote(index, "000009", lineage)


def test_history_names_each_model_once(index):
    index_documents(index, [Document("c", "第三篇文档")], WordEmbedder("base"))
    tune(index, "tuned")
    roll_back(index, load)
    steps = history(index)
    assert [(step.generation, step.revision, step.live) for step in steps] == [
        ("000001", "base", False),
        ("000003", "tuned", False),
        ("000002", "base", True),
    ]
    assert steps[1].lineage.run == "run-tuned"


def test_an_index_without_vectors_has_no_model_to_tune(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS, None)
    with pytest.raises(IndexFormatError, match="generation 000001 has no model to be tuned"):
        lineage_of(Index.open(tmp_path / "index").manifest, "run", BETTER, forced=False, calibration={})


def test_a_base_model_that_was_changed_where_it_lies_is_not_mistaken_for_it(index):
    tune(index, "tuned")
    index_documents(index, [Document("c", "第三篇文档")], WordEmbedder("tuned"))
    with pytest.raises(IndexMismatchError, match="what is found as tests/words is revision other; expected base"):
        roll_back(index, lambda facts: WordEmbedder("other"))
    assert revision(index) == "tuned"


def promote_reranker(index, name, *, promoted):
    live = Index.open(index).manifest
    facts = RerankerFacts(
        model=name,
        digest=name * 40,
        folder=f"models/{name}",
        base="b",
        parent=live.generation,
        run=name,
        verdict="better",
        forced=False,
        promoted=promoted,
        before=live.reranker,
    )
    return with_reranker(index, facts, Message.of("tuning.reranker_promoted", "promoted the reranker"), expected=live)


def names(index):
    manifest = Index.open(index).manifest
    return manifest.embedder.to_spec().revision, manifest.reranker.model if manifest.reranker else ""


def test_models_and_rerankers_are_walked_back_in_the_order_of_their_promotions(index):
    promote_reranker(index, "a", promoted="2026-01-01T00:00:00+00:00")
    tune(index, "tuned")  # promoted now, which is later
    promote_reranker(index, "b", promoted="2999-01-01T00:00:00+00:00")
    index_documents(index, [Document("c", "第三篇文档")], WordEmbedder("tuned"))
    assert names(index) == ("tuned", "b")
    seen = []
    for _ in range(3):
        roll_back(index, load)
        seen.append(names(index))
    assert seen == [("tuned", "a"), ("base", "a"), ("base", "")]
    assert Index.open(index).chunks.counts()[0] == 3
    with pytest.raises(IndexFormatError, match="was not tuned here"):
        roll_back(index, load)
    steps = history(index)
    assert [step.run for step in steps][2:4] == ["run-tuned", "b"]
    assert [(step.reranker.model if step.reranker else "") for step in steps][-3:] == ["a", "a", ""]
    assert str(steps[-3].reason) == "rolled back the reranker of 000005"


def test_a_reranker_promoted_while_a_model_was_tuned_stays(index):
    parent = Index.open(index).manifest
    name = build_candidate(index, WordEmbedder("tuned")).generation
    promote_reranker(index, "a", promoted="2026-01-01T00:00:00+00:00")
    promote(index, name, lineage_of(parent, "run", BETTER, forced=False, calibration={}))
    assert names(index) == ("tuned", "a")


def test_what_was_compared_with_another_model_is_not_promoted(index):
    parent = Index.open(index).manifest
    late = build_candidate(index, WordEmbedder("late")).generation
    tune(index, "first")
    lineage = lineage_of(parent, "late", BETTER, forced=False, calibration={})
    with pytest.raises(
        IndexMismatchError, match="generation 000003 answers now with another model than the one that was"
    ):
        promote(index, late, lineage)
    assert revision(index) == "first"
    assert Index.open(index, generation=late).manifest.lineage is None


def test_a_rollback_is_of_the_model_that_it_began_with(index):
    """Documents were indexed since, so the base is encoded anew; meanwhile another model goes live."""
    tune(index, "first")
    index_documents(index, [Document("c", "第三篇文档")], WordEmbedder("first"))

    def slow(facts):
        tune(index, "second")
        return load(facts)

    with pytest.raises(IndexMismatchError, match="answers now with another model"):
        roll_back(index, slow)
    assert revision(index) == "second"
