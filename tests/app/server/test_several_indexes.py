"""`quarry serve INDEX --also INDEX`: a search of both, with the keys of the first."""

import pytest

pytest.importorskip("fastapi")

from quarry.app.keys import add_key
from quarry.app.server.settings import ServeOptions
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from tests.app.server.serving import served, small_index

PUMPS = [
    Document("valve.md", "Open the drain valve before the pump is removed.", "Valve", {}),
    Document("pay.md", "The pump keeper is paid monthly.", "Pay", {"allow": "board"}),
]


def test_a_server_searches_several_indexes_and_hides_in_all(tmp_path):
    books = small_index(tmp_path / "books")
    index_documents(tmp_path / "pumps", PUMPS, None)
    ann = add_key(books, "ann", ["ann"])
    with served(ServeOptions(books, also=(tmp_path / "pumps",))) as one:
        headers = {"Authorization": f"Bearer {ann}"}

        def search(query, **more):
            return one.client.post("/search", json={"query": query, **more}, headers=headers).json()

        assert (search("drain valve")["results"][0]["index"], search("renew books")["results"][0]["index"]) == (
            "pumps",
            "books",
        )
        assert {hit["doc_id"] for hit in search("pump keeper paid", k=50)["results"]}.isdisjoint({"pay.md"})
        index_documents(tmp_path / "pumps", [Document("new.md", "A zebra walks.", "Zebra", {})], None)
        one.services.also[0].refresh()
        assert search("zebra")["results"][0]["doc_id"] == "new.md"
