"""Publish a lake in a process that kills itself: `python -m tests.indexer.lake.killed LAKE POINT kill|dry`.

Points are the objects that are written and the phases that begin, counted together; `dry` prints how many there are and switches nothing.
"""

import os
import signal
import sys

from quarry.indexer.lake import publishing
from quarry.indexer.lake.making import Lake
from quarry.indexer.lake.publishing import publish
from quarry.indexer.stores.lake.layout import replace_pointer
from tests.fakes import WordEmbedder


class Point:
    """Counts events, and ends the process at one of them."""

    def __init__(self, at: int) -> None:
        self.at, self.seen = at, 0

    def count(self) -> None:
        self.seen += 1
        if self.seen == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def phase(self, name: str, total: int | None) -> None:
        """Count the beginning of a phase."""
        self.count()

    def advance(self, amount: int) -> None:
        """Count progress."""
        self.count()


class Counting:
    """Storage that counts what is written to it."""

    def __init__(self, objects, point: Point) -> None:
        self._objects, self._point = objects, point

    def __getattr__(self, name: str):
        found = getattr(self._objects, name)
        if name not in ("write", "create", "replace"):
            return found

        def counted(*arguments):
            self._point.count()
            return found(*arguments)

        return counted


def main(place: str, at: int, how: str) -> None:
    """Publish."""
    point, opened = Point(at), Lake.open(place)
    if how == "dry":
        publishing.replace_pointer = lambda *_: point.count()
    else:
        publishing.replace_pointer = replace_pointer
    publish(Lake(Counting(opened.objects, point), opened.settings), WordEmbedder(), observer=point)
    print(point.seen)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
