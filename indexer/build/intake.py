"""Bringing a chunk table in step with folders, or with documents handed over: what is new, changed, gone or skipped.

A file that cannot be read now but could before keeps its old documents: bad input never loses good data.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quarry.indexer.build.cutting.cutter import Cutter
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.build.roots import is_gone, place_of
from quarry.indexer.corpus.listing import Skipped, path_of
from quarry.indexer.corpus.walk import ReadFile, SourceFile, UnchangedFile, read_corpus
from quarry.indexer.errors import CorpusError
from quarry.indexer.messages import Message
from quarry.indexer.metadata import cleaned
from quarry.indexer.readers.base import Unreadable
from quarry.indexer.records import Document
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.texts.document_rows import document_sha256
from quarry.indexer.storage.texts.finished import own_path

_PROGRAM = ""  # the root of documents that a program handed over
_UNSTORABLE = dict.fromkeys([0, *range(0xD800, 0xE000)], "\ufffd")  # NUL and lone surrogates cannot be stored


@dataclass(slots=True)
class Intake:
    """What happened to the documents of one run."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    files: int = 0
    other_readers: int = 0  # files that readers of another version had read
    left_out: dict[str, int] = field(default_factory=dict)  # parts of documents, by kind
    taken_over: int = 0  # documents of a folder that a program now owns
    roots_removed: int = 0  # folders that the index is no longer made from

    @property
    def touched(self) -> bool:
        """Whether the table differs from before."""
        return bool(
            self.added or self.changed or self.removed or self.other_readers or self.taken_over or self.roots_removed
        )


def sync_roots(
    table: ChunkTable,
    roots: Mapping[str, Path],
    cutter: Cutter,
    settings: BuildOptions,
    advance: Callable[[int], None],
) -> Intake:
    """Read the roots and change the table to match; documents of other roots stay.

    Raises:
        CorpusError: If a root that had documents has none now, unless `allow_empty`, or is removed while it is read.
    """
    intake = Intake()
    for prefix, path in roots.items():
        if not path.exists():  # `name_roots` let it pass
            _forget_root(table, prefix, intake)
            continue
        table.put_root(prefix, str(path))
        place = place_of(path)
        seen: set[str] = set()
        for event in read_corpus({prefix: path}, known=table.file, options=settings.read, leave=settings.leave):
            match event:
                case Skipped():
                    intake.skipped.append(event)
                    if event.reason == "being written":  # it may be empty at this moment
                        seen.add(event.source)
                case UnchangedFile(file=file):
                    seen.add(file.path)
                    intake.unchanged += len(table.documents_of(file.path))
                    table.put_file(file)
                case ReadFile():
                    seen.add(event.file.path)
                    intake.skipped.extend(event.problems)
                    put_file(table, event.file, event.documents, cutter, intake)
            intake.files += 1
            advance(1)
        _forget_vanished(table, prefix, seen, intake, allow_empty=settings.allow_empty)
        if place_of(path) != place:
            raise CorpusError(
                "build.folder_replaced",
                "{path} was removed or replaced while it was being read",
                expected="the same folder from the first file to the last",
                do="Nothing was changed; run the command again when it is back",
                path=path,
            )
    return intake


def _forget_root(table: ChunkTable, prefix: str, intake: Intake) -> None:
    for file in table.files_of(prefix):
        intake.removed += table.remove_file(file)
    table.remove_root(prefix)
    intake.roots_removed += 1


def _forget_vanished(table: ChunkTable, prefix: str, seen: set[str], intake: Intake, *, allow_empty: bool) -> None:
    before = table.files_of(prefix)
    gone = [path for path in before if path not in seen and is_gone(path_of(path))]
    if before and len(gone) == len(before) and not seen and not allow_empty:
        raise CorpusError(
            "build.all_gone",
            "all {count:file|files} of {root} are gone",
            expected="at least one (is a drive not mounted?)",
            do="Nothing was changed. To empty it on purpose, use --allow-empty",
            count=len(before),
            root=repr(prefix),
        )
    for path in gone:
        intake.removed += table.remove_file(path)


