"""Checks of the models of an index: encoder, reranker, and what judgements taught about questions. Read-only."""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from quarry.app.finding import CheckResult
from quarry.indexer.build.plan import DROPPED_SHIFT
from quarry.indexer.errors import ModelError, SearchError
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.retriever.stages.query_shift import RecordedShift

_SELF_SEARCHES = 20
# Stored and fresh embeddings of one text: 1 up to rounding and the compression of the store.
_SELF_SIMILARITY = 0.98


def read_models_again(index: Index) -> None:
    """Digest the model folders of an index anew: a remembered digest says nothing of a bit that changed by itself since."""
    from quarry.indexer.models.digest import content_digest
    from quarry.retriever.models.recorded import recorded_source

    folders = []
    if index.manifest.embedder is not None:
        with suppress(ModelError):
            source = recorded_source(index.root, index.manifest.embedder)
            folders += [source.folder] if source.origin == "path" else []
    if index.manifest.reranker is not None:
        folders.append((index.root / index.manifest.reranker.folder).resolve())
    for folder in folders:
        if folder.is_dir():
            content_digest(folder, remembered=False)


def check_model(index: Index, remedy: str) -> Iterator[CheckResult]:
    """Check that the embedding model loads, is the one that the index was made with, and gives the stored vectors again."""
    from quarry.indexer.models.transformer import TransformerEmbedder
    from quarry.retriever.models.lazy import LazyEmbedder

    facts = index.manifest.embedder
    if facts is None:
        message = Message.of("doctor.lexical_only", "no embedding model: BM25 only")
        yield CheckResult("model", "warning", message, remedy.replace("--rebuild", "--model auto --rebuild"))
        return
    supply = LazyEmbedder(index, None, "cpu")
    failure = supply.warm()
    if failure:
        yield CheckResult("model", "failure", failure, "quarry models")
        return
    embedder = supply.get()
    spec = embedder.spec
    loads = Message.of(
        "doctor.model",
        "{model} ({origin}, revision {revision}) loads and matches the index",
        model=spec.model,
        origin=spec.origin,
        revision=spec.revision[:12],
    )
    if isinstance(embedder, TransformerEmbedder):
        loads = Message.of(
            "doctor.model_precision",
            "{loads}, computing in {precision} on the CPU",
            loads=loads,
            precision=embedder.precision,
        )
        if embedder.fallback is not None:
            loads = Message.of(
                "doctor.model_fallback",
                "{loads}, by transformers ({reason})",
                loads=loads,
                reason=embedder.fallback,
            )
    yield CheckResult("model", "ok", loads)
    if spec.origin == "offline bundle":
        for sentence in index.manifest.notes:
            if sentence.code == DROPPED_SHIFT:
                continue
            yield CheckResult("model choice", "warning", sentence, "quarry models")
    if index.vectors is None:
        return
    rng = np.random.default_rng(0)
    ids, _ = index.chunks.digests()
    sample = [ids[row] for row in sorted(rng.choice(len(ids), size=min(_SELF_SEARCHES, len(ids)), replace=False))]
    vectors = embedder.embed_documents(index.chunks.texts(sample))
    found = index.vectors.search(vectors, 1)
    worst = min((hits[0].similarity for hits in found if hits), default=0.0)
    if worst < _SELF_SIMILARITY:
        lost = Message.of(
            "doctor.self_search_failed",
            "a stored passage finds itself with a similarity of only {worst:.3f}",
            worst=worst,
        )
        yield CheckResult("vectors", "failure", lost, remedy)
        return
    found_all = Message.of(
        "doctor.self_search",
        "{count:sampled passage finds|sampled passages find} themselves (similarity at least {worst:.3f})",
        count=len(sample),
        worst=worst,
    )
    yield CheckResult("vectors", "ok", found_all)


def check_reranker(index: Index) -> Iterator[CheckResult]:
    """Check that a tuned reranker is as it was promoted."""
    from quarry.retriever.models.recorded import served_reranker

    facts = index.manifest.reranker
    if facts is None:
        return
    try:
        served_reranker(index.root, facts)
    except SearchError as err:
        yield CheckResult("reranker", "failure", err.message, f"quarry models rollback {index.root}")
        return
    unchanged = Message.of(
        "doctor.reranker",
        "{model} (run {run}, revision {revision}) is unchanged",
        model=facts.model,
        run=facts.run,
        revision=facts.digest[:12],
    )
    yield CheckResult("reranker", "ok", unchanged)


def check_query_shift(index: Index) -> Iterator[CheckResult]:
    """Check what judgements taught about questions."""
    for note in index.manifest.notes:
        if note.code == DROPPED_SHIFT:
            yield CheckResult("questions", "warning", note, f"quarry tune {index.root} --what queries")
    facts, shift = index.manifest.query_shift, RecordedShift.of(index)
    if facts is None or shift is None:
        return
    try:
        shift.get()
    except ModelError as err:
        yield CheckResult("questions", "failure", err.message, f"quarry models rollback {index.root}")
        return
    learned = Message.of("doctor.query_shift", "questions move as judgements taught (run {run})", run=facts.run)
    yield CheckResult("questions", "ok", learned)
