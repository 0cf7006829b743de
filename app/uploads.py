"""Files uploaded to the app: checked, read and added to the index as a new generation.

A visitor's file name never becomes a path: files are written under numbers to a temporary folder that is removed, and the
documents get ids made of their content. Nothing here draws.
"""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from quarry.app.words import message_of
from quarry.indexer.build import BuildReport, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.corpus.listing import Skipped, printable
from quarry.indexer.corpus.walk import ReadFile, read_corpus
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import SearchError
from quarry.indexer.messages import Message
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest

MAX_FILE_MEGABYTES = 20
MAX_FILES = 20
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
        """The last part of the name, printable and at most 120 characters long."""
        return printable(re.split(r"[/\\]", self.name)[-1])[-MAX_NAME_CHARS:] or "file"


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a job: the phase of the build and how much of it is done; total is None if unknown."""

    phase: str
    done: int
    total: int | None


def read_uploads(uploads: Sequence[Upload]) -> tuple[list[Document], list[Skipped]]:
    """Read files into documents; unreadable ones are skipped with a reason.

    Args:
        uploads: At most 20 are read; the others are skipped.

    Returns:
        The documents, and one entry per file or row that was left out, under the file's own name.
    """
    skipped = [
        Skipped(
            upload.shown_name,
            "too many files",
            Message.of(
                "app.too_many_uploads", "only {most} files are taken at once", do="Upload it again", most=MAX_FILES
            ),
        )
        for upload in uploads[MAX_FILES:]
    ]
    documents: list[Document] = []
    with TemporaryDirectory(prefix="quarry-upload-") as folder:
        for number, upload in enumerate(uploads[:MAX_FILES]):
            ending = _ENDING.search(upload.name)
            path = Path(folder) / f"{number:03d}{ending.group(1).lower() if ending else ''}"
            path.write_bytes(upload.content)
            for event in read_corpus({upload.doc_id: path}, options=_LIMITS):
                if isinstance(event, ReadFile):
                    documents.extend(_named(document, upload, path) for document in event.documents)
                    skipped.extend(_own(problem, upload, path) for problem in event.problems)
                elif isinstance(event, Skipped):
                    skipped.append(_own(event, upload, path))
    return documents, skipped


def _named(document: Document, upload: Upload, path: Path) -> Document:
    """Use the uploaded file's name as title and source."""
    stem = path.name.split(".")[0]
    own = upload.shown_name.removesuffix(".gz").rsplit(".", 1)[0] or upload.shown_name
    title = own if document.title == stem else document.title
    return replace(document, title=title, meta={**document.meta, "source": f"{PREFIX}/{upload.shown_name}"})


def _own(skip: Skipped, upload: Upload, path: Path) -> Skipped:
    return replace(skip, source=skip.source.replace(printable(path), upload.shown_name))


class UploadJob(threading.Thread):
    """Adds files to an index in the background: a visitor who leaves the page loses nothing.

    Attributes:
        report: What the build did; None until it has finished, or if there was nothing to add.
        skipped: The skipped files and rows.
        error: Why nothing was added; None on success.
    """

    def __init__(self, index: Path, uploads: Sequence[Upload], embedder: Embedder | None) -> None:
        super().__init__(name="quarry-upload", daemon=True)
        self.report: BuildReport | None = None
        self.skipped: tuple[Skipped, ...] = ()
        self.error: Message | None = None
        self.progress = Progress("reading", 0, None)
        self._index = index
        self._uploads = tuple(uploads)
        self._embedder = embedder

    def run(self) -> None:
        """Read, index, switch; a failure becomes `error` and leaves the live generation as it was."""
        try:
            documents, skipped = read_uploads(self._uploads)
            self.skipped = tuple(skipped)
            if documents:
                self.report = self._build(documents)
                self.skipped += self.report.skipped
        except (SearchError, OSError, ValueError, RuntimeError, MemoryError) as err:
            self.error = message_of(err)
        finally:
            self._uploads = ()  # the files' bytes are not kept

    def _build(self, documents: Sequence[Document]) -> BuildReport:
        live = Manifest.read(Generations(self._index).live())
        settings = BuildOptions(model_folder=live.embedder.folder if live.embedder else "", notes=live.notes)
        return index_documents(self._index, documents, self._embedder, settings, self)

    def phase(self, name: str, total: int | None) -> None:
        """Record a phase of the build."""
        self.progress = Progress(name, 0, total)

    def advance(self, amount: int) -> None:
        """Record progress within the phase."""
        self.progress = replace(self.progress, done=self.progress.done + amount)
