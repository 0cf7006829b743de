"""Generations and models that runs made and that did not go live: removed by the run, or by the next one when it was killed."""

import shutil
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from quarry.indexer.errors import IndexBusyError, IndexFormatError
from quarry.indexer.storage.generations import Generations, writer_lock
from quarry.indexer.storage.locks import process_lock
from quarry.indexer.storage.manifest import Lineage, Manifest
from quarry.indexer.storage.vector_cache import VectorCache
from quarry.training.tuning.run import LOCK, TuningRun, tuning_runs

MODELS = "models"


def sweep(index: Path, own: str, *, vectors: bool = False) -> None:
    """Remove what runs left that never answered and that nobody works on. Folders of runs stay.

    Args:
        index: The index folder.
        own: The run of the caller, who holds its lock.
        vectors: Whether its vectors go too; kept, they make going on with it quick. Those of other runs go when these are
            done.
    """
    with suppress(IndexBusyError, IndexFormatError), writer_lock(index):  # the next run does what cannot be done now
        for run in tuning_runs(index):
            lock = run.folder / LOCK
            mine = run.name == own or not lock.is_file()
            with suppress(IndexBusyError), nullcontext() if mine else process_lock(lock, "", ""):
                _remove(index, run, vectors=vectors if run.name == own else run.report() is not None)


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
            VectorCache.remove(index, one.embedder.fingerprint)
    shutil.rmtree(index / MODELS / f".{run.name}.part", ignore_errors=True)
    if model not in _needed(kept):
        shutil.rmtree(index / model, ignore_errors=True)


def _folder(manifest: Manifest) -> str:
    return manifest.embedder.folder if manifest.embedder else ""


def _needed(kept: Sequence[Manifest]) -> set[str]:
    """Return the folders of the generations' embedders and rerankers, and of those that can be gone back to."""
    folders = {_folder(manifest) for manifest in kept}
    for manifest in kept:
        lineage: Lineage | None = manifest.lineage
        while lineage is not None:
            folders.add(lineage.base.folder)
            lineage = lineage.before
        reranker = manifest.reranker
        while reranker is not None:
            folders.add(reranker.folder)
            reranker = reranker.before
    return folders
