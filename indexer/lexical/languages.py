"""Languages beside Chinese and English: how their words are cut and stemmed, and how a collection's language is told.

The languages are those of MIRACL and of the multilingual models, as far as Snowball has a stemmer or the script tells them. Function words
tell languages of one script apart, and are what a question of that language leaves out.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias
from unicodedata import combining, normalize

Cut: TypeAlias = Literal["words", "bigrams"]

_LEAST_SHARE = 0.1  # of the texts, for a language to be named
_FREQUENT = "en es fr de pt it nl pl ru hi"  # first where texts tell as much for one language as for another
_SURE = 3  # function words that tell the language of one text
# letters with their marks: in Devanagari or Thai, vowels are marks, which \w leaves out
_WORD = re.compile(r"[^\s\d_.,;:!?¿¡()\[\]\"“”«»„।،؟、。，？！'’-]+")


@dataclass(frozen=True, slots=True)
class LanguageRules:
    """One language.

    Attributes:
        code: Two letters (ISO 639-1).
        name: As mteb writes it, such as `fra-Latn`.
        script: Begins its entry in `_SCRIPTS`.
        stemmer: Snowball's name; empty where it has none.
        words: Function words, lower-cased and without accents.
        cut: Whether words stand between blanks, or pairs of characters are the terms.
    """

    code: str
    name: str
    script: str
    stemmer: str = ""
    words: frozenset[str] = frozenset()
    cut: Cut = "words"


_SCRIPTS = {
    "Latn": "A-Za-z\u00c0-\u024f\u1e00-\u1eff", "Cyrl": "\u0400-\u052f", "Grek": "\u0370-\u03ff\u1f00-\u1fff", "Armn": "\u0530-\u058f",
    "Hebr": "\u0590-\u05ff", "Arab": "\u0600-\u06ff\u0750-\u077f", "Deva": "\u0900-\u097f", "Beng": "\u0980-\u09ff",
    "Taml": "\u0b80-\u0bff", "Telu": "\u0c00-\u0c7f", "Thai": "\u0e00-\u0e7f", "Laoo": "\u0e80-\u0eff", "Tibt": "\u0f00-\u0fff",
    "Mymr": "\u1000-\u109f", "Khmr": "\u1780-\u17ff", "Hang": "\u1100-\u11ff\uac00-\ud7af", "Kana": "\u3041-\u30ff\u31f0-\u31ff",
    "Hani": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
}  # fmt: skip  # a table


def folded(word: str) -> str:
    """Return a word lower-cased and without accents."""
    return "".join(letter for letter in normalize("NFKD", word.casefold()) if not combining(letter))


def _rules(code: str, name: str, stemmer: str = "", words: str = "") -> LanguageRules:
    script = name.partition("-")[2]
    return LanguageRules(
        code, name, "Kana" if script == "Jpan" else script, stemmer, frozenset(map(folded, words.split()))
    )


def _bigrams(code: str, name: str) -> LanguageRules:
    script = name.partition("-")[2]
    return LanguageRules(code, name, "Kana" if script == "Jpan" else script, cut="bigrams")


LANGUAGES: dict[str, LanguageRules] = {rules.code: rules for rules in (
    _rules("ar", "ara-Arab", "arabic", "في من على الى إلى عن ما هو هي التي الذي هذا هذه كان أن ان لا و"),
    _rules("bn", "ben-Beng", "", "এবং কি একটি ও এই থেকে করে হয় কে না যে"),
    _rules("ca", "cat-Latn", "catalan", "el la els les un una de del i que en amb per es no al dels quin quina"),
    _rules("cs", "ces-Latn", "czech", "a v se na je ze s z do i o k pro ktery ktera jsou byl jak co"),
    _rules("da", "dan-Latn", "danish", "og i at det en den til er som pa de med af for ikke der et hvad hvem hvor"),
    _rules("de", "deu-Latn", "german", "der die das und ist in den von zu mit sich des auf fur nicht ein eine im wie was wer wo wird als"),
    _rules("el", "ell-Grek", "greek", "ο η το και τα της την του στο με για ειναι που απο τι"),
    _rules("en", "eng-Latn", "english", "the of and to in is that for it on with as was are what who how where which"),
    _rules("es", "spa-Latn", "spanish", "el la los las de del y que en un una por con para es se no al como cual quien donde"),
    _rules("et", "est-Latn", "estonian", "ja on ei see et oli mis kes ta ka kui ning oma"),
    _rules("eu", "eus-Latn", "basque", "eta da du ez bat dira zen zer nor non hau izan"),
    _rules("fa", "fas-Arab", "persian", "در به از که این است را با برای آن یک می چه و"),
    _rules("fi", "fin-Latn", "finnish", "ja on ei se etta oli han joka mika kuka missa milloin ovat myos kuin mutta"),
    _rules("fr", "fra-Latn", "french", "le la les des du de un une et est que qui dans en pour pas sur avec a au ce quel quelle par"),
    _rules("ga", "gle-Latn", "irish", "an na agus is ar ag go le i na bhi cad cen"),
    _rules("hi", "hin-Deva", "hindi", "के का की में है और से को पर ने यह एक था क्या कौन"),
    _rules("hu", "hun-Latn", "hungarian", "a az es hogy nem is egy van volt meg mi ki hol mint de"),
    _rules("hy", "hye-Armn", "armenian", "և է որ մեջ են իր ինչ ով"),
    _rules("id", "ind-Latn", "indonesian", "yang dan di dari ke untuk dengan pada adalah ini itu tidak dalam apa siapa oleh"),
    _rules("it", "ita-Latn", "italian", "il lo la i gli le di del della e che un una in per con non sono dei nel come quale chi dove"),
    _bigrams("ja", "jpn-Jpan"), _bigrams("km", "khm-Khmr"), _bigrams("ko", "kor-Hang"), _bigrams("lo", "lao-Laoo"),
    _bigrams("my", "mya-Mymr"), _bigrams("bo", "bod-Tibt"), _bigrams("th", "tha-Thai"),
    _rules("lt", "lit-Latn", "lithuanian", "ir yra kad su is ne kas kaip buvo tai jis apie"),
    _rules("ne", "nep-Deva", "nepali", "छ को मा र पनि भएको छन् हो लाई"),
    _rules("nl", "nld-Latn", "dutch", "de het een en van in is dat op te zijn met voor niet aan er wat wie waar hoe ook"),
    _rules("no", "nor-Latn", "norwegian", "og i er det som pa en et til av for med ikke at de hva hvem hvor"),
    _rules("pl", "pol-Latn", "polish", "w i na z do sie nie jest to ze o jak za od po czy co kto gdzie jaki przez dla"),
    _rules("pt", "por-Latn", "portuguese", "o a os as de do da e que em um uma por com para nao no na se qual quem onde como"),
    _rules("ro", "ron-Latn", "romanian", "si in de la cu un o pe este nu ca din care sa ce cine unde al"),
    _rules("ru", "rus-Cyrl", "russian", "и в не на что он с как это по из у за от к о для кто где какой какая был"),
    _rules("sr", "srp-Cyrl", "serbian", "и је у да на се су од са за као који шта ко где"),
    _rules("sv", "swe-Latn", "swedish", "och i att det som en pa ar av for med den till inte om ett har vad vem var hur"),
    _rules("sw", "swa-Latn", "", "ya wa na ni kwa katika la za cha nani gani hii kuwa yake"),
    _rules("ta", "tam-Taml", "tamil", "ஒரு மற்றும் என்ற இந்த அது என்ன"),
    _rules("te", "tel-Telu", "", "ఒక మరియు ఈ ఆ ఉంది ఏమిటి ఎవరు"),
    _rules("tr", "tur-Latn", "turkish", "ve bir bu da de icin ile ne olarak kim nerede mi cok daha gibi"),
    _rules("yi", "yid-Hebr", "yiddish", "און איז די דער דאס פון אין"),
    _rules("yo", "yor-Latn", "", "ni ti si awon ati o je lo fun naa kini"),
    _rules("zh", "cmn-Hans"),
)}  # fmt: skip  # a table

_TOLD_BY_SCRIPT = {script: re.compile(f"[{span}]") for script, span in _SCRIPTS.items()}
_PERSIAN = re.compile("[پچژگیک]")


def languages_in(texts: Sequence[str]) -> list[str]:
    """Return the languages of a collection as two letters, the most frequent first: those of at least a tenth of its texts.

    Args:
        texts: A sample. Short texts are told by the whole collection, not each by itself.
    """
    counts: Counter[str] = Counter()
    by_script: dict[str, list[str]] = {}
    for text in texts:
        if script := script_of(text):
            by_script.setdefault(script, []).append(text)
    for script, own in by_script.items():
        counts.update(_in_script(script, own))
    return [code for code, count in counts.most_common() if count >= _LEAST_SHARE * len(texts)]


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
        persian = sum(bool(_PERSIAN.search(text)) for text in texts)
        return Counter({"fa": persian, "ar": len(texts) - persian})
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


def _rank(rules: LanguageRules) -> int:
    place = _FREQUENT.find(rules.code)
    return place if place >= 0 else len(_FREQUENT)


def _has_accents(texts: Sequence[str]) -> bool:
    """Tell whether more than one Latin letter in a hundred has an accent, as in French or Polish and unlike English."""
    letters = [letter for text in texts for letter in text if letter.isalpha() and letter < "\u0250"]
    return sum(letter > "\x7f" for letter in letters) * 100 > len(letters)


def _hits(text: str, known: Sequence[LanguageRules]) -> Counter[str]:
    words = [folded(word) for word in _WORD.findall(text)]
    return Counter({rules.code: count for rules in known if (count := sum(word in rules.words for word in words))})
