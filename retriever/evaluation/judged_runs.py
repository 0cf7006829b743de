"""Runs from anywhere, measured on one set of judgements and ready to be compared: saved evaluations and TREC run files."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quarry.indexer.errors import CorpusError
from quarry.indexer.messages import Message
from quarry.retriever.data.datasets import (
    Dataset,
    duplicate_judgements,
    first_few,
    other_queries,
    queries_without_judgements,
    queries_without_text,
    unknown_documents,
)
from quarry.retriever.data.topics import read_queries
from quarry.retriever.data.trec import Run, read_qrels, read_run
from quarry.retriever.evaluation.evaluate import Evaluation, evaluate
from quarry.retriever.evaluation.measures import Measure
from quarry.retriever.evaluation.saved import Meta, Questions, list_evaluations, load_evaluation
from quarry.retriever.ranking import Query


@dataclass(frozen=True, slots=True)
class JudgedQueries:
    """Questions with judgements that runs are measured on.

    Attributes:
        questions: Queries, judgements, metadata. Without a file of queries, each text is the query's id.
        has_texts: Whether the texts are real.
        notes: What was counted and left out.
    """

    questions: Questions
    has_texts: bool
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """One side of a comparison.

    Attributes:
        name: The file's or folder's name.
        evaluation: Measures per query.
        run: Documents per query, best first.
        questions: What it was measured on; None for a saved evaluation that kept none.
        meta: What a saved evaluation knows of itself; None for a run file.
        notes: What is odd about the run.
    """

    name: str
    evaluation: Evaluation
    run: Run
    questions: Questions | None
    meta: Meta | None = None
    notes: tuple[Message, ...] = ()


def judged_files(qrels: Path, queries: Path | None) -> JudgedQueries:
    """Read judgements, and the texts of their queries when there is a file of them.

    Raises:
        CorpusError: If a file is bad (file, line and reason are named), or no judged query is in the file of queries.
    """
    judgements = read_qrels(qrels)
    notes = [duplicate_judgements(judgements.repeated)] if judgements.repeated else []
    if not judgements.qrels:
        raise CorpusError(
            "evaluation.no_judgements",
            "{qrels}: no judgements in the file",
            expected="some",
            do="Give the file that belongs to the runs",
            qrels=qrels,
        )
    if queries is None:
        ids = tuple(Query(query_id, query_id) for query_id in judgements.qrels)
        return JudgedQueries(Questions(ids, judgements.qrels), has_texts=False, notes=tuple(notes))
    found = read_queries(queries)
    kept = tuple(query for query in found.queries if query.query_id in judgements.qrels)
    if not kept:
        raise other_queries(qrels, len(judgements.qrels), str(queries), len(found.queries))
    known = {query.query_id for query in found.queries}
    without_text = [query_id for query_id in judgements.qrels if query_id not in known]
    unjudged = [query.query_id for query in found.queries if query.query_id not in judgements.qrels]
    notes += [queries_without_text(without_text)] if without_text else []
    notes += [queries_without_judgements(unjudged)] if unjudged else []
    grades = {query.query_id: judgements.qrels[query.query_id] for query in kept}
    return JudgedQueries(Questions(kept, grades, found.metadata), has_texts=True, notes=tuple(notes))


def judged_dataset(dataset: Dataset) -> JudgedQueries:
    """Return the questions of a data set."""
    questions = Questions(dataset.queries, dataset.qrels, dataset.metadata)
    return JudgedQueries(questions, has_texts=True, notes=dataset.notes())


def judged_run(path: Path, measure: Measure, judged: JudgedQueries | None) -> JudgedRun:
    """Load one side: a folder is a saved evaluation, a file a run.

    Args:
        path: Folder or file.
        measure: What will be compared. A saved evaluation without it is measured anew.
        judged: When given, every run is measured on it, saved ones too.

    Raises:
        CorpusError: If the path is neither, something in it is bad, a run file comes without judgements, or the run has
            queries and none of those judged.
    """
    if path.is_dir():
        return _saved(path, measure, judged)
    if not path.is_file():
        raise CorpusError(
            "evaluation.no_such_run",
            "{path} does not exist",
            expected="a saved evaluation (folder) or a run file",
            do="Check the path",
            path=path,
        )
    if judged is None:
        raise CorpusError(
            "evaluation.run_without_judgements",
            "{path} is a run file and there are no judgements",
            expected="some to measure it on",
            do="Give --qrels FILE, or --data FOLDER",
            path=path,
        )
    run = read_run(path)
    evaluation = evaluate(run, judged.questions.qrels, [measure], queries=judged.questions.queries)
    return JudgedRun(path.name, evaluation, run, judged.questions, notes=_oddities(run, evaluation))


def foreign_documents(side: JudgedRun, known: Collection[str]) -> Message | None:
    """Return a note about documents of a run that the corpus does not have, None when it has all.

    Args:
        side: The run.
        known: All document ids of the corpus; a set, for speed.

    Raises:
        CorpusError: If the corpus has none of them: the run is from another corpus.
    """
    found = {doc_id for ranking in side.run.values() for doc_id, _ in ranking}
    absent = sorted(found.difference(known))
    if absent and len(absent) == len(found):
        raise CorpusError(
            "evaluation.other_corpus",
            "{run}: none of its {documents} documents is in the corpus of {known} documents (first {first})",
            expected="a run over this corpus",
            do="Give the index or data set that it was made from",
            run=side.name,
            documents=len(found),
            known=len(known),
            first=repr(absent[0]),
        )
    if not absent:
        return None
    return Message.of(
        "evaluation.foreign_documents",
        "{count} of its {documents} documents are not in the corpus ({first})",
        count=len(absent),
        documents=len(found),
        first=first_few(absent),
    )


def foreign_judgements(questions: Questions, known: Collection[str]) -> Message | None:
    """Return a note about judged documents that the corpus does not have, None when it has all."""
    unknown = unknown_documents(questions.qrels, known)
    if not unknown.count:
        return None
    return Message.of(
        "evaluation.foreign_judgements",
        "{count} of {judged} judged documents are not in the corpus (first {first}); {relevant} of them are relevant and "
        "cannot be found",
        count=unknown.count,
        judged=unknown.judged,
        first=list(unknown.first),
        relevant=unknown.relevant,
    )


def _saved(path: Path, measure: Measure, judged: JudgedQueries | None) -> JudgedRun:
    inside = list_evaluations(path)
    if inside and not (path / "evaluation.json").is_file():
        raise CorpusError(
            "evaluation.several",
            "{path} holds {count:saved evaluation|saved evaluations} ({first})",
            expected="one",
            do="Name the folders to compare",
            path=path,
            count=len(inside),
            first=first_few([one.name for one in inside]),
        )
    saved = load_evaluation(path)
    questions, evaluation = saved.questions, saved.evaluation
    notes: list[Message] = []
    anew = judged.questions if judged is not None else questions
    if anew is not None and (judged is not None or str(measure) not in evaluation.measures):
        evaluation = evaluate(saved.run, anew.qrels, [measure], queries=anew.queries)
        if evaluation.qrels_digest != saved.evaluation.qrels_digest:
            notes.append(
                Message.of(
                    "evaluation.measured_anew", "it was saved with other judgements and is measured on those given"
                )
            )
        questions = anew
    notes += _oddities(saved.run, evaluation)
    if losses := saved.meta.degraded():
        notes.append(Message.of("evaluation.degraded", "degraded: {stages}", stages=list(losses)))
    return JudgedRun(path.resolve().name, evaluation, saved.run, questions, saved.meta, tuple(notes))


def _oddities(run: Run, evaluation: Evaluation) -> tuple[Message, ...]:
    notes = []
    answered = any(run.values())
    if not answered:
        notes.append(Message.of("evaluation.empty_run", "the run is empty: every query scores 0"))
    elif evaluation.unanswered:
        notes.append(
            Message.of(
                "evaluation.unanswered",
                "{count:query has|queries have} no result and score 0 ({first})",
                count=len(evaluation.unanswered),
                first=first_few(evaluation.unanswered),
            )
        )
    if evaluation.not_asked:
        notes.append(
            Message.of(
                "evaluation.not_asked",
                "{count:query of the run is|queries of the run are} not judged: left out ({first})",
                count=len(evaluation.not_asked),
                first=first_few(evaluation.not_asked),
            )
        )
    notes += excluded_notes(evaluation)
    if answered and evaluation.judged == 0:
        notes.append(
            Message.of(
                "evaluation.nothing_judged",
                "none of the first 10 documents of any query is judged: the run may be from another corpus",
            )
        )
    return tuple(notes)


def excluded_notes(evaluation: Evaluation) -> list[Message]:
    """Return one note for each reason why queries could not be scored."""
    reasons: dict[Message, list[str]] = {}
    for query_id, reason in evaluation.excluded.items():
        reasons.setdefault(reason, []).append(query_id)
    return [
        Message.of(
            "evaluation.excluded",
            "{count:query has|queries have} {reason}: left out ({first})",
            count=len(ids),
            reason=reason,
            first=first_few(ids),
        )
        for reason, ids in reasons.items()
    ]


def texts_of(sides: Sequence[JudgedRun]) -> Mapping[str, str]:
    """Return query id to text, from whichever side has questions."""
    return {q.query_id: q.text for side in sides if side.questions is not None for q in side.questions.queries}
