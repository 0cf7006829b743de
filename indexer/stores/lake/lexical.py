"""BM25 in a lake: Lance's full-text index finds candidates, and our own formula scores them.

The column `terms` holds what our analyzer made of a passage, joined by spaces, and is indexed under Lance's `whitespace` tokenizer: so
Chinese is found by its words, and nothing is stemmed or folded twice. Lance scores with other constants and with statistics of parts of
the index. Its best candidates, four times as many as are wanted, are scored again with the document frequencies of the whole generation,
which makes scores, ties, matched terms and the fusion's weights those of an ordinary index.
"""

from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping, Sequence
from math import log
from threading import Lock
from typing import Any

from quarry.indexer.lexical.bm25 import HAN_SIGN, K1, MAX_REPEAT, MAX_SIGNS, MAX_TERMS, B, LexicalHit
from quarry.indexer.stores.lake.tables import Table, is_in, quoted, translated
from quarry.indexer.stores.lake.where import Where

ENGINE = "lance-fts/1"
_DEEPER = 4  # candidates per wanted passage
_LEAST = 200  # candidates
_FEW = 2_000  # ids of a filter whose terms are fetched and scored; more are searched in parts
_KEPT = 200_000  # document frequencies that are kept in memory
_COLUMNS = ("chunk_id", "terms", "words")


class LakeTerms:
    """A LexicalIndex on the tables of a lake.

    Args:
        passages: The table of passages, with the columns `chunk_id`, `terms` and `words`.
        terms: The table of document frequencies, with the columns `term` and `df`.
        count: How many passages there are.
        mean_length: Words of a passage, on average.
    """

    def __init__(self, passages: Table, terms: Table, count: int, mean_length: float) -> None:
        self._passages, self._terms = passages, terms
        self._count, self.mean_length = count, mean_length
        self._df: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return self._count

    @property
    def engine(self) -> str:
        """Name and version of the format and of its scores."""
        return ENGINE

    def idf(self, token: str) -> float | None:
        """Return ln(1 + (N - df + 0.5) / (df + 0.5)), None for a term that is in no passage."""
        df = self._frequencies([token]).get(token, 0)
        return self._idf(df) if df else None

    def search(self, tokens: Sequence[str], k: int, *, allowed: Collection[str] | None = None) -> list[LexicalHit]:
        """Return at most k passages with a score above zero, best first, ties in id order; see `Bm25Search.search`.

        Raises:
            ValueError: If k < 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}; expected at least 1")
        weights = self._weights(Counter(tokens))
        if not weights or (len(tokens) == 1 and HAN_SIGN.fullmatch(tokens[0])):
            weights = self._weights(Counter(self._words_with(tokens))) or weights
        if not weights:
            return []
        depth = max(_LEAST, _DEEPER * k)
        rows = [row for where in self._parts(allowed) for row in self._candidates(weights, depth, where)]
        hits = [hit for row in rows if (hit := self._scored(row, weights)) is not None]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))[:k]

    def having(self, groups: Sequence[Sequence[str]], signs: Sequence[str] = ()) -> frozenset[str]:
        """Return the passages that have a term of every group and, of every sign, a term that holds it; all without any."""
        from lancedb.query import BooleanQuery, Occur

        wanted = [list(group) for group in groups]
        wanted += [self._words_with([sign], all_of_them=True) for sign in dict.fromkeys(signs)]
        if not all(wanted):
            return frozenset()
        if not wanted:
            return frozenset(row["chunk_id"] for row in self._passages.rows(None, ["chunk_id"]))
        query = BooleanQuery([(Occur.MUST, _match(group)) for group in wanted])
        with translated(self._passages.place):
            found = self._passages.lance.search(query).select(["chunk_id", "_score"]).limit(self._count).to_arrow()
        return frozenset(found["chunk_id"].to_pylist())

    def _parts(self, allowed: Collection[str] | None) -> list[str | None]:
        """Return predicates that together let the allowed passages through."""
        if allowed is None:
            return [None]
        if isinstance(allowed, Where):
            return [allowed.sql]
        ids = sorted(set(allowed))
        return [is_in("chunk_id", ids[first : first + _FEW]) for first in range(0, len(ids), _FEW)]

    def _candidates(self, weights: Mapping[str, float], depth: int, where: str | None) -> list[dict[str, Any]]:
        with translated(self._passages.place):
            search = self._passages.lance.search(_match(weights))
            if where is not None:
                search = search.where(where, prefilter=True)
            found: list[dict[str, Any]] = search.select([*_COLUMNS, "_score"]).limit(depth).to_arrow().to_pylist()
        return found

    def _scored(self, row: Mapping[str, Any], weights: Mapping[str, float]) -> LexicalHit | None:
        counts = Counter(term for term in row["terms"].split(" ") if term in weights)
        norm = K1 * (1 - B + B * row["words"] / max(1.0, self.mean_length))
        parts = sorted((-weights[term] * times / (times + norm), term) for term, times in counts.items())
        if not parts:
            return None
        return LexicalHit(row["chunk_id"], -sum(part for part, _ in parts), tuple(term for _, term in parts))

    def _weights(self, counts: Mapping[str, int]) -> dict[str, float]:
        """Return idf times how often it counts of the terms that there are, at most 1,024 of them, the rarest."""
        known = self._frequencies(list(counts))
        rarest = sorted(known, key=lambda term: known[term])[:MAX_TERMS]
        return {term: self._idf(known[term]) * min(counts[term], MAX_REPEAT) for term in rarest}

    def _idf(self, df: int) -> float:
        return log(1 + (self._count - df + 0.5) / (df + 0.5))

    def _frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        """Return in how many passages terms stand, of those that there are."""
        with self._lock:
            unknown = [term for term in terms if term not in self._df]
        found = {row["term"]: row["df"] for row in self._terms.by("term", unknown, ["term", "df"])} if unknown else {}
        with self._lock:
            self._df.update((term, found.get(term, 0)) for term in unknown)
            out = {term: df for term in terms if (df := self._df.get(term) or found.get(term, 0))}
            while len(self._df) > _KEPT:
                self._df.popitem(last=False)
        return out

    def _words_with(self, tokens: Sequence[str], *, all_of_them: bool = False) -> list[str]:
        """Return the words that hold a Han character of some tokens, or, with `all_of_them`, any character."""
        signs = dict.fromkeys(sign for token in tokens for sign in token if all_of_them or HAN_SIGN.match(sign))
        if not signs:
            return []
        holds = " OR ".join(f"contains(term, {quoted(sign)})" for sign in [*signs][:MAX_SIGNS])
        return sorted(row["term"] for row in self._terms.rows(holds, ["term"]))


def _match(terms: Collection[str]) -> Any:
    from lancedb import query

    kind: Any = query.MatchQuery  # its defaults are not in its stubs
    return kind(" ".join(terms), "terms")
