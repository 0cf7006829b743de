"""From text to search terms, by script: Chinese words, stemmed Latin words, identifiers whole and in parts.

The same analyser serves documents and queries; its identity, library versions included, is kept in the manifest.

Words that say nothing of a question's subject: left out of queries, never out of passages.

They stay in the index, so that a query of nothing else still finds something. English: Lucene's list, then question words,
auxiliaries and persons; not `who`, which is also an organisation. Chinese: particles, pronouns and question words. Leaving
the question words out raised the mean nDCG@10 of BM25 on twelve development sets from 0.728 to 0.735, fused 0.873 to 0.874.
"""

import os
import re
from collections.abc import Callable, Hashable, Iterable
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Protocol
from unicodedata import combining, normalize

from quarry.indexer.errors import MissingExtraError
from quarry.indexer.lexical.chinese import JiebaCutter
from quarry.indexer.lexical.languages import LANGUAGES
from quarry.indexer.lexical.normalization import SECOND_FORM, normalized, number_terms

STOP_WORDS = frozenset((
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of", "on",
    "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
    "what", "which", "when", "where", "why", "how", "do", "does", "did", "can", "could", "should", "would", "has", "have",
    "had", "were", "been", "am", "i", "we", "you", "my", "your",
    "的", "了", "吗", "呢", "吧", "啊", "是", "在", "和", "与", "及", "或", "也", "都", "就", "着", "呀", "么", "我", "你", "您",
    "什么", "什么样", "为什么", "如何", "怎么", "怎样", "怎么样", "哪", "哪个", "哪些", "哪里", "哪儿", "哪位", "哪家", "哪一年",
    "多少", "多久", "谁", "何时", "何处",
))  # fmt: skip  # a table

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af\u3007"
_KANA_HANGUL = "\u3040-\u30ff\u31f0-\u31ff\u1100-\u11ff\uac00-\ud7af"
_SEGMENT = re.compile(
    rf"(?P<han>[{_HAN}]+)|(?P<syllables>[{_KANA_HANGUL}]+)"
    rf"|(?P<word>[^\W_{_HAN}{_KANA_HANGUL}]+(?:[-_.'+/@][^\W_{_HAN}{_KANA_HANGUL}]+)*[+#]{{0,2}})"
)
_ASCII_WORD = re.compile(
    r"[A-Za-z0-9]+(?:[-_.'+/@][A-Za-z0-9]+)*[+#]{0,2}"
)  # what `word` matches in text of ASCII alone
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_LONGEST_TERM = 64
_LONGEST_RUN = 512  # Han characters that are cut into words at once: jieba's time grows with the square of unknown ones
_HAN_CHARACTER = re.compile(f"[{_HAN}]")
_RULES = 3  # raise it with any change of the terms of a passage: indexes keep it and say when theirs is another


class Analyzer(Hashable, Protocol):
    """Turns text into search terms."""

    @property
    def name(self) -> str:
        """Identity with library versions, such as `jieba-0.42.1+pystemmer-3.1.0+opencc-1.4.2/2`."""
        ...

    def tokens(self, text: str) -> list[str]:
        """Return all terms of a passage, in order, repetitions included."""
        ...

    def passage_terms(self, text: str) -> list[str]:
        """Return what an index keeps of a passage: as `tokens`, with second forms marked."""
        ...

    def query_tokens(self, text: str) -> list[str]:
        """Return the terms to search for: as `tokens`, without stop words unless there is nothing else."""
        ...

    def warm(self) -> None:
        """Read the dictionary now, when there is one, so that the first question need not wait for it."""
        ...


