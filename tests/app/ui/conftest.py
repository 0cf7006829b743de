"""Indexes for the app's tests: lexical only, or with a stand-in for a model; the caches of Streamlit are emptied each time."""

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from tests.fakes import WordEmbedder

MAIN = str(Path(__file__).resolve().parents[3] / "app" / "ui" / "entry" / "main.py")
DOCUMENTS = [
    Document(
        "loans.md",
        "# Loans\n\nBorrow ten books for thirty days. Renew books twice online.",
        "Loans",
        {"lang": "en", "format": "md"},
    ),
    Document("借书.md", "# 借书\n\n每位读者可以借十本书，可以在网上续借两次。", "借书", {"lang": "zh", "format": "md"}),
    Document(
        "fees.txt",
        "Late books cost ten cents a day. Lost books are paid in full.",
        "Fees",
        {"lang": "en", "format": "txt"},
    ),
]


@pytest.fixture(autouse=True)
def _fresh_caches():
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


@pytest.fixture
def lexical_index(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS, None)
    return tmp_path / "index"


@pytest.fixture
def vector_index(tmp_path, monkeypatch):
    """An index with vectors of a stand-in model; `vector_index.loads` counts how often the app loads that model."""
    index_documents(tmp_path / "index", DOCUMENTS, WordEmbedder())
    return tmp_path / "index"


@pytest.fixture
def model_loads(monkeypatch):
    """Lets the app load the stand-in where it would load a model; the list grows by one at each load."""
    from types import SimpleNamespace

    loads: list[str] = []

    def load(folder, **_options):
        loads.append(str(folder))
        return WordEmbedder()

    source = SimpleNamespace(folder=Path("words"), model="tests/words", revision="1", origin="folder", trail=())
    monkeypatch.setattr("quarry.indexer.models.source.resolve_model", lambda *_a, **_k: source)
    monkeypatch.setattr("quarry.indexer.models.encoder.load_embedder", load)
    return loads


@pytest.fixture
def app(monkeypatch):
    """Start the app on an index, as a browser that speaks English."""

    def start(index: Path, *, rerank: str = "none", password: str = "", **query) -> AppTest:
        monkeypatch.setenv("QUARRY_UI_INDEX", str(index))
        monkeypatch.setenv("QUARRY_UI_RERANK", rerank)
        monkeypatch.setenv("QUARRY_UI_DEVICE", "cpu")
        monkeypatch.setenv("QUARRY_UI_PASSWORD", password)
        test = AppTest.from_file(MAIN, default_timeout=60)
        for name, value in query.items():
            test.query_params[name] = value
        return test.run()

    return start
