"""The file that a document came from. It is named by the document's id alone: no path of a client ever reaches the disk.

An index may come from somebody else, and name any folder and file of this machine. So a file is handed over only when it holds the
bytes that were indexed: an index gives out nothing that whoever made it did not have.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from quarry.app.documents.catalog import unknown_document
from quarry.indexer.corpus.listing import path_of
from quarry.indexer.corpus.walk import SourceFile
from quarry.indexer.errors import SearchError
from quarry.indexer.messages import Message
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.stores.parts import live_texts

LARGEST = 512 << 20
"""Bytes of a file that is handed over."""


class NoOriginal(SearchError):
    """The file of a document cannot be handed over."""


@dataclass(frozen=True, slots=True)
class Original:
    """A file that may be handed over if it still holds what was indexed; `path` has no links in it."""

    path: Path
    name: str
    size: int
    indexed: SourceFile


def find_original(index: Path | ChunkTable, doc_id: str) -> Original:
    """Return the file that a document of an index folder, or of its opened texts, came from.

    It must be a regular file inside of the folder that was indexed, also when all links are followed.

    Raises:
        IndexFormatError: If the folder is not an index, or is damaged.
        UnknownDocument: If no document has the id.
        NoOriginal: If the document came from no file, or its file is gone, too large, outside of its folder, or has another size.
    """
    with live_texts(index) as table:
        owner = table.owner(doc_id)
        if owner is None:
            raise unknown_document(doc_id)
        file = table.file(owner)
        root = table.roots().get(file.root) if file is not None and file.root else None
    if root is None or file is None:
        raise _refused(Message.of("app.no_file", "the document came from no folder of the index"))
    return _checked(path_of(owner), Path(root), file)


def read_original(original: Original) -> bytes:
    """Return the content of a file; it is checked again once it is open.

    Raises:
        NoOriginal: If it is no longer the file that was found, or does not hold what was indexed.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(original.path, flags)
        with os.fdopen(descriptor, "rb") as handle:
            facts = os.fstat(descriptor)
            moved = Path(os.path.realpath(original.path)) != original.path
            if moved or not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST:
                raise _refused(Message.of("app.file_changed", "its file has been replaced meanwhile", do="Try again"))
            content = handle.read(LARGEST + 1)[:LARGEST]
    except OSError as err:
        raise _refused(_gone(err)) from err
    if not original.indexed.was(content):
        raise _refused(_other_content())
    return content


def _checked(path: Path, root: Path, indexed: SourceFile) -> Original:
    try:
        real, real_root = path.resolve(strict=True), root.resolve(strict=True)
        facts = real.stat()
    except (OSError, RuntimeError, ValueError) as err:
        raise _refused(_gone(err)) from err
    if real != real_root and not real.is_relative_to(real_root):
        raise _refused(Message.of("app.file_outside", "its file is a link that leaves the indexed folder"))
    if not stat.S_ISREG(facts.st_mode):
        raise _refused(Message.of("app.file_special", "it is no longer a regular file"))
    if facts.st_size > LARGEST:
        too_large = Message.of(
            "app.file_too_large",
            "its file has {size:,} bytes",
            expected="at most {largest:,}",
            size=facts.st_size,
            largest=LARGEST,
        )
        raise _refused(too_large)
    if facts.st_size != indexed.size:
        raise _refused(_other_content())
    return Original(real, path.name, facts.st_size, indexed)


def _other_content() -> Message:
    return Message.of(
        "app.file_other",
        "its file does not hold what was indexed",
        do="If it is your own and has changed, index its folder again with --checksum",
    )


def _gone(err: Exception) -> Message:
    reason = getattr(err, "strerror", None) or type(err).__name__
    return Message.of("app.file_gone", "its file cannot be read ({reason})", reason=str(reason))


def _refused(reason: Message) -> NoOriginal:
    return NoOriginal(
        "app.no_original",
        "the original cannot be opened: {reason}",
        expected="a file inside of a folder of the index",
        do="The text that was read is still in the index",
        reason=reason,
    )
