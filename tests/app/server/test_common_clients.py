"""What programs written for OpenAI, Cohere, Jina and Voyage send is answered as they expect; with their own clients where installed."""

import numpy as np
import pytest

pytest.importorskip("fastapi")

from quarry.app.server.settings import ServeOptions
from tests.app.server.serving import served, small_index
from tests.fakes import OverlapReranker, WordEmbedder

PASSAGES = ["closed on Mondays", "renew books online", "books"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    index = small_index(tmp_path_factory.mktemp("clients") / "index", WordEmbedder())
    with served(ServeOptions(index), WordEmbedder(), OverlapReranker()) as running:
        yield running


def test_the_models_are_listed_and_can_be_asked_for_by_name(server):
    body = server.client.get("/v1/models").json()
    assert body["object"] == "list"
    names = {model["kind"]: model["id"] for model in body["data"]}
    assert names == {"embedder": "tests/words", "reranker": OverlapReranker().name}
    assert server.client.get("/v1/models/tests/words").json() == body["data"][0]
    missing = server.client.get("/v1/models/gpt")
    assert missing.status_code == 404
    assert "tests/words" in missing.json()["error"]["expected"]
    for kind, path, asked in (
        ("embedder", "/v1/embeddings", {"input": "books"}),
        ("reranker", "/v1/rerank", {"query": "books", "documents": PASSAGES}),
    ):
        assert server.client.post(path, json={**asked, "model": names[kind]}).status_code == 200


def test_a_server_without_models_lists_none(tmp_path):
    with served(ServeOptions(small_index(tmp_path / "index"), rerank="none")) as running:
        assert running.client.get("/v1/models").json()["data"] == []


def test_2048_texts_come_back_in_order(server):
    texts = [f"text number {place}" for place in range(2_048)]
    data = server.client.post("/v1/embeddings", json={"input": texts}).json()["data"]
    assert [row["index"] for row in data] == list(range(2_048))
    np.testing.assert_allclose(data[-1]["embedding"], WordEmbedder().embed_documents(texts[-1:])[0], rtol=1e-6)
    assert server.client.post("/v1/embeddings", json={"input": [*texts, "one more"]}).status_code == 422


@pytest.mark.parametrize(
    ("path", "body", "nulls"),
    [
        (
            "/v1/embeddings",
            {"input": ["books"]},
            ("model", "encoding_format", "dimensions", "user", "input_type"),
        ),
        (
            "/v1/rerank",
            {"query": "books", "documents": PASSAGES},
            ("model", "top_n", "top_k", "return_documents", "max_chunks_per_doc", "rank_fields", "max_tokens_per_doc"),
        ),
    ],
)
def test_null_counts_as_absent(server, path, body, nulls):
    answer = server.client.post(path, json={**body, **dict.fromkeys(nulls)})
    plain = server.client.post(path, json=body).json()
    assert {**answer.json(), "id": ""} == {**plain, "id": ""}


@pytest.mark.parametrize("ids", [[15339, 1917], [[15339, 1917]], [[15339], [1917]]])
def test_token_ids_are_refused_with_the_setting_that_avoids_them(server, ids):
    answer = server.client.post("/v1/embeddings", json={"input": ids})
    assert answer.status_code == 422
    assert "check_embedding_ctx_length=False" in answer.json()["error"]["do"]


def test_names_of_input_types_that_other_apis_have(server):
    def vector(**more):
        body = {"input": [{"text": "renew books"}], **more}
        return server.client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]

    query, passage = vector(input_type="query"), vector()
    assert vector(input_type="search_query") == query
    assert (
        vector(input_type="document") == vector(input_type="passage") == vector(input_type="search_document") == passage
    )


def test_voyages_top_k_is_top_n(server):
    body = {"query": "renew books", "documents": PASSAGES, "top_k": 1}
    assert [hit["index"] for hit in server.client.post("/v1/rerank", json=body).json()["results"]] == [1]


def test_openais_own_client(server):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    (embedder, _) = [model.id for model in client.models.list()]
    found = client.embeddings.create(model=embedder, input=["renew books", "网上续借"])  # asks for base64 by itself
    np.testing.assert_allclose(
        [row.embedding for row in found.data],
        WordEmbedder().embed_documents(["renew books", "网上续借"]),
        rtol=1e-6,
    )
    assert found.usage.total_tokens > 0
    as_numbers = client.embeddings.create(model=embedder, input="renew books", encoding_format="float")
    assert as_numbers.data[0].embedding == pytest.approx(found.data[0].embedding)
    with pytest.raises(openai.NotFoundError, match="tests/words"):
        client.embeddings.create(model="text-embedding-3-small", input="renew books")


def test_coheres_own_client(server):
    cohere = pytest.importorskip("cohere", reason="cohere is not installed")
    for client in (cohere.ClientV2("none", base_url=server.url), cohere.Client("none", base_url=server.url)):
        found = client.rerank(model=OverlapReranker().name, query="renew books", documents=PASSAGES, top_n=2)
        assert [hit.index for hit in found.results] == [1, 2]


def test_voyages_own_client(server):
    """Voyage's answers have `data` where Cohere and Jina have `results`; its embeddings are OpenAI's."""
    voyageai = pytest.importorskip("voyageai", reason="voyageai is not installed")
    client = voyageai.Client("none", base_url=f"{server.url}/v1")
    found = client.embed(["renew books"], model="tests/words", input_type="query")
    np.testing.assert_allclose(found.embeddings, WordEmbedder().embed_queries(["renew books"]), rtol=1e-6)
