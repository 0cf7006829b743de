"""The search page without a browser: what is asked, shown, judged and stored."""

import json
import re
from datetime import UTC, date, datetime

from quarry.app.ui.shared.session import feedback_path
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.training.feedback.log import FeedbackLog
from tests.fakes import WordEmbedder
from tests.indexer.older import part_of


def html(test) -> str:
    return "\n".join(element.proto.body for element in test.get("html"))


def button(test, label):
    (found,) = [element for element in test.button if element.label == label]
    return found


def first_button(test, label):
    return next(element for element in test.button if element.label == label)


def ask(test, query):
    test.text_input(key="q").set_value(query)
    return button(test, "Search").click().run()


def events(index):
    with FeedbackLog.open(feedback_path(index)) as log:
        return [stored.event for stored in log.events()]


def test_the_first_page_offers_examples_and_searching_shows_results(app, lexical_index):
    test = app(lexical_index)
    assert not test.exception
    assert "3 documents in 3 passages" in html(test)
    assert "Loans" in [element.label for element in test.button]
    ask(test, "renew books")
    assert not test.exception
    shown = html(test)
    assert "<b>Loans</b>" in shown
    assert "<mark>Renew</mark> <mark>books</mark> twice online" in shown
    assert "loans.md</span> · <span class='q-info' title='characters 0–" in shown
    assert test.query_params["q"] == "renew books"


def test_an_example_is_asked_by_a_click(app, lexical_index):
    test = app(lexical_index)
    button(test, "Loans").click().run()
    assert test.text_input(key="q").value == "Loans"
    assert "<b>Loans</b>" in html(test) or "<b><mark>" in html(test)


def test_the_address_is_asked_and_kept(app, vector_index, model_loads):
    test = app(vector_index, q="续借", route="bm25", k="5", f="lang:zh")
    assert not test.exception
    assert test.text_input(key="q").value == "续借"
    assert test.session_state["route"] == "bm25"
    assert "<b>借书</b>" in html(test)
    assert "<b>Loans</b>" not in html(test)
    assert {name: test.query_params[name] for name in ("q", "route", "k", "f")} == {
        "q": "续借",
        "route": "bm25",
        "k": "5",
        "f": "lang:zh",
    }


def test_filters_are_cleared_by_a_control_that_is_there_only_while_some_are_set(app, lexical_index):
    test = app(lexical_index, q="renew books")
    assert not [element for element in test.button if element.label == "Clear filters"]
    test = app(lexical_index, q="renew books", f="lang:zh")
    assert any("No passage matches" in info.value for info in test.info)
    assert len([element for element in test.button if element.label == "Clear filters"]) == 2
    test.button(key="clear-none").click().run()
    assert not test.exception
    assert "<b>Loans</b>" in html(test)
    assert dict(test.query_params) == {"q": "renew books"}
    assert not [element for element in test.button if element.label == "Clear filters"]


def test_folders_and_times_are_menus_whose_counts_are_those_of_the_search(app, tmp_path):
    today = datetime.now(UTC).date()
    documents = [
        Document(source, f"Note {number} on books.", f"Note {number}", {"source": source, "modified": day.isoformat()})
        for number, (source, day) in enumerate(
            [("docs/new/a.md", today), ("docs/new/b.md", date(2020, 1, 1)), ("docs/old/c.md", date(2020, 5, 1))]
        )
    ]
    index_documents(tmp_path / "index", documents, None)
    test = app(tmp_path / "index", q="books")
    assert list(test.multiselect(key="f_folder").options) == ["docs/new/* (2)", "docs/old/* (1)"]
    assert test.selectbox(key="f_time.en").options[0] == "last 7 days (1)"
    test.multiselect(key="f_folder").set_value(["docs/new/*"]).run()
    assert "2 results" in html(test)
    test.selectbox(key="f_time.en").set_value("week").run()
    assert not test.exception
    assert "1 result " in html(test)
    test.selectbox(key="f_time.en").set_value("dates").run()
    test.date_input(key="f_last").set_value(date(2020, 2, 1)).run()
    assert "<b>Note 1</b>" in html(test)
    assert "1 result " in html(test)

    later = app(tmp_path / "index", q="books", f="modified:<=2020-02-01")
    assert later.date_input(key="f_last").value == date(2020, 2, 1)
    assert later.text_input(key="f_more").value == ""
    assert "<b>Note 1</b>" in html(later)
    later.button(key="clear").click().run()
    assert "3 results" in html(later)


