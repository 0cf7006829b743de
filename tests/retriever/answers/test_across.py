"""An answer from several indexes: sources of all of them, each with its index; follow-up questions read what was cited before."""

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.errors import EmptyQuery
from quarry.indexer.principals import Principals
from quarry.indexer.records import Document
from quarry.retriever.answers.across import ask_several
from quarry.retriever.answers.answer import AskOptions
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.several import Several

WORDS = SearchOptions(route="bm25")
SAME = "rules.md"  # an id that both indexes have
BOOKS = [
    Document(SAME, "Books can be renewed twice online. A renewal lasts thirty days.", "Loans"),
    Document("hours.md", "The library opens at nine and closes at eight.", "Hours"),
]
PUMPS = [
    Document(SAME, "Open the drain valve before the pump is removed. Close the drain valve afterwards.", "Valve"),
    Document("pay.md", "The pump keeper is paid 9,000 euro for the drain valve.", "Pay", {"allow": "board"}),
]


@pytest.fixture
def several(tmp_path):
    index_documents(tmp_path / "books", BOOKS, None)
    index_documents(tmp_path / "pumps", PUMPS, None)
    return Several({name: Searcher.open(tmp_path / name) for name in ("books", "pumps")})


def ask(several, question, **more):
    return ask_several(several, question, AskOptions(options=WORDS, **more))


@pytest.mark.parametrize(
    ("question", "index", "said"),
    [
        ("how often can books be renewed online", "books", "renewed twice"),
        ("which drain valve must be opened before the pump is removed", "pumps", "drain valve"),
    ],
)
def test_the_index_that_knows_answers_and_each_source_names_its_own(several, question, index, said):
    answer = ask(several, question)
    assert answer.origin == "extractive" and said in answer.sentences[0].text
    first = answer.cited[0]
    assert (first.index, first.doc_id) == (index, SAME)
    assert all("\0" not in part for one in answer.sources for part in (one.doc_id, one.title, one.path, *one.chunk_ids))
    assert {one.index for one in answer.sources} <= {"books", "pumps"}
    own = several.searchers[index].index.chunks.document(SAME).text
    assert first.text == own[first.start : first.end]


def test_a_follow_up_reads_what_was_cited_before(several):
    first = ask(several, "how often can books be renewed online")
    again = ask(several, "and how long does it last", before=(first.as_turn(),))
    assert (again.cited[0].index, again.cited[0].doc_id) == ("books", SAME)


def test_what_no_index_knows_is_refused(several):
    assert ask(several, "who won the football championship of 1998 in France").refused


def test_nobody_is_answered_from_what_they_may_not_see(several):
    hidden = SearchOptions(route="bm25", principals=Principals.of("ann"))
    answer = ask_several(several, "what is the pump keeper paid for the drain valve", AskOptions(options=hidden))
    assert not any("9,000" in one.text for one in answer.sources)


def test_an_empty_question_is_an_error(several):
    with pytest.raises(EmptyQuery):
        ask(several, " ")
