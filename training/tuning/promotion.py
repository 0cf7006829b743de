"""Promotion and rollback of a model as one unit: weights, instruction, vectors, what its scores mean, and why it was promoted.

INDEX/models/NAME       a tuned model, inside the index that it was tuned for
INDEX/tuning/RUN        the run that made it
manifest.json           of the generation: the model's spec and its `Lineage`; a tuned reranker's `RerankerFacts`
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from quarry.indexer.build import build_candidate
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.build.progress import Observer
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import IndexFormatError, IndexMismatchError
from quarry.indexer.lake.relabel import with_parts, with_query_shift, with_reranker, with_second_stage
from quarry.indexer.messages import Message
from quarry.indexer.storage.facts import EmbedderFacts, Lineage, RerankerFacts
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.writer_lock import writer_lock
from quarry.training.tuning.history import newest_promotion, of_one_run

LoadEmbedder = Callable[[EmbedderFacts], Embedder]


def promote(index: Path, candidate: str, lineage: Lineage) -> None:
    """Make a candidate generation live, with its lineage in the manifest.

    Raises:
        IndexFormatError: If the candidate is not here.
        IndexMismatchError: If documents were indexed after the candidate was built (build it again, old vectors are reused), or
            another model went live than the lineage's base, with which it was compared.
        IndexBusyError: If another process is writing.
    """
    reason = (
        Message.of("tuning.promoted_anyway", "promoted against the verdict")
        if lineage.forced
        else Message.of("tuning.promoted", "promoted")
    )
    _go_live(index, candidate, lineage, reason, over=lineage.base)


def _go_live(index: Path, name: str, lineage: Lineage | None, reason: Message, *, over: EmbedderFacts | None) -> None:
    """Switch from the model `over`, and from no other, with the lineage in the manifest first."""
    generations = Generations(index)
    with writer_lock(index):
        if name not in generations.finished():
            raise IndexFormatError(
                "tuning.no_candidate",
                "generation {generation} is not here",
                expected="a finished candidate",
                do="Tune again",
                generation=repr(name),
            )
        folder = generations.folder / name
        manifest, live = Manifest.read(folder), Manifest.read(generations.live())
        if manifest.corpus_sha256 != live.corpus_sha256:
            raise IndexMismatchError(
                "tuning.other_documents",
                "generation {candidate} has other documents than {live}, which went live after it was built",
                expected="the same",
                do="Build the candidate again: what was encoded is kept",
                candidate=name,
                live=live.generation,
            )
        if _print(live.embedder) != _print(over):
            raise IndexMismatchError(
                "tuning.other_live",
                "generation {live} answers now with another model than the one that was looked at",
                expected="that one still",
                do="Compare with the new one, and try again",
                live=live.generation,
            )
        if (manifest.lineage, manifest.reranker) != (lineage, live.reranker):
            manifest.model_copy(update={"lineage": lineage, "reranker": live.reranker}).write(folder)
        generations.switch(name, reason)


def _print(facts: EmbedderFacts | None) -> str:
    return facts.fingerprint if facts else ""


def roll_back(
    index: Path, load: LoadEmbedder, settings: BuildOptions = BuildOptions(), observer: Observer | None = None
) -> str:
    """Take back the newest promotion, of a model, a reranker, a second stage, a query shift or a search of these two.

    Documents indexed since then stay.

    Args:
        index: The index folder.
        load: Loads an embedder by what the manifest says of it.
        settings: How to build, when the documents have changed since; otherwise the old generation goes live as it is.
        observer: Receives the progress events of such a build.

    Returns:
        The generation that is live now.

    Raises:
        IndexFormatError: If the live model was not promoted here.
        IndexMismatchError: If documents were indexed meanwhile (try again), or the base model's folder was changed.
        ModelError: If the base model has to be loaded and is not on this machine.
    """
    generations = Generations(index)
    live = Manifest.read(generations.live())
    newest = newest_promotion(live.lineage, live.reranker, live.second_stage, live.query_shift)
    if live.query_shift is not None and newest is live.query_shift and of_one_run(newest, live.second_stage):
        return _search_back(index, live)
    if newest is not None and newest is live.query_shift:
        return _query_shift_back(index, live, live.query_shift)
    if newest is not None and newest is live.second_stage:
        return _second_stage_back(index, live, live.second_stage)
    if isinstance(newest, RerankerFacts):
        back = Message.of(
            "tuning.reranker_back", "rolled back the reranker of {generation}", generation=live.generation
        )
        return with_reranker(index, newest.before, back, expected=live)
    if live.lineage is None:
        raise IndexFormatError(
            "tuning.not_tuned_here",
            "the model of generation {live} was not tuned here",
            expected="a promoted one to go back from",
            do="`quarry generations INDEX --rollback` goes back to older documents",
            live=live.generation,
        )
    name = _same_documents(generations, live) or _built_again(index, live.lineage, load, settings, observer)
    back = Message.of("tuning.model_back", "rolled back the model of {generation}", generation=live.generation)
    _go_live(index, name, live.lineage.before, back, over=live.embedder)
    return name


def _search_back(index: Path, live: Manifest) -> str:
    back = Message.of("tuning.search_back", "rolled back the tuned search of {generation}", generation=live.generation)
    parts = {"query_shift": live.query_shift, "second_stage": live.second_stage}
    before = {name: facts.before for name, facts in parts.items() if facts is not None}
    return with_parts(index, before, back, expected=live)


def _second_stage_back(index: Path, live: Manifest, facts: RerankerFacts) -> str:
    back = Message.of(
        "tuning.second_stage_back", "rolled back the second stage of {generation}", generation=live.generation
    )
    return with_second_stage(index, facts.before, back, expected=live)


def _query_shift_back(index: Path, live: Manifest, facts: RerankerFacts) -> str:
    back = Message.of(
        "tuning.query_shift_back",
        "rolled back what generation {generation} had learned about questions",
        generation=live.generation,
    )
    return with_query_shift(index, facts.before, back, expected=live)


def _same_documents(generations: Generations, live: Manifest) -> str | None:
    """Return the newest generation with the base model and the live documents."""
    lineage = live.lineage
    for name in reversed(generations.finished()):
        other = Manifest.read(generations.folder / name)
        same_model = other.embedder and lineage and other.embedder.fingerprint == lineage.base.fingerprint
        if same_model and (other.corpus_sha256, other.reranker) == (live.corpus_sha256, live.reranker):
            return name
    return None


def _built_again(
    index: Path, lineage: Lineage, load: LoadEmbedder, settings: BuildOptions, observer: Observer | None
) -> str:
    embedder = load(lineage.base)
    if embedder.spec.fingerprint != lineage.base.fingerprint:
        wanted = lineage.base.to_spec()
        raise IndexMismatchError(
            "tuning.other_base",
            "what is found as {model} is revision {revision}",
            expected="{wanted}, the base of the live model",
            do="Put that revision back, or keep the live model",
            model=wanted.model,
            revision=embedder.spec.revision[:12],
            wanted=wanted.revision[:12],
        )
    settings = replace(settings, model_folder=lineage.base.folder)
    return build_candidate(index, embedder, settings, observer).generation


def lineage_of(parent: Manifest, run: str, verdict: Message, *, forced: bool, calibration: dict[str, float]) -> Lineage:
    """Describe a promotion that happens now.

    Raises:
        IndexFormatError: If the parent has no model.
    """
    if parent.embedder is None:
        raise IndexFormatError(
            "tuning.parent_without_model",
            "generation {generation} has no model to be tuned",
            expected="one",
            do="Build the index with --model",
            generation=parent.generation,
        )
    return Lineage(
        parent=parent.generation,
        base=parent.embedder,
        run=run,
        verdict=verdict,
        forced=forced,
        promoted=datetime.now(UTC).isoformat(timespec="seconds"),
        calibration=calibration,
        before=parent.lineage,
    )