def test_results_stand_by_date_when_asked_to(app, tmp_path):
    metas = (
        {"modified": "2020-05-01"},
        {"date": "2024-04-01", "modified": "2019-01-01"},
        {},
        {"modified": "2022-01-01"},
    )
    documents = [
        Document(f"{number}.md", f"Note {number} on books.{' books' * (4 - number)}", f"Note {number}", meta)
        for number, meta in enumerate(metas)
    ]
    index_documents(tmp_path / "index", documents, None)
    test = app(tmp_path / "index", q="books")
    assert test.toggle(key="newest").value is False
    by_fit = re.findall(r"<b>(Note \d)</b>", html(test))
    assert sorted(by_fit) == [f"Note {number}" for number in range(4)]
    assert "2024-04-01" not in html(test)
    test.toggle(key="newest").set_value(True).run()
    assert not test.exception
    assert re.findall(r"<b>(Note \d)</b>", html(test)) == ["Note 1", "Note 3", "Note 0", "Note 2"]
    assert "2024-04-01" in html(test)
    assert test.query_params["sort"] in ("newest", ["newest"])
    again = app(tmp_path / "index", q="books", sort="newest")
    assert re.findall(r"<b>(Note \d)</b>", html(again)) == ["Note 1", "Note 3", "Note 0", "Note 2"]


def test_nonsense_in_the_address_is_left_out(app, lexical_index):
    test = app(lexical_index, q="books", route="sideways", k="-1")
    assert not test.exception
    assert "<b>Loans</b>" in html(test)
    assert dict(test.query_params) == {"q": "books"}


def test_a_filter_of_the_address_that_no_document_meets_is_kept_and_can_be_cleared(app, tmp_path):
    documents = [
        Document(f"{lang}.md", f"A note on books. 关于书的笔记 {lang}", f"Note {lang}", {"lang": lang})
        for lang in ("en", "zh")
    ]
    index_documents(tmp_path / "index", documents, None)
    test = app(tmp_path / "index", q="books", f="lang:fr")  # a link from before the French documents were taken out
    assert not test.exception
    assert "No passage matches" in test.info[0].value
    assert test.text_input(key="f_more").value == "lang=fr"
    test.button(key="clear-none").click().run()
    assert "2 results" in html(test)


def test_everything_is_there_in_chinese(app, lexical_index):
    test = app(lexical_index)
    test.segmented_control(key="language").set_value("zh").run()
    assert test.header[0].value == "搜索您的文档"
    test.text_input(key="q").set_value("续借")
    first_button(test, "搜索").click().run()
    assert "条结果" in html(test)
    for label in ("这就是答案", "打开原文", "为什么是它？", "保存备注"):
        assert first_button(test, label)
    spoken = [element.label for element in (*test.button, *test.text_input, *test.toggle)]
    assert not [label for label in spoken if label and label.isascii()], "labels left in English"


def test_reranking_is_offered_only_where_something_can_rerank(app, lexical_index):
    test = app(lexical_index, q="renew books", rerank="auto")
    (toggle,) = [one for one in test.toggle if one.label == "Rerank"]
    assert toggle.disabled
    assert not toggle.value
    assert "not reranked" not in html(test)


def test_the_language_can_be_deselected(app, lexical_index):
    test = app(lexical_index)
    test.segmented_control(key="language").set_value("zh").run()
    test.session_state["language"] = None
    assert not test.run().exception
    assert test.header[0].value == "搜索您的文档"


def test_thumbs_are_stored_with_what_was_shown_and_taken_back(app, lexical_index):
    test = app(lexical_index, q="renew books")
    thumbs = next(iter(test.get("button_group"))) if not getattr(test, "feedback", None) else test.feedback[0]
    thumbs.set_value(1).run()
    assert not test.exception
    assert any("Saved: relevant" in caption.value for caption in test.caption)
    test.feedback[0].set_value(0).run()
    test.feedback[0].set_value(None).run()
    assert [event.action for event in events(lexical_index)] == ["thumb_up", "thumb_down", "withdraw"]
    event = events(lexical_index)[0]
    assert (event.query, event.doc_id, event.generation, event.language) == ("renew books", "loans.md", "000001", "en")
    assert [hit.rank for hit in event.shown] == [1, 2]
    assert event.shown[0].score > event.shown[1].score > 0
    assert event.session == test.session_state["visitor"]


