"""From the shards of a lake to the tables of a new generation: each table is written in one pass, a part of a shard at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quarry.indexer.build.progress import Clock
from quarry.indexer.lake.counted import Counted
from quarry.indexer.lake.rows import documents_schema, names_schema, passages_schema, states_schema
from quarry.indexer.lake.shard import LakeShard, read_file
from quarry.indexer.lexical.normalization import SECOND_FORM
from quarry.indexer.stores.lake.layout import DOCUMENTS, NAMES, PASSAGES, STATES, TERMS, VALUES
from quarry.indexer.stores.lake.objects import Objects
from quarry.indexer.stores.lake.tables import connect, translated


@dataclass(frozen=True, slots=True)
class Target:
    """Where the tables of a generation go.

    Attributes:
        objects: The lake.
        folder: Of the generation.
        dim: Length of the vectors.
        token_states: Whether those of passages are kept.
    """

    objects: Objects
    folder: str
    dim: int
    token_states: bool = False

    def write(self, name: str, schema: Any, batches: Iterable[Any]) -> Any:
        """Write a table, and return it."""
        import pyarrow as pa

        reader = pa.RecordBatchReader.from_batches(schema, iter(batches))
        database = connect(self.objects, self.folder)
        return database.create_table(name, data=reader, schema=schema)


def write_tables(
    shards: Callable[[], Iterator[LakeShard]], target: Target, counted: Counted, clock: Clock
) -> dict[str, Any]:
    """Write all tables.

    A document whose id was there before, in an earlier folder or file, is left out with its passages.

    Args:
        shards: Yields the shards, in the same order each time.
        target: Where they go.
        counted: Counts what goes by.
        clock: Receives progress.

    Returns:
        The tables, by name; without the names where there are none.

    Raises:
        ShardError: If a file of a shard is missing or damaged.
        IndexFormatError: If the storage does not answer.
    """
    repeated: list[set[str]] = []
    passed = _Passed()
    clock.phase("storing", None)
    tables = {}
    with passed:
        tables[DOCUMENTS] = target.write(
            DOCUMENTS, documents_schema(), passed.through(_documents(shards, target.objects, counted, repeated))
        )
        schema = passages_schema(target.dim, numbered=True)
        tables[PASSAGES] = target.write(
            PASSAGES, schema, passed.through(_passages(shards, target, counted, repeated, clock))
        )
        clock.phase("titles", None)
        names = target.write(NAMES, names_schema(target.dim), passed.through(_names(shards, target, counted)))
        if names.count_rows():
            tables[NAMES] = names
        if target.token_states:
            tables[STATES] = target.write(
                STATES, states_schema(), passed.through(_states(shards, target.objects, counted))
            )
        clock.phase("lexical", counted.passages)
        tables[TERMS] = target.write(TERMS, _terms_schema(), _terms(counted))
        tables[VALUES] = target.write(VALUES, _values_schema(), _values(counted))
    return tables


class _Passed:
    """An error of ours on its way through Lance, which would make a text of it."""

    def __init__(self) -> None:
        self._error: Exception | None = None
        self._place = ""

    def through(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield batches, and remember why they end too early."""
        try:
            yield from batches
        except Exception as err:
            self._error = err
            raise

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: object) -> None:
        if err is not None and self._error is not None:
            raise self._error from err
        if isinstance(err, Exception):
            with translated("tables"):
                raise err


def _documents(
    shards: Callable[[], Iterator[LakeShard]], objects: Objects, counted: Counted, repeated: list[set[str]]
) -> Iterator[Any]:
    import pyarrow as pa

    for shard in shards():
        for part in shard.parts:
            table = read_file(objects, *part.files["documents"])
            new = counted.new_documents(table)
            ids = table["doc_id"].to_pylist()
            repeated.append({doc_id for doc_id, added in zip(ids, new, strict=True) if not added})
            yield from table.filter(pa.array(new)).cast(documents_schema()).to_batches()


def _passages(
    shards: Callable[[], Iterator[LakeShard]],
    target: Target,
    counted: Counted,
    repeated: Sequence[set[str]],
    clock: Clock,
) -> Iterator[Any]:
    import pyarrow as pa

    schema, number = passages_schema(target.dim, numbered=True), 0
    parts = (part for shard in shards() for part in shard.parts)
    with counted.terms_writer() as terms:
        for part, left_out in zip(parts, repeated, strict=True):
            table = read_file(target.objects, *part.files["passages"])
            if left_out:
                kept = [doc_id not in left_out for doc_id in table["doc_id"].to_pylist()]
                table = table.filter(pa.array(kept))
            for words, length in zip(table["terms"].to_pylist(), table["words"].to_pylist(), strict=True):
                listed = words.split(" ") if words else []
                terms.add([*listed[:length], *(SECOND_FORM + word for word in listed[length:])])
            flat = table["vector"].combine_chunks()
            counted.count_vectors(table["lang"].to_pylist(), flat.flatten().to_numpy().reshape(-1, target.dim))
            numbers = pa.array(np.arange(number, number + table.num_rows, dtype=np.int64))
            number += table.num_rows
            clock.observer.advance(table.num_rows)
            yield from table.append_column("number", numbers).select(schema.names).cast(schema).to_batches()


def _names(shards: Callable[[], Iterator[LakeShard]], target: Target, counted: Counted) -> Iterator[Any]:
    import pyarrow as pa

    for shard in shards():
        for part in shard.parts:
            table = read_file(target.objects, *part.files["names"])
            new = counted.new_names(table["id"].to_pylist())
            yield from table.filter(pa.array(new, pa.bool_())).cast(names_schema(target.dim)).to_batches()


def _states(shards: Callable[[], Iterator[LakeShard]], objects: Objects, counted: Counted) -> Iterator[Any]:
    import pyarrow as pa

    for shard in shards():
        for part in shard.parts:
            table = read_file(objects, *part.files["states"])
            new = counted.new_names(f"{STATES} {digest}" for digest in table["id"].to_pylist())
            yield from table.filter(pa.array(new, pa.bool_())).cast(states_schema()).to_batches()


def _terms_schema() -> Any:
    import pyarrow as pa

    return pa.schema([pa.field("term", pa.utf8()), pa.field("df", pa.int64())])


def _terms(counted: Counted) -> Iterator[Any]:
    import pyarrow as pa

    for words, frequencies in counted.terms():
        yield pa.RecordBatch.from_arrays([pa.array(words, pa.utf8()), pa.array(frequencies)], schema=_terms_schema())


def _values_schema() -> Any:
    import pyarrow as pa

    text = [pa.field(name, pa.utf8()) for name in ("key", "value")]
    return pa.schema([*text, pa.field("documents", pa.int64()), pa.field("first", pa.bool_())])


def _values(counted: Counted) -> Iterator[Any]:
    import pyarrow as pa

    for rows in counted.values():
        yield pa.RecordBatch.from_pylist(rows, schema=_values_schema())
