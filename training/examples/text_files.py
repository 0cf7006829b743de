"""Plain texts to pre-train on, which stay in their files as `row_files` keeps pairs.

    .txt                    one text a line
    {"text": text}          and perhaps a title, as in a BEIR corpus.jsonl
    {"query", "pos", ...}   rows of pairs: each positive is a text

A text is a row here, as its own query and positive, so that planning and resuming are those of pairs.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from quarry.indexer.errors import FeedbackError
from quarry.indexer.messages import Message
from quarry.indexer.records import passage_text
from quarry.retriever.data.text_lines import Faults, json_object
from quarry.training.examples import reasons
from quarry.training.examples.row import TrainingRow, parse_row

_EXPECTED = Message.of(
    "examples.text_lines",
    "a .txt file with one text a line, or JSON lines {text} or {row} in UTF-8",
    text='{"text": text}',
    row='{"query": text, "pos": [text, ...]}',
)
_LEAST = 2  # characters of a text


class TextFiles(Sequence[TrainingRow]):
    """The texts of files, one after the other; those of fewer than two characters are passed over.

    Attributes:
        left_out: Why lines were not used, with counts.
        bad_rows: The first lines that could not be read, with file, line and reason.
    """

    def __init__(self, paths: Iterable[Path], *, strict: bool = False) -> None:
        """Look through files once; of a BEIR folder the corpus.

        Raises:
            FeedbackError: If a file cannot be read, there is no text, or a line is bad and `strict` is on.
        """
        self._starts, self._files, self._places = array("q"), array("H"), array("H")
        self.left_out: Counter[Message] = Counter()
        self.bad_rows: tuple[Message, ...] = ()
        self._paths = [file for path in paths for file in _text_files(path)]
        for path in self._paths:
            self._scan(path, strict=strict)
        self._open = [path.open("rb") for path in self._paths]
        if not len(self):
            raise FeedbackError(
                "examples.no_texts_at_all",
                "{paths} hold no text",
                expected="{form}",
                do="Choose other files",
                paths=[str(path) for path in self._paths],
                form=_EXPECTED,
            )

    def _scan(self, path: Path, *, strict: bool) -> None:
        faults, at, file = Faults(path, _EXPECTED), 0, self._paths.index(path)
        try:
            with path.open("rb") as handle:
                for number, line in enumerate(handle, start=1):
                    texts = _texts(path, line)
                    if isinstance(texts, Message):
                        faults.add(number, texts)
                    else:
                        for place in range(len(texts)):
                            self._starts.append(at)
                            self._files.append(file)
                            self._places.append(place)
                    at += len(line)
        except OSError as err:
            raise FeedbackError(
                "examples.unreadable",
                "{path} cannot be read ({why})",
                expected="a readable file",
                path=path,
                why=str(err),
            ) from err
        if strict:
            faults.raise_if_any()
        self.left_out[reasons.BAD_ROW] += faults.count
        self.bad_rows += tuple(faults.shown[:3])

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> TrainingRow: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[TrainingRow]: ...

    def __getitem__(self, place: int | slice) -> TrainingRow | Sequence[TrainingRow]:
        """Read a text, or several."""
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        start, file = self._starts[place], self._open[self._files[place]]
        file.seek(start)
        texts = _texts(self._paths[self._files[place]], file.readline())
        if isinstance(texts, Message) or self._places[place] >= len(texts):
            raise FeedbackError(
                "examples.texts_changed",
                "{path} was changed while it was read",
                expected="the same lines",
                do="Run the same command again",
                path=self._paths[self._files[place]],
            )
        text = texts[self._places[place]]
        return TrainingRow(text, (text,))


def _text_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    if (path / "corpus.jsonl").is_file():
        return [path / "corpus.jsonl"]
    return sorted(child for child in path.iterdir() if child.suffix in (".txt", ".jsonl") and child.is_file())


def _texts(path: Path, line: bytes) -> list[str] | Message:
    try:
        text = line.decode("utf-8-sig").strip()
    except UnicodeDecodeError as err:
        return Message.of("examples.not_utf8", "not UTF-8 at byte {byte}", byte=err.start)
    if path.suffix == ".txt" or not text:
        found: list[str] | Message = [text]
    else:
        content = json_object(text)
        found = content if isinstance(content, Message) else _of_object(content)
    return found if isinstance(found, Message) else [one for one in found if len(one) >= _LEAST]


def _of_object(content: Mapping[str, Any]) -> list[str] | Message:
    text, title = content.get("text"), content.get("title") or ""
    if isinstance(text, str) and isinstance(title, str):
        return [passage_text(title, "", text)]
    row = parse_row(content, plain=True)
    return row if isinstance(row, Message) else list(row.pos)