def test_the_answer_is_marked_and_unmarked(app, lexical_index):
    test = app(lexical_index, q="renew books")
    first_button(test, "This is the answer").click().run()
    assert test.feedback[0].value == 1
    first_button(test, "This is the answer").click().run()
    assert test.feedback[0].value is None
    assert [(event.action, event.grade) for event in events(lexical_index)] == [("answer", 2), ("withdraw", None)]


def test_notes_are_stored_for_a_result_and_for_the_whole_answer(app, lexical_index):
    test = app(lexical_index, q="renew books")
    test.text_area[0].set_value("the year is wrong")
    first_button(test, "Save the note").click().run()
    test.text_area[-1].set_value("我要找的是电话号码")
    [element for element in test.button if element.label == "Save the note"][-1].click().run()
    stored = events(lexical_index)
    assert [(event.action, event.note, event.doc_id) for event in stored] == [
        ("note", "the year is wrong", "loans.md"),
        ("note", "我要找的是电话号码", ""),
    ]
    assert test.text_area[0].value == ""
    first_button(test, "Save the note").click().run()
    assert len(events(lexical_index)) == 2, "an empty note is not stored"
    assert any("empty" in error.value for error in test.error)


def test_nothing_is_confirmed_when_it_could_not_be_stored(app, lexical_index):
    feedback_path(lexical_index).write_text("not a database, but a text that is long enough to be seen as one" * 20)
    test = app(lexical_index, q="renew books")
    test.feedback[0].set_value(1).run()
    assert any("Not saved" in error.value for error in test.error)
    assert not any("Saved: relevant" in caption.value for caption in test.caption)


def test_the_context_opens_with_the_passage_marked_and_counts_as_a_click(app, lexical_index):
    test = app(lexical_index, q="renew books")
    first_button(test, "Open the original").click().run()
    assert not test.exception
    assert "class='q-passage'" in html(test)
    assert [event.action for event in events(lexical_index)] == ["click"]


def test_why_shows_ranks_and_scores(app, vector_index, model_loads):
    test = app(vector_index, q="renew books")
    assert not test.get("vega_lite_chart")
    first_button(test, "Why this result?").click().run()
    assert not test.exception
    assert len(test.get("vega_lite_chart")) == 1
    table = test.table[0].value
    assert list(table["Stage"]) == ["Meaning (dense)", "Words (BM25)", "Combined"]
    assert list(table["Rank"]) == ["1", "1", "1"]
    assert "Words found, strongest first: <mark>" in html(test)


def test_models_are_loaded_once_for_all_clicks_and_visitors(app, vector_index, model_loads):
    test = app(vector_index, q="renew books")
    for query in ("续借", "late books", "renew books"):
        ask(test, query)
    test.feedback[0].set_value(1).run()
    first_button(test, "Why this result?").click().run()
    app(vector_index, q="books")
    assert len(model_loads) == 1


def test_a_new_generation_answers_without_loading_the_model_again(app, vector_index, model_loads):
    from quarry.indexer.build import index_documents
    from quarry.indexer.records import Document
    from tests.fakes import WordEmbedder

    test = app(vector_index, q="parking")
    assert "<b>Parking</b>" not in html(test)
    index_documents(vector_index, [Document("p", "Parking is free on Sundays.", "Parking")], WordEmbedder())
    test.run()
    assert "<b>Parking</b>" in html(test)
    assert "generation 000002" in html(test)
    assert len(model_loads) == 1


def test_a_degraded_answer_says_what_is_missing_and_what_to_do(app, lexical_index):
    test = app(lexical_index, q="renew books", route="hybrid")
    shown = html(test)
    assert "q-degraded" in shown
    assert "Search by meaning did not run" in shown
    assert "This index has no vectors" in shown
    assert "quarry doctor" in shown


def test_a_lexical_index_is_searched_by_words_without_complaint(app, lexical_index):
    test = app(lexical_index, q="renew books")
    assert test.session_state["route"] == "bm25"
    assert "class='q-degraded'" not in html(test)


def test_no_result_an_empty_and_a_very_long_question(app, lexical_index):
    test = app(lexical_index, q="xylophone")
    assert any("No passage matches" in info.value for info in test.info)
    ask(test, "   ")
    assert not test.exception
    assert "Loans" in [element.label for element in test.button]
    ask(test, "books 书 " * 3_000)
    assert not test.exception
    assert any("very long" in info.value for info in test.info)
    assert "<b>Loans</b>" in html(test)
    assert "q" not in test.query_params, "an address that long is refused by servers"


