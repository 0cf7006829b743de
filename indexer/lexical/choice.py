"""Which analyzer suits a new index, by the languages of its passages. `--analyzer` overrides it, and an index keeps what it has.

    Chinese and English (or no language that is known)   the usual analyzer
    another language                                     its own, if nothing is lost by it:
      a script of its own (Russian, Arabic, Thai ...)      from a tenth of the passages on; its words are told from others by their
                                                           letters, and Chinese and English inside are cut as usual
      Japanese                                             where there is more of it than of Chinese: both are written in Han characters
      Latin letters (German, French ...)                   where there is more of it than of English: a word has one stemmer

Of several that would do, the one with the most passages. Words of Latin letters can be alike in two languages, so a language is believed
only when enough of the words are its function words.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quarry.indexer.lexical.detection import language_counts, words_of
from quarry.indexer.lexical.languages import LANGUAGES

USUAL = "jieba"
SAMPLE = 200  # passages that are looked at
_LOOKED_AT = 600  # characters of each
_LEAST_SHARE = 0.1  # of the passages, for a language of its own script
_LEAST_WORDS = 0.06  # function words among the words; running text of ten languages has 0.12 to 0.37
_LEAST_DIFFERENT = 3  # function words of more than one letter: a single letter is a word in many languages
_AGAINST_ENGLISH = 0.5  # of the share of English function words, which are more frequent than those of some languages


@dataclass(frozen=True, slots=True)
class Choice:
    """An analyzer, and what it was chosen by.

    Attributes:
        analyzer: Its name.
        languages: Share of the passages by language, those of at least a hundredth, the most frequent first.
    """

    analyzer: str
    languages: Mapping[str, float]


def suited_analyzer(passages: Sequence[str]) -> Choice:
    """Return the analyzer for a new index.

    Args:
        passages: A sample; `SAMPLE` are enough.

    Example:
        >>> suited_analyzer(["Wer hat das Haus in der Stadt gebaut, und mit wem?"] * 3).analyzer
        'de'
        >>> suited_analyzer(["怎么续借图书", "How to renew a book that is on loan"]).analyzer
        'jieba'
    """
    texts = [passage[:_LOOKED_AT] for passage in passages]
    counts = language_counts(texts)
    shares = {code: count / len(texts) for code, count in counts.most_common() if count >= 0.01 * len(texts)}
    chosen = next((code for code in shares if code not in ("zh", "en") and _suits(code, counts, texts)), USUAL)
    return Choice(chosen, {code: round(share, 3) for code, share in shares.items()})


def _suits(code: str, counts: Counter[str], texts: Sequence[str]) -> bool:
    rules = LANGUAGES[code]
    if code == "ja":
        return counts["ja"] > counts["zh"]
    if rules.script != "Latn":
        return counts[code] >= _LEAST_SHARE * len(texts)
    if counts[code] <= counts["en"]:
        return False
    words = words_of(texts)
    own, english = ([word for word in words if word in LANGUAGES[each].words] for each in (code, "en"))
    if len({word for word in own if len(word) > 1}) < _LEAST_DIFFERENT:
        return False
    return len(own) >= max(_LEAST_WORDS * len(words), _AGAINST_ENGLISH * len(english))
