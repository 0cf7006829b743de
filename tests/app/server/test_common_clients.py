"""What programs written for OpenAI, Cohere, Jina and Voyage send is answered as they expect; with their own clients."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")

from quarry.app.server.models.served_models import read_aliases
from quarry.app.server.settings import ServeOptions
from quarry.indexer.errors import SettingsError
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
    assert names == {"embedder": "tests/words", "reranker": OverlapReranker().name, "answers": "index"}
    assert server.client.get("/v1/models/tests/words").json() == body["data"][0]
    missing = server.client.get("/v1/models/gpt")
    assert missing.status_code == 404
    assert "tests/words" in missing.json()["error"]["expected"]
    for kind, path, asked in (
        ("embedder", "/v1/embeddings", {"input": "books"}),
        ("reranker", "/v1/rerank", {"query": "books", "documents": PASSAGES}),
    ):
        assert server.client.post(path, json={**asked, "model": names[kind]}).status_code == 200


def test_a_server_without_models_lists_the_index_alone(tmp_path):
    with served(ServeOptions(small_index(tmp_path / "index"), rerank="none")) as running:
        assert [model["kind"] for model in running.client.get("/v1/models").json()["data"]] == ["answers"]
        assert running.client.post("/v1/embeddings", json={"input": "a", "model": "b"}).status_code == 409


def test_a_model_from_a_folder_is_called_by_its_name_and_no_path_of_the_machine_is_told(tmp_path):
    class FromFolder(OverlapReranker):
        name = str(tmp_path / "models" / "bge-reranker-base")

    index = small_index(tmp_path / "index", WordEmbedder())
    with served(ServeOptions(index), WordEmbedder(), FromFolder()) as running:
        listed = running.client.get("/v1/models").text
        assert str(tmp_path) not in listed
        assert "bge-reranker-base" in listed
        asked = {"query": "renew books", "documents": PASSAGES}
        for name in ("bge-reranker-base", FromFolder.name):
            answer = running.client.post("/v2/rerank", json={**asked, "model": name}).json()
            assert answer["model"] == "bge-reranker-base"
        short = running.client.post("/v1/embeddings", json={"input": "books", "model": "words"})
        assert short.json()["model"] == "tests/words"


def test_an_alias_stands_for_a_model_of_its_kind_only(tmp_path):
    index = small_index(tmp_path / "index", WordEmbedder())
    aliases = read_aliases(["text-embedding-ada-002=embedder", "rerank-v3.5=reranker"])
    with served(ServeOptions(index, aliases=aliases), WordEmbedder(), OverlapReranker()) as running:
        asked = {"input": "books", "model": "text-embedding-ada-002"}
        assert running.client.post("/v1/embeddings", json=asked).json()["model"] == "tests/words"
        wrong = running.client.post("/v1/embeddings", json={**asked, "model": "rerank-v3.5"})
        assert wrong.status_code == 404
        assert "--alias NAME=embedder" in wrong.json()["error"]["do"]
        assert running.client.get("/v1/models/rerank-v3.5").json()["kind"] == "reranker"
    with pytest.raises(SettingsError, match="NAME=embedder"):
        read_aliases(["gpt-4o"])


class Matryoshka(WordEmbedder):
    """Says that it is a model which was trained to be cut."""

    def __init__(self):
        super().__init__(dim=1024)
        self.spec = replace(self.spec, model="Qwen/Qwen3-Embedding-0.6B")


def test_dimensions_cut_a_model_that_was_trained_for_it(tmp_path, server):
    index = small_index(tmp_path / "index", Matryoshka())
    with served(ServeOptions(index, rerank="none"), Matryoshka()) as running:

        def vector(**more):
            return running.client.post("/v1/embeddings", json={"input": "renew books", **more})

        whole, cut = (np.array(vector(**more).json()["data"][0]["embedding"]) for more in ({}, {"dimensions": 256}))
        np.testing.assert_allclose(cut, whole[:256] / np.linalg.norm(whole[:256]), rtol=1e-5)
        wrong = vector(dimensions=300)
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (409, "other_dimensions")
        assert "1024, 768, 512, 256, 128, 64, 32" in wrong.json()["error"]["expected"]
    fixed = server.client.post("/v1/embeddings", json={"input": "books", "dimensions": 32}).json()["error"]
    assert fixed["expected"] == "64: this model was not trained for shorter vectors"


def test_top_k_is_k_and_an_unknown_field_is_named_with_the_known_ones(server):
    asked = {"query": "books", "route": "bm25"}
    assert len(server.client.post("/search", json={**asked, "top_k": 1}).json()["results"]) == 1
    wrong = server.client.post("/search", json={**asked, "limit": 3})
    error = wrong.json()["error"]
    assert (wrong.status_code, error["code"], error["reason"]) == (422, "invalid_request", "serve.unknown_field")
    assert error["message"].startswith("unknown field limit; expected some of query, k, top_k")


def test_results_say_how_well_they_fit_unless_told_not_to(server):
    asked = {"query": "renew books online", "top_k": 2}
    body = server.client.post("/search", json=asked).json()
    assert [0 <= hit["strength"] <= 1 for hit in body["results"]] == [True, True]
    assert {hit["fit"] for hit in body["results"]} <= {"strong", "fair", "weak"}
    assert body["nothing_fits"] in (True, False)
    without = server.client.post("/search", json={**asked, "strength": False}).json()
    assert [(hit["strength"], hit["fit"]) for hit in without["results"]] == [(None, None)] * 2
    assert without["nothing_fits"] is None
    assert [hit["chunk_id"] for hit in without["results"]] == [hit["chunk_id"] for hit in body["results"]]


def test_jinas_requests(server):
    def vector(**more):
        body = {"model": "tests/words", "input": [{"text": "renew books"}], "normalized": True, **more}
        return server.client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]

    assert vector(task="retrieval.query", embedding_type="float") == vector(input_type="query")
    assert vector(task="retrieval.passage") == vector()
    assert isinstance(vector(embedding_type="base64"), str)
    body = {"model": OverlapReranker().name, "query": "renew books", "documents": PASSAGES, "top_n": 1}
    (best,) = server.client.post("/v1/rerank", json={**body, "return_documents": True}).json()["results"]
    assert (best["index"], best["document"]) == (1, {"text": "renew books online"})


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
def test_token_ids_are_refused_with_the_setting_that_avoids_them(server, ids, tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))  # OpenAI's vocabulary is not on this machine
    answer = server.client.post("/v1/embeddings", json={"input": ids})
    assert answer.status_code == 422
    assert "check_embedding_ctx_length=False" in answer.json()["error"]["do"]


@pytest.fixture
def vocabulary(monkeypatch):
    """OpenAI's vocabulary, of which llama-index-core has a copy."""
    core = find_spec("llama_index.core")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(Path(core.origin).parent / "_static" / "tiktoken_cache"))


