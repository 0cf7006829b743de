"""What the plan and the loss must know of all rows at once, in a few numbers a row, so that the texts may stay in their files.

A text is a number here: 63 bits of its BLAKE2 digest. Among 10 million texts two are mistaken for one another with a probability of
one in 100,000, and then one of them is no negative of the other.
"""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b, sha256
from json import dumps
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quarry.training.examples.rows import TrainingRow

Numbers = NDArray[np.int64]


def text_number(text: str) -> int:
    """Return the number of a text, 0 to 2**63 - 1; equal texts have equal ones."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big") >> 1


def usable_negatives(row: TrainingRow) -> list[int]:
    """Return which `neg` of a row can be drawn: one that is also a positive, or the query itself, would teach the opposite."""
    barred = {*row.pos, row.query}
    return [number for number, text in enumerate(row.neg) if text not in barred]


@dataclass(frozen=True)
class RowTable:
    """Rows with their numbers.

    Attributes:
        rows: The rows themselves; read one by one, so that they may come from a file.
        query: Number of each query, shape (n,).
        positives: Numbers of all positives, row after row.
        starts: Where each row's positives begin among them, shape (n + 1,).
        usable: How many negatives of each row can be drawn, int32, shape (n,).
        kind: Which of `kinds` each row is of, int32, shape (n,).
        kinds: The kinds of rows (`TrainingRow.kind`), in the order of their first row.
        prompts: How many rows have which instruction; empty for the model's own.
        digest: 16 hex digits of all rows in their order.
    """

    rows: Sequence[TrainingRow]
    query: Numbers
    positives: Numbers
    starts: Numbers
    usable: NDArray[np.int32]
    kind: NDArray[np.int32]
    kinds: tuple[str, ...]
    prompts: Counter[str]
    digest: str

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.query)

    @classmethod
    def of(cls, rows: "Sequence[TrainingRow] | RowTable") -> "RowTable":
        """Read every row once; a table is returned as it is."""
        return rows if isinstance(rows, RowTable) else cls._read(rows)

    @classmethod
    def _read(cls, rows: Sequence[TrainingRow]) -> Self:
        query, positives, starts = array("q"), array("q"), array("q", [0])
        usable, kind = array("i"), array("i")
        kinds: dict[str, int] = {}
        prompts: Counter[str] = Counter()
        digest = sha256(b"[")
        for number, row in enumerate(rows):
            query.append(text_number(row.query))
            positives.extend(text_number(text) for text in row.pos)
            starts.append(len(positives))
            usable.append(len(usable_negatives(row)) if row.neg else 0)
            kind.append(kinds.setdefault(row.kind, len(kinds)))
            prompts[row.prompt] += 1
            digest.update((", " if number else "").encode() + _line(row))
        digest.update(b"]")
        whole = [
            np.frombuffer(column, dtype=np.int64) if column else np.zeros(0, np.int64)
            for column in (query, positives, starts)
        ]
        small = [
            np.frombuffer(column, dtype=np.int32) if column else np.zeros(0, np.int32) for column in (usable, kind)
        ]
        return cls(
            rows, whole[0], whole[1], whole[2], small[0], small[1], tuple(kinds), prompts, digest.hexdigest()[:16]
        )

    def drawn(self, places: Numbers) -> Numbers:
        """Return the number of one positive per row, shape (n,); `places` says which of its positives each row draws."""
        found: Numbers = self.positives[self.starts[:-1] + places]
        return found

    def answers(self, query: int) -> Numbers:
        """Return the numbers of all positives of all rows that ask a query, ascending, each once."""
        order, ordered = self._by_query
        first, last = np.searchsorted(ordered, [query, query + 1])
        rows = order[first:last]
        return np.unique(np.concatenate([self.positives[self.starts[row] : self.starts[row + 1]] for row in rows]))

    @cached_property
    def _by_query(self) -> tuple[Numbers, Numbers]:
        """The rows by their queries, and these queries."""
        order = np.argsort(self.query, kind="stable")
        return order, self.query[order]


def _line(row: TrainingRow) -> bytes:
    """Return a row as `digest_of` would write it in a list."""
    fields = [row.query, row.pos, row.neg, row.pos_scores, row.neg_scores, row.prompt, row.kind]
    return dumps(fields, ensure_ascii=False).encode("utf-8", "replace")
