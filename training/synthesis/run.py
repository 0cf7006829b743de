"""Rows by a language model: instructions in the name of personas first, then a row for each instruction. `quarry synthesize` runs it."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Literal

from quarry.indexer.embedder import Progress
from quarry.indexer.errors import ModelError, TrainingError
from quarry.indexer.messages import Message
from quarry.indexer.storage.durable import is_disk_full, sync_folder
from quarry.retriever.llm.endpoint import Endpoint, Unanswered, ask_messages
from quarry.training.examples.example import text_key
from quarry.training.examples.reasons import Counts, counted
from quarry.training.examples.rows import TrainingRow, training_lines
from quarry.training.examples.synthetic import KeptAnswers
from quarry.training.synthesis import answers as faults
from quarry.training.synthesis.answers import instructions_in, row_in
from quarry.training.synthesis.personas import Personas, built_in, draw_personas
from quarry.training.synthesis.tasks import (
    KINDS,
    RETRIEVAL,
    Request,
    TaskKind,
    fixed_instruction,
    instruction_request,
    row_request,
)

_PER_REQUEST = 5  # instructions asked for at once
_IN_A_ROW = 5  # requests without an answer, one after another, that end the run


@dataclass(frozen=True, slots=True)
class SynthesisSpec:
    """What is asked for.

    Attributes:
        rows: How many rows, over all kinds and languages alike.
        kinds: Kinds of tasks.
        languages: `en`, `zh` or both, in turn.
        personas: File of personas; None for the built-in ones.
        seed: Of the draws.
        parallel: Requests at a time.

    Raises:
        ValueError: If there is nothing to ask for.
    """

    rows: int
    kinds: tuple[TaskKind, ...] = KINDS
    languages: tuple[Literal["en", "zh"], ...] = ("en", "zh")
    personas: Path | None = None
    seed: int = 0
    parallel: int = 4

    def __post_init__(self) -> None:
        if self.rows < 1 or not self.kinds or not self.languages or set(self.kinds) - set(KINDS):
            raise ValueError(
                f"rows {self.rows}, kinds {self.kinds}, languages {self.languages}; expected at least one of each, kinds among {KINDS}"
            )


@dataclass(frozen=True, slots=True)
class SynthesisReport:
    """What came of it.

    Attributes:
        file: The rows.
        digest: SHA-256 of the file.
        rows: Rows by kind.
        instructions: Different ones by kind.
        personas: How many were drawn, and how many lines of their file are none.
        asked: Requests that were sent; those kept from an earlier run are not.
        dropped: What could not be used, by reason.
    """

    file: Path
    digest: str
    rows: dict[str, int]
    instructions: dict[str, int]
    personas: tuple[int, int]
    asked: int
    dropped: Counts = field(default_factory=dict)


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


class _Run:
    def __init__(self, into: Path, endpoint: Endpoint, spec: SynthesisSpec) -> None:
        self._into, self._spec = into, spec
        self.asker = _Asker(endpoint, KeptAnswers(kept_beside(into)), spec.parallel)
        self.dropped: Counter[Message] = Counter()
        self.made: Counter[str] = Counter(dict.fromkeys(spec.kinds, 0))
        self.personas = (0, 0)

    def _plan(self) -> Iterator[tuple[int, TaskKind, bool]]:
        """Yield number, kind and whether it is Chinese of each row."""
        kinds, languages = self._spec.kinds, self._spec.languages
        for number in range(self._spec.rows):
            yield number, kinds[number % len(kinds)], languages[number // len(kinds) % len(languages)] == "zh"

    def instructions(self, observer: PhaseObserver) -> dict[tuple[TaskKind, bool], list[str]]:
        """Ask for the instructions of each kind and language, each request as the next persona."""
        wanted = Counter((kind, chinese) for _, kind, chinese in self._plan())
        calls = [one for one, count in wanted.items() if one[0] in RETRIEVAL for _ in range(ceil(count / _PER_REQUEST))]
        names = self._personas(len(calls))
        requests = [
            instruction_request(
                kind, names[chinese].names[place % len(names[chinese].names)], _PER_REQUEST, chinese=chinese
            )
            for place, (kind, chinese) in enumerate(calls)
        ]
        found: dict[tuple[TaskKind, bool], dict[str, None]] = {
            one: {fixed: None} if (fixed := fixed_instruction(one[0], chinese=one[1])) else {} for one in wanted
        }
        answered = self.asker.answers(requests, observer("instructions", len(calls)))
        for (kind, chinese), answer in zip(calls, answered, strict=True):
            texts: list[str | Message] = (
                [answer] if isinstance(answer, Message) else instructions_in(answer, chinese=chinese)
            )
            for text in texts:
                if isinstance(text, Message):
                    self.dropped[text] += 1
                else:
                    self.dropped[faults.TWICE] += text in found[kind, chinese]
                    found[kind, chinese].setdefault(text)
        return {one: list(texts) for one, texts in found.items()}

    def _personas(self, count: int) -> dict[bool, Personas]:
        if self._spec.personas is None:
            self.personas = (6 * len(self._spec.languages), 0)
            return {chinese: built_in(chinese) for chinese in (False, True)}
        drawn = draw_personas(self._spec.personas, max(1, count), self._spec.seed)
        self.personas = (len(drawn.names), drawn.bad)
        return dict.fromkeys((False, True), drawn)

    def rows(
        self, instructions: dict[tuple[TaskKind, bool], list[str]], observer: PhaseObserver
    ) -> Iterator[TrainingRow]:
        """Ask for the rows and yield those that can be used, in order."""
        used: Counter[tuple[TaskKind, bool]] = Counter()
        asked: list[tuple[TaskKind, str, bool]] = []
        requests: list[Request] = []
        for number, kind, chinese in self._plan():
            texts = instructions.get((kind, chinese), [])
            if not texts:
                self.dropped[faults.NO_INSTRUCTION] += 1
                continue
            instruction = texts[used[kind, chinese] % len(texts)]
            used[kind, chinese] += 1
            asked.append((kind, instruction, chinese))
            requests.append(row_request(kind, instruction, number, self._spec.seed, chinese=chinese))
        seen: set[str] = set()
        answered = self.asker.answers(requests, observer("rows", len(requests)))
        for (kind, instruction, chinese), answer in zip(asked, answered, strict=True):
            row = answer if isinstance(answer, Message) else row_in(answer, kind, instruction, chinese=chinese)
            if isinstance(row, Message):
                self.dropped[row] += 1
                continue
            key = text_key(row.query)
            if key in seen:
                self.dropped[faults.TWICE] += 1
                continue
            seen.add(key)
            self.made[kind] += 1
            yield row

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


class _Asker:
    """Asks several requests at a time, and keeps what is answered.

    Attributes:
        asked: Requests that were sent.
    """

    def __init__(self, endpoint: Endpoint, kept: KeptAnswers, parallel: int) -> None:
        self._endpoint, self._kept, self._parallel = endpoint, kept, max(1, parallel)
        self.asked, self._heard = 0, False

    def answers(self, requests: Sequence[Request], progress: Progress) -> Iterator[str | Message]:
        """Yield each answer in order, or why there is none."""
        silent = 0
        with ThreadPoolExecutor(self._parallel) as pool:
            for first in range(0, len(requests), self._parallel):
                block = requests[first : first + self._parallel]
                found = list(pool.map(self._answer, block))
                texts = [(request.key(), answer) for request, answer in zip(block, found, strict=True)]
                self._kept.put(self._endpoint.model, [(key, text) for key, text in texts if isinstance(text, str)])
                for answer in found:
                    if isinstance(answer, ModelError) and not self._heard:
                        raise answer
                    self._heard = self._heard or isinstance(answer, str)
                    silent = 0 if isinstance(answer, str) else silent + 1
                    if silent >= _IN_A_ROW:
                        raise self._silence(answer)
                    yield answer if isinstance(answer, str) else self._reason(answer)
                progress(len(block))

    def _reason(self, err: Unanswered | ModelError) -> Message:
        return faults.SILENT if isinstance(err, Unanswered) else faults.REFUSED

    def _silence(self, last: "str | Unanswered | ModelError") -> TrainingError:
        return TrainingError(
            "synthesis.endpoint_silent",
            "the endpoint fell silent ({why})",
            expected="a running endpoint",
            do="Start it and give the same command again: what was answered is kept",
            why=str(last),
        )

    def _answer(self, request: Request) -> str | Unanswered | ModelError:
        known = self._kept.get(self._endpoint.model, request.key())
        if known is not None:
            return known
        messages = [{"role": "system", "content": request.system}] if request.system else []
        self.asked += 1
        try:
            return ask_messages(self._endpoint, [*messages, {"role": "user", "content": request.user}])
        except (Unanswered, ModelError) as err:
            return err
