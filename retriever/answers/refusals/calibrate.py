"""Makes questions whose answer is or is not among the passages from judged queries, and sets an index's thresholds by them.

Answerable: a judged query with a relevant document among its first ten results. Unanswerable: one whose search failed, because then the
passages do not hold the answer whatever the judgements say; every query with its relevant documents taken out of the results (a near
miss); and questions of another domain asked of the same index.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import CorpusError
from quarry.indexer.language import Language, language_of
from quarry.indexer.messages import Message
from quarry.retriever.answers.evidence import shipped_for
from quarry.retriever.answers.refusals.calibration import (
    FEATURES,
    NAME,
    Calibration,
    Kind,
    Model,
    fit,
    kind_of,
    values,
)
from quarry.retriever.answers.refusals.observed import observe
from quarry.retriever.answers.refusals.promise import NEAR_MISSES, Judged, least_threshold
from quarry.retriever.answers.refusals.signals import LOOKED_AT, Signals
from quarry.retriever.ranking import Query
from quarry.retriever.searcher import Searcher, SearchOptions

if TYPE_CHECKING:
    from quarry.indexer.embedder import Embedder
    from quarry.retriever.data.datasets import Dataset
    from quarry.retriever.data.trec import Qrels

Source = Literal["judged", "not found", "answer left out", "other domain"]
LEAST = 20  # questions: with fewer, one in twenty is less than one question
MOST = 200  # questions that an index is calibrated with
_DEEPER = 40  # results asked for, so that ten remain when the relevant ones are taken out
_PATIENT_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class Case:
    """One question with what its search showed.

    Attributes:
        signals: The search's signals.
        source: How the case was made; `judged` ones are answerable, others not; `not found` where the search missed the answer.
        language: The question's language.
    """

    signals: Signals
    source: Source
    language: Language

    @property
    def answerable(self) -> bool:
        """Whether the answer is among the passages."""
        return self.source == "judged"


@dataclass(frozen=True, slots=True)
class Quality:
    """How a model does on questions that it was not fitted on.

    Attributes:
        auc: Probability that an answerable question is stronger than an unanswerable one.
        refused: Share of the answerable called weak.
        caught: Share of the unanswerable called weak, by how they were made.
        answerable: How many answerable questions.
    """

    auc: float
    refused: float
    caught: dict[Source, float]
    answerable: int


def cases(
    searcher: Searcher, queries: Sequence[Query], qrels: "Qrels", others: Sequence[str], embedder: "Embedder | None"
) -> list[Case]:
    """Make cases of judged queries and of questions that the index cannot answer.

    Args:
        searcher: The opened index.
        queries: Judged queries.
        qrels: Their judgements, of the index's documents.
        others: Questions of other domains.
        embedder: The index's; None weighs words alone.
    """
    out: list[Case] = []
    texts = [*(query.text for query in queries), *others]
    asked = [Query(str(number), text) for number, text in enumerate(texts)]
    options = SearchOptions(route="hybrid" if embedder else "bm25", rerank=False, dense_budget_ms=_PATIENT_MS)
    answers = searcher.search_many(asked, _DEEPER, options)
    vectors = embedder.embed_queries(texts) if embedder else None
    late = searcher.pipeline.late
    for number, (text, answer) in enumerate(zip(texts, answers, strict=True)):
        vector = vectors[number] if vectors is not None else None
        language = language_of(text)
        if number >= len(queries):
            found = observe(text, answer.results, searcher.index, vector, late)
            out.append(Case(found, "other domain", language))
            continue
        relevant = {doc_id for doc_id, grade in qrels[queries[number].query_id].items() if grade > 0}
        held = any(result.doc_id in relevant for result in answer.results[:LOOKED_AT])
        without = [result for result in answer.results if result.doc_id not in relevant]
        asked_as_is = observe(text, answer.results, searcher.index, vector, late)
        out.append(Case(asked_as_is, "judged" if held else "not found", language))
        out.append(Case(observe(text, without, searcher.index, vector, late), "answer left out", language))
    return out


def fit_cases(groups: Sequence[Sequence[Case]], kind: Kind, prior: tuple[Model, float] | None = None) -> Model:
    """Fit a model on groups of cases of equal weight, whatever their size; within a group, each source has equal weight.

    Raises:
        ValueError: If there is no answerable or no unanswerable case.
    """
    rows, labels, weights = [], [], []
    for group in groups:
        usable = usable_cases(group, kind)
        sizes = {source: sum(case.source == source for case in usable) for source in {case.source for case in usable}}
        for case in usable:
            rows.append(values(case.signals, kind))
            labels.append(case.answerable)
            weights.append(1 / sizes[case.source])
    return fit(np.array(rows).reshape(-1, len(FEATURES[kind])), np.array(labels), np.array(weights), kind, prior)


def usable_cases(group: Sequence[Case], kind: Kind) -> list[Case]:
    """Return the cases of a kind. Words find nothing in the other language, so cross-language cases say nothing about them."""
    return [
        case
        for case in group
        if (case.signals.foreign == 1) == (kind in ("across", "tokens"))
        and (kind == "words" or case.signals.closeness is not None)
        and (kind != "tokens" or kind_of(case.signals) == "tokens")
    ]


def strengths_of(model: Model, group: Sequence[Case]) -> NDArray[np.float64]:
    """Return the strengths, in [0, 1], that a model gives to the cases of its kind, in order."""
    rows = [values(case.signals, model.kind) for case in usable_cases(group, model.kind)]
    return model.strengths(np.array(rows).reshape(-1, len(FEATURES[model.kind])))


def quality(model: Model, group: Sequence[Case]) -> Quality:
    """Measure a model on cases."""
    sources: tuple[Source, ...] = ("judged", "answer left out", "other domain")
    strength = {source: strengths_of(model, [case for case in group if case.source == source]) for source in sources}
    good = strength["judged"]
    bad = np.concatenate([strength["answer left out"], strength["other domain"]])
    wins = (good[:, np.newaxis] > bad).sum() + 0.5 * (good[:, np.newaxis] == bad).sum()
    return Quality(
        auc=float(wins) / max(1, len(good) * len(bad)),
        refused=float(np.mean(good < model.threshold)) if len(good) else 0.0,
        caught={
            source: float(np.mean(strength[source] < model.threshold)) if len(strength[source]) else float("nan")
            for source in ("answer left out", "other domain")
        },
        answerable=len(good),
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """What a threshold does on the questions that it was made of.

    Attributes:
        name: Kind of signals and language of the questions, as `meaning zh`.
        questions: How many.
        near_misses: Share of near misses that the promise allows for, in [0, 1).
        threshold: In [0, 1]; above 1 where nothing is answered, because the promise cannot be kept.
        answered: Share of the questions that are answered, with the near misses among them.
        unsupported: Share of the answers that are unsupported.
    """

    name: str
    questions: int
    near_misses: float
    threshold: float
    answered: float
    unsupported: float

    @classmethod
    def of(cls, name: str, judged: Judged, near_misses: float) -> "Kept":
        """Return the least threshold that keeps the promise on some questions, and what it does on them."""
        threshold = least_threshold(judged, near_misses=near_misses)
        _, answered = judged.shares(threshold, near_misses)
        wrong = judged.unsupported(threshold, near_misses)
        return cls(name, len(judged.strengths), near_misses, threshold, answered, wrong)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The outcome of calibrating an index.

    Attributes:
        calibration: What was saved in the index folder.
        kept: What each of its thresholds does.
        as_they_come: What thresholds would do that allow for no near misses, in the same order.
    """

    calibration: Calibration
    kept: tuple[Kept, ...]
    as_they_come: tuple[Kept, ...]