def test_token_ids_are_decoded_where_their_vocabulary_is(server, vocabulary):
    import tiktoken

    texts = ["renew books", "网上续借"]
    ids = tiktoken.get_encoding("cl100k_base").encode_batch(texts)
    for sent, expected in ((ids, texts), (ids[0], texts[:1])):
        data = server.client.post("/v1/embeddings", json={"input": sent}).json()["data"]
        np.testing.assert_allclose(
            [row["embedding"] for row in data], WordEmbedder().embed_documents(expected), rtol=1e-6
        )


def test_langchains_client_with_its_defaults(tmp_path, vocabulary):
    import langchain_openai as openai

    index = small_index(tmp_path / "index", WordEmbedder())
    settings = ServeOptions(index, rerank="none", aliases={"text-embedding-ada-002": "embedder"})
    with served(settings, WordEmbedder()) as running:
        client = openai.OpenAIEmbeddings(base_url=f"{running.url}/v1", api_key="none")  # sends token ids
        found = client.embed_documents(["renew books", "网上续借"])
        np.testing.assert_allclose(found, WordEmbedder().embed_documents(["renew books", "网上续借"]), rtol=1e-5)
        np.testing.assert_allclose(client.embed_query("books"), WordEmbedder().embed_documents(["books"])[0], rtol=1e-5)


def test_names_of_input_types_that_other_apis_have(server):
    def vector(**more):
        body = {"input": [{"text": "renew books"}], **more}
        return server.client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]

    query, passage = vector(input_type="query"), vector()
    assert vector(input_type="search_query") == query
    assert (
        vector(input_type="document") == vector(input_type="passage") == vector(input_type="search_document") == passage
    )


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_voyages_top_k_is_top_n_and_its_answer_has_data(server, path):
    body = {"query": "renew books", "documents": PASSAGES, "top_k": 1, "truncation": True, "return_documents": True}
    answer = server.client.post(path, json=body).json()
    assert [hit["index"] for hit in answer["results"]] == [hit["index"] for hit in answer["data"]] == [1]
    assert answer["data"][0]["document"] == PASSAGES[1]
    assert answer["usage"]["total_tokens"] > 0


