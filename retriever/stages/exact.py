"""Exact matches stay in sight: identifiers, error codes and quoted phrases of a query, and the word of a query that is one word.

Neither cosines nor sums of term weights promise that. After all other stages, each such string that a passage of the index holds
letter by letter, upper and lower case aside, has a passage with it among the first three; the best one is moved to the lowest of
these places when none stands there.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf, nextafter
from unicodedata import normalize

from quarry.indexer.lexical.analyzer import Analyzer
from quarry.indexer.lexical.bm25 import LexicalIndex
from quarry.retriever.base import Passages, Retriever
from quarry.retriever.questions.phrases import holds
from quarry.retriever.ranking import Evidence, Hit, Query, Ranking, StageScore

PLACES = 3
_STRINGS = 3  # of a query that are looked for: each may need one place
_LOOKED_AT = 50  # passages with the string's terms, whose texts are compared
_PAIRS = (
    ('"', '"'),
    ("“", "”"),
    ("„", "“”"),
    ("«", "»"),
    ("‘", "’"),
    ("「", "」"),
    ("『", "』"),
    ("《", "》"),
    ("`", "`"),
)
_QUOTED = re.compile("|".join(rf"{opening}([^{closing}\n]{{2,80}})[{closing}]" for opening, closing in _PAIRS))
_CODE = re.compile(r"(?:error|code|errno|status|exit|错误|代码|编号|状态)\D{0,6}?(\d{3,})\b", re.IGNORECASE)
_STANDARD = re.compile(
    r"\b((?:[A-Z]{2,}(?:/[A-Z]{1,5})?|rfc|iso|iec|ieee|din)[ -](?!(?:19|20)\d\d\b)\d{3,}(?:-\d+)*)\b"
)  # RFC 2119
_LETTERS = re.compile(r"[A-Za-z]{2,}")
_WORD = re.compile(r"(?<![\w$.-])(?:--?|\$|\.)?[A-Za-z0-9_]+(?:(?:::|[-_./+#·])[A-Za-z0-9_]+)*", re.ASCII)
_LANGUAGE = re.compile(r"(?<!\w)[A-Za-z](?:#|\+\+)(?!\w)")  # C#, c++
_COMMON = re.compile(r"\d+(?:st|nd|rd|th|s|am|pm)", re.IGNORECASE)  # 20th, 1960s, 3pm: words, not identifiers
_LONE_WORD = re.compile(r"[^\W\d_]{2,24}")  # a query of nothing else is looked for as it stands
_SHAPE = re.compile(
    r"_|::|[a-z][A-Z]|[A-Za-z]\.[A-Za-z]{2}|[A-Za-z][-./·]?\d|\d[A-Za-z]|\d[.-]\d+[.-]\d|[A-Za-z]\+[A-Z]|^(?:--|\$|\.)[A-Za-z]"
)


def exact_strings(query: str) -> tuple[str, ...]:
    """Return the quoted phrases, identifiers and error codes of a query, at most three, in this order; or its only word.

    Example:
        >>> exact_strings('what does "no space left" mean in ERR_DISK_28, error 1045?')
        ('no space left', 'ERR_DISK_28', '1045')
    """
    query = normalize("NFKC", query)
    quoted = [next(piece for piece in match.groups() if piece) for match in _QUOTED.finditer(query)]
    rest = _QUOTED.sub(" ", query)
    shouted = rest.isupper() and len(_LETTERS.findall(rest)) > 3  # IN 4711 is no standard there
    standards = [] if shouted else _STANDARD.findall(rest)
    words = [match.group() for match in _WORD.finditer(rest)]
    identifiers = [word for word in words if len(word) > 2 and _SHAPE.search(word) and not _COMMON.fullmatch(word)]
    found = [*(one.strip() for one in quoted), *identifiers, *standards, *_LANGUAGE.findall(rest), *_CODE.findall(rest)]
    if not found and _LONE_WORD.fullmatch(query.strip()):
        found = [query.strip()]
    return tuple(dict.fromkeys(found))[:_STRINGS]


@dataclass(frozen=True, slots=True)
class ExactKept:
    """A Retriever that keeps exact matches of another one's rankings among the first three."""

    first: Retriever
    index: LexicalIndex
    analyzer: Analyzer
    passages: Passages

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return the k best passages, with the exact matches of each query among the first three."""
        wanted = [exact_strings(query.text) for query in queries]
        if not any(wanted):
            return self.first.retrieve(queries, k, allowed=allowed)
        rankings = self.first.retrieve(queries, max(k, PLACES), allowed=allowed)
        kept = [self._kept(*pair, allowed) for pair in zip(rankings, wanted, strict=True)]
        return [replace(ranking, hits=ranking.hits[:k]) for ranking in kept]

    def _kept(self, ranking: Ranking, strings: Sequence[str], allowed: Collection[str] | None) -> Ranking:
        hits = list(ranking.hits)
        for string in strings:
            holding = self._holding(string, [hit.chunk_id for hit in hits[:PLACES]], allowed)
            hits = [_marked(hit, string) if hit.chunk_id in holding else hit for hit in hits]
            if holding and not any(hit.chunk_id in holding for hit in hits[:PLACES]):
                hits = _moved_up(hits, _best(hits, holding, string))
        return Ranking.of(ranking.query, hits, max(1, len(hits)), ranking.stages)

    def _holding(self, string: str, shown: Iterable[str], allowed: Collection[str] | None) -> dict[str, StageScore]:
        """The passages that hold a string, best first, among those shown first and those with its terms."""
        found = self.index.search(self.analyzer.query_tokens(string), _LOOKED_AT, allowed=allowed)
        scores = {hit.chunk_id: StageScore(rank, hit.score) for rank, hit in enumerate(found, start=1)}
        candidates = [*scores, *(chunk_id for chunk_id in shown if chunk_id not in scores)]
        texts = self.passages.texts(candidates)
        return {
            chunk_id: scores.get(chunk_id, StageScore(len(scores) + 1, 0.0))
            for chunk_id, text in zip(candidates, texts, strict=True)
            if holds(text, string)
        }


def _marked(hit: Hit, string: str) -> Hit:
    return replace(hit, evidence=replace(hit.evidence, exact=(*hit.evidence.exact, string)))


def _best(hits: Sequence[Hit], holding: dict[str, StageScore], string: str) -> Hit:
    """The highest of the ranking that holds the string, else the best by the string's own terms."""
    for hit in hits:
        if hit.chunk_id in holding:
            return hit
    chunk_id, score = next(iter(holding.items()))
    stage = hits[0].stage if hits else "bm25"
    return Hit(chunk_id, score.score, stage, Evidence(bm25=score, exact=(string,)))


def _moved_up(hits: Sequence[Hit], moved: Hit) -> list[Hit]:
    """Put a hit below the first three, less the lowest of them that is no exact match itself; that one comes next."""
    others = [hit for hit in hits if hit.chunk_id != moved.chunk_id]
    top, rest = others[:PLACES], others[PLACES:]
    free = [hit for hit in top if not hit.evidence.exact]
    if len(top) == PLACES and not free:
        return list(hits)
    displaced = free[-1:] if len(top) == PLACES else []
    stay = [hit for hit in top if hit not in displaced]
    above = stay[-1].score if stay else moved.score
    return in_descending_order([*stay, replace(moved, score=nextafter(above, -inf)), *displaced, *rest])


def in_descending_order(hits: Sequence[Hit]) -> list[Hit]:
    """Lower scores as little as keeps the order, which a ranking takes from them."""
    out: list[Hit] = []
    for hit in hits:
        most = nextafter(out[-1].score, -inf) if out else hit.score
        out.append(hit if hit.score <= most else replace(hit, score=most))
    return out
