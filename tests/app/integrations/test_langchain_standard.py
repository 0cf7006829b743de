"""LangChain's own standard test-suites (package langchain-tests), as every integration has to pass them."""

import pytest

pytest.importorskip("langchain_tests", reason="needs LangChain's standard tests (pip install langchain-tests)")
pytest.importorskip("pytest_asyncio")
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from quarry.app.integrations.langchain import QuarryEmbeddings, QuarryRetriever
from quarry.app.integrations.langchain_store import QuarryVectorStore
from quarry.indexer.build import index_documents
from quarry.retriever.searcher import Searcher
from tests.app.integrations.conftest import DOCUMENTS
from tests.fakes import WordEmbedder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio,
    pytest.mark.filterwarnings("ignore:.*asyncio:pytest.PytestWarning"),  # half of the tests are async
]


class TestQuarryVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path):
        return QuarryVectorStore(tmp_path / "index", QuarryEmbeddings(WordEmbedder()))


class TestQuarryRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def searcher(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("retriever")
        index_documents(folder, DOCUMENTS, WordEmbedder())
        self.opened = Searcher.open(folder, embedder=WordEmbedder())

    @property
    def retriever_constructor(self):
        return QuarryRetriever

    @property
    def retriever_constructor_params(self):
        return {"searcher": self.opened}

    @property
    def retriever_query_example(self):
        return "books 续借"
