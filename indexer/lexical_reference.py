"""The second lexical engine: rank-bm25, for small corpora and as the reference that tests compare with.

It keeps nothing on disk but the terms, and is linear in the number of chunks per query.
"""

from collections.abc import Collection, Iterable, Sequence
from importlib.metadata import version
from json import dumps, loads
from pathlib import Path
from typing import Self

import numpy as np

from indexer.errors import IndexFormatError
from indexer.lexical import K1, B, LexicalHit

_NAME = "rank-bm25.json"


class RankBm25Index:
    """BM25Plus of rank-bm25 with delta 0: the Lucene-like form, whose idf is never negative."""

    def __init__(self, ids: Sequence[str], tokens: Sequence[Sequence[str]]) -> None:
        order = sorted(range(len(ids)), key=ids.__getitem__)
        self._ids = [ids[row] for row in order]
        self._tokens = [list(tokens[row]) for row in order]
        self._engine = None
        if any(self._tokens):
            from rank_bm25 import BM25Plus

            self._engine = BM25Plus(self._tokens, k1=K1, b=B, delta=0)

    @classmethod
    def build(cls, ids: Sequence[str], tokens: Iterable[Sequence[str]]) -> Self:
        """Index chunks. Raises ValueError if the numbers of ids and of token lists differ."""
        lists = list(tokens)
        if len(lists) != len(ids):
            raise ValueError(f"{len(lists)} lists of terms for {len(ids)} ids; expected one list per id")
        return cls(ids, lists)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what `save` wrote. Raises IndexFormatError on damage."""
        try:
            content = loads((folder / _NAME).read_text(encoding="utf-8"))
            return cls(content["ids"], content["tokens"])
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise IndexFormatError(
                f"the lexical index in {folder} cannot be read ({err}); index again or roll back"
            ) from err

    def save(self, folder: Path) -> None:
        """Write to an existing folder."""
        (folder / _NAME).write_text(
            dumps({"ids": self._ids, "tokens": self._tokens}, ensure_ascii=False), encoding="utf-8"
        )

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def engine(self) -> str:
        """Library and version."""
        return f"rank-bm25-{version('rank-bm25')}"

    def idf(self, token: str) -> float | None:
        """Return the engine's idf, None for a term that is in no chunk."""
        return None if self._engine is None else self._engine.idf.get(token)

    def search(self, tokens: Sequence[str], k: int, *, allowed: Collection[str] | None = None) -> list[LexicalHit]:
        """Return at most k chunks with a score above zero, best first, ties in id order. Raises ValueError if k < 1."""
        if k < 1:
            raise ValueError(f"k is {k}; expected at least 1")
        if self._engine is None:
            return []
        scores = np.asarray(self._engine.get_scores(list(tokens)))
        rows = [row for row in np.lexsort((np.arange(len(scores)), -scores)) if scores[row] > 0]
        if allowed is not None:
            wanted = set(allowed)
            rows = [row for row in rows if self._ids[row] in wanted]
        return [LexicalHit(self._ids[row], float(scores[row]), self._matched(int(row), tokens)) for row in rows[:k]]

    def _matched(self, row: int, tokens: Sequence[str]) -> tuple[str, ...]:
        present = set(self._tokens[row]).intersection(tokens)
        return tuple(sorted(present, key=lambda token: (-(self.idf(token) or 0.0), token)))
