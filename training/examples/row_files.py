"""Training rows that stay in their files: a number per row is kept, and a row is read when it is asked for.

    {"query": text, "pos": [...], "neg": [...], "prompt": text, "type": text}   a row; the names of other tools are known (`row`)
    {"text": text, "label": text}                          a labelled text: its label is the positive, the file's other labels are
                                                           its negatives
    {"premise": text, "hypothesis": text, "label": text}   an inference: what follows from the premise is its positive, what
                                                           contradicts it a negative
    .csv, .tsv, .gz, JSON arrays, BEIR folders             as `files` reads them, in memory

A line of JSON costs eight bytes of memory this way. Each file is a data set: with several files its name is part of the kind of its
rows, so that a homogeneous batch holds one data set.
"""

import json
from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

from quarry.indexer.errors import FeedbackError
from quarry.indexer.messages import Message
from quarry.retriever.data.text_lines import Faults, json_object
from quarry.training.examples import reasons
from quarry.training.examples.files import data_files, read_pairs, without_contradiction
from quarry.training.examples.row import TrainingRow, parse_row

_SHOWN = 3  # bad rows of a file that are named
_EXPECTED = Message.of(
    "examples.streamed_lines",
    "JSON lines {row}, {labelled} or {inference} in UTF-8",
    row='{"query": text, "pos": [text, ...]}',
    labelled='{"text": text, "label": text}',
    inference='{"premise": text, "hypothesis": text, "label": text}',
)
# of NLI data sets: names, and the numbers of SNLI and MNLI
_FOLLOWS = ("entailment", "entail", "0")
_CONTRADICTS = ("contradiction", "contradictory", "2")
_NEUTRAL = ("neutral", "1", "-1", "-")


class RowFiles(Sequence[TrainingRow]):
    """The rows of files, one after the other.

    Attributes:
        left_out: Why lines were not used, with counts.
        bad_rows: The first lines that could not be read, with file, line and reason.
    """

    def __init__(
        self, parts: Sequence[Sequence[TrainingRow]], left_out: reasons.Counts, bad_rows: Sequence[Message]
    ) -> None:
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))
        self.left_out, self.bad_rows = left_out, tuple(bad_rows)

    @classmethod
    def open(cls, paths: Iterable[Path], *, strict: bool = False) -> "RowFiles":
        """Look through files and folders once.

        Args:
            paths: What to read.
            strict: Whether a bad line is an error; otherwise it is left out and counted.

        Raises:
            FeedbackError: If a file cannot be read, holds no row, or a line is bad and `strict` is on.
        """
        parts: list[Sequence[TrainingRow]] = []
        left_out: Counter[Message] = Counter()
        bad: list[Message] = []
        files = [file for path in paths for file in data_files(path)]
        for file in files:
            kind = f":{file.name.partition('.')[0]}" if len(files) > 1 else ""
            if not _is_lines(file):
                read = read_pairs(file, strict=strict)
                parts.append([_of_set(example.row, kind) for example in read.examples])
                left_out.update(read.left_out)
                bad += read.bad_rows
                continue
            lines = _Lines(file, kind)
            if lines.faults.count and (strict or not len(lines)):
                raise FeedbackError(
                    "examples.bad_lines",
                    "{path} has {count:bad line|bad lines}: {rows:;}",
                    expected="{form}",
                    do="Correct the file and try again",
                    path=file,
                    count=lines.faults.count,
                    rows=lines.faults.shown[:_SHOWN],
                    form=_EXPECTED,
                )
            parts.append(lines)
            left_out.update(lines.left_out)
            bad += lines.faults.shown[:_SHOWN]
        found = cls(parts, {reason: count for reason, count in left_out.items() if count}, bad)
        if not len(found):
            raise FeedbackError(
                "examples.no_rows",
                "{paths} hold no row",
                expected="{form}",
                do="Choose other files",
                paths=[str(file) for file in files],
                form=_EXPECTED,
            )
        return found

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, place: int) -> TrainingRow: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[TrainingRow]: ...

    def __getitem__(self, place: int | slice) -> TrainingRow | Sequence[TrainingRow]:
        """Read a row, or several."""
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        part = bisect_right(self._ends, place)
        return self._parts[part][place - (self._ends[part - 1] if part else 0)]


def _is_lines(path: Path) -> bool:
    """Tell whether a file holds one JSON object a line, uncompressed."""
    if path.is_dir() or path.suffix.lower() not in (".jsonl", ".json"):
        return False
    try:
        with path.open("rb") as file:
            first = next((line for line in file if line.strip()), b"").removeprefix(b"\xef\xbb\xbf")
        return isinstance(json.loads(first), dict)
    except (OSError, ValueError, RecursionError):
        return False


def _of_set(row: TrainingRow, suffix: str) -> TrainingRow:
    return replace(row, kind=f"{row.kind or 'retrieval'}{suffix}") if suffix else row


