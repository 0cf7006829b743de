"""Other languages: told by script and function words, cut and stemmed by their own rules, recorded in the index."""

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.lexical.choice import suited_analyzer
from quarry.indexer.lexical.detection import languages_in
from quarry.indexer.lexical.language_analyzer import language_analyzer
from quarry.indexer.lexical.languages import LANGUAGES
from quarry.indexer.records import Document
from quarry.retriever import Searcher, SearchOptions

# a question, a word of a passage in another form, and the term that both give
SAMPLES = {
    "ar": ("ما هي عاصمة مصر", "الكتب", "كتب"),
    "bn": ("বাংলাদেশের রাজধানী কি", "রাজধানী", "রাজধানী"),
    "de": ("Wer hat das Haus gebaut?", "Häuser", "Haus"),
    "es": ("¿Cuál es la capital de España?", "canciones", "canción"),
    "fa": ("پایتخت ایران چیست و این را که", "کتاب‌ها", "کتاب‌ها"),
    "fi": ("Mikä on Suomen pääkaupunki ja missä se on?", "kirjastossa", "kirjasto"),
    "fr": ("Quelle est la capitale de la France ?", "élèves", "eleve"),
    "hi": ("भारत की राजधानी क्या है", "किताबें", "किताब"),
    "id": ("Apa ibu kota Indonesia yang ada di pulau ini?", "bukunya", "buku"),
    "ja": ("日本の首都はどこですか", "首都", "首都"),
    "ko": ("대한민국의 수도는 어디인가", "서울", "서울"),
    "pl": ("Jaka jest stolica Polski i co to jest?", "książki", "książka"),
    "ru": ("Какая столица России и где она", "книгами", "книга"),
    "sw": ("Mji mkuu wa Kenya ni Nairobi", "nairobi", "Nairobi"),
    "te": ("భారతదేశ రాజధాని ఏది", "రాజధాని", "రాజధాని"),
    "th": ("กรุงเทพมหานครเป็นเมืองหลวง", "เมือง", "เมือง"),
    "yo": ("Kini olu ilu Naijiria ati awon eniyan", "ilu", "ilu"),
}


@pytest.mark.parametrize("code", SAMPLES)
def test_a_language_is_told_and_its_words_meet(code):
    question, passage, asked = SAMPLES[code]
    assert languages_in([question]) == [code]
    found = analyzer(code)
    assert set(found.query_tokens(asked)) & set(found.passage_terms(passage))
    assert found.kind == code
    assert found.name.startswith(f"{code}-jieba-")


def test_languages_of_a_mixed_collection_stand_by_frequency():
    russian, german = SAMPLES["ru"][0], "Die Häuser der Stadt sind mit roten Dächern gedeckt."
    assert languages_in([russian] * 6 + [german] * 4 + ["x y"]) == ["ru", "de"]
    assert languages_in(["", "12"]) == []
    assert languages_in(["北京图书馆", "how to renew"]) == ["zh", "en"]


def test_every_stemmer_is_one_that_snowball_has():
    stemmers = pytest.importorskip("Stemmer").algorithms()
    assert [rules.code for rules in LANGUAGES.values() if rules.stemmer and rules.stemmer not in stemmers] == []
    for code in set(LANGUAGES) - {"zh", "en"}:
        assert language_analyzer(code).query_tokens("SKU-6678 北京") != []


def test_words_without_accents_find_words_with_them():
    found = analyzer("fr")
    assert found.query_tokens("eleves")[0] == found.query_tokens("élèves")[0]
    assert "le" not in found.query_tokens("le chat")
    assert found.query_tokens("le la") == ["le", "la"]


TEXTS = {
    "ja": ("図書館で借りた本は二週間以内に返却してください。", "返却はいつまでですか"),
    "ko": ("도서관에서 빌린 책은 이 주 안에 반납해야 합니다.", "책 반납"),
    "th": ("หนังสือที่ยืมจากห้องสมุดต้องคืนภายในสองสัปดาห์", "คืนหนังสือ"),
    "de": (
        "Die Bücher der Bibliothek müssen in zwei Wochen zurückgegeben werden, und das ist nicht zu ändern.",
        "Buch",
    ),
    "fr": ("Les livres de la bibliothèque sont prêtés pour deux semaines, et il est possible de les garder.", "livre"),
    "ru": ("Книги из библиотеки выдаются на две недели, и это не может быть изменено по просьбе.", "книга"),
    "ar": ("الكتب من المكتبة تعار لمدة أسبوعين، ولا يمكن تمديد هذا على الإطلاق.", "كتاب المكتبة"),
}
OTHER = {
    "ja": "美術館は月曜日に休みます。", "ko": "박물관은 월요일에 쉽니다.", "th": "พิพิธภัณฑ์ปิดวันจันทร์",
    "de": "Das Museum ist am Montag geschlossen und in der Nacht auch.", "fr": "Le musée est fermé le lundi et dans la nuit.",
    "ru": "Музей закрыт в понедельник и не работает ночью.", "ar": "المتحف مغلق في يوم الاثنين من كل أسبوع.",
}  # fmt: skip  # two tables
ENGLISH = ("Renewing borrowed books is possible twice for each of the readers.", "The museum is closed on Mondays.")
CHINESE = ("图书馆的书可以续借两次。", "博物馆星期一闭馆。")


