"""From a unit of files to passages and titles that wait to be encoded."""

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from quarry.indexer.build.cutting.cutter import Cutter
from quarry.indexer.build.intake import storable
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.corpus.walk import ReadFile, RootReader
from quarry.indexer.encode.units import Unit, runs
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.readers.base import Reason, Unreadable
from quarry.indexer.readers.sandbox import Sandbox
from quarry.indexer.records import Document, name_text, passage_text
from quarry.indexer.shards.folder import ShardFolder
from quarry.indexer.shards.shard import put_if_absent, sweep
from quarry.indexer.storage.files.durable import write_atomic
from quarry.indexer.storage.files.sealing import seal, unseal
from quarry.indexer.storage.vectors.blob_cache import passage_digest

PASSAGES_IN_SHARD = 2048  # on average; 3 MB of vectors of 384
Kind = Literal["passages", "titles"]


class UnitRecord(BaseModel):
    """What came out of a unit.

    Attributes:
        documents: How many.
        passages: How many, each text once.
        shards: Names, with the kind of text and how many of them.
        skipped: What was left out: source, reason, and the message as JSON.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    documents: int
    passages: int
    shards: dict[str, tuple[Kind, int]]
    skipped: tuple[tuple[str, Reason, dict[str, object]], ...] = ()

    def left_out(self) -> list[Skipped]:
        """Return what was left out."""
        return [Skipped(source, reason, Message.from_json(detail)) for source, reason, detail in self.skipped]


class UnitCutter:
    """Reads and cuts units for one folder of shards. `close` ends its processes."""

    def __init__(self, folder: ShardFolder, cutter: Cutter) -> None:
        """Take the folder, and what cuts documents as its settings say."""
        self._folder, self._cutter = folder, cutter
        self._sandbox = Sandbox(cutter.limits)
        self._readers: dict[str, RootReader] = {}

    def close(self) -> None:
        """End the processes that files are read in."""
        self._sandbox.close()
        self._cutter.close()

    def cut(self, unit: Unit) -> UnitRecord:
        """Read and cut the files of a unit, unless that was done before; passages without a vector wait in the folder.

        Raises:
            OSError: If the folder cannot be written.
        """
        path = self._folder.units / f"{unit.key}.json"
        if (known := _known(path)) is not None and all(_is_ready(self._folder, name) for name in known.shards):
            return known
        skipped: list[Skipped] = []
        texts: dict[Kind, dict[bytes, str]] = {"passages": {}, "titles": {}}
        documents = sum(self._cut(document, texts, skipped) for document in self._documents(unit, skipped))
        shards: dict[str, tuple[Kind, int]] = {}
        for kind, found in texts.items():
            for group in runs(found.items(), lambda one: one[0], lambda _: 1, PASSAGES_IN_SHARD):
                name = self._folder.name_of([digest for digest, _ in group])
                shards[name] = (kind, len(group))
                if not self._folder.has(name):
                    _put_waiting(self._folder, name, [text for _, text in group])
        left = tuple((each.source, each.reason, each.detail.as_json()) for each in skipped)
        record = UnitRecord(documents=documents, passages=len(texts["passages"]), shards=shards, skipped=left)
        write_atomic(path, seal(record.model_dump(mode="json")))
        return record

    def _documents(self, unit: Unit, skipped: list[Skipped]) -> Iterator[Document]:
        reader = self._readers.get(unit.prefix)
        if reader is None:
            reader = RootReader(unit.prefix, unit.root, lambda _path: None, self._cutter.limits, self._sandbox)
            self._readers[unit.prefix] = reader
        for path in unit.files:
            match reader.read(path):
                case Skipped() as left:
                    skipped.append(left)
                case ReadFile(documents=documents, problems=problems):
                    skipped.extend(problems)
                    yield from documents

    def _cut(self, document: Document, texts: dict[Kind, dict[bytes, str]], skipped: list[Skipped]) -> bool:
        clean = storable(document)
        try:
            chunks, _ = self._cutter.cut(clean)
        except Unreadable as err:
            skipped.append(Skipped(clean.doc_id, err.reason, err.detail))
            return False
        for chunk in chunks:
            passage = passage_text(clean.title, chunk.heading, chunk.text)
            texts["passages"][passage_digest(passage)] = passage
            if title := name_text(clean.title, chunk.heading):
                texts["titles"][passage_digest(title)] = title
        return bool(chunks)


def waiting(folder: ShardFolder, name: str) -> Iterator[tuple[bytes, str]]:
    """Yield digest and text of the passages of a shard that waits.

    Raises:
        FileNotFoundError: If another worker has encoded it meanwhile.
    """
    with gzip.open(_waiting_path(folder, name), "rt", encoding="utf-8", errors="surrogatepass") as lines:
        for line in lines:
            text = json.loads(line)
            yield passage_digest(text), text


def forget_waiting(folder: ShardFolder, name: str) -> None:
    """Remove the texts of a shard that is complete, and what a worker left that died while it wrote them."""
    path = _waiting_path(folder, name)
    path.unlink(missing_ok=True)
    sweep(folder.passages, path.name)


def _waiting_path(folder: ShardFolder, name: str) -> Path:
    return folder.passages / f"{name}.jsonl.gz"


def _is_ready(folder: ShardFolder, name: str) -> bool:
    return folder.has(name) or _waiting_path(folder, name).is_file()


def _put_waiting(folder: ShardFolder, name: str, texts: Iterable[str]) -> None:
    lines = "".join(f"{json.dumps(text)}\n" for text in texts)
    put_if_absent(_waiting_path(folder, name), gzip.compress(lines.encode(), compresslevel=1, mtime=0))


def _known(path: Path) -> UnitRecord | None:
    try:
        return UnitRecord.model_validate(unseal(path))
    except FileNotFoundError:
        return None
    except (IndexFormatError, ValidationError):  # damaged: the unit is cut again
        path.unlink(missing_ok=True)
        return None
