"""`quarry feedback`: show, export or record user feedback on the answers of an index."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from quarry.app.cli.console import fields, note, out, out_json, table
from quarry.app.cli.help import IndexCommand
from quarry.app.cli.options import AsOption, principals_of
from quarry.indexer.principals import Principals

if TYPE_CHECKING:
    from quarry.indexer.opened import Index
    from quarry.training.examples.rows import ExportReport, TrainingRow
    from quarry.training.feedback.judgements import Conflict, FeedbackSummary, Judgement
    from quarry.training.feedback.log import StoredEvent

_SHOWN = 20  # judgements and queries shown in text output; --json lists all
_ANSWER_GRADE = 2  # from this grade on the passage answers the question


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "feedback",
        cls=IndexCommand,
        short_help="Show, export or record user feedback.",
        help="Show, export or record user feedback on an index.",
    )(feedback)


def feedback(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    export: Annotated[
        Path | None, typer.Option(help="Write training rows (FlagEmbedding JSON lines) to this file.")
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option(help="Write queries.jsonl and qrels/test.tsv (BEIR) to this folder.")
    ] = None,
    write_examples: Annotated[
        Path | None,
        typer.Option(
            help="Write up to five judged answers to this file, as --examples of an in-context model reads them."
        ),
    ] = None,
    seen_as: AsOption = None,
    conflict: Annotated[
        Literal["majority", "latest"], typer.Option(help="How to resolve conflicting judgments of a passage.")
    ] = "majority",
    add: Annotated[
        bool, typer.Option("--add", help="Record a judgment; requires --query, --chunk and --grade.")
    ] = False,
    query: Annotated[str | None, typer.Option(help="With --add: the question.")] = None,
    chunk: Annotated[
        str | None, typer.Option(help="With --add: the chunk_id of the passage, as printed by `quarry search --json`.")
    ] = None,
    grade: Annotated[
        int | None, typer.Option(help="With --add: 0 not relevant, 1 relevant, 2 or 3 answers the question.")
    ] = None,
    session: Annotated[str, typer.Option(help="With --add: session name; each session counts as one vote.")] = "cli",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Summarize, export or record feedback."""
    given, principals = (query, chunk, grade), principals_of(seen_as)
    if add and any(value is None for value in given):
        raise typer.BadParameter("--add requires --query, --chunk and --grade")
    if not add and any(value is not None for value in given):
        raise typer.BadParameter("--query, --chunk and --grade require --add")
    if add:
        _add(index, str(query), str(chunk), int(grade or 0), session)
    if write_examples is not None:
        _write_examples(index, write_examples, _events(index, principals), conflict)
    targets = _Targets(export, qrels)
    _show(
        index, _events(index, principals), targets, conflict, as_json=as_json, quiet=add or write_examples is not None
    )


def _add(root: Path, query: str, chunk_id: str, grade: int, session: str) -> None:
    from quarry.indexer.errors import FeedbackError
    from quarry.indexer.opened import Index
    from quarry.training.feedback.log import Action, FeedbackEvent, FeedbackLog, feedback_path

    index = Index.open(root)
    try:
        (chunk,) = index.chunks.chunks([chunk_id])
    except KeyError as err:
        raise FeedbackError(
            "cli.no_such_passage",
            "the index has no passage {chunk_id}",
            expected="a chunk_id",
            do="Take one from `quarry search {index} QUERY --json`",
            chunk_id=chunk_id,
            index=root,
        ) from err
    action: Action = "thumb_down" if grade == 0 else "thumb_up" if grade < _ANSWER_GRADE else "answer"
    event = FeedbackEvent(query, action, session, index.generation, chunk_id, chunk.doc_id, grade)
    with FeedbackLog.open(feedback_path(root)) as log:
        number = log.append(event)
    note(f"event {number} stored: {action}, grade {grade}, {chunk_id}")


@dataclass(frozen=True, slots=True)
class _Targets:
    """Where judgements are written: training rows, and a folder of queries and judgements."""

    export: Path | None
    qrels: Path | None


def _events(root: Path, principals: Principals | None) -> "list[StoredEvent]":
    from quarry.indexer.storage.generations import Generations
    from quarry.training.feedback.log import read_events

    Generations(root).pointer()  # a folder that is not an index is an error, not an empty log
    return read_events(root, principals)


def _write_examples(root: Path, file: Path, events: "list[StoredEvent]", conflict: "Conflict") -> None:
    from quarry.indexer.models.few_shot import MOST_SHOTS, Shot, write_shots
    from quarry.training.feedback.judgements import judgements

    judged = sorted(judgements(events, conflict), key=lambda one: -one.grade)
    rows, _ = _rows_of(root, file, judged)
    write_shots(file, [Shot(row.query, row.pos[0]) for row in rows[:MOST_SHOTS]])
    note(f"{file}: {min(len(rows), MOST_SHOTS)} examples, the best judged answers of different questions")


