"""Rows by a language model: instructions in the name of personas first, then a row for each instruction. `quarry synthesize` runs it."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import tee
from math import ceil
from pathlib import Path
from typing import NamedTuple

from quarry.indexer.embedder import Progress
from quarry.indexer.errors import TrainingError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import is_disk_full, sync_folder
from quarry.retriever.llm.endpoint import Endpoint
from quarry.training.examples.example import text_key
from quarry.training.examples.kept_answers import KeptAnswers
from quarry.training.examples.reasons import counted
from quarry.training.examples.rows import TrainingRow, training_lines
from quarry.training.synthesis import answers as faults
from quarry.training.synthesis.answers import instructions_in, row_in
from quarry.training.synthesis.asking import Asker
from quarry.training.synthesis.personas import Personas, built_in, draw_personas
from quarry.training.synthesis.spec import SynthesisReport, SynthesisSpec
from quarry.training.synthesis.tasks import (
    RETRIEVAL,
    TaskKind,
    fixed_instruction,
    instruction_request,
    row_request,
)

_PER_REQUEST = 5  # instructions asked for at once


PhaseObserver = Callable[[str, int | None], Progress]
"""Receives the name of a phase and how many requests it has; returns what is told of its progress."""


def synthesize(
    into: Path,
    endpoint: Endpoint,
    spec: SynthesisSpec,
    *,
    observer: PhaseObserver = lambda _name, _total: lambda _count: None,
) -> SynthesisReport:
    """Have rows written. Answers are kept beside the file, so that the same call resumes and pays for none twice.

    Args:
        into: The file of rows; it appears when it is whole.
        endpoint: Where to ask.
        spec: What for.
        observer: Told about phases and progress.

    Raises:
        ModelError: If the endpoint refuses the first requests.
        TrainingError: If the endpoint falls silent, no answer gives a row, the personas cannot be read, or the file cannot be written.
    """
    if into.is_dir() or (into.is_file() and into.stat().st_size and not into.read_bytes()[:1] == b"{"):
        raise TrainingError(
            "synthesis.other_file",
            "{into} exists and is no file of training rows",
            expected="a new file, or an earlier result to replace",
            do="Choose another name",
            into=into,
        )
    run = _Run(into, endpoint, spec)
    try:
        instructions = run.instructions(observer)
        digest = run.write(run.rows(instructions, observer))
    except OSError as err:
        raise _unwritten(into, err) from err
    return SynthesisReport(
        into,
        digest,
        dict(run.made),
        {kind: sum(len(found) for (of, _), found in instructions.items() if of == kind) for kind in spec.kinds},
        run.personas,
        run.asker.asked,
        dict(+run.dropped),
    )


def _unwritten(into: Path, err: OSError) -> TrainingError:
    if is_disk_full(err):
        return TrainingError(
            "synthesis.disk_full",
            "the disk is full",
            expected="room for the rows and the answers",
            do="Make room and give the same command again: what was answered is kept in {kept}",
            kept=str(kept_beside(into)),
        )
    return TrainingError(
        "synthesis.not_written",
        "{into} could not be written ({why})",
        expected="a folder that can be written to",
        do="Choose another file",
        into=into,
        why=err.strerror or str(err),
    )


def kept_beside(into: Path) -> Path:
    """Return the file of answers of a file of rows."""
    return into.with_name(f"{into.name}.answers")


class _Order(NamedTuple):
    """A row to ask for."""

    number: int
    kind: TaskKind
    instruction: str
    language: str


class _Run:
    def __init__(self, into: Path, endpoint: Endpoint, spec: SynthesisSpec) -> None:
        self._into, self._spec = into, spec
        self.asker = Asker(endpoint, KeptAnswers(kept_beside(into)), spec.parallel)
        self.dropped: Counter[Message] = Counter()
        self.made: Counter[str] = Counter(dict.fromkeys(spec.kinds, 0))
        self.personas = (0, 0)

    def _plan(self) -> Iterator[tuple[int, TaskKind, str]]:
        """Yield number, kind and language of each row."""
        kinds, languages = self._spec.kinds, self._spec.languages
        for number in range(self._spec.rows):
            yield number, kinds[number % len(kinds)], languages[number // len(kinds) % len(languages)]

    def instructions(self, observer: PhaseObserver) -> dict[tuple[TaskKind, str], list[str]]:
        """Ask for the instructions of each kind and language, each request as the next persona."""
        wanted = Counter((kind, language) for _, kind, language in self._plan())
        calls = [one for one, count in wanted.items() if one[0] in RETRIEVAL for _ in range(ceil(count / _PER_REQUEST))]
        names = self._personas(len(calls))
        requests = [
            instruction_request(
                kind, names[language].names[place % len(names[language].names)], _PER_REQUEST, language=language
            )
            for place, (kind, language) in enumerate(calls)
        ]
        found: dict[tuple[TaskKind, str], dict[str, None]] = {
            one: {fixed: None} if (fixed := fixed_instruction(one[0], language=one[1])) else {} for one in wanted
        }
        answered = self.asker.answers(requests, observer("instructions", len(calls)))
        for (kind, language), answer in zip(calls, answered, strict=True):
            texts: list[str | Message] = (
                [answer] if isinstance(answer, Message) else instructions_in(answer, language=language)
            )
            for text in texts:
                if isinstance(text, Message):
                    self.dropped[text] += 1
                else:
                    self.dropped[faults.TWICE] += text in found[kind, language]
                    found[kind, language].setdefault(text)
        return {one: list(texts) for one, texts in found.items()}

    def _personas(self, count: int) -> dict[str, Personas]:
        if self._spec.personas is None:
            found = {language: built_in(language) for language in self._spec.languages}
            self.personas = (len({name for each in found.values() for name in each.names}), 0)
            return found
        drawn = draw_personas(self._spec.personas, max(1, count), self._spec.seed)
        self.personas = (len(drawn.names), drawn.bad)
        return dict.fromkeys(self._spec.languages, drawn)

    def rows(
        self, instructions: dict[tuple[TaskKind, str], list[str]], observer: PhaseObserver
    ) -> Iterator[TrainingRow]:
        """Ask for the rows and yield those that can be used, in order; none of them is kept in memory."""
        usable = [one for one, texts in instructions.items() if texts]
        asked = sum((kind, language) in usable for _, kind, language in self._plan())
        self.dropped[faults.NO_INSTRUCTION] += self._spec.rows - asked
        orders, again = tee(self._orders(instructions))
        requests = (
            row_request(one.kind, one.instruction, one.number, self._spec.seed, language=one.language) for one in again
        )
        seen: set[bytes] = set()
        answered = self.asker.answers(requests, observer("rows", asked))
        for one, answer in zip(orders, answered, strict=True):
            row: TrainingRow | Message = (
                answer
                if isinstance(answer, Message)
                else row_in(answer, one.kind, one.instruction, language=one.language)
            )
            if isinstance(row, Message):
                self.dropped[row] += 1
                continue
            key = sha256(text_key(row.query).encode()).digest()[:8]
            if key in seen:
                self.dropped[faults.TWICE] += 1
                continue
            seen.add(key)
            self.made[one.kind] += 1
            yield row

    def _orders(self, instructions: dict[tuple[TaskKind, str], list[str]]) -> Iterator["_Order"]:
        """Yield the rows to ask for; the instructions of a kind take turns."""
        used: Counter[tuple[TaskKind, str]] = Counter()
        for number, kind, language in self._plan():
            texts = instructions.get((kind, language), [])
            if texts:
                yield _Order(number, kind, texts[used[kind, language] % len(texts)], language)
                used[kind, language] += 1

    def write(self, rows: Iterator[TrainingRow]) -> str:
        """Write the file so that it appears whole, and return its SHA-256."""
        digest, temp = sha256(), self._into.with_name(f".{self._into.name}.part")
        try:
            with temp.open("wb") as handle:
                for row in rows:
                    line = training_lines([row])
                    handle.write(line)
                    digest.update(line)
                handle.flush()
                os.fsync(handle.fileno())
            self._check()
            temp.replace(self._into)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise
        sync_folder(self._into.parent)
        return digest.hexdigest()

    def _check(self) -> None:
        if not self.made.total():
            raise TrainingError(
                "synthesis.no_rows",
                "no row came of {rows:request|requests} ({reasons:;})",
                expected="JSON as it was asked for",
                do="Try another model; the answers are in {kept}",
                rows=self._spec.rows,
                reasons=counted(self.dropped),
                kept=str(kept_beside(self._into)),
            )