def test_who_does_not_ask_as_voyage_gets_no_second_list(server):
    answer = server.client.post("/v1/rerank", json={"query": "renew books", "documents": PASSAGES, "top_n": 2}).json()
    assert "data" not in answer
    assert [hit["index"] for hit in answer["results"]] == [1, 2]


def test_openais_own_client(server):
    import openai

    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    embedder = client.models.list().data[0].id
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
    import cohere

    for client in (cohere.ClientV2("none", base_url=server.url), cohere.Client("none", base_url=server.url)):
        found = client.rerank(model=OverlapReranker().name, query="renew books", documents=PASSAGES, top_n=2)
        assert [hit.index for hit in found.results] == [1, 2]


def test_coheres_embed_is_the_embedding_of_the_index(server):
    asked = {"model": "tests/words", "texts": ["renew books", "网上续借"], "embedding_types": ["float"]}
    passages = server.client.post(
        "/v2/embed", json={**asked, "input_type": "search_document", "truncate": "END"}
    ).json()
    np.testing.assert_allclose(
        passages["embeddings"]["float"], WordEmbedder().embed_documents(asked["texts"]), rtol=1e-6
    )
    assert passages["texts"] == asked["texts"]
    queries = server.client.post("/v2/embed", json={**asked, "input_type": "search_query"}).json()
    np.testing.assert_allclose(queries["embeddings"]["float"], WordEmbedder().embed_queries(asked["texts"]), rtol=1e-6)
    refused = server.client.post("/v2/embed", json={**asked, "embedding_types": ["int8"]})
    assert refused.status_code == 422
    assert server.client.post("/v2/embed", json={**asked, "model": "embed-v4.0"}).status_code == 404


def test_coheres_own_client_embeds(server):
    import cohere

    client = cohere.ClientV2("none", base_url=server.url)
    found = client.embed(
        model="tests/words", texts=["renew books"], input_type="search_query", embedding_types=["float"]
    )
    np.testing.assert_allclose(found.embeddings.float_, WordEmbedder().embed_queries(["renew books"]), rtol=1e-5)


def test_voyages_own_client(server):
    """Voyage's answers have `data` where Cohere and Jina have `results`."""
    import voyageai

    client = voyageai.Client("none", base_url=f"{server.url}/v1")
    found = client.embed(["renew books"], model="tests/words", input_type="query")
    np.testing.assert_allclose(found.embeddings, WordEmbedder().embed_queries(["renew books"]), rtol=1e-6)
    for asked, order in (({}, [1, 2, 0]), ({"top_k": 2}, [1, 2])):
        ranked = client.rerank("renew books", PASSAGES, model=OverlapReranker().name, **asked)
        assert [hit.index for hit in ranked.results] == order
        assert [hit.document for hit in ranked.results] == [PASSAGES[place] for place in order]
        assert ranked.total_tokens > 0


def test_jinas_own_client(server):
    """Jina's package of Haystack: it sends `task` and `late_chunking`, and reads `results`, `usage` and, of errors, `detail`."""
    from haystack import Document
    from haystack.utils import Secret
    from haystack_integrations.components.embedders.jina import JinaDocumentEmbedder, JinaTextEmbedder
    from haystack_integrations.components.rankers.jina import JinaRanker

    key, model = Secret.from_token("none"), "tests/words"
    embeddings = f"{server.url}/v1/embeddings"
    query = JinaTextEmbedder(key, model, task="retrieval.query", base_url=embeddings).run("renew books")
    np.testing.assert_allclose(query["embedding"], WordEmbedder().embed_queries(["renew books"])[0], rtol=1e-6)
    documents = [Document(content=passage) for passage in PASSAGES]
    embedder = JinaDocumentEmbedder(
        key, model, task="retrieval.passage", late_chunking=False, progress_bar=False, base_url=embeddings
    )
    embedded = embedder.run(documents)
    np.testing.assert_allclose(
        [document.embedding for document in embedded["documents"]], WordEmbedder().embed_documents(PASSAGES), rtol=1e-6
    )
    ranker = JinaRanker(OverlapReranker().name, key, top_k=2, base_url=f"{server.url}/v1/rerank")
    assert [hit.content for hit in ranker.run("renew books", documents)["documents"]] == PASSAGES[1:]
    with pytest.raises(RuntimeError, match="tests/words"):
        JinaTextEmbedder(key, "jina-embeddings-v3", base_url=embeddings).run("renew books")