def _show(
    root: Path, events: "list[StoredEvent]", targets: _Targets, conflict: "Conflict", *, as_json: bool, quiet: bool
) -> None:
    from quarry.training.feedback.judgements import document_grades, judgements, summary
    from quarry.training.feedback.log import feedback_path

    path, export, qrels = feedback_path(root), targets.export, targets.qrels
    counts, judged = summary(events), judgements(events, conflict)
    exports = {
        name: _exported(report)
        for name, report in (
            ("training", _export_rows(root, export, judged) if export else None),
            ("qrels", _export_qrels(qrels, document_grades(events)) if qrels else None),
        )
        if report is not None
    }
    if as_json:
        out_json({**fields(counts), "judgements": [fields(one) for one in judged], "exports": exports})
    elif not quiet and not exports:
        _print(path, counts, judged)


def _export_rows(root: Path, file: Path, judged: "Sequence[Judgement]") -> "ExportReport":
    from quarry.training.examples.rows import write_training_rows

    rows, report = _rows_of(root, file, judged)
    write_training_rows(file, rows)
    note(
        f"{file}: {report.rows} rows, {report.without_negatives} of them without negatives; omitted: "
        f"{report.without_positives} queries without a relevant passage, {report.missing} judgments of deleted passages"
    )
    return report


def _rows_of(root: Path, file: Path, judged: "Sequence[Judgement]") -> "tuple[list[TrainingRow], ExportReport]":
    """Return judged queries with their passages, for a file.

    Raises:
        FeedbackError: If there is none.
    """
    from quarry.indexer.errors import FeedbackError
    from quarry.indexer.opened import Index
    from quarry.training.examples.rows import training_rows

    index = Index.open(root)
    rows, report = training_rows(judged, lambda chunk_id: _text(index, chunk_id))
    if not rows:
        raise FeedbackError(
            "cli.nothing_to_export",
            "{file} was not written: none of {count:judgment|judgments} is a relevant passage of this index",
            expected="at least one",
            do="Judge answers in `quarry ui`, or with --add",
            file=file,
            count=len(judged),
        )
    return rows, report


def _text(index: "Index", chunk_id: str) -> str | None:
    try:
        return index.chunks.texts([chunk_id])[0]
    except KeyError:
        return None


def _export_qrels(folder: Path, grades: dict[str, dict[str, int]]) -> "ExportReport":
    from quarry.indexer.errors import FeedbackError
    from quarry.training.examples.rows import write_beir

    if not grades:
        raise FeedbackError(
            "cli.no_judgments",
            "{folder} was not written: there are no judgments",
            expected="at least one",
            do="Judge answers in `quarry ui`, or with --add",
            folder=folder,
        )
    report = write_beir(folder, grades)
    note(
        f"{folder}: {report.rows} judged queries, {report.unwritable} judgments omitted (ids that qrels cannot represent)"
    )
    return report


def _exported(report: "ExportReport | None") -> dict[str, Any] | None:
    return fields(report) if report is not None else None


def _print(path: Path, counts: "FeedbackSummary", judged: "Sequence[Judgement]") -> None:
    if not counts.events:
        out(f"{path}: no judgments yet; judge answers in `quarry ui`, or with --add")
        return
    actions = ", ".join(f"{count} {name}" for name, count in counts.by_action.items())
    out(f"{path}: {counts.events} events of {len(counts.by_session)} sessions ({actions})")
    languages = ", ".join(f"{count} {name}" for name, count in counts.by_language.items())
    out(f"  {counts.judged_queries} judged queries; events by language: {languages}")
    agreement = "no overlapping judgments" if counts.agreement is None else f"{counts.agreement:.0%}"
    out(f"  agreement between sessions: {agreement} ({counts.compared} pairs), {len(counts.disputed)} disputed")
    _listed("queries without a good answer", counts.unanswered)
    _listed("disputed", [f"{query}  {document}" for query, document in counts.disputed])
    if judged:
        out()
    newest = sorted(judged, key=lambda one: one.at, reverse=True)[:_SHOWN]
    table(
        [
            (
                one.query,
                str(one.grade),
                str(one.sessions),
                f"{one.at.astimezone():%Y-%m-%d %H:%M}",
                one.chunk_id or one.doc_id,
            )
            for one in newest
        ],
        ("query", "grade", "sessions", "at", "passage"),
    )
    if len(judged) > _SHOWN:
        out(f"... and {len(judged) - _SHOWN} more (--json lists all)")


def _listed(name: str, lines: Sequence[str]) -> None:
    if lines:
        out(f"  {name}:")
    for line in lines[:_SHOWN]:
        out(f"    {line}")
    if len(lines) > _SHOWN:
        out(f"    ... and {len(lines) - _SHOWN} more (--json lists all)")
