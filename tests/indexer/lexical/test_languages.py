"""Other languages: told by script and function words, cut and stemmed by their own rules, recorded in the index."""

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.lexical.language_analyzer import language_analyzer
from quarry.indexer.lexical.languages import LANGUAGES, languages_in
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


def test_an_index_keeps_its_language_and_an_old_one_its_analyzer(tmp_path):
    documents = [Document("a", "Les élèves vont à la bibliothèque."), Document("b", "Le musée ferme le lundi.")]
    index_documents(tmp_path / "fr", documents, None, BuildOptions(analyzer="fr"))
    index_documents(tmp_path / "fr", [Document("c", "Une bibliothécaire")], None)
    searcher = Searcher.open(tmp_path / "fr")
    assert searcher.index.manifest.lexical.analyzer == "fr"
    answer = searcher.search("eleve", options=SearchOptions(route="bm25"))
    assert [result.doc_id for result in answer.results] == ["a"]
    index_documents(tmp_path / "usual", documents, None)
    assert Searcher.open(tmp_path / "usual").index.manifest.lexical.analyzer == "jieba"


def test_unknown_languages_are_refused():
    with pytest.raises(
        ValueError, match="unknown analyzer 'xx'; expected jieba, rjieba, bigram, or a language such as fr"
    ):
        analyzer("xx")
    with pytest.raises(ValueError, match="unknown language 'en'"):
        language_analyzer("en")
