"""The languages of a collection, told by script and, among languages of one script, by function words.

Short texts are told by the whole collection, not each by itself. No model and no dictionary: `quarry.indexer.language` tells Chinese from
English in every passage and is much faster; this one is for a sample.
"""

import re
from collections import Counter
from collections.abc import Sequence

from quarry.indexer.lexical.languages import LANGUAGES, SCRIPTS, LanguageRules, folded

_LEAST_SHARE = 0.1  # of the texts, for a language to be named
_FREQUENT = "en es fr de pt it nl pl ru hi"  # first where texts tell as much for one language as for another
_SURE = 3  # function words that tell the language of one text
# letters with their marks: in Devanagari or Thai, vowels are marks, which \w leaves out
_WORD = re.compile(r"[^\s\d_.,;:!?¿¡()\[\]\"“”«»„।،؟、。，？！'’-]+")
_TOLD_BY_SCRIPT = {script: re.compile(f"[{span}]") for script, span in SCRIPTS.items()}
_URDU, _PERSIAN = re.compile("[ٹڈڑےںہ]"), re.compile("[پچژگیک]")


def languages_in(texts: Sequence[str]) -> list[str]:
    """Return the languages of a collection as two letters, the most frequent first: those of at least a tenth of its texts.

    Args:
        texts: A sample.

    Example:
        >>> languages_in(["Wer hat das Haus in der Stadt gebaut?", "怎么续借图书"])
        ['de', 'zh']
    """
    return [code for code, count in language_counts(texts).most_common() if count >= _LEAST_SHARE * len(texts)]


def language_counts(texts: Sequence[str]) -> Counter[str]:
    """Return how many texts each language has; those without letters, or of an unknown script, are not counted.

    Args:
        texts: A sample.
    """
    counts: Counter[str] = Counter()
    by_script: dict[str, list[str]] = {}
    for text in texts:
        if script := script_of(text):
            by_script.setdefault(script, []).append(text)
    for script, own in by_script.items():
        counts.update(_in_script(script, own))
    return counts


def may_be(text: str, code: str) -> bool:
    """Tell whether a text, which may be too short to tell, can be in a language: its script is, and its words do not say another.

    Args:
        text: Any.
        code: Two letters, one of `LANGUAGES`.

    Example:
        >>> may_be("Bibliothek", "de"), may_be("图书馆", "de"), may_be("the books of the library and the city", "de")
        (True, False, False)
    """
    script, rules = script_of(text), LANGUAGES[code]
    if script != rules.script:
        return code == "ja" and script == "Hani"  # a heading may be of Han characters alone
    if script == "Arab":
        return _arabic(text) in (code, "ar")
    known = sorted((each for each in LANGUAGES.values() if each.script == script), key=_rank)
    hits = _hits(text, known)
    best = max(hits.values(), default=0)
    return best < _SURE or hits[code] == best


def words_of(texts: Sequence[str]) -> list[str]:
    """Return the words of some texts as the languages' function words are kept: lower-cased and without accents."""
    return [folded(word) for text in texts for word in _WORD.findall(text)]


def script_of(text: str) -> str:
    """Return the script of most of a text's letters, `Kana` for Japanese with a tenth of kana; empty without letters."""
    counts = {script: len(pattern.findall(text)) for script, pattern in _TOLD_BY_SCRIPT.items()}
    if counts["Kana"] and counts["Kana"] >= 0.1 * (counts["Kana"] + counts["Hani"]):
        counts["Kana"] += counts["Hani"]
        counts["Hani"] = 0
    counts["Hani"] *= 3  # a Han character is about as much as a syllable of three letters
    script, most = max(counts.items(), key=lambda item: item[1])
    return script if most else ""


def _in_script(script: str, texts: Sequence[str]) -> Counter[str]:
    """Return how many texts each language of a script has; those that tell nothing count for the most frequent one."""
    if script == "Hani":
        return Counter({"zh": len(texts)})
    known = sorted((rules for rules in LANGUAGES.values() if rules.script == script), key=_rank)
    if script == "Arab":
        return Counter(_arabic(text) for text in texts)
    if len(known) < 2:
        return Counter({known[0].code: len(texts)}) if known else Counter()
    hits = [_hits(text, known) for text in texts]
    total: Counter[str] = Counter()
    for each in hits:
        total.update(each)
    if not total:  # single words: English has no accents
        return Counter({"en": len(texts)} if script == "Latn" and not _has_accents(texts) else {})
    (whole, _), *_ = total.most_common(1)
    found: Counter[str] = Counter()
    for each in hits:
        (best, count), *others = each.most_common(2) or [(whole, 0)]
        sure = count >= _SURE and not (others and others[0][1] == count)
        found[best if sure else whole] += 1
    return found


def _arabic(text: str) -> str:
    """Return which language of Arabic script a text is in, by the letters that the others do not have."""
    if _URDU.search(text):
        return "ur"
    return "fa" if _PERSIAN.search(text) else "ar"


def _rank(rules: LanguageRules) -> int:
    place = _FREQUENT.find(rules.code)
    return place if place >= 0 else len(_FREQUENT)


def _has_accents(texts: Sequence[str]) -> bool:
    """Tell whether more than one Latin letter in a hundred has an accent, as in French or Polish and unlike English."""
    letters = [letter for text in texts for letter in text if letter.isalpha() and letter < "\u0250"]
    return sum(letter > "\x7f" for letter in letters) * 100 > len(letters)


def _hits(text: str, known: Sequence[LanguageRules]) -> Counter[str]:
    words = words_of([text])
    return Counter({rules.code: count for rules in known if (count := sum(word in rules.words for word in words))})