def test_an_index_without_documents_invites_to_add_some(app, tmp_path):
    from quarry.indexer.build import index_documents
    from quarry.indexer.build.plan import BuildOptions

    index_documents(tmp_path / "index", [], None, BuildOptions(allow_empty=True))
    test = app(tmp_path / "index")
    assert not test.exception
    assert any("no documents yet" in info.value for info in test.info)
    assert not test.text_input


def test_a_damaged_index_is_an_explained_error(app, lexical_index):
    part_of(lexical_index, "chunks.sqlite").write_bytes(b"x")
    test = app(lexical_index)
    assert not test.exception
    assert any("cannot be opened" in error.value and "rollback" in error.value for error in test.error)


def test_results_can_be_taken_away(app, lexical_index):
    from quarry.app.ui.search.export import to_csv, to_json
    from quarry.retriever.searcher import Searcher, SearchOptions

    test = app(lexical_index, q="renew books")
    assert [element.proto.label for element in test.get("download_button")] == ["JSON", "CSV"]
    answer = Searcher.open(lexical_index).search("renew books", 5, SearchOptions(route="bm25"))
    assert json.loads(to_json(answer))["results"][0]["doc_id"] == "loans.md"
    assert to_csv(answer).decode("utf-8-sig").splitlines()[0].startswith("query,rank,score,stage,title")


def test_uploads_are_added_and_found_and_bad_ones_are_named(app, vector_index, model_loads):
    test = app(vector_index, q="pumps")
    files = [
        ("泵.md", b"# Pumps\n\nPumps are checked in May.", "text/markdown"),
        ("broken.pdf", b"%PDF-1.7 <b>", "x"),
    ]
    test.file_uploader[0].set_value(files)
    button(test, "Add to the index").click().run()
    assert not test.exception
    assert any("1 document added; the index now has 4 documents." in message.value for message in test.success)
    assert "damaged or not what its name says (1)<ul><li><b>broken.pdf</b>: " in html(test)
    assert "<b>Pumps</b>" in html(test)
    assert "upload/泵.md" in html(test)
    assert len(model_loads) == 1


def test_a_folder_is_taken_and_what_was_added_is_taken_out_again(app, lexical_index):
    test = app(lexical_index, q="pumps")
    test.segmented_control(key="upload_kind").set_value("folder").run()
    assert test.file_uploader[0].accept_directory
    assert not test.file_uploader[0].allowed_type, "the readers say what can be read"
    test.file_uploader[0].set_value(
        [("manuals/pumps.md", b"# Pumps\n\nPumps are checked.", "x"), ("manuals/run.py", b"pumps = 3", "x")]
    )
    button(test, "Add to the index").click().run()
    assert any("2 documents added; the index now has 5 documents." in message.value for message in test.success)
    assert "upload/manuals/pumps.md" in html(test)
    button(test, "Take out what was just added").click().run()
    assert any("2 documents would be taken out." in text.value for text in test.text)
    button(test, "Take out").click().run()
    assert not test.exception
    assert any("2 documents taken out" in message.value for message in test.success)
    assert "upload/manuals/pumps.md" not in html(test)
    assert not [element for element in test.button if element.label == "Take out what was just added"]


def test_uploading_nothing_says_so(app, lexical_index):
    test = app(lexical_index)
    button(test, "Add to the index").click().run()
    assert any("Choose a file first" in message.value for message in test.warning)


def test_a_new_generation_answers_the_next_question(app, vector_index, model_loads):
    test = app(vector_index)
    assert "generation 000001" in html(test)
    ask(test, "quagga")
    assert "Quaggas" not in html(test)
    index_documents(
        vector_index, [Document("quagga.md", "A quagga is a zebra. 斑驴是一种斑马。", "Quaggas")], WordEmbedder()
    )
    ask(test, "quagga")
    assert "<b>Quaggas</b>" in html(test)
    assert "generation 000002" in html(test)
    assert len(model_loads) == 1  # the model stays loaded
    for number in range(4):  # while it is looked at, as many as a watched folder makes
        index_documents(vector_index, [Document(f"斑马{number}.md", f"斑马 {number}")], WordEmbedder())
    ask(test, "斑马")
    assert "generation 000006" in html(test)
    assert not test.exception
