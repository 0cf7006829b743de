"""Cases made of judged queries, and an index's own calibration, on a small corpus with known answers."""

from dataclasses import replace

import numpy as np
import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.errors import CorpusError, IndexMismatchError
from quarry.indexer.records import Document
from quarry.retriever.answers.evidence import calibration_of, weigh
from quarry.retriever.answers.refusals.calibrate import LEAST, Case, calibrate, cases, fit_cases, quality
from quarry.retriever.answers.refusals.calibration import NAME, Calibration, shipped
from quarry.retriever.answers.refusals.own import calibrate_on_own, own_questions, unanswerable
from quarry.retriever.answers.refusals.promise import NEVER
from quarry.retriever.answers.refusals.signals import Signals
from quarry.retriever.data.datasets import Dataset
from quarry.retriever.ranking import Query
from quarry.retriever.searcher import Searcher, document_of
from tests.benchmarks.evidence import fit_families
from tests.fakes import WordEmbedder

PLANTS = [f"plant{n}x" for n in range(30)]
DOCUMENTS = [
    Document(f"d{n}", f"The {plant} grows near water number {n} and needs sun.") for n, plant in enumerate(PLANTS)
]
DATASET = Dataset(
    "plants",
    None,
    tuple(Query(f"q{n}", f"Where grows the {plant}?") for n, plant in enumerate(PLANTS)),
    {f"q{n}": {f"d{n}": 1} for n in range(30)},
    "test",
    "en",
    {},
)


@pytest.fixture
def searcher(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS, WordEmbedder(dim=256))
    return Searcher.open(tmp_path / "index", embedder=WordEmbedder(dim=256))


def drawn(cover, source):
    return Case(Signals(None, None, 5.0, cover, cover, 1.0, 0.0, 0.0, 1.5), source, "en")


def test_each_found_query_makes_an_answerable_and_an_unanswerable_case(searcher):
    missing = (*DATASET.queries[:3], Query("lost", "What is quuxly?"))
    qrels = {**DATASET.qrels, "lost": {"elsewhere": 1}}
    found = cases(searcher, missing, qrels, ["Who wrote the symphony?"], WordEmbedder(dim=256))
    assert [case.source for case in found] == [
        *["judged", "answer left out"] * 3,
        "not found",
        "answer left out",
        "other domain",
    ]
    for good, bad in zip(found[:6:2], found[1:6:2], strict=True):
        assert good.signals.cover > bad.signals.cover
        assert good.signals.closeness > bad.signals.closeness
        assert good.signals.known == bad.signals.known


def test_groups_count_the_same_whatever_their_size():
    small = [drawn(0.9, "judged"), drawn(0.1, "answer left out")]
    large = [drawn(0.1, "judged"), drawn(0.9, "answer left out")]
    even = fit_cases([small, large * 50], "words")
    assert even.weights[0] == pytest.approx(0, abs=1e-6)
    assert fit_cases([small * 50, large, small], "words").weights[0] > 0.1


def test_quality_is_what_counting_gives():
    model = fit_cases([[drawn(0.9, "judged"), drawn(0.1, "answer left out")]], "words")
    group = [drawn(c, "judged") for c in (0.95, 0.9, 0.5, 0.2)] + [
        drawn(0.1, "answer left out"),
        drawn(0.99, "answer left out"),
        drawn(0.0, "other domain"),
    ]
    found = quality(model, group)
    assert model.threshold == pytest.approx(model.strength(drawn(0.9, "judged").signals))
    assert (found.auc, found.refused, found.answerable) == (8 / 12, 0.5, 4)
    assert found.caught == {"answer left out": 0.5, "other domain": 1.0}


def test_the_threshold_is_that_of_families_not_seen():
    rng = np.random.default_rng(0)

    def family(shift):
        return [[drawn(x + shift, "judged") for x in rng.uniform(0.4, 0.6, 50)] + [drawn(0.1, "answer left out")] * 9]

    families = [family(0.0), family(0.0), family(-0.2)]
    together, in_sample = fit_families(families, "words"), fit_cases([group for (group,) in families], "words")
    assert together.weights == in_sample.weights
    assert together.threshold < in_sample.threshold  # the third family, judged by the others, is weak
    with pytest.raises(ValueError, match="1 families of cases; expected at least 2"):
        fit_families(families[:1], "words")


def test_an_index_gets_thresholds_of_its_own(searcher):
    done = calibrate(searcher, DATASET, WordEmbedder(dim=256))
    saved = Calibration.load(searcher.index.root / NAME)
    assert saved == done.calibration
    assert str(saved.origin) == "this index's calibration (plants, 30 questions)"
    assert saved.fingerprint == WordEmbedder(dim=256).spec.fingerprint
    assert calibration_of(searcher.index) == (saved, "")
    assert set(saved.thresholds) == {"meaning en", "words en"}
    assert {one.name: one.threshold for one in done.kept} == saved.thresholds
    for one in done.kept:
        assert (one.questions, one.unsupported <= 0.05) == (30, True)
    assert saved.answered("meaning", "zh") == saved.meaning.answered
    assert saved.meaning == shipped().meaning  # the questions set thresholds and no weights


