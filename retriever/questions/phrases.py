"""Which passages hold a string word for word: the terms of the index name the candidates, their texts decide.

Case, width, traditional or simplified characters and white space make no difference; words do: `red valve` is not in "red valves".
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache

from quarry.indexer.lexical.analyzer import Analyzer
from quarry.indexer.lexical.bm25 import LexicalIndex
from quarry.indexer.lexical.normalization import normalized
from quarry.indexer.stores.base import among
from quarry.retriever.base import Passages

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af\u3007"
_SYLLABLES = "\u3040-\u30ff\u31f0-\u31ff\u1100-\u11ff\uac00-\ud7af"
_PIECES = re.compile(rf"(?P<han>[{_HAN}])|(?P<syllables>[{_SYLLABLES}]{{2,}})|(?P<word>[^\W_{_HAN}{_SYLLABLES}]{{2,}})")
_HAN_SIGN = re.compile(f"[{_HAN}]")
_LATIN = re.compile(r"[a-z0-9_]")
_AT_ONCE = 2_000  # texts that are read together


def holds(text: str, string: str) -> bool:
    r"""Whether a text has a string, not inside of a longer word, whatever the case, the width and the white space.

    Example:
        >>> holds("The Red\n valve opens.", "red valve"), holds("Red valves", "red valve"), holds("不含 糖", "不含糖")
        (True, False, True)
    """
    return _pattern(string).search(_folded(text)) is not None


def _folded(text: str) -> str:
    return normalized(text).casefold()


@lru_cache(maxsize=1_000)
def _pattern(string: str) -> re.Pattern[str]:
    folded = " ".join(_folded(string).split())
    out = [r"(?<![a-z0-9_])" if _LATIN.match(folded) else ""]
    for place, sign in enumerate(folded):
        if sign == " ":
            out.append(r"\s+")
            continue
        out.append(re.escape(sign))
        following = folded[place + 1 : place + 2]
        if _HAN_SIGN.match(sign) and _HAN_SIGN.match(following):  # a line may end between characters
            out.append(r"\s*")
    out.append(r"(?![a-z0-9_])" if _LATIN.match(folded[-1:]) else "")
    return re.compile("".join(out))


@dataclass(frozen=True, slots=True)
class Holders:
    """Finds the passages of an index that hold a string, or a word in any of its forms."""

    index: LexicalIndex
    analyzer: Analyzer
    passages: Passages

    def of(self, string: str, allowed: Collection[str] | None = None) -> frozenset[str]:
        """Return the passages, among the allowed ones, that hold a string word for word."""
        candidates = self._candidates(string)
        if allowed is not None:
            candidates = among(allowed, candidates)
        return frozenset(chunk_id for chunk_id, text in self._texts(sorted(candidates)) if holds(text, string))

    def of_word(self, word: str) -> frozenset[str]:
        """Return the passages with a word, for English in any form that has the same stem, or with a phrase."""
        held = self.of(word)
        if _HAN_SIGN.search(word) or not word.isalnum():
            return held
        return held | self.index.having([self.analyzer.tokens(word)])

    def _candidates(self, string: str) -> frozenset[str]:
        """Passages that have the terms of all pieces of the string; every passage that holds it is among them."""
        signs: list[str] = []
        groups: list[list[str]] = []
        for match in _PIECES.finditer(normalized(string)):
            if match.lastgroup == "han":
                signs.append(match.group())
            elif match.lastgroup == "syllables":
                groups.extend([pair] for pair in self.analyzer.tokens(match.group()))
            else:  # a word is in the index by its stem, or as it stands when its parts were taken too
                groups.append([match.group().casefold(), *self.analyzer.tokens(match.group().casefold())])
        return self.index.having(groups, signs)

    def _texts(self, chunk_ids: list[str]) -> Iterator[tuple[str, str]]:
        for first in range(0, len(chunk_ids), _AT_ONCE):
            part = chunk_ids[first : first + _AT_ONCE]
            yield from zip(part, self.passages.texts(part), strict=True)
