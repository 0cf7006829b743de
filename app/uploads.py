"""Files uploaded to the app: checked, read and added to the index as a new generation.

A visitor's file name never becomes a path: files are written under numbers to a temporary folder that is removed, and the
documents get ids made of their content. Nothing here draws.
"""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from quarry.app.words import message_of
from quarry.indexer.build import BuildReport, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.build.removal import Selection, find_documents
from quarry.indexer.corpus.listing import Skipped, printable
from quarry.indexer.corpus.walk import ReadFile, read_corpus
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import SearchError
from quarry.indexer.messages import Message
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.records import Document

MAX_FILE_MEGABYTES = 20
MAX_FILES = 200
MAX_TOTAL_MEGABYTES = 400
MAX_NAME_CHARS = 120
PREFIX = "upload"

_LIMITS = ReadOptions(
    max_bytes=MAX_FILE_MEGABYTES << 20, parser_seconds=30.0, parser_bytes=2 << 30, unpacked_bytes=256 << 20
)
_ENDING = re.compile(r"(\.[A-Za-z0-9]{1,8}(?:\.gz)?)\Z")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as the browser sent it; the name is only displayed."""

    name: str
    content: bytes

    @property
    def doc_id(self) -> str:
        """The document's id, derived from the content, so that a file is indexed once under any name."""
        return f"{PREFIX}/{sha256(self.content).hexdigest()[:16]}"

    @property
    def shown_name(self) -> str:
        """The name, printable and at most 120 characters long, with the uploaded folders that it came in.

        Of a name that is absolute or steps upwards, which no folder gives, only the last part is left.
        """
        parts = re.split(r"[/\\]", self.name)
        within = all(part.strip(". ") and not part.endswith(":") for part in parts)
        return printable("/".join(parts if within else parts[-1:]))[-MAX_NAME_CHARS:].strip("/") or "file"

    @property
    def stem(self) -> str:
        """The last part of the shown name without its ending."""
        name = self.shown_name.rpartition("/")[2]
        return name.removesuffix(".gz").rsplit(".", 1)[0] or name


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a job: the phase of the build and how much of it is done; total is None if unknown.

    `reading` counts files, `cutting` documents.
    """

    phase: str
    done: int
    total: int | None


def read_uploads(
    uploads: Sequence[Upload], advance: Callable[[int], None] | None = None
) -> tuple[list[Document], list[Skipped]]:
    """Read files into documents; unreadable ones are skipped with a reason.

    Args:
        uploads: At most 200 that hold 400 MB together are read; the others are skipped.
        advance: Is told of each file that has been read or skipped.

    Returns:
        The documents, and one entry per file or row that was left out, under the file's own name.
    """
    documents: list[Document] = []
    skipped: list[Skipped] = []
    size = 0
    with TemporaryDirectory(prefix="quarry-upload-") as folder:
        for number, upload in enumerate(uploads):
            size += len(upload.content)
            if refusal := _too_many(number, size):
                skipped.append(Skipped(upload.shown_name, "too many files", refusal))
            else:
                ending = _ENDING.search(upload.name)
                path = Path(folder) / f"{number:03d}{ending.group(1).lower() if ending else ''}"
                path.write_bytes(upload.content)
                for event in read_corpus({upload.doc_id: path}, options=_LIMITS):
                    if isinstance(event, ReadFile):
                        documents.extend(_named(document, upload, path) for document in event.documents)
                        skipped.extend(_own(problem, upload, path) for problem in event.problems)
                    elif isinstance(event, Skipped):
                        skipped.append(_own(event, upload, path))
                path.unlink()
            if advance:
                advance(1)
    return documents, skipped


def _too_many(number: int, size: int) -> Message | None:
    """Say why a file is not taken, given how many came before it and how many bytes they and it hold."""
    if number >= MAX_FILES:
        return Message.of(
            "app.too_many_uploads", "only {most} files are taken at once", do="Upload it again", most=MAX_FILES
        )
    if size > MAX_TOTAL_MEGABYTES << 20:
        return Message.of(
            "app.uploads_too_large",
            "only {most} MB are taken at once",
            do="Upload it again",
            most=MAX_TOTAL_MEGABYTES,
        )
    return None


def _named(document: Document, upload: Upload, path: Path) -> Document:
    """Use the uploaded file's name as title and source."""
    stem = path.name.split(".")[0]
    title = upload.stem if document.title == stem else document.title
    return replace(document, title=title, meta={**document.meta, "source": f"{PREFIX}/{upload.shown_name}"})


def _own(skip: Skipped, upload: Upload, path: Path) -> Skipped:
    return replace(skip, source=skip.source.replace(printable(path), upload.shown_name))


class UploadJob(threading.Thread):
    """Adds files to an index in the background: a visitor who leaves the page loses nothing.

    Attributes:
        report: What the build did; None until it has finished, or if there was nothing to add.
        added: The ids of the documents that the index did not have before.
        known: How many documents the index had already, word for word, or that came twice.
        skipped: The skipped files and rows.
        error: Why nothing was added; None on success.
    """

    def __init__(self, index: Path, uploads: Sequence[Upload], embedder: Embedder | None) -> None:
        super().__init__(name="quarry-upload", daemon=True)
        self.report: BuildReport | None = None
        self.added: tuple[str, ...] = ()
        self.known = 0
        self.skipped: tuple[Skipped, ...] = ()
        self.error: Message | None = None
        self.progress = Progress("reading", 0, len(uploads))
        self._index = index
        self._uploads = tuple(uploads)
        self._embedder = embedder

    def run(self) -> None:
        """Read, index, switch; a failure becomes `error` and leaves the live generation as it was."""
        try:
            documents, skipped = read_uploads(self._uploads, self.advance)
            self.skipped = tuple(skipped)
            if documents:
                self._add(documents)
        except (SearchError, OSError, ValueError, RuntimeError, MemoryError) as err:
            self.error = message_of(err)
        finally:
            self._uploads = ()  # the files' bytes are not kept

    def _add(self, documents: Sequence[Document]) -> None:
        distinct = {document.doc_id: document for document in reversed(documents)}  # the first name of a file counts
        new = find_documents(self._index, Selection(doc_ids=tuple(distinct))).not_found
        self.report = report = self._build(list(distinct.values()))
        self.added = new
        self.known = len(documents) - report.added - report.changed
        self.skipped += report.skipped

    def _build(self, documents: Sequence[Document]) -> BuildReport:
        return index_documents(self._index, documents, self._embedder, BuildOptions.of_live(self._index), self)

    def phase(self, name: str, total: int | None) -> None:
        """Record a phase of the build."""
        self.progress = Progress(name, 0, total)

    def advance(self, amount: int) -> None:
        """Record progress within the phase."""
        self.progress = replace(self.progress, done=self.progress.done + amount)
