"""Writes the lexical index of versions before 0.3.0, which today's versions only read."""

from collections.abc import Iterable, Sequence
from json import dumps
from pathlib import Path
from typing import Self

import bm25s

from quarry.indexer.lexical.bm25 import IDS_NAME, K1, NOTHING, B, Bm25sIndex


class OlderIndex(Bm25sIndex):
    """Finished scores, by bm25s."""

    @classmethod
    def build(cls, ids: Sequence[str], tokens: Iterable[Sequence[str]]) -> Self:
        """Index chunks in the order of their ids."""
        order = sorted(range(len(ids)), key=ids.__getitem__)
        lists = list(tokens)
        if len(lists) != len(ids):
            raise ValueError(f"{len(lists)} lists of terms for {len(ids)} ids; expected one list per id")
        ordered = [ids[row] for row in order]
        if not any(lists):
            return cls(ordered, {}, NOTHING)
        model = bm25s.BM25(k1=K1, b=B, method="lucene")
        model.index([lists[row] for row in order], show_progress=False, create_empty_token=False)
        return cls(ordered, model.vocab_dict, model.scores)

    def save(self, folder: Path) -> None:
        """Write to an existing folder."""
        content = {"engine": "bm25s-0.3.16", "terms": len(self._vocabulary), "ids": self._ids}
        (folder / IDS_NAME).write_text(dumps(content, ensure_ascii=False), encoding="utf-8")
        if not self._vocabulary:
            return
        model = bm25s.BM25(k1=K1, b=B, method="lucene")
        model.vocab_dict, model.nonoccurrence_array = self._vocabulary, None
        model.scores = {"data": self._data, "indices": self._chunks, "indptr": self._starts, "num_docs": len(self)}
        model.save(str(folder), show_progress=False)