def calibrate(
    searcher: Searcher, dataset: "Dataset", embedder: "Embedder | None", near_misses: float = NEAR_MISSES
) -> Calibrated:
    """Set an index's own thresholds by judged questions, at most `MOST` of them, and save them in the index folder.

    The models stay the shipped ones: a few hundred questions set a threshold, and they must not have a say in the strengths.

    Args:
        searcher: The opened index.
        dataset: Judged questions of its documents.
        embedder: The index's; None weighs words alone.
        near_misses: Share of the questions to come that are about the subject and have no answer in the documents, in [0, 1).

    Raises:
        CorpusError: If there are too few questions, so that no threshold can be told from chance.
        IndexMismatchError: If the embedder is not the one that the index was built with.
    """
    index = searcher.index
    if embedder is not None:
        index.check_embedder(embedder.spec)
    queries = _spread([query for query in dataset.queries if query.query_id in dataset.qrels])
    found = cases(searcher, queries, dataset.qrels, (), embedder)
    base = shipped_for(index)
    by_name = judged_by_name(base, found)
    enough = {name: judged for name, judged in by_name.items() if len(judged.strengths) >= LEAST}
    if not enough:
        raise CorpusError(
            "answers.too_few_questions",
            "{dataset} has {queries} judged queries for this index",
            expected="at least {least} in a language",
            do="Judge more queries, or give the data set that belongs to this index",
            dataset=repr(dataset.name),
            queries=len(queries),
            least=LEAST,
        )
    kept, as_they_come = (
        tuple(Kept.of(name, judged, share) for name, judged in enough.items()) for share in (near_misses, 0.0)
    )
    facts = index.manifest.embedder
    calibration = replace(
        base,
        origin=Message.of(
            "answers.own_calibration",
            "this index's calibration ({dataset}, {questions} questions)",
            dataset=dataset.name,
            questions=len(queries),
        ),
        embedder=facts.to_spec().model if facts else "",
        fingerprint=facts.fingerprint if facts else "",
        thresholds={one.name: one.threshold for one in kept},
    )
    calibration.save(index.root / NAME)
    return Calibrated(calibration, kept, as_they_come)


def judged_by_name(base: Calibration, found: Sequence[Case]) -> dict[str, Judged]:
    """Return the judged questions by the kind of their signals and their language, as the thresholds of a calibration are named.

    A search with vectors may have to do without them one day, so that its cases count for words alone as well.
    """
    kinds: dict[str, list[Case]] = {}
    for case in found:
        for kind in {kind_of(case.signals), *([] if case.signals.foreign else ["words"])}:
            kinds.setdefault(f"{kind} {case.language}", []).append(case)
    return {name: _judged(base, name, group) for name, group in sorted(kinds.items())}


def _judged(base: Calibration, name: str, group: Sequence[Case]) -> Judged:
    model = base.model_named(name)
    asked = [case for case in group if case.source in ("judged", "not found")]
    near = [case for case in group if case.source == "answer left out"]
    return Judged(
        np.array([model.strength(case.signals) for case in asked]),
        np.array([case.answerable for case in asked], dtype=bool),
        np.array([model.strength(case.signals) for case in near]),
    )


def _spread(queries: Sequence[Query]) -> list[Query]:
    """Return at most `MOST` of the queries, evenly spread."""
    count = min(MOST, len(queries))
    return [queries[place * len(queries) // count] for place in range(count)]
