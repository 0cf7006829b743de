"""Documents and structured files in, one file of training rows out: `make_pairs`, what `quarry pairs` runs."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Embedder, Progress
from quarry.indexer.errors import TrainingError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import is_disk_full
from quarry.indexer.storage.files.file_locks import lock
from quarry.training.examples.reasons import counted
from quarry.training.fit.run_folder import digest_of
from quarry.training.pairs import reasons
from quarry.training.pairs.filters.scoring import (
    LEAST,
    SCORES,
    Scores,
    Selected,
    classes_of,
    kept_by,
    read_scores,
    score_pairs,
)
from quarry.training.pairs.found import KINDS
from quarry.training.pairs.gather import gather
from quarry.training.pairs.records import PairOptions, PairReport, Step
from quarry.training.pairs.sources import Files
from quarry.training.pairs.staging import Staging
from quarry.training.pairs.writing import dropped_lines, row_lines, write_whole

GENERIC_FROM = 4  # a heading that so many passages have gets the document's title before it
PASSAGES_PER_QUERY = 3  # a title or heading with more passages than this is unspecific
_VERSION = 3  # of cleaning and staging: pairs of another version are not resumed


PhaseObserver = Callable[[str, int | None], Progress]
"""Receives the name of a phase and how much it will be; returns what is told of its progress."""


def make_pairs(
    paths: Sequence[Path],
    into: Path,
    scorer: Embedder | None,
    options: PairOptions = PairOptions(),
    *,
    observer: PhaseObserver = lambda _name, _total: lambda _count: None,
) -> PairReport:
    """Extract, clean and filter pairs. The same call resumes a run that was interrupted, and ends with the same file.

    Args:
        paths: Documents, folders of them, and structured files.
        into: The file of rows; it appears when it is whole.
        scorer: Judges how related the texts of a pair are; None keeps all that are clean.
        options: How.
        observer: Told about phases and progress.

    Raises:
        TrainingError: If there is nothing to read, no pair is left, `into` is not a file of rows, or the disk is full: what was done
            so far is kept in the work folder, and the same call resumes.

    Example:
        >>> lines = ["# Loans", "Q: How long are loans?", "A: Loans run for thirty days in all."]
        >>> _ = Path("faq.md").write_text(chr(10).join(lines))
        >>> make_pairs([Path("faq.md")], Path("pairs.jsonl"), None).found["question"]
        1
    """
    _check(paths, into)
    files = Files(paths, into)
    if not len(files):
        raise TrainingError(
            "pairs.no_files",
            "{paths} hold no file",
            expected="documents or files of pairs",
            do="Choose another folder",
            paths=[str(path) for path in paths],
        )
    facts = [files.facts, repr(options.cleaning), repr(options.reading), options.dropped is not None, _VERSION]
    work = into.with_name(f".{into.name}.work")
    try:
        work.mkdir(parents=True, exist_ok=True)
        with (work / "lock").open("ab") as handle:
            if not lock(handle.fileno()):
                raise TrainingError(
                    "pairs.busy",
                    "another process is making {into}",
                    expected="one at a time",
                    do="Wait for it, or choose another file",
                    into=into,
                )
            staging = Staging(work, digest_of(facts))
            try:
                report = _made(files, staging, into, scorer, options, observer)
            finally:
                staging.close()
    except OSError as err:
        raise _not_written(into, work, err) from err
    shutil.rmtree(work, ignore_errors=True)
    return report


def _check(paths: Sequence[Path], into: Path) -> None:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise TrainingError(
            "pairs.no_such_path",
            "not found: {paths}",
            expected="files or folders",
            do="Check the spelling",
            paths=missing,
        )
    if into.is_dir() or (into.is_file() and into.stat().st_size and not _is_rows(into)):
        raise TrainingError(
            "pairs.other_file",
            "{into} exists and is no file of training rows",
            expected="a new file, or an earlier result to replace",
            do="Choose another name",
            into=into,
        )


def _is_rows(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            row = json.loads(handle.readline(1 << 24))
        return isinstance(row, dict) and "query" in row and "pos" in row
    except (OSError, ValueError, RecursionError):
        return False


def _not_written(into: Path, work: Path, err: OSError) -> TrainingError:
    if is_disk_full(err):
        return TrainingError(
            "pairs.disk_full",
            "the disk is full; what was found so far is in {work}",
            expected="room for the texts of all pairs",
            do="Make room and give the same command again: it resumes",
            work=work,
        )
    return TrainingError(
        "pairs.not_written",
        "{into} could not be written ({why})",
        expected="a folder that can be written to",
        do="Choose another file",
        into=into,
        why=err.strerror or str(err),
    )


def _made(
    files: Files, staging: Staging, into: Path, scorer: Embedder | None, options: PairOptions, observer: PhaseObserver
) -> PairReport:
    gather(
        files,
        staging,
        reading=options.reading,
        cleaning=options.cleaning,
        keep_dropped=options.dropped is not None,
        progress=observer("pairs", None),
    )
    selected, generic = select(staging)
    count, notes, thresholds = len(selected.rows), list[Message](), dict[int, float]()
    kept = np.ones(count, np.bool_)
    reason = reasons.UNRELATED
    if scorer is not None and count:
        reason = reasons.BELOW if options.rule.threshold is not None else reason
        reason = reasons.NOT_BEST if options.rule.keep is not None else reason
        if count < LEAST and reason is reasons.UNRELATED:
            notes.append(_too_few(count))
        else:
            scores = _scores(staging, selected, scorer, options, observer)
            kept, thresholds = kept_by(options.rule, scores, selected.classes)
    if not kept.any():
        raise _nothing_left(staging, count)
    steps = _steps(staging, generic, kept, reason)
    left_out = [(generic, reasons.GENERIC), (selected.rows[~kept], reason)]
    if options.dropped is not None:
        write_whole(options.dropped, dropped_lines(staging, left_out))
    digest = write_whole(into, row_lines(staging, selected, kept))
    position = staging.position
    return PairReport(
        into,
        digest,
        len(files),
        {kind: position.found[kind] for kind in KINDS},
        dict(position.lost),
        tuple(position.problems),
        steps,
        _by_kind(staging, selected.rows[kept]),
        tuple(thresholds.values()),
        f"{scorer.spec.model} {scorer.spec.revision}" if scorer is not None else "",
        tuple(notes),
    )


def select(staging: Staging) -> tuple[Selected, NDArray[np.int64]]:
    """Return the pairs to score, and the numbers of those whose title or heading stands for too many passages."""
    marks, queries = staging.marks(), staging.queries()
    named = np.isin(marks & 7, [KINDS.index("title"), KINDS.index("heading")])
    specific = named & (_times(queries[:, 0], named) >= GENERIC_FROM) & (queries[:, 0] != queries[:, 1])
    asked = np.where(specific, queries[:, 1], queries[:, 0])
    generic = named & (_times(asked, named) > PASSAGES_PER_QUERY)
    rows = np.flatnonzero(~generic)
    return Selected(rows, specific[rows], classes_of(marks[rows])), np.flatnonzero(generic)


def _times(values: NDArray[np.uint64], among: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how often each value stands among some of the values."""
    distinct, counts = np.unique(values[among], return_counts=True)
    if not len(distinct):
        return np.zeros(len(values), np.int64)
    places = np.minimum(np.searchsorted(distinct, values), len(distinct) - 1)
    return np.where(distinct[places] == values, counts[places], 0)


