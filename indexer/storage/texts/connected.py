"""What all parts of a chunk table share: the connection to its file."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SQL_VARIABLES = 500  # keys of one statement


class Connected:
    """A SQLite file, opened."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self.path = path

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _select(self, sql: str, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        for first in range(0, len(keys), SQL_VARIABLES):
            part = keys[first : first + SQL_VARIABLES]
            yield from self._db.execute(f"{sql} ({','.join('?' * len(part))})", list(part))
