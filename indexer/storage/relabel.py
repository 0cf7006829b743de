"""A new generation with the live one's texts, vectors and terms, and another reranker, second stage or query shift in its manifest.

Finished files never change, so the new generation shares them by hard links and takes no space. One switch then changes the
reranker for every reader, and it is recorded and rolled back like any other change of the index. The doors, for an index as for a lake,
are in `quarry.indexer.lake.relabel`.
"""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from quarry.indexer.errors import IndexMismatchError
from quarry.indexer.messages import Message
from quarry.indexer.storage.facts import RerankerFacts
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import MANIFEST_NAME, Manifest
from quarry.indexer.storage.writer_lock import writer_lock


def relabelled(index: Path, changes: Mapping[str, RerankerFacts | None], reason: Message, expected: Manifest) -> str:
    """Make the live generation answer with other parts that were tuned.

    Args:
        index: The index folder.
        changes: Fields of the manifest that are new: `reranker`, `second_stage`, `query_shift`; None for none.
        reason: Recorded in the history.
        expected: The generation that the caller judged. Its documents may have changed since; its models may not.

    Returns:
        The generation that is live now.

    Raises:
        IndexFormatError: If the live generation cannot be read.
        IndexMismatchError: If another model or reranker has gone live since.
        IndexBusyError: If another process is writing.
    """
    generations = Generations(index)
    with writer_lock(index):
        folder = generations.live()
        live = Manifest.read(folder)
        check_judged(live, expected)
        building = generations.begin()
        try:
            shutil.copytree(
                folder, building, dirs_exist_ok=True, copy_function=_share, ignore=shutil.ignore_patterns(MANIFEST_NAME)
            )
            changed = {
                "generation": building.name.removeprefix("."),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "reason": reason,
                **changes,
            }
            live.model_copy(update=changed).write(building)
            return generations.commit(building, reason)
        finally:
            shutil.rmtree(building, ignore_errors=True)  # after a commit it is gone already


def check_judged(live: Manifest, expected: Manifest) -> None:
    """Refuse to change what answers when it is not what a verdict was about.

    Raises:
        IndexMismatchError: If the models of the two generations differ.
    """
    if _models(live) != _models(expected):
        raise IndexMismatchError(
            "storage.judged_another",
            "generation {live} has since gone live with another model or reranker than {judged}",
            expected="the same ones, because the verdict was about them",
            do="Run it again under another name",
            live=live.generation,
            judged=expected.generation,
        )


def _models(manifest: Manifest) -> tuple[str, tuple[RerankerFacts | None, ...]]:
    fingerprint = manifest.embedder.fingerprint if manifest.embedder else ""
    return fingerprint, (manifest.reranker, manifest.second_stage, manifest.query_shift)


def _share(source: str, target: str) -> str:
    """Link a file, or copy it on file systems without hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
