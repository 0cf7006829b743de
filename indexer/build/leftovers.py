"""Vectors and token states that killed builds and tuning runs have left beside the generations, for models that no generation uses."""

import time
from pathlib import Path

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.stores.kept_vectors import KeptVectors
from quarry.indexer.tokens.cache import TokenCache

_OLD_S = 7 * 86_400.0  # until then whoever was interrupted may go on, without encoding again


def remove_leftovers(index: Path) -> None:
    """Remove what was last written a week ago or more; of a time in the future as much, the clock has gone back since.

    Only the holder of the writer lock may call it. With a manifest that cannot be read everything stays.

    Args:
        index: The index folder.
    """
    folder, generations = index / "embeddings", Generations(index)
    try:
        manifests = [Manifest.read(generations.folder / name) for name in generations.finished()]
    except IndexFormatError:
        return
    used = {manifest.embedder.fingerprint for manifest in manifests if manifest.embedder}
    ages: dict[str, float] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        name, age = path.name.partition(".")[0], abs(time.time() - path.stat().st_mtime)
        ages[name] = min(age, ages.get(name, age))
    for name, age in ages.items():
        if name not in used and age >= _OLD_S:
            KeptVectors.remove(index, name)
            TokenCache.remove(index, name)