def test_who_expects_no_near_misses_is_answered_more(searcher):
    strict, plain = (calibrate(searcher, DATASET, WordEmbedder(dim=256), share) for share in (0.5, 0.0))
    assert plain.kept == plain.as_they_come == strict.as_they_come
    assert Calibration.load(searcher.index.root / NAME) == plain.calibration
    for one, other in zip(strict.kept, plain.kept, strict=True):
        assert (one.near_misses, other.near_misses) == (0.5, 0.0)
        assert one.threshold >= other.threshold
        assert one.answered < other.answered


def test_a_question_is_refused_below_the_threshold_of_its_language(searcher):
    embedder = WordEmbedder(dim=256)
    calibrate(searcher, DATASET, embedder)
    kept = Calibration.load(searcher.index.root / NAME)
    question = "Where grows the plant7x?"
    answer = searcher.search(question, 10)
    before = weigh(question, answer, searcher.index, embedder)
    assert (before.weak, before.threshold) == (False, kept.thresholds["meaning en"])
    replace(kept, thresholds={"meaning en": NEVER, "meaning zh": 0.0}).save(searcher.index.root / NAME)
    assert weigh(question, answer, searcher.index, embedder).weak


def test_an_index_sets_its_thresholds_by_its_own_documents_once(tmp_path):
    embedder = WordEmbedder(dim=256)
    longer = [replace(one, text=f"{one.text} Its leaves are picked in month {n}.") for n, one in enumerate(DOCUMENTS)]
    index_documents(tmp_path / "index", longer, embedder)
    searcher = Searcher.open(tmp_path / "index", embedder=embedder)
    made = calibrate_on_own(searcher, embedder)
    assert str(made.origin) == "calibrated on this index's documents (30 questions)"
    assert (Calibration.load(searcher.index.root / NAME), made.passages) == (made, 30)
    assert set(made.thresholds) == {"meaning en", "words en"}
    assert calibrate_on_own(searcher, embedder) is None  # they still hold
    replace(made, words=replace(made.words, level=0.5)).save(searcher.index.root / NAME)
    assert calibrate_on_own(searcher, embedder) == made  # those of an earlier version do not
    calibrate(searcher, DATASET, embedder)
    judged = Calibration.load(searcher.index.root / NAME)
    assert calibrate_on_own(searcher, embedder) is None  # judged questions say more
    assert Calibration.load(searcher.index.root / NAME) == judged
    (searcher.index.root / NAME).write_text("{")
    assert calibrate_on_own(searcher, embedder) == made


def test_a_sentence_that_another_document_holds_too_is_no_near_miss(tmp_path):
    embedder = WordEmbedder(dim=256)
    longer = [replace(one, text=f"{one.text} Its leaves are picked in month {n}.") for n, one in enumerate(DOCUMENTS)]
    copies = [replace(one, doc_id=f"{one.doc_id}-copy", text=f"{one.text} Both are so.") for one in longer]
    index_documents(tmp_path / "index", [*longer, *copies], embedder)
    twice = Searcher.open(tmp_path / "index", embedder=embedder)
    asked = own_questions(twice.index)
    queries = [Query(str(number), text) for number, (_, text) in enumerate(asked)]
    qrels = {str(number): {document_of(chunk_id): 1} for number, (chunk_id, _) in enumerate(asked)}
    found = cases(twice, queries, qrels, (), embedder)
    plants = [number for number, query in enumerate(queries) if query.text != "Both are so."]
    assert len(plants) >= LEAST
    kept = unanswerable(found)
    assert [case for case in kept if case.source != "answer left out"] == [
        case for case in found if case.source != "answer left out"
    ]
    assert not [number for number in plants if found[2 * number + 1] in kept]


def test_sentences_that_cannot_be_asked_are_no_questions(tmp_path):
    documents = [
        replace(one, text=f"-quuxly{n} -verbose{n} -archive{n}.\n{one.text}") for n, one in enumerate(DOCUMENTS)
    ]
    index_documents(tmp_path / "index", documents, WordEmbedder(dim=256))
    searcher = Searcher.open(tmp_path / "index", embedder=WordEmbedder(dim=256))
    asked = own_questions(searcher.index)
    assert asked
    assert not any(question.startswith("-") for _, question in asked)
    calibrate_on_own(searcher, WordEmbedder(dim=256))


def test_a_small_index_keeps_the_shipped_thresholds(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS[:9], WordEmbedder(dim=256))
    small = Searcher.open(tmp_path / "index", embedder=WordEmbedder(dim=256))
    assert calibrate_on_own(small, WordEmbedder(dim=256)) is None
    assert not (tmp_path / "index" / NAME).exists()


def test_too_few_judged_queries_are_refused(searcher):
    few = Dataset("few", None, DATASET.queries[:9], DATASET.qrels, "test", "en", {})
    with pytest.raises(CorpusError, match=f"'few' has 9 judged queries for this index.*expected at least {LEAST} in a"):
        calibrate(searcher, few, WordEmbedder(dim=256))
    assert not (searcher.index.root / NAME).exists()


def test_another_embedder_is_refused(searcher):
    with pytest.raises(IndexMismatchError, match="this embedder differs"):
        calibrate(searcher, DATASET, WordEmbedder("2", dim=256))
