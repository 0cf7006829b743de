"""A reader's hold on a generation: a shared lock on its manifest, which keeps the generation from being pruned."""

import os
from pathlib import Path
from weakref import finalize

from quarry.indexer.storage.files.file_locks import share
from quarry.indexer.storage.manifest import MANIFEST_NAME


class Hold:
    """Keeps a generation from being pruned until it is released, garbage-collected, or the process ends."""

    def __init__(self, descriptor: int) -> None:
        self.let_go = finalize(self, os.close, descriptor)

    @classmethod
    def on(cls, folder: Path) -> "Hold | None":
        """Hold the generation in this folder; None when there is none, or no longer."""
        try:
            descriptor = os.open(folder / MANIFEST_NAME, os.O_RDONLY)
        except OSError:
            return None
        hold = cls(descriptor)
        try:
            if not share(descriptor):  # it is being pruned
                return None
        except OSError:  # a file system without locks: readers work there, unprotected
            return hold
        return hold if os.fstat(descriptor).st_nlink else None
