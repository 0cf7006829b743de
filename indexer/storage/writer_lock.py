"""The writer lock of an index: one process builds at a time, and the next one is told which."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quarry.indexer.errors import IndexBusyError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import accessible, refuse_links
from quarry.indexer.storage.files.locks import folder_lock, process_lock
from quarry.indexer.storage.segments import SEGMENTS_NAME

_WRITTEN = ("generations", SEGMENTS_NAME, "embeddings", "models", "tuning")  # folders in which builds write and remove


@contextmanager
def writer_lock(root: Path) -> Iterator[None]:
    """Hold the index's writer lock inside a `with` block, even when somebody removes `writer.lock` meanwhile.

    Raises:
        AccessError: If this user may not write there, or a folder of the index is a link.
        IndexBusyError: If another process holds it; the message names that process.
    """
    with accessible():
        root.mkdir(parents=True, exist_ok=True)
    path = root / "writer.lock"

    def busy(owner: Message) -> IndexBusyError:
        return IndexBusyError(
            "storage.busy",
            "{index} is being written by {owner}",
            expected="no other writer",
            do="Wait for it, or stop it",
            index=root,
            owner=owner,
        )

    with folder_lock(root, path, busy), process_lock(path, busy):
        refuse_links(root / name for name in _WRITTEN)
        yield
