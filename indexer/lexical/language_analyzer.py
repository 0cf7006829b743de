"""Search terms of one language beside Chinese and English, by its rules (`languages`): `fr`, `ru`, `ja`, `th` and so on.

Words are stemmed with the language's Snowball stemmer as they are written, then lose their accents, so that a question typed without
them finds the word. Scripts without blanks between words (Thai, Khmer, Lao, Burmese, Tibetan) and those whose words carry endings that no
stemmer here takes off (Japanese, Korean) give pairs of characters, Han characters of Japanese too. Where the language has another script
than English, words of ASCII letters are treated as the usual analyzer does: English inside Russian keeps its stemmer.
"""

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.metadata import version

from quarry.indexer.lexical.analyzer import STOP_WORDS, ScriptAnalyzer, bigrams, cache_folder, parts_of_word
from quarry.indexer.lexical.chinese import JiebaCutter
from quarry.indexer.lexical.languages import LANGUAGES, LanguageRules, folded

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af\u3007"
_UNSPACED = "\u0e00-\u0e7f\u0e80-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
_SYLLABLES = f"\u3040-\u30ff\u31f0-\u31ff\u1100-\u11ff\uac00-\ud7af{_UNSPACED}"
# vowels and other marks belong to the word: \w leaves them out
_MARKS = (
    "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0981-\u0983\u09bc-\u09cd"
    "\u0b82\u0bbe-\u0bcd\u0c00-\u0c04\u0c3e-\u0c56\u200c\u200d"
)
_LETTER = rf"(?:[^\W_{_HAN}{_SYLLABLES}]|[{_MARKS}])"
_SEGMENT = re.compile(
    rf"(?P<han>[{_HAN}]+)|(?P<syllables>[{_SYLLABLES}]+)|(?P<word>{_LETTER}+(?:[-_.'’+/@]{_LETTER}+)*[+#]{{0,2}})"
)
_INNER = re.compile(r"[-_.'’+/@+#]+")
_LONGEST_TERM = 64
_OWN_RULES = 1  # raise it with any change of the terms of a passage in one of these languages


class LanguageAnalyzer(ScriptAnalyzer):
    """Cuts text by the rules of one language; Chinese inside it as the usual analyzer does."""

    def __init__(self, rules: LanguageRules) -> None:
        import Stemmer

        cutter = JiebaCutter(cache_folder())
        super().__init__(f"{rules.code}-jieba-{version('jieba')}", cutter, cutter.read)
        self._name = f"{self._name}.{_OWN_RULES}"
        self._english = rules.script != "Latn"
        self.stop_words = rules.words | STOP_WORDS if self._english else rules.words
        if rules.code == "ja":
            self._cut_han = bigrams
        self._own_stem = Stemmer.Stemmer(rules.stemmer).stemWord if rules.stemmer else str
        self._known_word = lru_cache(maxsize=200_000)(self._word)

    @staticmethod
    def _pieces(text: str) -> Iterable[tuple[str, str, str]]:
        return _SEGMENT.findall(text)

    def _word(self, word: str, left_out: frozenset[str]) -> tuple[str, ...]:
        if self._english and word.isascii():
            return super()._word(word, left_out)
        parts = [
            part
            for piece in _INNER.split(word)
            for part in (parts_of_word(piece) if piece.isascii() else (piece,))
            if part
        ]
        terms = tuple(
            self._term(part) for part in parts if len(parts) == 1 or not left_out or folded(part) not in left_out
        )
        return terms if len(parts) < 2 else (folded(word)[:_LONGEST_TERM], *terms)

    def _term(self, word: str) -> str:
        return folded(self._own_stem(word.casefold()))[:_LONGEST_TERM]


@cache
def language_analyzer(code: str) -> LanguageAnalyzer:
    """Return the analyzer of a language.

    Args:
        code: Two letters, one of `LANGUAGES` beside `zh` and `en`.

    Raises:
        ValueError: If the language is unknown, or has the usual analyzer.

    Example:
        >>> language_analyzer("fr").query_tokens("Quels élèves vont à l'école ?")
        ['quel', 'elev', 'vont', "l'ecole", 'l', 'ecol']
    """
    if code not in LANGUAGES or code in ("zh", "en"):
        known = ", ".join(sorted(set(LANGUAGES) - {"zh", "en"}))
        raise ValueError(f"unknown language {code!r}; expected one of {known}")
    return LanguageAnalyzer(LANGUAGES[code])
