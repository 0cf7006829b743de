"""Reading a corpus: files and folders in, documents or counted skips out, one file after another.

Whatever a file is, the run goes on: each gives its documents, or a reason. Those that have not
changed since the last run are not opened again.
"""

import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from quarry.indexer.corpus.listing import Skipped, list_files, printable, unreadable
from quarry.indexer.corpus.sites import NO_SITE, Sites
from quarry.indexer.messages import Message
from quarry.indexer.metadata import cleaned
from quarry.indexer.readers.base import (
    READERS_VERSION,
    Extract,
    Reading,
    ReadOptions,
    Unreadable,
    damaged_file,
    first_heading,
    stem,
)
from quarry.indexer.readers.charset import storable
from quarry.indexer.readers.formats import format_of, read_content
from quarry.indexer.readers.left_out import as_meta, losses, told
from quarry.indexer.readers.sandbox import Sandbox
from quarry.indexer.readers.serving import parser_failed, too_deep, too_much_memory
from quarry.indexer.records import Document

_LONGEST_TITLE = 300  # characters; every passage repeats the title
_TICK_NS = 2_000_000_000  # the coarsest clock of a file system in use, that of FAT
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it was read.

    Attributes:
        path: Absolute, percent-encoded.
        root: Prefix of its root.
        size: Bytes.
        mtime_ns: When its content or its entry last changed; 0 when it must be compared by its digest next time.
        sha256: Digest of the content; for a page of a site with what is left out of it, see `Site.version`.
        readers: Version of the readers.
    """

    path: str
    root: str
    size: int
    mtime_ns: int
    sha256: str
    readers: int = 0

    def was(self, content: bytes) -> bool:
        """Whether the file held these bytes when it was read."""
        return self.sha256.partition("+")[0] == sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that was read, with all of its documents, and the rows that were left out."""

    file: SourceFile
    documents: tuple[Document, ...]
    problems: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True)
class UnchangedFile:
    """A file that is as it was in the last run."""

    file: SourceFile


def read_corpus(
    roots: Mapping[str, Path],
    *,
    known: Callable[[str], SourceFile | None] = lambda _path: None,
    options: ReadOptions = ReadOptions(),
    leave: Mapping[str, Skipped] = MappingProxyType({}),
) -> Iterator[ReadFile | UnchangedFile | Skipped]:
    """Read all files below the roots.

    Document ids: `prefix/relative/path` for a file in a folder, the prefix for a single file, and for a row of a JSON
    file that followed by `/` and the row's id. Rows of a BEIR `corpus.jsonl` keep their `_id` as it is.

    Args:
        roots: Prefix -> file or folder.
        known: What the last run knew of a path (`SourceFile.path`).
        options: Limits.
        leave: Files that are not opened this time, by `SourceFile.path`, with the skip that is given for each.

    Yields:
        One event per file or skipped thing.
    """
    with Sandbox(options) as sandbox:
        for prefix, root in roots.items():
            reader = RootReader(prefix, root, known, options, sandbox)
            for entry in corpus_files(root):
                if isinstance(entry, Skipped):
                    yield entry
                else:
                    left = leave.get(printable(entry.absolute())) if leave else None
                    yield left or reader.read(entry)


def corpus_files(root: Path) -> Iterator[Path | Skipped]:
    """Yield the files below a root that may hold documents, in a fixed order, and what is no file to read."""
    return (entry for entry in list_files(root) if isinstance(entry, Skipped) or not _is_beir_companion(entry))


def _is_beir_companion(path: Path) -> bool:
    """Queries and judgements beside a BEIR corpus are not documents."""
    judged = path.parent.name == "qrels"
    folder = path.parent.parent if judged else path.parent
    name = path.name.removesuffix(".gz")
    belongs = judged or (name.startswith(("queries", "qrels")) and name.endswith((".jsonl", ".tsv")))
    return belongs and any((folder / corpus).is_file() for corpus in ("corpus.jsonl", "corpus.jsonl.gz"))


class RootReader:
    """Reads the files of one root, one after another."""

    def __init__(
        self, prefix: str, root: Path, known: Callable[[str], SourceFile | None], options: ReadOptions, sandbox: Sandbox
    ) -> None:
        """Take the root: its prefix in document ids, what the last run knew of a path, and the process for parsers."""
        self._prefix, self._root, self._options, self._sandbox = prefix, root, options, sandbox
        self._known = known
        self._readers = READERS_VERSION + options.variant
        self._sites = Sites(lambda: [one for one in list_files(root) if isinstance(one, Path)], root)

    def read(self, path: Path) -> ReadFile | UnchangedFile | Skipped:
        """Read a file, or say that it is as it was, or why it is left out."""
        try:
            return self._read(path)
        except Unreadable as err:
            return Skipped(printable(path), err.reason, err.detail)
        except OSError as err:
            return Skipped(printable(path), "unreadable", unreadable(str(err.strerror or err)))
        except MemoryError:
            return Skipped(printable(path), "memory limit", too_much_memory())
        except RecursionError:
            return Skipped(printable(path), "damaged", too_deep())
        except Exception as err:  # noqa: BLE001 (the border, as in the sandbox: one file does not end a run, and is counted)
            return Skipped(printable(path), "damaged", parser_failed(err))

    def _read(self, path: Path) -> ReadFile | UnchangedFile:
        before = self._before(path)
        facts = path.stat()
        quiet = self._options.keep_repeated or self._sites.is_quiet(path, self._is_unchanged)
        if quiet and before and self._is_unchanged(path):
            return UnchangedFile(before)
        raw = _whole(path, facts.st_size, self._options)
        site = NO_SITE if self._options.keep_repeated else self._sites.of(path, self._page)
        digest = site.version(sha256(raw).hexdigest())
        absolute = printable(path.absolute())
        file = SourceFile(absolute, self._prefix, facts.st_size, _stamp(facts), digest, self._readers)
        if before and before.sha256 == file.sha256:
            return UnchangedFile(file)
        content = _unpacked(raw, self._options)
        kind = format_of(path, content)
        reading = site.taken(path, content) or read_content(path, kind, content, self._options, self._sandbox)
        return _documents(
            path, self._prefix, self._root, file, kind, site.pruned(reading) if kind == "html" else reading
        )

    def _before(self, path: Path) -> SourceFile | None:
        before = self._known(printable(path.absolute()))
        return before if before and (before.root, before.readers) == (self._prefix, self._readers) else None

    def _is_unchanged(self, path: Path) -> bool:
        """Whether a file's size and times are as they were."""
        before = self._before(path)
        if before is None or self._options.checksum:
            return False
        facts = path.stat()
        stamp = _stamp(facts)
        return bool(stamp) and (before.size, before.mtime_ns) == (facts.st_size, stamp)

    def _page(self, path: Path) -> tuple[bytes, Reading] | None:
        """Read a page to compare it with its neighbours; what is wrong with it is told when it is read for itself."""
        try:
            content = _unpacked(_whole(path, path.stat().st_size, self._options), self._options)
            kind = format_of(path, content)
            return (
                (content, read_content(path, kind, content, self._options, self._sandbox)) if kind == "html" else None
            )
        except (Unreadable, OSError, MemoryError, RecursionError):
            return None


