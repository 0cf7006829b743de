"""A generation with the texts, vectors and terms of the live one and another reranker in its manifest.

Finished files never change, so the new generation shares them by hard links: it costs no space, and one switch changes the
reranker for every reader, with the same history and the same way back as any other change of the index.
"""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from quarry.indexer.errors import IndexMismatchError
from quarry.indexer.storage.generations import Generations, writer_lock
from quarry.indexer.storage.manifest import MANIFEST_NAME, Manifest, RerankerFacts


def with_reranker(index: Path, reranker: RerankerFacts | None, reason: str, *, expected: Manifest) -> str:
    """Make the live generation answer with another reranker, or with none of its own.

    Args:
        index: The index folder.
        reranker: What is recorded from now on.
        reason: For the history.
        expected: The generation that the caller looked at. Documents may have changed since, models may not.

    Returns:
        The generation that is live now.

    Raises:
        IndexFormatError: If the live generation cannot be read.
        IndexMismatchError: If another model or reranker went live meanwhile.
        IndexBusyError: If another process is writing.
    """
    generations = Generations(index)
    with writer_lock(index):
        folder = generations.live()
        live = Manifest.read(folder)
        if (_model(live), live.reranker) != (_model(expected), expected.reranker):
            raise IndexMismatchError(
                f"generation {live.generation} went live meanwhile with another model or reranker than {expected.generation}; "
                "expected the same, because the verdict was about that one. Run it again under another name"
            )
        building = generations.begin()
        try:
            shutil.copytree(
                folder, building, dirs_exist_ok=True, copy_function=_share, ignore=shutil.ignore_patterns(MANIFEST_NAME)
            )
            changed = {
                "generation": building.name.removeprefix("."),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "reason": reason,
                "reranker": reranker,
            }
            live.model_copy(update=changed).write(building)
            return generations.commit(building, reason)
        finally:
            shutil.rmtree(building, ignore_errors=True)  # after a commit it is gone already


def _model(manifest: Manifest) -> str:
    return manifest.embedder.fingerprint if manifest.embedder else ""


def _share(source: str, target: str) -> str:
    """Link a file; copy it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
