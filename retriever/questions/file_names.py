"""File names as a field of their own: which files does a query name, although their texts may never mention it?

A name is cut at its separators, at changes of case and between letters and digits, and compared with the words of the query:
`QuarterlyReport_2024.docx` is named by "quarterly report", "report 2024", "quarterlyreport" and "QuarterlyReport_2024.docx". Passages and
terms are as they are without names, so that nothing changes for a query that names no file.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quarry.indexer.lexical.analyzer import STOP_WORDS, Analyzer
from quarry.indexer.lexical.normalization import normalized

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af\u3007"
_PIECE = re.compile(rf"[{_HAN}]+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z{_HAN}]+")
_HAN_RUN = re.compile(f"[{_HAN}]+")
_SHORTEST, _SHORTEST_HAN = 3, 2  # characters that a query must share with a name
_INNER = 5  # letters that count inside of a word, too
_ABOUT_FILES = frozenset(
    ("file", "files", "document", "named", "called", "open", "find", "文件", "文档", "打开", "查找", "名为", "找")
)
HALF = 0.5  # share of a query that a name must have to fill a list that is too short


@dataclass(frozen=True, slots=True)
class Named:
    """A file that a query names.

    Attributes:
        source: As in the documents' metadata.
        share: How much of the name, without its ending, the query has, in [0, 1].
        whole: Whether the query names no other thing: all of its words are in the name, or it has the whole name.
    """

    source: str
    share: float
    whole: bool


@dataclass(frozen=True, slots=True)
class _Name:
    source: str
    letters: str  # of all pieces, joined
    stem: str  # the same without the ending
    starts: frozenset[int]
    pieces: int  # of the stem


class FileNames:
    """The file names of an index, compared with queries one by one."""

    def __init__(self, sources: Iterable[str], analyzer: Analyzer) -> None:
        self._names = [name for name in map(_name, sources) if name.stem]
        self._analyzer = analyzer

    def named(self, query: str) -> list[Named]:
        """Return the files that a query names, those with the largest share of their names first."""
        words = [word for word in _pieces(query) if word not in STOP_WORDS and word not in _ABOUT_FILES]
        wanted = [part for word in words for part in self._parts(word)]
        total = sum(map(len, wanted))
        if not total:
            return []
        letters = "".join(_pieces(query))
        found = [named for name in self._names if (named := _compared(name, wanted, letters, total))]
        return sorted(found, key=lambda named: (not named.whole, -named.share, named.source))

    def _parts(self, word: str) -> Sequence[str]:
        """A run of Han characters may stand in a name as it is, or word by word."""
        if not _HAN_RUN.fullmatch(word) or any(word in name.letters for name in self._names):
            return (word,)
        parts = [part for part in self._analyzer.query_tokens(word) if part in word and part not in _ABOUT_FILES]
        return [part for part in parts if not any(part != other and part in other for other in parts)] or (word,)


def _compared(name: _Name, wanted: Sequence[str], letters: str, total: int) -> Named | None:
    have = {part for part in wanted if _has(name, part) or (part[-1] == "s" and _has(name, part[:-1]))}
    shared = sum(len(part) for part in wanted if part in have)
    enough = any(
        part.removesuffix("s") in name.stem and len(part) >= (_SHORTEST_HAN if _HAN_RUN.fullmatch(part) else _SHORTEST)
        for part in have
    )
    in_query = name.stem in letters and (name.pieces > 1 or name.letters in letters or len(name.stem) >= 2 * _INNER)
    if not (have and enough) or (shared < HALF * total and not in_query):
        return None
    share = min(1.0, sum(map(len, have)) / len(name.stem))
    return Named(name.source, share, whole=shared == total or in_query)


def _has(name: _Name, part: str) -> bool:
    place = name.letters.find(part)
    if place < 0 or _HAN_RUN.fullmatch(part) or len(part) >= _INNER:
        return place >= 0
    while place >= 0:
        if place in name.starts:
            return True
        place = name.letters.find(part, place + 1)
    return False


def _name(source: str) -> _Name:
    name = re.split(r"[/\\]", source.split("?", 1)[0].rstrip("/\\"))[-1]
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 8:
        stem, ending = name, ""
    pieces = [*_pieces(stem), *_pieces(ending)]
    starts, at = [], 0
    for piece in pieces:
        starts.append(at)
        at += len(piece)
    of_stem = _pieces(stem)
    return _Name(source, "".join(pieces), "".join(of_stem), frozenset(starts), len(of_stem))


def _pieces(text: str) -> list[str]:
    return [piece.casefold() for piece in _PIECE.findall(normalized(text))]
