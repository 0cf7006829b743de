"""Who may see what: no answer at any door has a word of a document that its key does not open."""

import asyncio
import json
import random

import pytest

pytest.importorskip("fastapi")

from quarry.app.keys import add_key
from quarry.app.server.settings import ServeOptions
from quarry.indexer.build import build_index, index_documents
from quarry.indexer.principals import Principals
from quarry.indexer.records import Document
from quarry.retriever.live import LiveSearcher
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.app.server import principals_world as planted
from tests.app.server.serving import served
from tests.fakes import WordEmbedder


@pytest.mark.parametrize(("seed", "deny"), [(1, False), (2, True)])
def test_no_door_gives_a_word_of_a_hidden_document_away(tmp_path, seed, deny):
    with planted.world(tmp_path, seed, deny=deny) as where:
        statuses = planted.without_leaks(where, random.Random(seed), 1_000)
    assert statuses["search 200"] > 100
    assert statuses["ask 200"] > 20
    assert statuses["metrics 403"] > 5
    assert {"documents 200", "documents 403", "documents 404", "why-not 200", "health 200"} <= set(statuses)


def test_answers_are_those_of_an_index_that_never_had_the_hidden_documents(tmp_path):
    """So neither statistics of terms, nor counts, nor that a word is unknown can tell of them."""
    rng, compared = random.Random(3), 0
    with planted.world(tmp_path / "whole", 3, readers=4) as where:
        for reader in where.readers:
            hidden = {each.document.doc_id for each in reader.hidden}
            assert hidden
            left = [each.document for each in where.planted if each.document.doc_id not in hidden]
            folder = tmp_path / reader.name
            embedder = WordEmbedder()
            index_documents(folder, left[: len(left) // 2], embedder)
            index_documents(folder, left[len(left) // 2 :], embedder)
            with served(ServeOptions(folder, rerank="none"), embedder) as alone:
                for _ in range(40):
                    asked = planted.request(rng, where.planted)
                    method, path, body = asked
                    if path not in ("/search", "/why-not") and not path.startswith("/documents"):
                        continue
                    if method == "DELETE" or path == "/documents/delete":
                        continue
                    if body is not None:
                        body.update(route="bm25", strength=False)  # fusion is weighed by measures of the whole index
                    mine = planted.send(where.one.client, reader, asked)
                    theirs = alone.client.request(method, path, json=body)
                    assert planted.comparable(mine.text) == planted.comparable(theirs.text), asked
                    compared += 1
    assert compared > 60


def test_a_key_without_principals_sees_everything_and_may_write(tmp_path):
    with planted.world(tmp_path, 4, readers=2) as where:
        secret = planted.add_key(where.one.services.settings.index, "root", None)
        headers = {"Authorization": f"Bearer {secret}"}
        listed = where.one.client.get("/documents?count=1000", headers=headers).json()
        assert listed["total"] == len(where.planted)
        added = {"documents": [{"id": "new", "text": "A new document."}]}
        assert where.one.client.post("/documents", json=added, headers=headers).status_code == 202
        reading = {"Authorization": f"Bearer {where.readers[0].secret}"}
        refused = where.one.client.post("/documents", json=added, headers=reading)
        assert (refused.status_code, refused.json()["error"]["reason"]) == (403, "serve.key_reads_only")


def test_requests_of_different_readers_are_not_computed_together(tmp_path):
    with planted.world(tmp_path, 5) as where:
        first, second = (
            next(each for each in where.readers if len(each.hidden) == count)
            for count in sorted({len(each.hidden) for each in where.readers})[:2]
        )

        async def both():
            import httpx

            async with httpx.AsyncClient(base_url=where.one.url, timeout=30) as client:
                sent = [
                    client.post(
                        "/search",
                        json={"query": "books", "k": 100, "strength": False},
                        headers={"Authorization": f"Bearer {reader.secret}"},
                    )
                    for reader in (first, second) * 20
                ]
                return await asyncio.gather(*sent)

        for reader, answer in zip((first, second) * 20, asyncio.run(both()), strict=True):
            assert answer.status_code == 200
            assert not planted.leaks("books", answer.text, reader)


def test_without_a_key_nothing_is_answered_but_what_is_open(tmp_path):
    with planted.world(tmp_path, 6) as where:
        assert where.one.client.post("/search", json={"query": "books"}).status_code == 401
        wrong = {"Authorization": "Bearer qk_wrong"}
        assert where.one.client.get("/documents", headers=wrong).status_code == 401
        public = [each for each in where.planted if Principals.of("").may_see(each.document.meta)]
        assert where.one.client.get("/health").json()["documents"] == len(public)


def test_a_file_of_many_documents_is_handed_over_to_who_may_see_all_of_them(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    rows = [
        {"_id": "gate", "text": "The gate opens at nine."},
        {"_id": "pay", "text": "The keeper earns zebrafish.", "metadata": {"allow": ["board"]}},
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (folder / "open.md").write_text("# Hours\n\nThe gate is shut at noon.", "utf-8")
    embedder = WordEmbedder()
    build_index(tmp_path / "index", [folder], embedder)
    keys = {who: add_key(tmp_path / "index", who, [who]) for who in ("ann", "board")}
    with served(ServeOptions(tmp_path / "index", rerank="none"), embedder) as one:

        def get(who, path):
            return one.client.get(path, headers={"Authorization": f"Bearer {keys[who]}"})

        assert "zebrafish" in get("board", "/originals/docs/rows.jsonl/gate").text
        assert get("ann", "/originals/docs/open.md").status_code == 200
        refused = get("ann", "/originals/docs/rows.jsonl/gate")
        assert (refused.status_code, "zebrafish" in refused.text) == (404, False)
        sizes = {
            who: {each["id"]: each["bytes"] for each in get(who, "/documents").json()["documents"]} for who in keys
        }
        assert sizes["board"]["docs/rows.jsonl/gate"] == (folder / "rows.jsonl").stat().st_size
        assert sizes["ann"] == {"docs/rows.jsonl/gate": None, "docs/open.md": sizes["board"]["docs/open.md"]}


def test_a_reader_does_not_learn_where_files_are_on_the_server(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.md").write_text(f"The gate of hall {number} opens at nine.", "utf-8")
    embedder = WordEmbedder()
    build_index(tmp_path / "index", [folder], embedder)
    (folder / "2.md").unlink()
    secret = add_key(tmp_path / "index", "ann", ["ann"])
    options = ServeOptions(tmp_path / "index", rerank="none", token="owner-owner-owner")
    with served(options, embedder) as one:
        asked = {"query": "hall 0", "document": "2.md", "k": 1}
        mine, owners = (
            one.client.post("/why-not", json=asked, headers={"Authorization": f"Bearer {key}"}).text
            for key in (secret, "owner-owner-owner")
        )
    assert "its file is gone" in owners
    assert str(tmp_path) not in mine


def small(tmp_path):
    documents = [
        Document("open.md", "The gate opens at nine.", "Gate", {}),
        Document("pay.md", "The gate keeper earns 4,000.", "Salaries", {"allow": ["board"]}),
    ]
    index_documents(tmp_path / "index", documents, None)
    return tmp_path / "index"


def test_a_library_user_asks_as_somebody(tmp_path):
    searcher = Searcher.open(small(tmp_path))
    for principals, expected in (
        (None, {"open.md", "pay.md"}),
        (Principals.of("board"), {"open.md", "pay.md"}),
        (Principals.of("ann"), {"open.md"}),
        (Principals.of("board", unlabeled=False), {"pay.md"}),
        (Principals.of(()), {"open.md"}),
    ):
        answer = searcher.search("gate keeper", options=SearchOptions(principals=principals))
        assert {hit.doc_id for hit in answer.results} == expected, principals


def test_a_searcher_that_hides_something_never_shows_more(tmp_path):
    ann = Searcher.open(small(tmp_path)).seen_by(Principals.of("ann"))
    for asked in (None, Principals.of("board"), Principals.of("ann, board")):
        answer = ann.search("gate keeper", options=SearchOptions(principals=asked))
        assert {hit.doc_id for hit in answer.results} == {"open.md"}


def test_a_newer_generation_is_hidden_alike(tmp_path):
    index = small(tmp_path)
    live = LiveSearcher(index)
    ann = live.seen_by(Principals.of("ann"))
    assert len(ann.searcher.search("gate").results) == 1
    index_documents(index, [Document("open.md", "The gate opens at nine.", "Gate", {"allow": "board"})], None)
    ann.refresh()
    assert ann.searcher.search("gate").results == ()
    assert len(live.searcher.search("gate").results) == 2


@pytest.mark.parametrize(
    ("meta", "seen"),
    [
        ({}, True),
        ({"allow": "ann"}, True),
        ({"allow": " ann ;bob"}, True),
        ({"allow": ["bob", "ann"]}, True),
        ({"allow": "*"}, True),
        ({"ALLOW ": "bob"}, False),
        ({"allow": "Ann"}, False),
        ({"allow": []}, False),
        ({"allow": None}, False),
        ({"allow": True}, False),
        ({"allow": {"ann": "yes"}}, False),
        ({"allow": ""}, False),
        ({"allow": "ann", "Allow": "bob"}, False),
    ],
)
def test_what_cannot_be_read_is_hidden(meta, seen):
    assert Principals.of("ann").may_see(meta) is seen
