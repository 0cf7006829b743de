"""Models that runs made: installed inside the index, and removed when they did not go live, with their generations.

The run itself removes them, or the next one when it was killed.
"""

import shutil
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from quarry.indexer.errors import IndexBusyError, IndexFormatError, ModelError
from quarry.indexer.messages import Message
from quarry.indexer.models.digest import content_digest
from quarry.indexer.storage.facts import Lineage
from quarry.indexer.storage.files.durable import sync_folder, sync_tree
from quarry.indexer.storage.files.locks import process_lock
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.writer_lock import writer_lock
from quarry.indexer.stores.kept_vectors import KeptVectors
from quarry.indexer.tokens.cache import TokenCache
from quarry.training.tuning.run import LOCK, TuningRun, tuning_runs
from quarry.training.tuning.steps import NOTHING_ENCODED, What

MODELS = "models"


def install(model: Path, target: Path) -> Path:
    """Copy a model into the index, whole or not at all.

    Args:
        model: The model's folder in the run's folder.
        target: Its folder inside the index. The same model may be there: of this run before it was interrupted, or promoted
            once and rolled back.

    Returns:
        `target`.

    Raises:
        ModelError: If another model is there.
    """
    if target.is_dir():
        if content_digest(target.absolute()) != content_digest(model.absolute()):
            raise ModelError(
                "tuning.taken",
                "{folder} holds another model, which a generation may need",
                expected="none",
                do="Give another --run NAME",
                folder=target,
            )
        return target
    part = target.with_name(f".{target.name}.part")
    target.parent.mkdir(exist_ok=True)
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(model, part)
    sync_tree(part)
    part.rename(target)
    sync_folder(target.parent)
    return target


def loading_lines(what: What, model: Path) -> list[str]:
    """Return the lines of Python that load a tuned model; none for what only Quarry reads.

    Example:
        >>> print(loading_lines("reranker", Path("/models/mine"))[1])
        model = CrossEncoder('/models/mine')
    """
    if what in NOTHING_ENCODED:
        return []
    name = "CrossEncoder" if what == "reranker" else "SentenceTransformer"
    return [f"from sentence_transformers import {name}", f"model = {name}({str(model.absolute())!r})"]


def sweep(index: Path, own: str, *, vectors: bool = False) -> None:
    """Remove what runs left that never answered and that nobody works on. Folders of runs stay.

    Args:
        index: The index folder.
        own: The caller's run; the caller holds its lock.
        vectors: Whether its vectors go too; kept, they make resuming it quick. Vectors of other runs go when these are done.
    """
    with suppress(IndexBusyError, IndexFormatError), writer_lock(index):  # the next run does what cannot be done now
        for run in tuning_runs(index):
            lock = run.folder / LOCK
            mine = run.name == own or not lock.is_file()
            with suppress(IndexBusyError), nullcontext() if mine else process_lock(lock, _busy):
                _remove(index, run, vectors=vectors if run.name == own else run.report() is not None)


def _busy(owner: Message) -> IndexBusyError:
    """Make the error for a run that somebody works on; `sweep` passes over such a run."""
    return IndexBusyError("tuning.in_work", "another process works on the run: {owner}", owner=owner)


def _remove(index: Path, run: TuningRun, *, vectors: bool) -> None:
    """Remove one run's candidates, and its model where nothing that is kept needs it.

    Raises:
        IndexFormatError: If a manifest cannot be read: then nobody knows what is needed.
    """
    generations = Generations(index)
    pointer = generations.pointer()
    answered = {step.generation for step in pointer.history} | {pointer.generation}
    found = [Manifest.read(generations.folder / name) for name in generations.finished()]
    model = f"{MODELS}/{run.name}"
    candidates = [one for one in found if _folder(one) == model and one.generation not in answered]
    # the history forgets after fifty switches: what was promoted bears its run
    candidates = [one for one in candidates if one.lineage is None or len(pointer.history) < 50]
    kept = [one for one in found if one not in candidates]
    for one in candidates:
        generations.discard(one.generation)
        if (
            vectors
            and one.embedder
            and one.embedder.fingerprint not in {other.embedder and other.embedder.fingerprint for other in kept}
        ):
            KeptVectors.remove(index, one.embedder.fingerprint)
            TokenCache.remove(index, one.embedder.fingerprint)
    shutil.rmtree(index / MODELS / f".{run.name}.part", ignore_errors=True)
    if model not in _needed(kept):
        shutil.rmtree(index / model, ignore_errors=True)


def _folder(manifest: Manifest) -> str:
    return manifest.embedder.folder if manifest.embedder else ""


def _needed(kept: Sequence[Manifest]) -> set[str]:
    """Return the folders of what was tuned in the generations, and of what can be gone back to."""
    folders = {_folder(manifest) for manifest in kept}
    for manifest in kept:
        lineage: Lineage | None = manifest.lineage
        while lineage is not None:
            folders.add(lineage.base.folder)
            lineage = lineage.before
        for newest in (manifest.reranker, manifest.second_stage, manifest.query_shift):
            facts = newest
            while facts is not None:
                folders.add(facts.folder)
                facts = facts.before
    return folders