@dataclass(frozen=True, slots=True)
class _Inference:
    """One line of an NLI data set."""

    premise: str
    hypothesis: str
    label: str


class _Lines(Sequence[TrainingRow]):
    """The rows of a file of JSON lines."""

    def __init__(self, path: Path, suffix: str) -> None:
        self._path, self._suffix = path, suffix
        self._starts = array("q")
        self._labels: dict[str, None] = {}
        # of inferences: where the lines stand that contradict a premise
        self._against: dict[str, list[int]] = defaultdict(list)
        self.faults = Faults(path, _EXPECTED)
        self.left_out: Counter[Message] = Counter()
        self._scan()
        self._file = path.open("rb")

    def _scan(self) -> None:
        at = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    self._look(at, number, line)
                at += len(line)

    def _look(self, at: int, number: int, line: bytes) -> None:
        content = _parsed(line)
        found = content if isinstance(content, Message) else self._read(content)
        if isinstance(found, Message):
            self.faults.add(number, found)
            self.left_out[reasons.BAD_ROW] += 1
        elif isinstance(found, TrainingRow) or found.label in _FOLLOWS:
            self._starts.append(at)
        elif found.label in _CONTRADICTS:
            self._against[found.premise].append(at)
        else:
            self.left_out[reasons.NEUTRAL] += 1

    def _read(self, content: Mapping[str, Any]) -> TrainingRow | _Inference | Message:
        if "label" in content or "label_text" in content:
            if "premise" in content:
                return _inference(content)
            if isinstance(content.get("text"), str):
                return self._labelled(content)
        row = parse_row(content, plain=True)
        return row if isinstance(row, Message) else without_contradiction(row)[0]

    def _labelled(self, content: Mapping[str, Any]) -> TrainingRow | Message:
        text, label = content["text"], content.get("label_text", content.get("label"))
        if isinstance(label, bool) or not isinstance(label, str | int) or not str(label).strip() or not text.strip():
            return Message.of(
                "examples.bad_label", "text or label is empty", expected="text with the name of its label"
            )
        self._labels.setdefault(str(label))
        kind = content.get("type") if isinstance(content.get("type"), str) else ""
        prompt = content.get("prompt") if isinstance(content.get("prompt"), str) else ""
        return TrainingRow(text, (str(label),), prompt=prompt or "", kind=kind or "classification")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> TrainingRow: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[TrainingRow]: ...

    def __getitem__(self, place: int | slice) -> TrainingRow | Sequence[TrainingRow]:
        """Read a row, or several."""
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        found = self._line(self._starts[place])
        if isinstance(found, _Inference):
            against = (self._line(at) for at in self._against.get(found.premise, ()))
            neg = tuple(other.hypothesis for other in against if isinstance(other, _Inference))
            found = without_contradiction(TrainingRow(found.premise, (found.hypothesis,), neg, kind="nli"))[0]
        elif self._labels and found.pos[0] in self._labels and not found.neg:
            found = replace(found, neg=tuple(label for label in self._labels if label != found.pos[0]))
        return _of_set(found, self._suffix)

    def _line(self, at: int) -> TrainingRow | _Inference:
        """Read one line again.

        Raises:
            FeedbackError: If it no longer is what it was.
        """
        self._file.seek(at)
        content = _parsed(self._file.readline())
        found = content if isinstance(content, Message) else self._read(content)
        if isinstance(found, Message):
            raise FeedbackError(
                "examples.changed",
                "{path} was changed while it was read ({why})",
                expected="the same lines",
                do="Run the same command again",
                path=self._path,
                why=found,
            )
        return found

    def __iter__(self) -> Iterator[TrainingRow]:
        """Read every row in order."""
        return (self[place] for place in range(len(self)))


def _parsed(line: bytes) -> Mapping[str, Any] | Message:
    try:
        return json_object(line.decode("utf-8-sig"))
    except UnicodeDecodeError as err:
        return Message.of("examples.not_utf8", "not UTF-8 at byte {byte}", byte=err.start)


def _inference(content: Mapping[str, Any]) -> _Inference | Message:
    premise, hypothesis, label = (
        content.get("premise"),
        content.get("hypothesis"),
        content.get("label_text", content.get("label")),
    )
    name = str(label).strip().lower()
    if not isinstance(premise, str) or not isinstance(hypothesis, str) or not premise.strip() or not hypothesis.strip():
        return Message.of("examples.bad_inference", "premise or hypothesis is empty", expected="two texts")
    if name not in (*_FOLLOWS, *_CONTRADICTS, *_NEUTRAL):
        return Message.of(
            "examples.bad_inference_label",
            "label is {value}",
            expected="entailment, neutral or contradiction, or 0, 1 or 2",
            value=repr(label),
        )
    return _Inference(premise, hypothesis, name)
