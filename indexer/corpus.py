"""Reading a corpus: files and folders in, documents or counted skips out, one file after another.

Whatever a file is, the run goes on: each gives its documents, or a reason why not. Files that have not changed since the
last run are not opened again.
"""

import gzip
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from indexer.readers.base import Extract, Reading, ReadOptions, Reason, Unreadable, first_heading, stem
from indexer.readers.formats import format_of, read_content
from indexer.readers.sandbox import Sandbox
from indexer.records import Document

__all__ = ["ReadFile", "ReadOptions", "Skipped", "SourceFile", "UnchangedFile", "list_files", "read_corpus"]

# Characters that stay as they are in document ids; controls, `%`, `#` and what is not UTF-8 are percent-encoded
_PLAIN = "/ !\"$&'()*+,-.:;<=>?@[\\]^_`{|}~"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it was read: absolute path (percent-encoded), the prefix of its root, size, time and SHA-256."""

    path: str
    root: str
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was left out: printable path (with `:line` for a row), a countable reason, and one sentence."""

    source: str
    reason: Reason
    detail: str


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


def printable(path: Path | str) -> str:
    """Return a path as text that is safe in ids and on screens; `path_of` gives it back."""
    return "".join(
        character if character.isprintable() and character not in "%#" and not "\ud800" <= character <= "\udfff"
        else quote(os.fsencode(character), safe=_PLAIN.replace("%", "").replace("#", ""))
        for character in str(path)
    )  # fmt: skip


def path_of(text: str) -> Path:
    """Return the path that `printable` made a text of."""
    return Path(os.fsdecode(unquote_to_bytes(text)))


def list_files(root: Path) -> Iterator[Path | Skipped]:
    """Walk a folder in a fixed order; hidden files and folders are left out silently.

    Links are followed inside the root only, and a folder is entered once.
    """
    if root.is_file():
        yield root
        return
    real_root = root.resolve()
    entered: set[tuple[int, int]] = set()

    def walk(folder: Path) -> Iterator[Path | Skipped]:
        facts = folder.stat()
        if (facts.st_dev, facts.st_ino) in entered:
            yield Skipped(printable(folder), "link loop", "it was entered already by another name; it is read once")
            return
        entered.add((facts.st_dev, facts.st_ino))
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as err:
            yield Skipped(
                printable(folder), "unreadable", f"the folder cannot be opened ({err.strerror}); check its rights"
            )
            return
        for entry in entries:
            if entry.name.startswith((".", "~$")):
                continue
            yield from visit(Path(entry.path), entry)

    def visit(path: Path, entry: "os.DirEntry[str]") -> Iterator[Path | Skipped]:
        try:
            if entry.is_symlink() and not path.resolve(strict=True).is_relative_to(real_root):
                yield Skipped(
                    printable(path), "not a regular file", "a link that leaves the folder; index its target instead"
                )
                return
            mode = path.stat().st_mode
        except (OSError, RuntimeError) as err:
            reason: Reason = "link loop" if entry.is_symlink() else "unreadable"
            yield Skipped(printable(path), reason, f"it cannot be followed ({type(err).__name__}); mend or remove it")
            return
        if stat.S_ISDIR(mode):
            yield from walk(path)
        elif stat.S_ISREG(mode):
            yield path
        else:
            yield Skipped(printable(path), "not a regular file", "a device, socket or pipe; only files are read")

    yield from walk(root)


def read_corpus(
    roots: Mapping[str, Path],
    *,
    known: Callable[[str], SourceFile | None] = lambda _path: None,
    options: ReadOptions = ReadOptions(),  # noqa: B008 (frozen)
) -> Iterator[ReadFile | UnchangedFile | Skipped]:
    """Read all files below the roots.

    Document ids: `prefix/relative/path` for a file in a folder, the prefix for a single file, and for a row of a JSON
    file that followed by `/` and the row's id. Rows of a BEIR `corpus.jsonl` keep their `_id` as it is.

    Args:
        roots: Prefix -> file or folder.
        known: What the last run knew of a path (`SourceFile.path`).
        options: Limits.

    Yields:
        One event per file or skipped thing.
    """
    with Sandbox(options) as sandbox:
        for prefix, root in roots.items():
            for entry in list_files(root):
                if isinstance(entry, Skipped):
                    yield entry
                elif not _is_beir_companion(entry):
                    yield _read_file(entry, prefix, root, known, options, sandbox)


