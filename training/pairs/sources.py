"""Files in, the pairs of one file after another out. Structured files are read line by line, everything else by the readers of documents.

.jsonl, .ndjson, .csv, .tsv (and .gz)    streamed, when their first rows have fields that give pairs
.json                                    an array of such rows, in memory
else                                     `quarry.indexer.corpus`, in its sandbox
"""

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

from quarry.indexer.corpus.listing import Skipped, list_files, printable
from quarry.indexer.corpus.walk import ReadFile, read_corpus
from quarry.indexer.errors import CorpusError
from quarry.indexer.messages import Message
from quarry.indexer.readers.base import ReadOptions
from quarry.retriever.data.text_lines import charset_of, json_object, numbered_lines
from quarry.training.examples.pair_rows import json_rows
from quarry.training.pairs import reasons
from quarry.training.pairs.documents import pairs_of_document
from quarry.training.pairs.fields import holds_pairs, pairs_of_row
from quarry.training.pairs.found import FoundPair

_LINES, _TABLES = (".jsonl", ".ndjson"), (".csv", ".tsv")
_PROBED = 20  # first rows that tell whether a file holds pairs
_WHOLE_BYTES = 200 << 20  # of a .json file
_LARGEST_CELL = 1 << 24  # characters


@dataclass(slots=True)
class Source:
    """One file.

    Attributes:
        path: Absolute, printable.
        pairs: Its pairs, read as they are asked for.
        lost: What could not be used, counted while `pairs` is read.
        problems: Messages of the first faults, with file and line.
    """

    path: str
    pairs: Iterator[FoundPair]
    lost: Counter[Message] = field(default_factory=Counter)
    problems: list[Message] = field(default_factory=list)


class Files:
    """The files below some paths, in a fixed order.

    Attributes:
        facts: Path, size and time of the last change of each file: equal facts, equal pairs.
    """

    def __init__(self, paths: Sequence[Path], without: Path) -> None:
        """List the files.

        Args:
            paths: Files and folders; one that lies within another is read twice, and its pairs are copies.
            without: A file that is none of them: the result, which may lie in one of the folders.
        """
        self._roots = {f"{number}:{printable(path.name)}": path for number, path in enumerate(paths)}
        self._structured: dict[str, Path] = {}
        self._without = printable(without.absolute())
        self.facts: list[tuple[str, int, int]] = []
        for root in self._roots.values():
            for entry in list_files(root):
                name = "" if isinstance(entry, Skipped) else printable(entry.absolute())
                if isinstance(entry, Skipped) or name == self._without:
                    continue
                known = entry.stat()
                self.facts.append((name, known.st_size, known.st_mtime_ns))
                if _is_structured(entry):
                    self._structured[name] = entry

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.facts)

    def read(self, options: ReadOptions, *, done: frozenset[str] = frozenset()) -> Iterator[Source]:
        """Yield the files that are not done yet, each with its pairs; a file without any comes with its problem."""
        left = {*done, *self._structured, self._without}
        leave = {name: Skipped(name, "empty", Message.plain("")) for name in left}
        for event in read_corpus(self._roots, options=options, leave=leave):
            if isinstance(event, ReadFile):
                yield _documents(event)
            elif isinstance(event, Skipped) and event.source not in left:
                yield Source(event.source, iter(()), Counter({reasons.BAD_LINE: 1}), [_skipped(event)])
            elif isinstance(event, Skipped) and event.source in self._structured and event.source not in done:
                yield _rows(event.source, self._structured[event.source])


def _documents(file: ReadFile) -> Source:
    pairs = (pair for document in file.documents for pair in pairs_of_document(document))
    lost = Counter({reasons.BAD_LINE: len(file.problems)}) if file.problems else Counter[Message]()
    return Source(file.file.path, pairs, lost, [_skipped(problem) for problem in file.problems[:3]])


def _skipped(event: Skipped) -> Message:
    return Message.of("pairs.skipped", "{source} was passed over: {why}", source=event.source, why=event.detail)


def _rows(name: str, path: Path) -> Source:
    source = Source(name, iter(()))
    source.pairs = _pairs_of_rows(path, source)
    return source


def _pairs_of_rows(path: Path, source: Source) -> Iterator[FoundPair]:
    try:
        for number, row in _read_rows(path):
            if isinstance(row, Message):
                source.lost[reasons.BAD_LINE] += 1
                if len(source.problems) < 3:
                    where = f"{source.path}:{number}"
                    source.problems.append(
                        Message.of("pairs.skipped", "{source} was passed over: {why}", source=where, why=row)
                    )
                continue
            found = False
            for pair in pairs_of_row(row, f"{path.name}:{number}"):
                found = True
                yield pair
            if not found:
                source.lost[reasons.NO_PAIR] += 1
    except CorpusError as err:  # the lines before were read
        source.lost[reasons.BAD_LINE] += 1
        source.problems.append(err.message)


def _is_structured(path: Path) -> bool:
    """Tell whether a file's first rows have fields that give pairs; one that cannot be read is left to the readers."""
    kind = _kind(path)
    if kind not in (*_LINES, *_TABLES, ".json") or (kind == ".json" and path.stat().st_size > _WHOLE_BYTES):
        return False
    rows: list[Mapping[str, Any]] = []
    with suppress(CorpusError):  # the rows before the fault tell enough
        rows.extend(row for _, row in islice(_read_rows(path), _PROBED) if isinstance(row, Mapping))
    return any(holds_pairs([name for name, value in row.items() if value is not None]) for row in rows)


def _kind(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _read_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | Message]]:
    """Yield line number and the fields of each row, or what is wrong with it.

    Raises:
        CorpusError: If the file cannot be read.
    """
    kind = _kind(path)
    if kind in _TABLES:
        yield from _table(path, quoted=kind == ".csv")
    elif kind == ".json" and not _is_lines(path):
        yield from json_rows(path)
    else:
        yield from ((number, json_object(line)) for number, line in numbered_lines(path))


def _is_lines(path: Path) -> bool:
    first = next((line for _, line in numbered_lines(path)), "")
    try:
        return isinstance(json.loads(first), dict) and path.stat().st_size > 2 * len(first.encode())
    except (ValueError, RecursionError):
        return False


def _table(path: Path, *, quoted: bool) -> Iterator[tuple[int, Mapping[str, Any] | Message]]:
    charset = charset_of(path)
    encoding = "utf-8-sig" if charset == "utf-8" else charset
    opened = gzip.open if path.suffix == ".gz" else open
    csv.field_size_limit(_LARGEST_CELL)
    try:
        with cast(IO[str], opened(path, "rt", encoding=encoding, newline="")) as handle:
            first = handle.readline()
            handle.seek(0)
            delimiter = max(",;\t", key=first.count)
            reader = (
                csv.reader(handle, delimiter=delimiter)
                if quoted
                else csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
            )
            names = [name.strip() for name in next(reader, [])]
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, dict(zip(names, cells, strict=False))
    except (csv.Error, UnicodeDecodeError, OSError, EOFError) as err:
        raise CorpusError(
            "pairs.bad_table",
            "{path}: not a table ({error})",
            expected="UTF-8, GB18030 or Big5, with a line of names",
            do="Convert the file",
            path=path,
            error=str(err),
        ) from err
