"""Teacher scores for training rows: a reranker scores each row's positives and negatives once, into a file of the run's folder.

FlagEmbedding does the same with `add_reranker_score.py`. Scores that a row brings are kept.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from quarry.indexer.errors import TrainingError
from quarry.retriever.base import Reranker
from quarry.training.examples.row_files import RowFiles
from quarry.training.examples.rows import TrainingRow, training_lines
from quarry.training.fit.rows.table import RowTable
from quarry.training.fit.run_folder import TAUGHT

_BLOCK = 64  # rows scored between two reports
_PATIENCE = 24 * 3600  # seconds that other processes wait for the first


@dataclass(frozen=True, slots=True)
class Teacher:
    """A reranker, loaded when it is needed.

    Attributes:
        name: Identity of its files; other files, other scores.
        load: Opens it.
    """

    name: str
    load: Callable[[], Reranker]


def taught_rows(
    rows: Sequence[TrainingRow], teacher: Teacher, run: Path, *, progress: Callable[[int], None] | None = None
) -> RowFiles:
    """Return rows with scores, from the run's folder when they are there already.

    Args:
        rows: What is trained on.
        teacher: Who scores.
        run: The run's folder; under torchrun the first process writes, and the others wait for it.
        progress: Receives the number of rows finished.

    Raises:
        ModelError: If the teacher cannot be loaded.
        TrainingError: If the file cannot be written, or another process was to write it and did not.
    """
    digest = sha256(f"{RowTable.of(rows).digest} {teacher.name}".encode()).hexdigest()[:16]
    path = run / f"{TAUGHT}{digest}.jsonl"
    if not path.is_file():
        if int(os.environ.get("RANK", "0")):
            _wait(path)
        else:
            _write(path, rows, teacher.load(), progress)
    return RowFiles.open([path], strict=True)


def _wait(path: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while not path.is_file():
        if time.monotonic() > end:
            raise TrainingError(
                "fit.not_taught",
                "the first process has not written {path}",
                expected="the teacher's scores",
                do="Run the same command again",
                path=path,
            )
        time.sleep(0.2)


def _write(path: Path, rows: Sequence[TrainingRow], reranker: Reranker, progress: Callable[[int], None] | None) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            for block in _scored(rows, reranker):
                file.write(training_lines(block))
                if progress is not None:
                    progress(len(block))
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as err:
        raise TrainingError(
            "fit.file",
            "the run in {folder} could not write or read a file ({why})",
            do="Make room: what was saved before is whole, and the same call resumes from it",
            folder=path.parent,
            why=str(err),
        ) from err


def _scored(rows: Sequence[TrainingRow], reranker: Reranker) -> Iterator[list[TrainingRow]]:
    for first in range(0, len(rows), _BLOCK):
        yield [_with_scores(rows[place], reranker) for place in range(first, min(len(rows), first + _BLOCK))]


def _with_scores(row: TrainingRow, reranker: Reranker) -> TrainingRow:
    if row.pos_scores or row.neg_scores:
        return row
    scores = tuple(reranker.score(row.query, [*row.pos, *row.neg]).tolist())
    return replace(row, pos_scores=scores[: len(row.pos)], neg_scores=scores[len(row.pos) :])
