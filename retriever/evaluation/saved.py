"""Saves an evaluation as a folder, which appears complete or not at all.

    evaluation.json   what was evaluated, and every measure of every query
    run.trec          documents per query, a TREC run file
    queries.jsonl     the questions, with their metadata (BEIR)
    qrels.tsv         the judgements (BEIR)

So it can be compared, cut into slices and measured anew without the data set. Evaluations saved without the last two are
read as well. Nothing is overwritten: two evaluations never share a folder, whatever their models are called.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quarry.indexer.errors import CorpusError, cause_of
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import file_sha256, sync_folder, sync_tree
from quarry.retriever.data.topics import read_queries
from quarry.retriever.data.trec import Qrels, Run, read_qrels, read_run, write_qrels, write_run
from quarry.retriever.evaluation.evaluate import Evaluation, Mean
from quarry.retriever.ranking import Query

FORMAT = 1
_REPORT, _RUN, _QUERIES, _QRELS = "evaluation.json", "run.trec", "queries.jsonl", "qrels.tsv"


@dataclass(frozen=True, slots=True)
class Meta:
    """What was evaluated, so that the figures can be understood and made again.

    Attributes:
        dataset: Name of the data set.
        split: Which of its splits.
        dataset_digest: `Dataset.digest`: queries and judgements.
        generation: The index generation that answered.
        model: Embedding model with its revision.
        route: `dense`, `bm25` or `hybrid`.
        rerank: The reranker, or `none`.
        depth: How many candidates were reranked; 0 without reranking.
        created: UTC time, ISO 8601.
        more: Further facts as text or numbers, such as milliseconds per stage and ceiling.
        losses: Stages that did not fully run, and why.
    """

    dataset: str
    split: str
    dataset_digest: str
    generation: str = ""
    model: str = ""
    route: str = ""
    rerank: str = "none"
    depth: int = 0
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    more: Mapping[str, str | float] = field(default_factory=dict)
    losses: tuple[Message, ...] = ()

    def degraded(self) -> tuple[Message, ...]:
        """Return the losses; of an evaluation of an older version, their text."""
        text = str(self.more.get("degraded") or "")
        return self.losses or ((Message.plain(text),) if text else ())


@dataclass(frozen=True, slots=True)
class Questions:
    """What was asked, and what is known of the answers.

    Attributes:
        queries: The questions.
        qrels: The judgements.
        metadata: Query id to further fields, for slices; queries without any may be absent.
    """

    queries: tuple[Query, ...]
    qrels: Qrels
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SavedEvaluation:
    """An evaluation with its run and what was evaluated; `questions` is None in those that kept none."""

    meta: Meta
    evaluation: Evaluation
    run: Run
    questions: Questions | None = None


def save_evaluation(folder: Path, saved: SavedEvaluation) -> None:
    """Write a new folder; a crash leaves none, or a `.tmp` beside it that is never read.

    The run keeps its order exactly; scores that are tied or rise are written just below the one before (`write_run`).

    Raises:
        ValueError: If the folder exists already, or the run cannot be written (see `write_run`).
    """
    if folder.exists():
        raise ValueError(f"{folder} exists already; expected a new folder, because evaluations are never overwritten")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temp = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temp, ignore_errors=True)
    temp.mkdir()
    try:
        write_run(temp / _RUN, saved.run)
        if saved.questions is not None:
            _write_questions(temp, saved.questions)
        report = {
            "format": FORMAT,
            "meta": {**asdict(saved.meta), "losses": [loss.as_json() for loss in saved.meta.losses]},
            "run_sha256": file_sha256(temp / _RUN),
            "questions_sha256": _sums(temp) if saved.questions is not None else None,
            "evaluation": _report(saved.evaluation),
        }
        (temp / _REPORT).write_text(json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False), encoding="utf-8")
        sync_tree(temp)
        temp.rename(folder)
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def load_evaluation(folder: Path) -> SavedEvaluation:
    """Read what `save_evaluation` wrote.

    Raises:
        CorpusError: If the folder is not a saved evaluation, is damaged, or is of a newer format.
    """
    path = folder / _REPORT
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise CorpusError(
            "evaluation.unreadable",
            "{path}: cannot be read ({error})",
            expected="a saved evaluation",
            do="Give a folder that an evaluation has written",
            path=path,
            error=cause_of(err),
        ) from err
    found = report.get("format") if isinstance(report, dict) else None
    if found != FORMAT:
        raise CorpusError(
            "evaluation.other_format",
            "{path}: format is {format}",
            expected="{wanted}",
            do="Evaluate again with this version of Quarry",
            path=path,
            format=repr(found),
            wanted=FORMAT,
        )
    try:
        saved_sha = report["run_sha256"]
        meta, evaluation = _meta(report["meta"]), _evaluation(report["evaluation"])
    except (KeyError, TypeError, AttributeError) as err:
        raise CorpusError(
            "evaluation.damaged",
            "{path}: damaged ({error})",
            expected="a complete evaluation",
            do="Evaluate again",
            path=path,
            error=cause_of(err),
        ) from err
    if not (folder / _RUN).is_file() or file_sha256(folder / _RUN) != saved_sha:
        raise CorpusError(
            "evaluation.other_run_file",
            "{path}: missing, or not the run of {report}",
            do="Evaluate again",
            path=folder / _RUN,
            report=path.name,
        )
    sums = report.get("questions_sha256")
    if sums is not None and sums != _sums(folder):
        raise CorpusError(
            "evaluation.other_questions",
            "{folder}: {queries} or {qrels} is missing, or not that of {report}",
            do="Evaluate again",
            folder=folder,
            queries=_QUERIES,
            qrels=_QRELS,
            report=path.name,
        )
    questions = _read_questions(folder) if sums is not None else None
    return SavedEvaluation(meta, evaluation, read_run(folder / _RUN), questions)


def list_evaluations(parent: Path) -> list[Path]:
    """Return the saved evaluations directly in a folder, by name; none when the folder is missing. Reads no content."""
    if not parent.is_dir():
        return []
    return sorted(path.parent for path in parent.glob(f"*/{_REPORT}") if not path.parent.name.startswith("."))


def _write_questions(folder: Path, questions: Questions) -> None:
    rows = (
        {"_id": query.query_id, "text": query.text, "metadata": dict(questions.metadata.get(query.query_id, {}))}
        for query in questions.queries
    )
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / _QUERIES).write_text(lines, encoding="utf-8")
    write_qrels(folder / _QRELS, questions.qrels)


def _read_questions(folder: Path) -> Questions:
    found = read_queries(folder / _QUERIES)
    return Questions(found.queries, read_qrels(folder / _QRELS).qrels, found.metadata)


def _sums(folder: Path) -> list[str]:
    return [file_sha256(folder / name) if (folder / name).is_file() else "" for name in (_QUERIES, _QRELS)]


def _meta(report: Mapping[str, Any]) -> Meta:
    losses = tuple(Message.from_json(loss) for loss in report.get("losses", ()))
    return Meta(**{**report, "losses": losses})


def _report(evaluation: Evaluation) -> dict[str, Any]:
    excluded = {query_id: reason.as_json() for query_id, reason in evaluation.excluded.items()}
    return {**asdict(evaluation), "excluded": excluded}


def _evaluation(report: Mapping[str, Any]) -> Evaluation:
    return Evaluation(
        measures=tuple(report["measures"]),
        per_query={query_id: dict(row) for query_id, row in report["per_query"].items()},
        means={name: Mean(**mean) for name, mean in report["means"].items()},
        excluded={query_id: Message.from_json(reason) for query_id, reason in report["excluded"].items()},
        unanswered=tuple(report["unanswered"]),
        not_asked=tuple(report["not_asked"]),
        qrels_digest=report["qrels_digest"],
    )
