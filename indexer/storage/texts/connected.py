"""What all parts of a chunk table share: the connection to its file."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Any

from quarry.indexer.records import passage_place
from quarry.indexer.storage.texts.segment_texts import PLACES, SegmentTexts

SQL_VARIABLES = 500  # keys of one statement


class Connected:
    """A SQLite file, opened."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, segments: Sequence[SegmentTexts] = (SegmentTexts("main"),)
    ) -> None:
        self._db = connection
        self.path = path
        self._segments = list(segments)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _select(self, sql: str | Callable[[str], str], keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Yield what SQL selects for some keys, which stand behind it, or where it puts the marks that it is given."""
        for first in range(0, len(keys), SQL_VARIABLES):
            part = keys[first : first + SQL_VARIABLES]
            marks = ",".join("?" * len(part))
            yield from self._db.execute(f"{sql} ({marks})" if isinstance(sql, str) else sql(marks), list(part))

    def _of_ids(self, columns: Sequence[str], chunk_ids: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Yield columns of some passages, in no order; unknown ids are left out."""
        joined = " UNION ALL ".join(segment.by_id(columns) for segment in self._segments)
        for first in range(0, len(chunk_ids) if joined else 0, SQL_VARIABLES):
            part = chunk_ids[first : first + SQL_VARIABLES]
            values = [
                value for chunk_id in part for value in (chunk_id, *(passage_place(chunk_id) or (None, None, None)))
            ]
            yield from self._db.execute(
                f"WITH {PLACES} AS (VALUES {','.join(['(?,?,?,?)'] * len(part))}) {joined}", values
            )

    def _ordered(self, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Yield columns of all passages, ordered by the first one, which is the id."""
        streams = [self._db.execute(segment.ordered(columns)) for segment in self._segments]
        return iter(streams[0]) if len(streams) == 1 else merge(*streams, key=itemgetter(0))