def _is_beir_companion(path: Path) -> bool:
    """Queries and judgements beside a BEIR corpus are not documents."""
    folder = path.parent.parent if path.parent.name == "qrels" else path.parent
    name = path.name.removesuffix(".gz")
    belongs = path.parent.name == "qrels" or name.endswith(("queries.jsonl", "qrels.jsonl", "qrels.tsv"))
    return belongs and any((folder / corpus).is_file() for corpus in ("corpus.jsonl", "corpus.jsonl.gz"))


def _read_file(
    path: Path,
    prefix: str,
    root: Path,
    known: Callable[[str], SourceFile | None],
    options: ReadOptions,
    sandbox: Sandbox,
) -> ReadFile | UnchangedFile | Skipped:
    absolute = printable(path.absolute())
    try:
        facts = path.stat()
        before = known(absolute)
        if before and (before.size, before.mtime_ns, before.root) == (facts.st_size, facts.st_mtime_ns, prefix):
            return UnchangedFile(before)
        if facts.st_size > options.max_bytes:
            detail = f"{facts.st_size} bytes; expected at most {options.max_bytes}. Split it"
            return Skipped(printable(path), "too large", detail)
        if facts.st_size == 0:
            return Skipped(printable(path), "empty", "0 bytes")
        raw = path.read_bytes()
        file = SourceFile(absolute, prefix, facts.st_size, facts.st_mtime_ns, sha256(raw).hexdigest())
        if before and before.sha256 == file.sha256 and before.root == prefix:
            return UnchangedFile(file)
        content = _unpacked(path, raw, options)
        kind = format_of(path, content[:2048])
        reading = read_content(path, kind, content, options, sandbox)
        return _documents(path, prefix, root, file, kind, reading)
    except Unreadable as err:
        return Skipped(printable(path), err.reason, err.detail)
    except OSError as err:
        return Skipped(printable(path), "unreadable", f"{err.strerror or err}; check that it exists and may be read")
    except LookupError as err:
        return Skipped(printable(path), "unreadable", f"{err}; expected a charset that Python knows")


def _unpacked(path: Path, raw: bytes, options: ReadOptions) -> bytes:
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    unpacker = zlib.decompressobj(wbits=31)
    try:
        content = unpacker.decompress(raw, options.unpacked_bytes)
        if unpacker.unconsumed_tail:
            raise Unreadable(
                "archive bomb", f"it unpacks to more than {options.unpacked_bytes} bytes; unpack and split it"
            )
        return content if not unpacker.unused_data else gzip.decompress(raw)
    except (zlib.error, EOFError, gzip.BadGzipFile) as err:
        raise Unreadable("damaged", f"not a readable gzip file ({err}); copy it again") from err


def _documents(path: Path, prefix: str, root: Path, file: SourceFile, kind: str, reading: Reading) -> ReadFile:
    relative = "" if path == root else f"/{printable(path.relative_to(root).as_posix())}"
    file_id = prefix + relative
    modified = datetime.fromtimestamp(file.mtime_ns / 1e9, UTC).date().isoformat()
    common = {"source": file_id, "format": kind, "modified": modified}
    keeps_ids = path.name.removesuffix(".gz") == "corpus.jsonl"
    documents: list[Document] = []
    problems = [
        Skipped(f"{printable(path)}:{problem.line}", "wrong row", problem.detail) for problem in reading.problems
    ]
    for extract in reading.extracts:
        doc_id = (
            (extract.row_id if keeps_ids else f"{file_id}/{printable(extract.row_id)}") if extract.row_id else file_id
        )
        document = _document(doc_id, path, extract, common)
        if document.text.strip():
            documents.append(document)
        elif len(reading.extracts) > 1:
            problems.append(Skipped(f"{printable(path)}:{extract.row_id}", "no text", "the row has no text"))
    if not documents:
        raise Unreadable("no text", "nothing but white space came out of it; expected text")
    return ReadFile(file, tuple(documents), tuple(problems))


def _document(doc_id: str, path: Path, extract: Extract, common: Mapping[str, str]) -> Document:
    document = Document(doc_id, extract.text, extract.title, {**extract.meta, **common})
    if document.title or extract.row_id:
        return document
    return replace(document, title=first_heading(document.text) or stem(path))
