"""An index that is opened in the background: hosts give a server seconds to say hello, and models take longer to load."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest

if TYPE_CHECKING:
    from quarry.retriever.live import LiveSearcher


_GREETING_S = 1.0


class Opening:
    """Opens an index in a thread; whoever needs it waits. Safe to share between threads."""

    def __init__(self, open_index: "Callable[[], LiveSearcher]", delay_s: float = 0.0) -> None:
        """Start the thread.

        Args:
            open_index: Opens the index.
            delay_s: How long to leave the processor to others first, unless somebody needs the index before.
        """
        self._open, self._lock = open_index, threading.Lock()
        self._delay_s, self._needed = delay_s, threading.Event()
        self._found = self._begin()

    def get(self) -> "LiveSearcher":
        """Return the opened index. An attempt that failed is made again.

        Raises:
            SearchError: If it cannot be opened.
        """
        self._needed.set()
        with self._lock:
            if self._found.done() and self._found.exception() is not None:
                self._found = self._begin()
            found = self._found
        return found.result()

    def _begin(self) -> "Future[LiveSearcher]":
        found: Future[LiveSearcher] = Future()

        def work() -> None:
            self._needed.wait(self._delay_s)
            try:
                found.set_result(self._open())
            except BaseException as err:  # noqa: BLE001 (thread boundary: it is raised where the index is needed)
                found.set_exception(err)

        threading.Thread(target=work, name="quarry-open", daemon=True).start()
        return found


def open_later(index: Path, rerank: str, device: str) -> Opening:
    """Begin to open an index with its models.

    Args:
        index: The index folder.
        rerank: As for `LiveSearcher`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        IndexFormatError: At once, if the folder is not an index.
    """
    Manifest.read(Generations(index).live())

    def open_index() -> "LiveSearcher":
        from quarry.retriever.live import LiveSearcher

        return LiveSearcher(index, rerank=rerank, device=device)

    return Opening(open_index, _GREETING_S)
