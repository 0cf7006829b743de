"""Languages beside Chinese and English: how their words are cut and stemmed.

The languages are those of MIRACL and of the multilingual models, as far as Snowball has a stemmer or the script tells them. Function words
tell languages of one script apart (`quarry.indexer.lexical.detection`), and are what a question of that language leaves out.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias
from unicodedata import combining, normalize

Cut: TypeAlias = Literal["words", "bigrams"]


@dataclass(frozen=True, slots=True)
class LanguageRules:
    """One language.

    Attributes:
        code: Two letters (ISO 639-1).
        name: As mteb writes it, such as `fra-Latn`.
        script: One of `SCRIPTS`.
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

    @property
    def english_name(self) -> str:
        """Its name in English, such as `German`."""
        return _ENGLISH_NAMES.get(self.code) or self.stemmer.capitalize()


SCRIPTS = {
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
    _rules("bg", "bul-Cyrl", "", "и на в да се за от с не че по са е ще като който която кой къде какво през"),
    _rules("he", "heb-Hebr", "", "של את על לא עם זה הוא היא מה כל או אם גם כי הם אשר"),
    _rules("uk", "ukr-Cyrl", "", "і в на що та з до не як у за від це який яка був для про або є"),
    _rules("ur", "urd-Arab", "", "کے کا کی میں ہے اور سے کو پر نے یہ ایک تھا کیا کون"),
    _rules("vi", "vie-Latn", "", "và của là có trong cho không các một được với người những này đã khi từ ở"),
    _rules("zh", "cmn-Hans"),
)}  # fmt: skip  # a table

_ENGLISH_NAMES = {  # of those whose stemmer does not say it
    "bg": "Bulgarian", "bn": "Bengali", "bo": "Tibetan", "he": "Hebrew", "ja": "Japanese", "km": "Khmer", "ko": "Korean", "lo": "Lao",
    "my": "Burmese", "sw": "Swahili", "te": "Telugu", "th": "Thai", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese",
    "yo": "Yoruba", "zh": "Chinese",
}  # fmt: skip  # a table
