"""The whole way from a question to an answer, over a small index and a real endpoint."""

import json

import pytest

from quarry.app.words.answers import heading, place
from quarry.indexer.build import index_documents
from quarry.indexer.messages import Message
from quarry.indexer.records import Document
from quarry.retriever.answers import answer as module
from quarry.retriever.answers.answer import AskOptions, ask
from quarry.retriever.answers.evidence import Grounds
from quarry.retriever.answers.generate import endpoint_for
from quarry.retriever.answers.packing import Packed
from quarry.retriever.answers.prompt import NOT_FOUND
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.fakes import WordEmbedder
from tests.retriever.answers.gullible import Gullible
from tests.retriever.answers.indexed import small_index

QUESTION = "How often may books be renewed online?"
WORDS = SearchOptions(route="bm25", rerank=False)


@pytest.fixture(scope="module")
def searcher(tmp_path_factory):
    return Searcher.open(small_index(tmp_path_factory.mktemp("ask")))


@pytest.fixture(autouse=True)
def strong(monkeypatch):
    monkeypatch.setattr(module, "weigh", lambda *_: Grounds(0.9, False, 0.5, "a test says so"))


def settings(server=None, **changes):
    endpoint = endpoint_for(server.url, "tiny", 5) if server else None
    return AskOptions(**{"endpoint": endpoint, "options": WORDS, **changes})


@pytest.mark.parametrize(
    ("question", "expected"),
    [(QUESTION, "Books may be renewed twice online."), ("图书可以续借几次？", "图书可以在网上续借两次。")],
)
def test_without_an_endpoint_the_documents_sentences_answer(searcher, question, expected):
    answer = ask(searcher, question, settings())
    assert (answer.origin, answer.model, answer.refused) == ("extractive", "", False)
    assert expected in answer.sentences[0].text
    source = next(s for s in answer.sources if s.number == answer.sentences[0].citations[0])
    assert expected in source.text
    assert source in answer.cited
    assert answer.language == ("zh" if "图书" in question else "en")
    assert all("https://evil.example" not in sentence.text for sentence in answer.sentences)


def test_a_model_answers_and_is_listened_to_sentence_by_sentence(searcher, gullible):
    heard = []
    gullible.says("Books may be renewed twice online [1]. Pigeons bring them [1]. See https://evil.example/leak [88].")
    answer = ask(searcher, QUESTION, settings(gullible), heard.append)
    assert (answer.origin, answer.model) == ("generated", "tiny")
    assert heard == list(answer.sentences)
    assert answer.sources[0].path == "documents/loans.md"
    assert [(s.support, s.citations, s.unknown) for s in heard] == [
        ("supported", (1,), ()),
        ("unsupported", (1,), ()),
        ("unsupported", (), (88,)),
    ]
    assert "hxxps[:]//evil[.]example" in heard[2].text
    assert [source.number for source in answer.cited] == [1]
    assert json.loads(json.dumps(answer.to_dict(), ensure_ascii=False))["refused"] is False


def test_weak_evidence_refuses_and_asks_no_model(searcher, gullible, monkeypatch):
    monkeypatch.setattr(module, "weigh", lambda *_: Grounds(0.1, True, 0.5, Message.plain("a test says so")))
    gullible.says("Books may be renewed twice online [1].")
    answer = ask(searcher, QUESTION, settings(gullible))
    assert (answer.origin, answer.refused, answer.sentences, answer.model) == ("refused", True, (), "")
    assert answer.sources
    assert gullible.requests == []
    assert "Not in your documents" in heading(answer)


def test_nothing_found_refuses(searcher):
    monkey = ask(searcher, "zzzz qqqq", settings())
    assert (monkey.origin, monkey.sources) == ("refused", ())


def test_a_model_that_declines_is_a_refusal(searcher, gullible):
    gullible.says(NOT_FOUND)
    answer = ask(searcher, QUESTION, settings(gullible))
    assert (answer.refused, answer.model) == (True, "tiny")
    assert heading(answer) == "The model found no answer in the passages."
    assert "found no answer" in str(answer.notes[-1])


