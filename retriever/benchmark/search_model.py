"""The whole search as an mteb model, so that retrieval and reranking tasks measure what users get.

    bm25, dense, hybrid    one route of an index of the task's corpus, as it is served
    ... +rerank            with its second stage: late interaction, or a reranker
    mteb-bm25              mteb's own BM25 baseline, to lay beside
    reranker               the reranker alone, as mteb's cross-encoder: it orders the candidates of reranking tasks

An index is made in a temporary folder for each corpus. Candidates of a reranking task are searched through a filter, so nothing else
competes; those that a route does not find stand last, in the order of their ids.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import SettingsError
from quarry.indexer.lexical.languages import LANGUAGES
from quarry.indexer.records import Document
from quarry.retriever.base import Reranker
from quarry.retriever.evaluation.routes import route_options
from quarry.retriever.options import SearchOptions
from quarry.retriever.ranking import Query
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import Searcher

BASELINE = "mteb-bm25"
RERANKER = "reranker"
_BASELINE_MODEL = "mteb/baseline-bm25s"
_SEARCH_KINDS = ("Retrieval", "Reranking")
_DEPTH = 1000  # documents per query, as deep as mteb's measures look
_ASKED_BY = "asked_by"  # metadata of a candidate: the queries that it is a candidate of


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How to search.

    Attributes:
        route: `bm25`, `dense` or `hybrid`, perhaps with `+rerank`.
        rerank: The second stage, as `Searcher.open` takes it.
        depth: How many candidates it is given.
        documents: How many documents a query gets.
        build: How the index is made.
    """

    route: str = "hybrid+rerank"
    rerank: str | Reranker = "late"
    depth: int = 50
    documents: int = _DEPTH
    build: BuildOptions = BuildOptions()

    @property
    def options(self) -> SearchOptions:
        """The search's options. Raises SettingsError for an unknown route."""
        return route_options(self.route, self.depth)


def suits(kind: str) -> bool:
    """Tell whether a search can do a task of this kind."""
    return kind in _SEARCH_KINDS


class MtebSearch:
    """A search that mteb can ask, by its SearchProtocol."""

    def __init__(self, embedder: Embedder | None, settings: SearchSettings = SearchSettings()) -> None:
        """Take the parts of the search.

        Args:
            embedder: The model; None for BM25 alone.
            settings: How to search.

        Raises:
            SettingsError: If the route is unknown, or needs a model and there is none.
        """
        self._options = settings.options
        if embedder is None and self._options.route != "bm25":
            raise SettingsError(
                "benchmark.route_needs_model",
                "{route} needs an embedding model",
                expected="one, or the route bm25",
                do="Give --model, or --search bm25",
                route=settings.route,
            )
        self._embedder = embedder if self._options.route != "bm25" else None
        self._settings = settings
        self._corpus: Any = None
        self._build = settings.build

    @property
    def mteb_model_meta(self) -> Any:
        """Name and revision, for mteb's results: `quarry/hybrid+rerank-late-MODEL`."""
        spec = self._embedder.spec if self._embedder else None
        reranker = self._settings.rerank
        second = f"-{reranker if isinstance(reranker, str) else reranker.name}" if self._options.rerank else ""
        name = "-".join(part for part in (f"{self._settings.route}{second}", spec.model if spec else "") if part)
        return _meta(f"quarry/{name.replace('/', '_')}", spec.revision if spec else "")

    def query_format(self, task: str, kind: str) -> str:
        """Return nothing: a search asks every task in the model's own way."""
        del task, kind
        return ""

    def index(self, corpus: Any, *, task_metadata: Any = None, hf_subset: str = "default", **_: Any) -> None:
        """Keep the corpus; it is indexed when the candidates of its queries are known, by the words of the task's language."""
        self._corpus = corpus
        own = _analyzer_of(task_metadata, hf_subset) if task_metadata is not None else None
        self._build = replace(self._settings.build, analyzer=self._settings.build.analyzer or own)

    def search(
        self, queries: Any, *, top_k: int, top_ranked: Mapping[str, Sequence[str]] | None = None, **_: Any
    ) -> dict[str, dict[str, float]]:
        """Return per query id the documents found, each with a score that only orders them.

        Args:
            queries: mteb's table of `id` and `text`.
            top_k: How many documents are scored; a search returns at most `documents` of its settings.
            top_ranked: Query id to the candidates of a reranking task.
        """
        ids = [str(document_id) for document_id in self._corpus["id"]]
        asked = [Query(str(number), text) for number, text in enumerate(queries["text"])]
        query_ids = [str(query_id) for query_id in queries["id"]]
        with TemporaryDirectory(prefix="quarry-benchmark-") as folder:
            index = Path(folder) / "index"
            index_documents(index, self._documents(ids, query_ids, top_ranked), self._embedder, self._build)
            searcher = Searcher.open(index, embedder=self._embedder, rerank=self._settings.rerank)
            if top_ranked is None:
                run = document_run(searcher, asked, min(top_k, self._settings.documents), self._options)[1]
                return {
                    query_id: _in_order([ids[int(found)] for found, _ in run[str(number)]])
                    for number, query_id in enumerate(query_ids)
                }
            return {
                query_id: self._among(searcher, asked[number], [str(each) for each in top_ranked[query_id]], ids)
                for number, query_id in enumerate(query_ids)
                if query_id in top_ranked
            }

    def _documents(
        self, ids: Sequence[str], query_ids: Sequence[str], top_ranked: Mapping[str, Sequence[str]] | None
    ) -> Iterable[Document]:
        """Yield the corpus under numbers: ids of data sets may be anything."""
        asked_by: dict[str, list[str]] = {}
        for number, query_id in enumerate(query_ids):
            for document_id in (top_ranked or {}).get(query_id, ()):
                asked_by.setdefault(str(document_id), []).append(str(number))
        titles = self._corpus["title"] if "title" in self._corpus.column_names else [""] * len(ids)
        for number, (document_id, title, text) in enumerate(zip(ids, titles, self._corpus["text"], strict=True)):
            wanted = asked_by.get(document_id, [])
            if top_ranked is None or wanted:
                yield Document(str(number), text or "", title or "", {_ASKED_BY: wanted} if wanted else {})

    def _among(
        self, searcher: Searcher, query: Query, candidates: Sequence[str], ids: Sequence[str]
    ) -> dict[str, float]:
        options = route_options(self._settings.route, max(self._settings.depth, len(candidates)))
        options = replace(options, filters={_ASKED_BY: query.query_id})
        ranked = document_run(searcher, [query], len(candidates), options)[1]
        found = [ids[int(number)] for number, _ in ranked[query.query_id]]
        return _in_order([*found, *sorted(set(candidates) - set(found))])


