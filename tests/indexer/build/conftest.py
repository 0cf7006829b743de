"""What the tests of builds share."""

import pytest

from quarry.indexer.build import delete_documents, index_documents
from quarry.indexer.build.plan import BuildOptions
from tests.fakes import WordEmbedder
from tests.indexer.build.segmented import DIM, corpus
from tests.indexer.writing import keep_segments


@pytest.fixture
def segmented(tmp_path, monkeypatch):
    """An index of three segments, of which one lacks a document."""
    keep_segments(monkeypatch)
    index = tmp_path / "index"
    for first, count in ((0, 30), (30, 10), (40, 5)):
        index_documents(index, corpus(first, count), WordEmbedder(dim=DIM), BuildOptions(store="exact"))
    delete_documents(index, ["d3"], WordEmbedder(dim=DIM))
    return index
