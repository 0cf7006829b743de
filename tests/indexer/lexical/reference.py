"""The lexical engine that tests compare with: rank-bm25. It is linear in the number of chunks per query."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from importlib.metadata import version
from json import dumps
from math import log
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.lexical.bm25 import K1, MAX_REPEAT, MAX_TERMS, B, LexicalHit
from quarry.indexer.lexical.files import damaged, is_list_of_str, read_object

_NAME = "rank-bm25.json"


class RankBm25Index:
    """BM25Plus of rank-bm25 with delta 0, with Lucene's idf and without the constant factor k1 + 1: `Bm25sIndex`'s scores."""

    def __init__(self, ids: Sequence[str], tokens: Sequence[Sequence[str]]) -> None:
        order = sorted(range(len(ids)), key=ids.__getitem__)
        self._ids = [ids[row] for row in order]
        self._tokens = [list(tokens[row]) for row in order]
        self._engine = None
        if any(self._tokens):
            from rank_bm25 import BM25Plus

            self._engine = BM25Plus(self._tokens, k1=K1, b=B, delta=0)
            dfs = Counter(token for frequencies in self._engine.doc_freqs for token in frequencies)
            self._engine.idf = {token: log(1 + (len(ids) - df + 0.5) / (df + 0.5)) for token, df in dfs.items()}

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
        content = read_object(folder / _NAME)
        ids, tokens = content.get("ids"), content.get("tokens")
        if not (is_list_of_str(ids) and isinstance(tokens, list) and len(ids) == len(tokens)):
            raise damaged(folder / _NAME, f"the keys {sorted(content)}", "`ids` and `tokens`, one list for each id")
        if not all(is_list_of_str(terms) for terms in tokens):
            raise damaged(folder / _NAME, "`tokens` of another type", "a list of terms for each id")
        return cls(ids, tokens)

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
        """Return ln(1 + (N - df + 0.5) / (df + 0.5)), None for a term that is in no chunk."""
        return None if self._engine is None else self._engine.idf.get(token)

    def search(self, tokens: Sequence[str], k: int, *, allowed: Collection[str] | None = None) -> list[LexicalHit]:
        """Return at most k chunks with a score above zero, best first, ties in id order. Raises ValueError if k < 1."""
        if k < 1:
            raise ValueError(f"k is {k}; expected at least 1")
        engine = self._engine
        if engine is None:
            return []
        counts = {token: min(count, MAX_REPEAT) for token, count in Counter(tokens).items() if self.idf(token)}
        rarest = sorted(counts, key=lambda token: -engine.idf[token])[:MAX_TERMS]
        parts = {token: np.asarray(engine.get_scores([token])) * counts[token] / (K1 + 1) for token in rarest}
        scores = np.sum(list(parts.values()), axis=0) if parts else np.zeros(len(self._ids))
        rows = [int(row) for row in np.lexsort((np.arange(len(scores)), -scores)) if scores[row] > 0]
        if allowed is not None:
            wanted = set(allowed)
            rows = [row for row in rows if self._ids[row] in wanted]
        return [LexicalHit(self._ids[row], float(scores[row]), _matched(row, parts)) for row in rows[:k]]


def _matched(row: int, parts: dict[str, NDArray[np.float64]]) -> tuple[str, ...]:
    """Return the terms that gave this row its score, strongest first."""
    contributions = sorted((-float(part[row]), token) for token, part in parts.items() if part[row] > 0)
    return tuple(token for _, token in contributions)
