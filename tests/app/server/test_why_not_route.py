"""`POST /why-not` over a real socket."""

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.settings import ServeOptions
from tests.app.server.serving import served, small_index
from tests.fakes import WordEmbedder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    embedder = WordEmbedder()
    with served(ServeOptions(small_index(tmp_path_factory.mktemp("why") / "index", embedder)), embedder) as running:
        yield running


def test_the_change_that_is_returned_shows_the_document_when_it_is_sent_to_search(server):
    asked = {"query": "网上续借", "k": 1, "filters": {"lang": "en"}, "document": "借书.md"}
    found = server.client.post("/why-not", json=asked).json()
    assert (found["stage"], found["doc_ids"]) == ("filter", ["借书.md"])
    change = {
        key: value for key, value in found["change"].items() if key not in ("steps", "rank") and value is not None
    }
    results = server.client.post("/search", json=change).json()["results"]
    assert results[found["change"]["rank"] - 1]["doc_id"] == "借书.md"


def test_a_document_that_is_not_there_is_an_answer_and_a_wrong_request_is_a_problem(server):
    found = server.client.post("/why-not", json={"query": "books", "document": "loan.md"}).json()
    assert (found["stage"], found["alike"][0], found["change"]) == ("not_indexed", "loans.md", None)
    for wrong in ({"query": "books"}, {"query": " ", "document": "a"}, {"query": "a", "document": ""}):
        assert server.client.post("/why-not", json=wrong).status_code == 422
    assert server.client.post("/why-not", json={"query": "-books", "document": "loans.md"}).status_code in (400, 422)
