"""Small indexes for the adapters: with vectors of the fake embedder, and lexical only with documents of the demo corpus."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quarry.demo_corpus import documents_path
from quarry.indexer.build import build_index, index_documents
from quarry.indexer.records import Document
from tests.fakes import WordEmbedder

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [
    Document(
        "loans.md", "# Loans\n\nBorrow ten books for thirty days. Renew books twice online.", "Loans", {"lang": "en"}
    ),
    Document("printer.md", "# Printer\n\nThe PR-200 takes PLA filament. Clean the nozzle.", "Printer", {"lang": "en"}),
    Document("借书.md", "# 借书\n\n每位读者可以借十本书，借期三十天，可以在网上续借两次。", "借书", {"lang": "zh"}),
    Document("hours.md", "Page one.\n\f\nThe library opens at nine and closes at eight.", "Hours", {"lang": "en"}),
]


class TwoFormats(WordEmbedder):
    """Puts the kind of text in front, as e5 does."""

    def embed_queries(self, texts):
        return super().embed_queries([f"query {text}" for text in texts])


def pytest_configure(config):
    """Allow the marks in LangChain's standard tests of parts that we have none of."""
    for mark in ("benchmark", "vcr"):
        config.addinivalue_line("markers", f"{mark}: of langchain-tests")


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS, WordEmbedder())
    return tmp_path / "index"


@pytest.fixture
def lexical_index(tmp_path):
    index_documents(tmp_path / "lexical", DOCUMENTS, None)
    return tmp_path / "lexical"


@pytest.fixture
def run_example(tmp_path):
    """Run a script of examples/ on an index of three demo documents, as a user does; returns what it prints."""
    docs = tmp_path / "documents"
    docs.mkdir()
    for name in ("en/chloroplast-1.md", "zh/黑死病-1.jsonl", "en/steam-engine-1.md"):
        shutil.copy(documents_path() / name, docs)
    build_index(tmp_path / "demo", [docs], None)

    def run(script: str) -> str:
        code = (ROOT / "examples" / script).read_text(encoding="utf-8")
        assert len(code.splitlines()) < 40
        offline = {"HF_ENDPOINT": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / script), str(tmp_path / "demo")],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**os.environ, **offline},
            cwd=tmp_path,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def import_without():
    """Import a module in a process where a framework is not installed; returns what is printed of the error."""

    def run(module: str, framework: str) -> str:
        code = (
            f"import sys; sys.modules[{framework!r}] = None\nfrom quarry.indexer.errors import MissingExtraError\n"
            f"try:\n    import {module}\nexcept MissingExtraError as err:\n    print(err)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