def _stamp(facts: os.stat_result) -> int:
    """Return when a file last changed, 0 when that is so recent that it may change again within the same tick of the clock.

    A program can set the time of the content back, but not the time of the change itself; see "racy git" in Git's documentation.
    """
    changed = max(facts.st_mtime_ns, facts.st_ctime_ns)
    return changed if abs(time.time_ns() - changed) > _TICK_NS else 0


def _unpacked(raw: bytes, options: ReadOptions) -> bytes:
    """Return what a gzip file holds, all of its members; other content as it is."""
    if not raw.startswith(_GZIP):
        return raw
    parts: list[bytes] = []
    left = options.unpacked_bytes
    while raw.startswith(_GZIP):
        unpacker = zlib.decompressobj(wbits=31)
        try:
            parts.append(unpacker.decompress(raw, left + 1))
        except zlib.error as err:
            raise Unreadable("damaged", damaged_file("gzip", err)) from err
        left -= len(parts[-1])
        if left < 0:
            found = Message.of(
                "corpus.unpacks_too_large",
                "it unpacks to more than {limit:,} bytes",
                do="Unpack and split it",
                limit=options.unpacked_bytes,
            )
            raise Unreadable("archive bomb", found)
        if not unpacker.eof:
            raise Unreadable("damaged", damaged_file("gzip", "it ends too early"))
        raw = unpacker.unused_data
    return _something(b"".join(parts))


def _whole(path: Path, size: int, options: ReadOptions) -> bytes:
    if size > options.max_bytes:
        found = Message.of(
            "corpus.too_large",
            "{size:,} bytes",
            expected="at most {limit:,}",
            do="Split it",
            size=size,
            limit=options.max_bytes,
        )
        raise Unreadable("too large", found)
    return _something(path.read_bytes())


def _something(content: bytes) -> bytes:
    if not content:
        raise Unreadable("empty", Message.of("corpus.empty", "0 bytes", expected="a file with something in it"))
    return content


def _documents(path: Path, prefix: str, root: Path, file: SourceFile, kind: str, reading: Reading) -> ReadFile:
    relative = "" if path == root else f"/{printable(path.relative_to(root).as_posix())}"
    file_id = prefix + relative
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
    common = {"source": file_id, "format": kind, "modified": modified}
    if left_out := as_meta(reading.omitted):
        common["left_out"] = left_out
    keeps_ids = path.name.removesuffix(".gz") == "corpus.jsonl"
    documents: list[Document] = []
    shown = printable(path)
    problems = [Skipped(f"{shown}:{problem.line}", "wrong row", problem.detail) for problem in reading.problems]
    for extract in reading.extracts:
        document = _document(_doc_id(file_id, extract, keeps_ids=keeps_ids), path, extract, common)
        if document.text.strip():
            documents.append(document)
        elif len(reading.extracts) > 1:
            empty_row = Message.of("corpus.row_without_text", "the row has no text")
            problems.append(Skipped(f"{shown}:{printable(extract.row_id)}", "no text", empty_row))
    if lost := told(losses(reading.omitted)):
        partly = Message.of("corpus.partly_read", "left out: {parts}", parts=lost)
        problems.append(Skipped(shown, "partly read", partly))
    if not documents:
        raise Unreadable(
            "no text", Message.of("corpus.only_blanks", "only white space came out of it", expected="text")
        )
    return ReadFile(file, tuple(documents), tuple(problems))


def _doc_id(file_id: str, extract: Extract, *, keeps_ids: bool) -> str:
    if not extract.row_id:
        return file_id
    row_id = storable(extract.row_id)[0]
    return row_id if keeps_ids and extract.beir else f"{file_id}/{printable(row_id)}"


def _document(doc_id: str, path: Path, extract: Extract, common: Mapping[str, str]) -> Document:
    """Make the record; what a parser gave may still hold what cannot be stored."""
    text, damaged = storable(extract.text)
    meta: dict[str, Any] = cleaned(extract.meta, lambda value: storable(value)[0])
    if damaged:
        meta["damaged"] = str(damaged)
    document = Document(doc_id, text, " ".join(storable(extract.title)[0].split())[:_LONGEST_TITLE], {**meta, **common})
    if document.title or extract.row_id:
        return document
    return replace(document, title=first_heading(document.text) or printable(stem(path)))
