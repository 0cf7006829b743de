"""Lance tables of a lake: opened at the version that a generation names, and what Lance raises, translated."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.stores.lake.objects import Objects

_AT_ONCE = 1_000  # values in one `IN (...)`


class Table:
    """One table, pinned to a version: what others write later is not seen."""

    def __init__(self, table: Any, place: str) -> None:
        self.lance, self.place = table, place

    @classmethod
    def open(cls, objects: Objects, folder: str, name: str, version: int) -> "Table":
        """Open a table.

        Raises:
            IndexFormatError: If it cannot be read.
        """
        place = f"{objects.uri}/{folder}/{name}.lance"
        with translated(place):
            table = connect(objects, folder).open_table(name)
            table.checkout(version)
        return cls(table, place)

    def count(self, where: str | None = None) -> int:
        """Return how many rows there are, that meet a predicate."""
        with translated(self.place):
            return int(self.lance.count_rows(where))

    def rows(self, where: str | None, columns: Sequence[str], limit: int | None = None) -> list[dict[str, Any]]:
        """Return columns of the rows that meet a predicate."""
        with translated(self.place):
            query = self.lance.search()
            if where is not None:
                query = query.where(where)
            found: list[dict[str, Any]] = query.select(list(columns)).limit(limit).to_arrow().to_pylist()
        return found

    def batches(self, columns: Sequence[str], size: int, where: str | None = None) -> Iterator[Any]:
        """Yield columns of all rows, or of those that meet a predicate, as record batches, in the order of the table."""
        with translated(self.place):
            query = self.lance.search()
            if where is not None:
                query = query.where(where)
            yield from query.select(list(columns)).limit(None).to_batches(size)

    def by(self, column: str, values: Sequence[str], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield columns of the rows whose value of a column is among some."""
        for first in range(0, len(values), _AT_ONCE):
            yield from self.rows(is_in(column, values[first : first + _AT_ONCE]), columns)


def connect(objects: Objects, folder: str) -> Any:
    """Connect to the tables of a folder."""
    os.environ.setdefault("LANCE_LOG", "error")
    import lancedb

    options = objects.lance_options
    return lancedb.connect(objects.lance_uri(folder), storage_options=dict(options) if options else None)


def is_in(column: str, values: Sequence[str]) -> str:
    """Return the predicate that a column has one of some values."""
    return f"{column} IN ({', '.join(map(quoted, values))})" if values else "false"


def quoted(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn what Lance raises into ours; a panic of its Rust code has no importable class.

    Raises:
        IndexFormatError: Instead of any other exception.
    """
    try:
        yield
    except (IndexFormatError, GeneratorExit):
        raise
    except Exception as err:
        raise IndexFormatError(
            "stores.lake_table",
            "{path} cannot be read by LanceDB ({error})",
            expected="an undamaged Lance table, and storage that answers",
            do="`quarry lake doctor LAKE` looks at every table; `quarry lake rollback LAKE` goes back to the generation before",
            path=place,
            error=str(err)[:300],
        ) from err
