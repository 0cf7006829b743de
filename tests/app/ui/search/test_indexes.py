"""Several indexes on the Search page: chosen there, each hit and source names its own, judgements are kept where the passage is."""

import json

from quarry.app.ui.search.indexes import ALSO_VARIABLE
from quarry.app.ui.shared.session import feedback_path
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.training.feedback.log import FeedbackLog
from tests.app.ui.search.test_search_page import ask, html

PUMPS = [Document("valve.md", "Open the drain valve before the pump is removed.", "Valve")]
SECRET = Document("pay.md", "The keeper of the drain valve is paid 9,000 euro.", "Pay", {"allow": "board"})


def start(app, monkeypatch, tmp_path, main, documents=PUMPS, **address):
    index_documents(tmp_path / "pumps", documents, None)
    monkeypatch.setenv(ALSO_VARIABLE, json.dumps([str(tmp_path / "pumps")]))
    return app(main, **address)


def test_all_are_searched_and_each_hit_names_its_index(app, lexical_index, monkeypatch, tmp_path):
    test = start(app, monkeypatch, tmp_path, lexical_index)
    ask(test, "which drain valve before the pump is removed")
    assert not test.exception
    assert "<b>pumps</b>" in html(test) and "<b>Valve</b>" in html(test)
    assert any(
        "Choose a single index above" in caption.value for caption in test.caption
    )  # to ask why a document is not here
    test.pills(key="indexes").set_value([lexical_index.name]).run()
    assert not test.exception and "<b>Valve</b>" not in html(test)
    assert test.query_params["in"] == lexical_index.name
    test.pills(key="indexes").set_value(["pumps"]).run()
    assert not test.exception and "<b>Valve</b>" in html(test)


def test_an_answer_names_the_index_of_each_source(app, lexical_index, monkeypatch, tmp_path):
    monkeypatch.delenv("QUARRY_LLM_ENDPOINT", raising=False)
    test = start(
        app, monkeypatch, tmp_path, lexical_index, q="open the drain valve before the pump is removed", answer="1"
    )
    assert not test.exception
    (source,) = [element for element in test.button if element.key == "source-1"]
    assert source.label == "1 · pumps · Valve"
    source.click().run()
    assert not test.exception and "class='q-passage'" in html(test)


def test_a_judgement_is_kept_in_the_index_of_the_passage(app, lexical_index, monkeypatch, tmp_path):
    test = start(app, monkeypatch, tmp_path, lexical_index, q="open the drain valve before the pump is removed")
    (mark,) = [element for element in test.button if (element.key or "").startswith("mark-")][:1]
    mark.click().run()
    assert not test.exception
    with FeedbackLog.open(feedback_path(tmp_path / "pumps")) as log:
        (event,) = [stored.event for stored in log.events() if stored.event.action == "answer"]
    assert event.chunk_id.startswith("valve.md")
    assert not feedback_path(lexical_index).is_file() or "valve.md" not in str(
        feedback_path(lexical_index).read_bytes()
    )


def test_a_passage_that_two_indexes_hold_is_judged_in_each(app, lexical_index, monkeypatch, tmp_path):
    index_documents(tmp_path / "copy", PUMPS, None)
    index_documents(tmp_path / "pumps", PUMPS, None)
    monkeypatch.setenv(ALSO_VARIABLE, json.dumps([str(tmp_path / "pumps")]))
    test = app(tmp_path / "copy", q="open the drain valve before the pump is removed")
    assert not test.exception and html(test).count("<b>Valve</b>") == 1
    assert "pumps: valve.md" in html(test)  # as a copy
    test = app(tmp_path / "copy", q="open the drain valve before the pump is removed", copies="1")
    assert not test.exception and html(test).count("<b>Valve</b>") == 2
    marks = [element for element in test.button if (element.key or "").startswith("mark-")]
    assert len(marks) == 2
    marks[1].click().run()
    assert not test.exception
    judged = [element.proto.type for element in test.button if (element.key or "").startswith("mark-")]
    assert judged == ["tertiary", "primary"]


def test_newest_first_orders_the_hits_of_all_indexes(app, lexical_index, monkeypatch, tmp_path):
    index_documents(
        tmp_path / "old", [Document("valve.md", "Open the drain valve.", "Old", {"date": "2019-05-01"})], None
    )
    new = [Document("valve.md", "Open the drain valve before the pump is removed.", "New", {"date": "2024-05-01"})]
    index_documents(tmp_path / "new", new, None)
    monkeypatch.setenv(ALSO_VARIABLE, json.dumps([str(tmp_path / "new")]))
    test = app(tmp_path / "old", q="open the drain valve", sort="newest")
    assert not test.exception
    assert html(test).index("<b>New</b>") < html(test).index("<b>Old</b>")
    assert "<b>new</b>" in html(test) and "2019-05-01" in html(test)


def test_an_address_that_names_no_index_here_searches_all(app, lexical_index, monkeypatch, tmp_path):
    test = start(app, monkeypatch, tmp_path, lexical_index, **{"q": "open the drain valve", "in": "gone"})
    assert not test.exception
    assert test.pills(key="indexes").value == [lexical_index.name, "pumps"]
    assert "<b>pumps</b>" in html(test) and "in" not in test.query_params


def test_an_index_with_documents_that_not_everybody_may_see_is_not_searched(app, lexical_index, monkeypatch, tmp_path):
    test = start(app, monkeypatch, tmp_path, lexical_index, [*PUMPS, SECRET], q="the keeper of the drain valve")
    assert any("cannot tell its visitors apart" in element.value for element in test.error)
    assert "9,000" not in html(test)


def test_an_app_with_one_index_asks_for_none(app, lexical_index, monkeypatch):
    monkeypatch.delenv(ALSO_VARIABLE, raising=False)
    assert not app(lexical_index).pills
