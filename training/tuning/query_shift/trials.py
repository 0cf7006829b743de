"""The live search and a tuned one, on the held-out queries and on the general set, both as they are served."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import ModelError
from quarry.retriever.data.datasets import Dataset, load_dataset
from quarry.retriever.data.trec import Run
from quarry.retriever.evaluation.evaluate import evaluate
from quarry.retriever.evaluation.routes import DEPTH, RERANKED, route_options
from quarry.retriever.evaluation.saved import Meta, SavedEvaluation
from quarry.retriever.models.lazy import LATE, LazyEmbedder, LazyReranker
from quarry.retriever.ranking import Query
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import Searcher
from quarry.training.tuning.gate import Trial
from quarry.training.tuning.plan import Exam
from quarry.training.tuning.second_stage.trials import general_index
from quarry.training.tuning.trials import MEASURES, once


@dataclass(frozen=True, slots=True)
class Block:
    """Questions, and the search by which they are judged: the live one where nothing had been learned yet."""

    queries: tuple[Query, ...]
    tuned: Searcher


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two searches of the general set: a name that no other has, and what it puts on a search."""

    name: str
    on: Callable[[Searcher], Searcher]


def held_out_trial(live: Searcher, blocks: Iterable[Block], held_out: Dataset, exam: Exam) -> Trial:
    """Ask each block of the live generation as it is, and of the block's own search.

    Raises:
        CorpusError: If no query has a relevant document.
        ModelError: If a stage failed for some queries: what the tuned search would have done is then unknown.
    """
    before: dict[str, Sequence[tuple[str, float]]] = {}
    after: dict[str, Sequence[tuple[str, float]]] = {}
    asked: list[Query] = []
    for block in blocks:
        asked += block.queries
        before |= as_served(live, block.queries, exam)
        after |= as_served(block.tuned, block.queries, exam)
    ours, theirs = (evaluate(run, held_out.qrels, MEASURES, queries=asked) for run in (before, after))
    return Trial(ours, theirs, asked)


def general_trial(live: Searcher, embedder: Embedder, sides: tuple[Side, Side], exam: Exam, kept: Path) -> Trial:
    """Ask the general set of an index of its own, by the live search and by the tuned one.

    Args:
        live: What answers now.
        embedder: Its model.
        sides: What the live search and the tuned one put on it.
        exam: Names the set and the route.
        kept: Where the index and the evaluations are kept, for later runs.

    Raises:
        CorpusError: If the set cannot be read.
        ModelError: As `held_out_trial`.
    """
    dataset, states = load_dataset(exam.general), live.index.manifest.token_states
    index = general_index(dataset, embedder, kept, token_states=states)
    searcher = Searcher(index, LazyEmbedder(index, embedder, "cpu"), LazyReranker(LATE, "cpu", index))
    name = f"queries-{embedder.spec.fingerprint[:16]}-{dataset.digest[:16]}-{exam.route}-{exam.rerank_depth}"
    if states:
        name += "-tokens"

    def ask(side: Side) -> SavedEvaluation:
        run = as_served(side.on(searcher), dataset.queries, exam)
        spec = embedder.spec
        meta = Meta(
            dataset.name, dataset.split, dataset.digest, model=f"{spec.model} {spec.revision}", route=exam.route
        )
        return SavedEvaluation(meta, evaluate(run, dataset.qrels, MEASURES, queries=dataset.queries), run)

    found = [once(kept / f"{name}-{side.name}", partial(ask, side)).evaluation for side in sides]
    return Trial(found[0], found[1], dataset.queries)


def as_served(searcher: Searcher, queries: Sequence[Query], exam: Exam) -> Run:
    """Ask questions by the route of the exam, with the second stage where the index has one.

    Raises:
        ModelError: As `held_out_trial`.
    """
    rankings, run = document_run(
        searcher, queries, DEPTH, route_options(_route(searcher, exam), rerank_depth=exam.rerank_depth)
    )
    lost = [loss for ranking in rankings for loss in ranking.degraded]
    if lost:
        raise _not_whole(str(lost[0]))
    return run


def _route(searcher: Searcher, exam: Exam) -> str:
    """Return the route as it is served: with the second stage where the index has one."""
    second = exam.route == "hybrid" and searcher.pipeline.late is not None
    return f"{exam.route}{RERANKED}" if second else exam.route


def _not_whole(why: str) -> ModelError:
    return ModelError(
        "tuning.moved_degraded",
        "not all queries were answered in full ({why})",
        expected="full answers, or there is no verdict",
        do="Run `quarry doctor` on the index, and try again",
        why=why,
    )