class MtebReranker:
    """A reranker that mteb can ask, by its CrossEncoderProtocol."""

    def __init__(self, reranker: Reranker) -> None:
        """Wrap a loaded reranker."""
        self._reranker = reranker

    @property
    def mteb_model_meta(self) -> Any:
        """Name, for mteb's results."""
        return _meta(f"quarry/reranker-{self._reranker.name.replace('/', '_')}", "")

    def query_format(self, task: str, kind: str) -> str:
        """Return nothing: a reranker has its own prompt."""
        del task, kind
        return ""

    def predict(
        self, inputs1: Iterable[Mapping[str, Any]], inputs2: Iterable[Mapping[str, Any]], **_: Any
    ) -> NDArray[np.float32]:
        """Return one score per pair, shape (n,); pairs of one query that stand together are scored together."""
        queries = [text for batch in inputs1 for text in batch["text"]]
        passages = [text for batch in inputs2 for text in batch["text"]]
        scores: list[NDArray[np.float32]] = []
        start = 0
        for stop in range(1, len(queries) + 1):
            if stop == len(queries) or queries[stop] != queries[start]:
                scores.append(np.asarray(self._reranker.score(queries[start], passages[start:stop]), dtype=np.float32))
                start = stop
        return np.concatenate(scores) if scores else np.zeros(0, dtype=np.float32)


class MtebBaseline:
    """mteb's BM25, under its own name."""

    def __init__(self) -> None:
        """Load it; it needs bm25s, which Quarry has, and downloads nothing."""
        from mteb.models.get_model_meta import get_model

        self._model: Any = get_model(_BASELINE_MODEL)

    @property
    def mteb_model_meta(self) -> Any:
        """Mteb's own."""
        return self._model.mteb_model_meta

    def query_format(self, task: str, kind: str) -> str:
        """Return nothing: words have no format."""
        del task, kind
        return ""

    def index(self, corpus: Any, **more: Any) -> None:
        """Index a corpus."""
        self._model.index(corpus, **more)

    def search(self, queries: Any, **more: Any) -> Any:
        """Search it."""
        return self._model.search(queries, **more)


def _analyzer_of(task_metadata: Any, subset: str) -> str | None:
    """Return the analyzer of a task's one language; None for Chinese, English, several, and unknown ones."""
    found = task_metadata.eval_langs
    names = set(found.get(subset, ()) if isinstance(found, dict) else found)
    codes = [code for code, rules in LANGUAGES.items() if rules.name in names and code not in ("zh", "en")]
    return codes[0] if len(names) == 1 and codes else None


def _meta(name: str, revision: str) -> Any:
    from mteb.models.model_meta import ModelMeta

    return ModelMeta.create_empty({"name": name, "revision": revision or "no_revision", "framework": ["PyTorch"]})


def _in_order(ids: Sequence[str]) -> dict[str, float]:
    return {document_id: float(len(ids) - place) for place, document_id in enumerate(dict.fromkeys(ids))}
