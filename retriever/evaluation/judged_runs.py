"""Runs from anywhere, measured on one set of judgements and ready to be compared: saved evaluations and TREC run files."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quarry.indexer.errors import CorpusError
from quarry.retriever.data.datasets import Dataset, unknown_documents
from quarry.retriever.data.topics import read_queries
from quarry.retriever.data.trec import Run, read_qrels, read_run
from quarry.retriever.evaluation.evaluate import Evaluation, evaluate
from quarry.retriever.evaluation.measures import Measure
from quarry.retriever.evaluation.saved import Meta, Questions, list_evaluations, load_evaluation
from quarry.retriever.ranking import Query

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Judged:
    """Questions with judgements that runs are measured on.

    Attributes:
        questions: Queries, judgements, metadata. Without a file of queries, each text is the query's id.
        has_texts: Whether the texts are real.
        notes: What was counted and left out, one sentence each.
    """

    questions: Questions
    has_texts: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """One side of a comparison.

    Attributes:
        name: The file's or folder's name.
        evaluation: Measures per query.
        run: Documents per query, best first.
        questions: What it was measured on; None for a saved evaluation that kept none.
        meta: What a saved evaluation knows of itself; None for a run file.
        notes: What is odd about the run, one sentence each.
    """

    name: str
    evaluation: Evaluation
    run: Run
    questions: Questions | None
    meta: Meta | None = None
    notes: tuple[str, ...] = field(default=())


def judged_files(qrels: Path, queries: Path | None) -> Judged:
    """Read judgements, and the texts of their queries when there is a file of them.

    Raises:
        CorpusError: If a file is bad (file, line and reason are named), or no judged query is in the file of queries.
    """
    judgements = read_qrels(qrels)
    notes = [_counted(judgements.repeated, "judgements are said twice")] if judgements.repeated else []
    if not judgements.qrels:
        raise CorpusError(f"{qrels}: no judgements in the file; expected some. Give the file that belongs to the runs")
    if queries is None:
        ids = tuple(Query(query_id, query_id) for query_id in judgements.qrels)
        return Judged(Questions(ids, judgements.qrels), has_texts=False, notes=tuple(notes))
    found = read_queries(queries)
    kept = tuple(query for query in found.queries if query.query_id in judgements.qrels)
    if not kept:
        raise CorpusError(
            f"{qrels}: none of its {len(judgements.qrels)} queries is among the {len(found.queries)} of {queries}; "
            "expected judgements of these queries. Check that the files belong together"
        )
    known = {query.query_id for query in found.queries}
    without_text = [query_id for query_id in judgements.qrels if query_id not in known]
    unjudged = [query.query_id for query in found.queries if query.query_id not in judgements.qrels]
    notes += [_counted(without_text, "judged queries have no text: left out")] if without_text else []
    notes += [_counted(unjudged, "queries have no judgements: left out")] if unjudged else []
    grades = {query.query_id: judgements.qrels[query.query_id] for query in kept}
    return Judged(Questions(kept, grades, found.metadata), has_texts=True, notes=tuple(notes))


def judged_dataset(dataset: Dataset) -> Judged:
    """Return the questions of a data set."""
    questions = Questions(dataset.queries, dataset.qrels, dataset.metadata)
    return Judged(questions, has_texts=True, notes=dataset.notes())


def judged_run(path: Path, measure: Measure, judged: Judged | None) -> JudgedRun:
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
        raise CorpusError(f"{path} does not exist; expected a saved evaluation (folder) or a run file. Check the path")
    if judged is None:
        raise CorpusError(
            f"{path} is a run file and there are no judgements; expected some to measure it on. "
            "Give --qrels FILE, or --data FOLDER"
        )
    run = read_run(path)
    evaluation = evaluate(run, judged.questions.qrels, [measure], queries=judged.questions.queries)
    return JudgedRun(path.name, evaluation, run, judged.questions, notes=_oddities(run, evaluation))


def foreign_documents(side: JudgedRun, known: Collection[str]) -> str:
    """Return a sentence about documents of a run that the corpus does not have, empty when it has all.

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
            f"{side.name}: none of its {len(found)} documents is in the corpus of {len(known)} documents "
            f"(first {absent[0]!r}); expected a run over this corpus. Give the index or data set that it was made from"
        )
    return _counted(absent, f"of its {len(found)} documents are not in the corpus") if absent else ""


def foreign_judgements(questions: Questions, known: Collection[str]) -> str:
    """Return a sentence about judged documents that the corpus does not have, empty when it has all."""
    unknown = unknown_documents(questions.qrels, known)
    if not unknown.count:
        return ""
    return (
        f"{unknown.count} of {unknown.judged} judged documents are not in the corpus (first {', '.join(unknown.first)}); "
        f"{unknown.relevant} of them are relevant and cannot be found"
    )


def _saved(path: Path, measure: Measure, judged: Judged | None) -> JudgedRun:
    inside = list_evaluations(path)
    if inside and not (path / "evaluation.json").is_file():
        raise CorpusError(
            f"{path} holds {len(inside)} saved evaluations ({', '.join(one.name for one in inside[:_SHOWN])}, ...); "
            "expected one. Name the folders to compare"
        )
    saved = load_evaluation(path)
    questions, evaluation, notes = saved.questions, saved.evaluation, []
    anew = judged.questions if judged is not None else questions
    if anew is not None and (judged is not None or str(measure) not in evaluation.measures):
        evaluation = evaluate(saved.run, anew.qrels, [measure], queries=anew.queries)
        if evaluation.qrels_digest != saved.evaluation.qrels_digest:
            notes.append("it was saved with other judgements and is measured on those given")
        questions = anew
    notes += _oddities(saved.run, evaluation)
    notes += [
        f"degraded: {reason}" for reason in [saved.meta.more.get("degraded")] if isinstance(reason, str) and reason
    ]
    return JudgedRun(path.resolve().name, evaluation, saved.run, questions, saved.meta, tuple(notes))


def _oddities(run: Run, evaluation: Evaluation) -> tuple[str, ...]:
    notes = []
    if not any(run.values()):
        notes.append("the run is empty: every query scores 0")
    elif evaluation.unanswered:
        notes.append(_counted(evaluation.unanswered, "queries have no result and score 0"))
    if evaluation.not_asked:
        notes.append(_counted(evaluation.not_asked, "queries of the run are not judged: left out"))
    reasons: dict[str, list[str]] = {}
    for query_id, reason in evaluation.excluded.items():
        reasons.setdefault(reason, []).append(query_id)
    notes += [_counted(ids, f"queries have {reason}: left out") for reason, ids in reasons.items()]
    if any(run.values()) and evaluation.judged == 0:
        notes.append("none of the first 10 documents of any query is judged: the run may be from another corpus")
    return tuple(notes)


def _counted(ids: Sequence[str], what: str) -> str:
    return f"{len(ids)} {what} ({', '.join(ids[:_SHOWN])}{', ...' if len(ids) > _SHOWN else ''})"


def texts_of(sides: Sequence[JudgedRun]) -> Mapping[str, str]:
    """Return query id to text, from whichever side has questions."""
    return {q.query_id: q.text for side in sides if side.questions is not None for q in side.questions.queries}