def _scores(
    staging: Staging, selected: Selected, scorer: Embedder, options: PairOptions, observer: PhaseObserver
) -> Scores:
    key = digest_of([scorer.spec.fingerprint, scorer.spec.query_format, options.seed, SCORES])
    file = staging.folder / f"scores.{key}.f32"
    score_pairs(staging, selected, scorer, file, seed=options.seed, progress=observer("scoring", len(selected.rows)))
    return read_scores(file, selected, options.seed)


def _too_few(count: int) -> Message:
    return Message.of(
        "pairs.too_few_to_score",
        "{count:pair is|pairs are} too few to be compared with random ones; none was filtered by the scorer",
        expected="at least {least}",
        do="Give --threshold, or more documents",
        count=count,
        least=LEAST,
    )


def _nothing_left(staging: Staging, scored: int) -> TrainingError:
    position = staging.position
    left_out = counted(dict((position.lost + position.dropped).most_common(5)))
    return TrainingError(
        "pairs.nothing_left",
        "no pair is left of {count:,} found and {scored:,} scored ({left_out:;})",
        expected="documents with titles, headings, questions with answers, or rows with such fields",
        do="Choose other documents, or another --threshold",
        count=position.found.total(),
        scored=scored,
        left_out=left_out or [Message.of("pairs.nothing_found", "nothing was left out")],
    )


def _steps(staging: Staging, generic: NDArray[np.int64], kept: NDArray[np.bool_], reason: Message) -> tuple[Step, ...]:
    dropped, found = staging.position.dropped, staging.position.found.total()
    cleaning = {name: dropped[name] for name in reasons.CLEANING if dropped[name]}
    clean = found - sum(cleaning.values())
    single, scored, last = len(staging), len(kept), int(kept.sum())
    return (
        Step("cleaning", found, clean, cleaning),
        Step("duplicates", clean, single, {reasons.COPY: clean - single} if clean > single else {}),
        Step("unspecific", single, scored, {reasons.GENERIC: len(generic)} if len(generic) else {}),
        Step("semantic", scored, last, {reason: scored - last} if scored > last else {}),
    )


def _by_kind(staging: Staging, rows: NDArray[np.int64]) -> dict[str, int]:
    counts = Counter((staging.marks()[rows] & 7).tolist())
    return {kind: counts[number] for number, kind in enumerate(KINDS)}