class ScriptAnalyzer:
    """Cuts each script in its own way.

    Han: words by the given cutter (a word's inner words too). Kana and Hangul: bigrams. Everything else: words,
    lower-cased, accents folded, stemmed with Snowball English; words with inner signs, case changes or digits
    (`BGE-M3`, `camelCase`, `SKU-6678`, `3.14`) are kept whole and in parts. What is written in several ways is brought into
    one form first (`lexical.normalization`).
    """

    def __init__(
        self, name: str, cut_han: Callable[[str], Iterable[str]], read_dictionary: Callable[[], None] | None = None
    ) -> None:
        import Stemmer

        self.kind = name.split("-", maxsplit=1)[0]  # `analyzer(kind)` makes the same one in another process
        self._name = f"{name}+pystemmer-{version('PyStemmer')}+opencc-{version('opencc')}/{_RULES}"
        self._cut_han = cut_han
        self._read_dictionary = read_dictionary
        self.stop_words = STOP_WORDS
        self._stem = Stemmer.Stemmer("english").stemWord
        self._known_word = lru_cache(maxsize=200_000)(self._word)

    @property
    def name(self) -> str:
        """Identity with library versions."""
        return self._name

    def tokens(self, text: str) -> list[str]:
        """Return all terms of a passage, in order, repetitions included."""
        folded = normalized(text)
        return [*self._terms(folded, frozenset()), *number_terms(folded)]

    def passage_terms(self, text: str) -> list[str]:
        """Return what an index keeps of a passage: as `tokens`, with second forms marked.

        They are other forms of words that are there already, `12500` beside `12,500`: a passage with them is found, but it is not
        longer (Lucene leaves out of a field's length what stands at the place of another token).
        """
        folded = normalized(text)
        return [*self._terms(folded, frozenset()), *(SECOND_FORM + term for term in number_terms(folded))]

    def query_tokens(self, text: str) -> list[str]:
        """Return the terms to search for: as `tokens`, without stop words unless there is nothing else.

        Stop words match the surface form before stemming, so `cans` is kept; so are acronyms (`CAN bus`), unless the whole
        of an English query is in capitals.
        """
        folded = normalized(text)
        if folded.isupper() and len(folded.split()) > 2 and not _HAN_CHARACTER.search(folded):
            folded = folded.lower()
        return [*self._terms(folded, self.stop_words), *number_terms(folded)] or self.tokens(text)

    def warm(self) -> None:
        """Read the dictionary now, when there is one, so that the first question need not wait for it."""
        if self._read_dictionary is not None:
            self._read_dictionary()

    def _terms(self, text: str, left_out: frozenset[str]) -> list[str]:
        terms: list[str] = []
        for han, syllables, word in self._pieces(text):
            if word:
                if not left_out or _is_acronym(word) or _folded(word).removesuffix("'s") not in left_out:
                    terms += (self._known_word if len(word) <= _LONGEST_TERM else self._word)(word, left_out)
            elif han:
                for start in range(0, len(han), _LONGEST_RUN):
                    words = self._cut_han(han[start : start + _LONGEST_RUN])
                    terms += (word for word in words if word.strip() and word not in left_out)
            else:
                terms += bigrams(syllables)
        return terms

    @staticmethod
    def _pieces(text: str) -> Iterable[tuple[str, str, str]]:
        """Return the runs of one script: Han, syllables or a word; one of the three is not empty."""
        return (("", "", word) for word in _ASCII_WORD.findall(text)) if text.isascii() else _SEGMENT.findall(text)

    def _word(self, word: str, left_out: frozenset[str]) -> tuple[str, ...]:
        whole = _folded(word)[:_LONGEST_TERM]
        base = whole.removesuffix("'s")
        if base.isalpha() and (word.islower() or word.isupper() or word[1:].islower()):
            return (self._stem(base),)
        parts = [_folded(part) for part in _PART.findall(word)]
        if len(parts) > 1:
            return (whole, *(self._stem(part)[:_LONGEST_TERM] for part in parts if part not in left_out))
        return (whole if any(not character.isalnum() for character in whole) else self._stem(whole),)


def _is_acronym(word: str) -> bool:
    return len(word) > 1 and word.isupper()


def _folded(word: str) -> str:
    if word.isascii():
        return word.lower()
    return "".join(character for character in normalize("NFKD", word.casefold()) if not combining(character))


def parts_of_word(word: str) -> list[str]:
    """Return the parts of a word by case and digits, such as `camel` and `Case`; the word itself where it has one case.

    Example:
        >>> parts_of_word("camelCase2"), parts_of_word("Wort"), parts_of_word("NASA")
        (['camel', 'Case', '2'], ['Wort'], ['NASA'])
    """
    if word.isalpha() and (word.islower() or word.isupper() or word[1:].islower()):
        return [word]
    return _PART.findall(word)


def bigrams(run: str) -> list[str]:
    """Return the overlapping pairs of characters; the run itself when it is one character."""
    return [run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)]


def cache_folder() -> Path:
    """Return the user's cache folder for Quarry: $QUARRY_CACHE, else $XDG_CACHE_HOME/quarry, else ~/.cache/quarry."""
    if chosen := os.environ.get("QUARRY_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "quarry"


@cache
def analyzer(name: str = "jieba") -> ScriptAnalyzer:
    """Return an analyser by the name of its Chinese word cutter.

    Args:
        name: `jieba` (default), `rjieba` (27 times faster, other tokens; extra `fast-zh`) or `bigram` (no dictionary); or another
            language's two letters (`quarry.indexer.lexical.languages`).

    Raises:
        ValueError: If the name is unknown.
        MissingExtraError: If `rjieba` is not installed.
    """
    if name == "jieba":
        cutter = JiebaCutter(cache_folder())
        return ScriptAnalyzer(f"jieba-{version('jieba')}", cutter, cutter.read)
    if name == "rjieba":
        try:
            import rjieba
        except ImportError as err:
            raise MissingExtraError(
                "the analyzer rjieba is not installed; install it with `pip install 'quarry-search[fast-zh]'`, or use jieba"
            ) from err
        return ScriptAnalyzer(f"rjieba-{version('rjieba')}", rjieba.cut_for_search)
    if name == "bigram":
        return ScriptAnalyzer("bigram", bigrams)
    if name in LANGUAGES:
        from quarry.indexer.lexical.language_analyzer import language_analyzer

        return language_analyzer(name)
    raise ValueError(f"unknown analyzer {name!r}; expected jieba, rjieba, bigram, or a language such as fr")
