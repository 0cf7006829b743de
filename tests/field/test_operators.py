"""Quotation marks and exclusions are obeyed in every route, and the answer says how the query was understood."""

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import QueryError
from quarry.indexer.records import Document
from quarry.retriever.questions.understood import Understood, understand
from quarry.retriever.ranking import Query
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.fakes import WordEmbedder

TEXTS = {
    "left": "The blue pump feeds the north tank.",
    "right": "The north pump feeds the blue tank.",
    "plural": "Blue pumps are sold in pairs.",
    "broken": "Check the blue\n   pump every week.",
    "mail": "Send an e-mail to the pump team.",
    "cold": "The pump stops at -40 degrees.",
    "iphone": "An iPhone shows the pump.",
    "sugar": "本店不含糖的饮料在左侧。",
    "sweet": "本店含糖的饮料在右侧，不收现金。",
    "traditional": "這款飲料不含\n糖，請放心。",
}
ROUTES = ("bm25", "dense", "hybrid")


@pytest.fixture(scope="module")
def searcher(tmp_path_factory):
    index = tmp_path_factory.mktemp("operators") / "ix"
    embedder = WordEmbedder()
    documents = [Document(name, text, "", {"row": row}) for row, (name, text) in enumerate(TEXTS.items())]
    index_documents(index, documents, embedder, BuildOptions(analyzer="jieba"))
    return Searcher.open(index, embedder=embedder, rerank="none")


def found(searcher, query, route="bm25", filters=None):
    answer = searcher.search(query, 20, SearchOptions(route=route, filters=filters))
    return {result.doc_id for result in answer.results}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('"blue pump"', {"left", "broken"}),
        ("“blue pump” tank", {"left", "broken"}),
        ('"BLUE  PUMP"', {"left", "broken"}),
        ('"north" "blue tank"', {"right"}),
        ("「不含糖」", {"sugar", "traditional"}),
        ("『不含糖』 饮料", {"sugar", "traditional"}),
        ('"iphone"', {"iphone"}),
        ('"e-mail"', {"mail"}),
        ('"-40 degrees"', {"cold"}),
    ],
)
def test_only_passages_with_the_phrase_come_out(searcher, route, query, expected):
    assert found(searcher, query, route) == expected


@pytest.mark.parametrize("route", ROUTES)
def test_what_follows_a_hyphen_is_left_out(searcher, route):
    assert not found(searcher, "pump -blue", route) & {"left", "right", "plural", "broken"}
    assert "mail" in found(searcher, "pump -blue", route)
    assert not found(searcher, "pump -pump", route) & {"left", "plural"}  # in any form of the word
    assert not found(searcher, "饮料 -不含糖", route) & {"sugar", "traditional"}
    assert "broken" not in found(searcher, 'pump -"blue pump"', route)
    assert "right" in found(searcher, 'pump -"blue pump"', route)


def test_operators_and_filters_hold_together(searcher):
    assert found(searcher, '"blue pump"', filters={"row": ">0"}) == {"broken"}
    assert found(searcher, "pump -week", filters={"row": "<4"}) == {"left", "right", "plural"}


@pytest.mark.parametrize(
    ("query", "understood"),
    [
        ("e-mail pump", Understood("e-mail pump")),
        ("stops at -40 degrees", Understood("stops at -40 degrees")),
        ("quarry --rebuild and grep -r", Understood("quarry --rebuild and grep -r")),
        ('a 15" screen and a 17" one', Understood('a 15" screen and a 17" one')),
        ("a - b", Understood("a - b")),
        ('pump -motor, -"spare line"', Understood("pump", (), ("motor", "spare line"))),
        ("水泵 －电机 “备用 管线”", Understood("水泵 “备用 管线”", ("备用 管线",), ("电机",))),
    ],
)
def test_a_query_is_understood(query, understood):
    assert understand(query) == understood


def test_the_answer_says_how_it_was_understood(searcher):
    answer = searcher.search('"blue pump" -week')
    assert answer.understood == Understood('"blue pump"', ("blue pump",), ("week",))
    assert answer.query.text == '"blue pump" -week'
    assert [notice.code for notice in answer.notices] == ["search.exact_phrases", "search.left_out"]
    assert answer.to_dict()["understood"]["excluded"] == ("week",)


def test_a_phrase_that_is_nowhere_is_said(searcher):
    alone = searcher.search('"pump of gold"')
    assert (alone.results, [notice.code for notice in alone.notices]) == ((), ["search.no_such_phrase"])
    among_words = searcher.search('north "pump of gold"')
    assert "right" in {result.doc_id for result in among_words.results}
    assert [notice.code for notice in among_words.notices] == ["search.phrase_not_found"]


def test_a_query_of_exclusions_alone_is_refused(searcher):
    with pytest.raises(QueryError, match=r"only says what to leave out \(pump, tank\)"):
        searcher.search("-pump -tank")
    run = document_run(searcher, [Query("a", "-pump"), Query("b", "tank")], 5, SearchOptions(route="bm25"))[1]
    assert (run["a"], len(run["b"])) == ([], 2)


def test_queries_of_one_batch_do_not_mix(searcher):
    queries = [Query("a", "pump -blue"), Query("b", "north tank"), Query("c", '"north pump"')]
    answers = searcher.search_many(queries, 10, SearchOptions(route="bm25"))
    assert [answer.query.query_id for answer in answers] == ["a", "b", "c"]
    assert [result.doc_id for result in answers[2].results] == ["right"]
    assert {result.doc_id for result in answers[1].results} >= {"left", "right"}


@pytest.mark.parametrize(
    "prose",
    ["The report says that the pump of the north tank was sold. ", "报告说，左侧的饮料不含糖，右侧的含糖，都收现金。"],
)
def test_in_a_pasted_paragraph_quotation_marks_and_hyphens_are_ordinary_signs(searcher, prose):
    paragraph = prose * 8 + 'They call it "blue pump" -north'
    assert understand(paragraph) == Understood(paragraph)
    assert {"left", "plural", "sugar"} <= found(searcher, paragraph + " 含糖")
    assert understand('They call it "blue pump" -north').excluded == ("north",)