@pytest.mark.parametrize(("status", "reason"), [(401, "answered 401"), (500, "500"), (302, "answered 302")])
def test_an_endpoint_that_fails_leaves_the_documents_sentences(searcher, gullible, status, reason):
    gullible.sends(status=status, Location="http://127.0.0.1:9/")
    answer = ask(searcher, QUESTION, settings(gullible))
    assert (answer.origin, answer.model) == ("extractive", "tiny")
    assert "renewed twice" in answer.sentences[0].text
    assert reason in str(answer.notes[-1])
    assert "sentences of the documents answer instead" in str(answer.notes[-1])
    assert heading(answer) == "Quoted from your documents"


def test_no_server_leaves_the_documents_sentences(searcher):
    gone = Gullible()
    gone.close()
    answer = ask(searcher, QUESTION, settings(gone))
    assert answer.origin == "extractive"


def test_a_cut_answer_is_kept_and_says_so(searcher, gullible):
    from tests.retriever.answers.gullible import event

    gullible.sends(event("Books may be renewed twice online [1]. Pigeons"))
    answer = ask(searcher, QUESTION, settings(gullible))
    assert [sentence.support for sentence in answer.sentences] == ["supported", "unsupported"]
    assert "the answer is not complete" in str(answer.notes[-1])


def test_an_answer_of_which_nothing_is_carried_says_so(searcher, gullible):
    gullible.says("The moon is a cheese [1]. So is Mars.")
    assert "no sentence of the model is supported" in str(ask(searcher, QUESTION, settings(gullible)).notes[-1])
    gullible.says("[1] ... ---")
    answer = ask(searcher, QUESTION, settings(gullible))
    assert answer.origin == "extractive"
    assert "nothing readable" in str(answer.notes[-1])


def test_what_was_left_out_and_what_was_degraded_is_said(searcher):
    answer = ask(
        searcher, "books renewed service desk bicycles 续借", settings(options=SearchOptions(rerank=False), budget=256)
    )
    assert any("BM25 answered" in str(reason) for reason in answer.notes)


def test_wrong_questions_are_refused(searcher):
    with pytest.raises(ValueError, match="is empty; expected a question"):
        ask(searcher, "  ", settings())
    with pytest.raises(ValueError, match="budget is 9 tokens; expected at least 256"):
        ask(searcher, QUESTION, settings(budget=9))


def test_a_source_says_where_it_stands(searcher):
    source = ask(searcher, QUESTION, settings()).sources[0]
    assert place(source, "en") == "[1] Loans, documents/loans.md"


@pytest.mark.parametrize(
    ("modified", "language", "expected"),
    [
        ("2015-03-02", "en", ", last changed 2015-03-02"),
        ("2015-03-02", "zh", ", 上次修改于 2015-03-02"),
        ("2999-01-01", "en", ""),
        ("", "en", ""),
        ("last year", "en", ""),
    ],
)
def test_the_age_of_an_old_document_stands_on_its_citation(modified, language, expected):
    source = Packed(1, "a", "Loans", "loans.md", "Text.", ("a#0-5",), 1.0, modified=modified)
    assert place(source, language) == f"[1] Loans, loans.md{expected}"


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (
            "# Pump\n\n## Drain valve\n\nOpen the drain valve twice a year.",
            "Pump > Drain valve: Open the drain valve twice a year.",
        ),
        ("# 水泵\n\n## 排水阀 ##\n\n排水阀每年打开两次。", "水泵 > 排水阀：排水阀每年打开两次。"),
        (
            "# a remark in a script\n# open it\nopen the drain valve",
            "# a remark in a script\nopen it: open the drain valve",
        ),
    ],
)
def test_the_headings_above_a_quoted_sentence_are_read_as_its_path(tmp_path, text, quoted):
    index_documents(tmp_path / "index", [Document("pump.md", text, "Pump")], WordEmbedder())
    answer = ask(
        Searcher.open(tmp_path / "index", embedder=WordEmbedder()), "drain valve 排水阀每年打开几次", AskOptions()
    )
    assert answer.sentences[0].text == quoted