@pytest.mark.parametrize("code", TEXTS)
def test_a_new_index_cuts_words_by_the_language_of_its_passages(code, tmp_path):
    text, question = TEXTS[code]
    report = index_documents(tmp_path / "ix", [Document("a", text), Document("b", OTHER[code])], None)
    searcher = Searcher.open(tmp_path / "ix")
    lexical = searcher.index.manifest.lexical
    assert (lexical.analyzer, lexical.languages) == (code, {code: 1.0})
    assert str(report.words).startswith(f"words are cut by the rules of the language {code}, which 100 % of")
    answer = searcher.search(question, options=SearchOptions(route="bm25"))
    assert [result.doc_id for result in answer.results][:1] == ["a"]


def test_chinese_and_english_have_the_usual_analyzer_and_no_word_about_it(tmp_path):
    texts = [*ENGLISH, *CHINESE]
    report = index_documents(tmp_path / "ix", [Document(str(n), text) for n, text in enumerate(texts)], None)
    lexical = Searcher.open(tmp_path / "ix").index.manifest.lexical
    assert (lexical.analyzer, lexical.languages) == ("jieba", {"en": 0.5, "zh": 0.5})
    assert report.words is None


@pytest.mark.parametrize(
    ("own", "others", "chosen"),
    [
        ("ru", ENGLISH * 4, "ru"),  # a script of its own: nothing is lost
        ("ru", ENGLISH * 10, "jieba"),  # too little of it
        ("de", ENGLISH, "jieba"),  # as much English as German
        ("de", CHINESE, "de"),  # Chinese inside German is cut as usual
        ("ja", CHINESE, "jieba"),  # as much Chinese as Japanese
        ("ja", ENGLISH, "ja"),
        ("th", CHINESE, "th"),
    ],
)
def test_a_mixed_collection_has_the_analyzer_by_which_nothing_is_lost(own, others, chosen):
    assert suited_analyzer([TEXTS[own][0], OTHER[own], *others]).analyzer == chosen


@pytest.mark.parametrize(
    "texts",
    [
        ["a"], ["x y z"], ["A cat sat on a mat"], ["SELECT name FROM users"], ["def f(a, o, e): return a"], ["1 2 3", "..."], [""], [],
        ["la la la a o e de"], ["Error 404 in C:\\temp\\a.txt"], ["Lorem ipsum dolor sit amet, consectetur adipiscing elit"],
    ],
)  # fmt: skip  # a table
def test_little_text_and_code_are_cut_as_usual(texts):
    assert suited_analyzer(texts).analyzer == "jieba"


def test_english_and_identifiers_inside_another_script_are_found_as_usual():
    usual = analyzer("jieba")
    for code in ("ru", "ar", "th", "ja", "ko", "el", "hi", "he"):
        found = analyzer(code)
        for text in ("Renewed books", "getUserName", "BGE-M3", "SKU-6678", "The libraries of the city"):
            assert found.query_tokens(text) == usual.query_tokens(text)
        if code != "ja":
            assert found.query_tokens("图书馆的书") == usual.query_tokens("图书馆的书")
    assert "user" in analyzer("de").tokens("getUserName")


def test_related_scripts_are_told_apart():
    assert languages_in(["Яка столиця України і що це за місто?"]) == ["uk"]
    assert languages_in(["מה היא עיר הבירה של ישראל, ועל מה זה?"]) == ["he"]
    assert languages_in(["پاکستان کا دارالحکومت کیا ہے"]) == ["ur"]
    assert languages_in(["Thủ đô của Việt Nam là gì và có những gì ở đó?"]) == ["vi"]


def test_an_index_keeps_its_language_and_an_old_one_its_analyzer(tmp_path):
    documents = [Document("a", "Les élèves vont à la bibliothèque."), Document("b", "Le musée ferme le lundi.")]
    index_documents(tmp_path / "fr", documents, None, BuildOptions(analyzer="fr"))
    index_documents(tmp_path / "fr", [Document("c", "Une bibliothécaire")], None)
    searcher = Searcher.open(tmp_path / "fr")
    assert searcher.index.manifest.lexical.analyzer == "fr"
    answer = searcher.search("eleve", options=SearchOptions(route="bm25"))
    assert [result.doc_id for result in answer.results] == ["a"]
    index_documents(tmp_path / "usual", documents, None, BuildOptions(analyzer="jieba"))
    index_documents(tmp_path / "usual", [Document("d", TEXTS["fr"][0])], None)
    assert Searcher.open(tmp_path / "usual").index.manifest.lexical.analyzer == "jieba"
    index_documents(tmp_path / "own", documents, None)
    index_documents(tmp_path / "own", [Document(str(n), text) for n, text in enumerate(CHINESE * 5)], None)
    kept = Searcher.open(tmp_path / "own").index.manifest.lexical
    assert (kept.analyzer, kept.languages) == ("fr", {"fr": 1.0})


def test_unknown_languages_are_refused():
    with pytest.raises(
        ValueError, match="unknown analyzer 'xx'; expected jieba, rjieba, bigram, or a language such as fr"
    ):
        analyzer("xx")
    with pytest.raises(ValueError, match="unknown language 'en'"):
        language_analyzer("en")
