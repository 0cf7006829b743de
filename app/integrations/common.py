"""What the adapters share: the metadata of a passage, and models by name. Imports no framework."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quarry.app.wiring import choose_model, live_manifest
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import ModelError
from quarry.retriever.answers.refusals.fit import Fit, Strength, search_with_fit
from quarry.retriever.base import Reranker
from quarry.retriever.ranking import StageScore
from quarry.retriever.results import Answer, Result
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.sections.context import read_large

TECHNICAL_KEYS = (
    "doc_id",
    "start",
    "end",
    "score",
    "stage",
    "stage_scores",
    "stage_ranks",
    "degraded",
    "notices",
    "copies",
    "strength",
    "fit",
    "nothing_fits",
)
"""Metadata for programs, to be kept out of prompts and embeddings."""


def passages(searcher: Searcher, query: str, k: int, options: SearchOptions) -> list[tuple[Result, dict[str, Any]]]:
    """Search, and return the passages with their metadata (see `passage_metadata`). Raises as `Searcher.search`.

    Where `options.expand` asks for what stands around them, that is their text, and what stands in the text of a better one is left out.
    """
    answer, fit = search_with_fit(searcher, query, k, options)
    strengths = dict(zip((result.chunk_id for result in answer.results), fit.hits, strict=True))
    return [
        (result, {**passage_metadata(result, answer), **_fit(strengths[result.chunk_id], fit)})
        for result in read_large(answer.results)
    ]


def _fit(strength: Strength, fit: Fit) -> dict[str, Any]:
    """How well a passage fits: `strength` in [0, 1] on one scale for all searches, `fit` in a word, and `nothing_fits`."""
    return {"strength": strength.value, "fit": strength.word, "nothing_fits": fit.nothing}


def passage_metadata(result: Result, answer: Answer) -> dict[str, Any]:
    """Return the metadata of a passage, JSON-serializable.

    The document's own metadata, overridden by these keys: `doc_id`, `source`, `title`, `page` (from 1, None
    for formats without pages), `start` and `end` (characters in the document), `score` of `stage`, `stage_scores` and
    `stage_ranks` (per stage that saw the passage), `degraded` (a sentence per stage that did not fully run), `notices` (what was done to
    the question, such as obeying its quotation marks) and `copies` (the sources of passages that say the same).
    """
    evidence = result.evidence
    seen: dict[str, StageScore | None] = {
        "dense": evidence.dense,
        "bm25": evidence.bm25,
        "fusion": evidence.fusion,
        "late": evidence.late,
        "rerank": evidence.rerank,
    }
    return {
        **result.meta,
        "doc_id": result.doc_id,
        "source": result.source,
        "title": result.title,
        "page": result.page,
        "start": result.start,
        "end": result.end,
        "score": float(result.score),
        "stage": result.stage,
        "stage_scores": {stage: float(at.score) for stage, at in seen.items() if at is not None},
        "stage_ranks": {stage: at.rank for stage, at in seen.items() if at is not None},
        "degraded": [str(loss) for loss in answer.degraded],
        "notices": [str(notice) for notice in answer.notices],
        "copies": [copy.place for copy in result.copies],
    }


def embedder_for(model: str, device: str = "auto") -> Embedder:
    """Load an embedder.

    Args:
        model: `auto`, a repository id, a model folder, or an index folder (for the model it was built with).
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        ModelError: If there is none, or it cannot be loaded.
        IndexMismatchError: If the model on disk is not the one the index was built with.
    """
    folder = Path(model).expanduser()
    manifest = live_manifest(folder)
    if manifest is None:
        chosen = choose_model(model, device=device)
        if chosen.embedder is None:
            raise ModelError(
                "integrations.no_embedder",
                "there is no embedder: {tried:;}",
                expected="one",
                do="Install the offline one with `pip install 'quarry-search[offline]'`",
                tried=list(chosen.trail),
            )
        return chosen.embedder
    from quarry.indexer.opened import Index
    from quarry.retriever.models.recorded import recorded_embedder

    if manifest.embedder is None:
        raise ModelError(
            "integrations.index_without_model",
            "the index {index} was built without a model",
            expected="the name of a model, or an index with vectors",
            index=model,
        )
    embedder = recorded_embedder(folder, manifest.embedder, device)
    Index.open(folder).check_embedder(embedder.spec)
    return embedder


def reranker_for(model: str, device: str = "auto") -> Reranker:
    """Load a reranker.

    Args:
        model: `auto` (the best one on this machine), a repository id, or a folder.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        ModelError: If there is none, or it cannot be loaded.
    """
    from quarry.indexer.models.source import resolve_model
    from quarry.retriever.rerankers.cross_encoder import load_reranker

    source = resolve_model(model, kind="reranker")
    if source is None:
        raise ModelError(
            "integrations.no_reranker",
            "no reranker is on this machine",
            expected="one of those listed by `quarry models`, or a folder",
        )
    return load_reranker(source.folder, model_id=source.model, device=device)


def reranked(reranker: Reranker, query: str, texts: Sequence[str], top_n: int) -> list[tuple[int, float]]:
    """Return the (position, logit) of the best texts, best first; equal scores keep their order.

    Raises:
        ValueError: If top_n < 1 or the query is blank.
    """
    if top_n < 1 or not query.strip():
        raise ValueError(f"top_n is {top_n} and the query {query!r}; expected at least 1 and a question")
    scores = [float(score) for score in reranker.score(query, texts)] if texts else []
    return sorted(enumerate(scores), key=lambda pair: -pair[1])[:top_n]