def put_file(
    table: ChunkTable, file: SourceFile, documents: Iterable[Document], cutter: Cutter, intake: Intake
) -> None:
    """Replace the documents of one file in the table; equal versions are left alone.

    A file with an id that is taken by another file is read again in the next run: the id may be free by then.
    """
    old = table.documents_of(file.path)
    known = table.file(file.path)
    intake.other_readers += known is not None and known.readers != file.readers
    kept: set[str] = set()
    refused = taken = False
    for document in documents:
        clean = storable(document)
        owner = table.owner(clean.doc_id)
        if clean.doc_id in kept or (owner is not None and owner != file.path):
            taken = taken or clean.doc_id not in kept
            first = (
                Message.of("build.earlier_in_file", "earlier in this file")
                if clean.doc_id in kept
                else Message.of("build.in_other_file", "in {file}", file=str(owner))
            )
            detail = Message.of(
                "build.duplicate_id",
                "the id {doc_id!r} is already taken {first}; the first one was kept",
                expected="unique ids",
                doc_id=clean.doc_id,
                first=first,
            )
            intake.skipped.append(Skipped(file.path, "duplicate id", detail))
            continue
        kept.add(clean.doc_id)
        if old.get(clean.doc_id) == document_sha256(clean):
            intake.unchanged += 1
            continue
        try:
            chunks, terms = cutter.cut(clean)
        except Unreadable as err:
            intake.skipped.append(Skipped(file.path, err.reason, err.detail))
            refused = True
            if clean.doc_id not in old:
                kept.discard(clean.doc_id)
            continue
        if not chunks:
            kept.discard(clean.doc_id)
            nothing = Message.of(
                "build.nothing_to_search", "document {doc_id!r} has no text to search", doc_id=clean.doc_id
            )
            intake.skipped.append(Skipped(file.path, "no text", nothing))
            continue
        table.put_document(file.path, clean, chunks, terms)
        if clean.doc_id in old:
            intake.changed += 1
        else:
            intake.added += 1
    vanished = [doc_id for doc_id in old if doc_id not in kept]
    table.remove_documents(vanished)
    intake.removed += len(vanished)
    if file.root != _PROGRAM and (kept or not refused):  # otherwise it is tried again next time
        table.put_file(file)
    if taken:
        table.forget_version(file.path)


def put_own_document(table: ChunkTable, document: Document, cutter: Cutter, intake: Intake) -> None:
    """Add or replace a document that a program handed over, as the only one of a file of its own.

    A document of a folder with the same id is taken over. Its file is read again in the next run, so that the folder's
    version can come back when the program deletes its own.
    """
    path = own_path(document.doc_id)  # has no entry among the files: all that it would say is in the document
    owner = table.owner(document.doc_id)
    if owner is not None and owner != path:
        table.set_owner(document.doc_id, path)
        table.forget_version(owner)
        intake.taken_over += 1
    file = SourceFile(path, _PROGRAM, len(document.text), 0, document_sha256(document))
    put_file(table, file, [document], cutter, intake)


def recut(table: ChunkTable, cutter: Cutter, advance: Callable[[int], None]) -> list[Skipped]:
    """Cut all stored documents again, after the chunking or the analyzer has changed; no file is read.

    Returns:
        Documents that cannot be cut within the limits; they are removed.
    """
    lost: list[Skipped] = []
    for doc_id in table.doc_ids():
        document = table.document(doc_id)
        owner = table.owner(doc_id)
        try:
            chunks, terms = cutter.cut(document)
        except Unreadable as err:
            lost.append(Skipped(doc_id, err.reason, err.detail))
            table.remove_documents([doc_id])
            continue
        table.put_document(owner or _PROGRAM, document, chunks, terms)
        advance(1)
    return lost


def storable(document: Document) -> Document:
    """Return the document with NUL and lone surrogates replaced by U+FFFD, which SQLite and models can hold.

    Raises:
        ValueError: If the id is empty or cannot be stored.
    """
    if not document.doc_id or document.doc_id != document.doc_id.translate(_UNSTORABLE):
        raise ValueError(
            f"document id {document.doc_id!r} is not usable; expected non-empty text without NUL or lone surrogates"
        )
    meta: dict[str, Any] = cleaned(document.meta, lambda text: text.translate(_UNSTORABLE))
    return Document(document.doc_id, document.text.translate(_UNSTORABLE), document.title.translate(_UNSTORABLE), meta)
