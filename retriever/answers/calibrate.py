"""Makes questions whose answer is or is not among the passages from judged queries, and fits a calibration on them.

Answerable: a judged query with a relevant document among its first ten results; where search failed, the passages do not hold
the answer whatever the judgements say, and the query is left out. Unanswerable: the same query with its relevant documents
taken out of the results, and questions of another domain asked of the same index.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import CorpusError
from quarry.indexer.language import Language, language_of
from quarry.indexer.messages import Message
from quarry.retriever.answers.calibration import (
    FEATURES,
    KINDS,
    NAME,
    Calibration,
    Kind,
    Model,
    fit,
    kind_of,
    values,
)
from quarry.retriever.answers.evidence import shipped_for
from quarry.retriever.answers.observed import observe
from quarry.retriever.answers.signals import LOOKED_AT, Signals
from quarry.retriever.ranking import Query
from quarry.retriever.searcher import Searcher, SearchOptions

if TYPE_CHECKING:
    from quarry.indexer.embedder import Embedder
    from quarry.retriever.data.datasets import Dataset
    from quarry.retriever.data.trec import Qrels

Source = Literal["judged", "answer left out", "other domain"]
LEAST = 20  # answerable questions: with fewer, one in twenty is less than one question
_DEEPER = 40  # results asked for, so that ten remain when the relevant ones are taken out
_PRIOR_QUESTIONS = 100.0  # as how many questions the shipped model counts against an index's own
_FOLDS = 5
_PATIENT_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class Case:
    """One question with what its search showed.

    Attributes:
        signals: The search's signals.
        source: How the case was made; `judged` ones are answerable, others not.
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
        if not any(result.doc_id in relevant for result in answer.results[:LOOKED_AT]):
            continue
        without = [result for result in answer.results if result.doc_id not in relevant]
        out.append(Case(observe(text, answer.results, searcher.index, vector, late), "judged", language))
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
class Calibrated:
    """The outcome of calibrating an index.

    Attributes:
        calibration: It is saved in the index folder.
        shipped: What the shipped calibration does on these questions.
        own: What calibrations made of four fifths of the questions do on the other fifth.
    """

    calibration: Calibration
    shipped: Quality
    own: Quality


def calibrate(searcher: Searcher, dataset: "Dataset", embedder: "Embedder | None") -> Calibrated:
    """Fit an index's own calibration on judged queries, and save it in the index folder.

    Raises:
        CorpusError: If too few of the queries find a relevant document, so that no threshold can be told from chance.
        IndexMismatchError: If the embedder is not the one that the index was built with.
    """
    index = searcher.index
    if embedder is not None:
        index.check_embedder(embedder.spec)
    found = cases(searcher, dataset.queries, dataset.qrels, _other_questions(dataset), embedder)
    answerable = sum(case.answerable for case in found)
    if answerable < LEAST:
        raise CorpusError(
            "answers.too_few_questions",
            "{answerable} of {queries} queries of {dataset} find a relevant document among their first {depth} results",
            expected="at least {least}",
            do="Judge more queries, or give the data set that belongs to this index",
            answerable=answerable,
            queries=len(dataset.queries),
            dataset=repr(dataset.name),
            depth=LOOKED_AT,
            least=LEAST,
        )
    base = shipped_for(index)
    facts = index.manifest.embedder if embedder is not None else None
    able: tuple[Kind, ...] = KINDS if embedder is not None else ("words",)
    kinds = [kind for kind in able if kind != "tokens" or base.tokens]
    made: dict[Kind, Model] = {kind: _own(found, kind, base.model(kind)) for kind in kinds}
    calibration = Calibration(
        meaning=made.get("meaning"),
        across=made.get("across"),
        tokens=made.get("tokens"),
        words=made["words"],
        origin=Message.of(
            "answers.own_calibration",
            "this index's calibration ({dataset}, {questions} questions)",
            dataset=dataset.name,
            questions=answerable,
        ),
        embedder=facts.to_spec().model if facts else "",
        fingerprint=facts.fingerprint if facts else "",
    )
    calibration.save(index.root / NAME)
    most = max(kinds, key=lambda kind: sum(case.answerable for case in usable_cases(found, kind)))
    best = base.model(most)
    return Calibrated(calibration, quality(best, found), _crossed(found, best))


def _own(found: Sequence[Case], kind: Kind, base: Model) -> Model:
    """Return an index's own model; the shipped one where there are too few cases of its kind."""
    usable = usable_cases(found, kind)
    if sum(case.answerable for case in usable) < LEAST or all(case.answerable for case in usable):
        return base
    return fit_cases([found], kind, (base, _PRIOR_QUESTIONS))


def _crossed(found: Sequence[Case], base: Model) -> Quality:
    """Mean quality over folds of questions; a question's two cases, neighbours in the list, stay on one side."""
    numbers, number = [], -1
    for case in found:
        number += case.source != "answer left out"
        numbers.append(number % _FOLDS)
    parts = []
    for fold in range(_FOLDS):
        rest = [case for case, place in zip(found, numbers, strict=True) if place != fold]
        part = [case for case, place in zip(found, numbers, strict=True) if place == fold]
        parts.append(quality(_own(rest, base.kind, base), part))
    return Quality(
        auc=float(np.mean([part.auc for part in parts])),
        refused=float(np.average([part.refused for part in parts], weights=[max(1e-9, p.answerable) for p in parts])),
        caught={
            source: float(np.nanmean([part.caught[source] for part in parts]))
            for source in ("answer left out", "other domain")
        },
        answerable=sum(part.answerable for part in parts),
    )


def _other_questions(dataset: "Dataset") -> list[str]:
    """Questions of the general set, in both languages, unless they are the data set's own."""
    from quarry.demo_corpus import general_path
    from quarry.retriever.data.datasets import load_dataset

    own = {query.text for query in dataset.queries}
    texts = [query.text for query in load_dataset(general_path()).queries]
    return [] if own & set(texts) else texts[::3]
