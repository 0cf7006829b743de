"""The live and the tuned second stage on the held-out queries and on the general set, both as a search answers them."""

from pathlib import Path

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import ModelError
from quarry.indexer.opened import Index
from quarry.retriever.data.datasets import Dataset, documents
from quarry.retriever.evaluation.evaluate import Evaluation
from quarry.retriever.evaluation.routes import RERANKED, evaluate_route
from quarry.retriever.evaluation.saved import SavedEvaluation
from quarry.retriever.searcher import Searcher
from quarry.training.tuning.trials import MEASURES, once

ROUTE = f"hybrid{RERANKED}"


def second_stage_evaluation(searcher: Searcher, dataset: Dataset, depth: int, folder: Path) -> Evaluation:
    """Ask the queries of a data set.

    Args:
        searcher: With the second stage to be judged.
        dataset: The queries.
        depth: How many candidates the second stage orders.
        folder: Where the evaluation is kept.

    Raises:
        CorpusError: If no query has a relevant document.
        ModelError: If the second stage failed for some queries: what it would have done is then unknown.
    """

    def ask() -> SavedEvaluation:
        found = evaluate_route(searcher, dataset, ROUTE, MEASURES, rerank_depth=depth)
        if found.degraded:
            raise ModelError(
                "tuning.second_stage_degraded",
                "the second stage did not answer all queries ({why})",
                expected="full answers, or there is no verdict",
                do="Run `quarry doctor` on the index, and try again",
                why=found.degraded[0],
            )
        return found.saved(searcher, dataset)

    return once(folder, ask).evaluation


def general_index(dataset: Dataset, embedder: Embedder, kept: Path, *, token_states: bool = True) -> Index:
    """Return an index of the general set's documents, with token states unless told otherwise.

    It is made once, beside what other runs measured on the set.

    Raises:
        CorpusError: If the set cannot be read.
        ModelError: If the model gives no token states.
    """
    name = "index" if token_states else "plain-index"
    root = kept / f"{name}-{embedder.spec.fingerprint[:16]}-{dataset.digest[:16]}"
    index_documents(root, list(documents(dataset)), embedder, BuildOptions(rerank_vectors=token_states))
    return Index.open(root)
