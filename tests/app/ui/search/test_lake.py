"""The search page on a lake."""

from quarry.indexer.stores.lake import view
from quarry.indexer.stores.lake.view import as_index
from tests.app.ui.conftest import DOCUMENTS
from tests.indexer.lake.lakes import filled_lake


def test_the_search_page_shows_results_of_a_lake(app, model_loads, tmp_path, monkeypatch):
    monkeypatch.setattr(view, "cache_folder", lambda: tmp_path / "cache")
    folder = tmp_path / "docs"
    folder.mkdir()
    for document in DOCUMENTS:
        (folder / document.doc_id).write_text(document.text, "utf-8")
    filled_lake(tmp_path / "lake", folder)
    test = app(as_index(tmp_path / "lake"))
    assert not test.exception
    test.text_input(key="q").set_value("renew books")
    next(one for one in test.button if one.label == "Search").click().run()
    assert not test.exception
    shown = "\n".join(element.proto.body for element in test.get("html"))
    assert "<mark>Renew</mark> <mark>books</mark> twice online" in shown
    for page in ("documents", "index", "feedback", "evaluate", "training"):
        other = app(as_index(tmp_path / "lake"), page=page)
        assert not other.exception, page
