"""What an index measures on itself, and when: at every change, and from 1,000 passages on when a tenth of them has changed.

`quarry.indexer.build.probes` has the method. The manifest keeps the measurement, with how many passages there were and how many have
been added or removed since.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.build.cached_embedder import CachedEmbedder
from quarry.indexer.build.languages import major_languages, mean_vector
from quarry.indexer.build.plan import Plan
from quarry.indexer.build.probes import Parts, probe_languages, probe_routes
from quarry.indexer.lexical.index import LexicalSegment, UnionIndex
from quarry.indexer.storage.chunk_table import ChunkTable
from quarry.indexer.storage.layout import CENTROIDS_NAME, LEXICAL_NAME, NAMES_NAME, VECTORS_NAME
from quarry.indexer.storage.manifest import Probes
from quarry.indexer.storage.vector_cache import VectorCache
from quarry.indexer.stores import store_class

KEPT_FROM = (
    1000  # passages; a smaller index is measured at every change, so that it answers like one built from nothing
)
STALE = 0.1  # share of the passages that may change before an update of a larger one measures again


def measure_routes(table: ChunkTable, building: Path, plan: Plan, changed: int) -> Probes | None:
    """Probe both routes of a generation that is being built, and write the centroids of its languages into its folder.

    Args:
        table: Its texts.
        building: Its folder, where vectors and terms are written already.
        plan: With which embedder and analyzer.
        changed: How many passages were added or removed since the live generation.

    Returns:
        The measurement, without a quality where too few passages can be cut in two; None for a lexical-only index. That of the
        live generation is kept, in an index of 1,000 passages or more, until more than a tenth of them has changed since.
    """
    if plan.embedder is None:
        return None
    cache = VectorCache.open(plan.index, plan.embedder.spec.fingerprint, plan.embedder.spec.dim)
    try:
        members = major_languages(table.languages())
        centroids: dict[str, NDArray[np.float32]] = {}
        if len(members) > 1:
            centroids = {name: mean_vector(table, sorted(members[name]), cache) for name in sorted(members)}
            np.save(building / CENTROIDS_NAME, np.array(list(centroids.values())), allow_pickle=False)
        kept = _still_good(plan, members, changed)
        if kept is not None and kept.names is not None:
            count = sum(1 for _ in table.names()) if (building / NAMES_NAME).is_dir() else 0
            return kept.model_copy(update={"names": kept.names.model_copy(update={"count": count})})
        parts, embedder = _parts(table, building, plan), CachedEmbedder(plan.embedder, cache)
        probes = probe_languages(parts, embedder, members, centroids) if centroids else probe_routes(parts, embedder)
        return probes.model_copy(update={"passages": len(parts.vectors)})
    finally:
        cache.close()


def _parts(table: ChunkTable, building: Path, plan: Plan) -> Parts:
    kind = store_class(plan.store)
    lexical = UnionIndex([(LexicalSegment.open(building / LEXICAL_NAME), None)])
    return Parts(
        table=table,
        analyzer=plan.cutter.analyzer,
        lexical=lexical,
        vectors=kind.open(building / VECTORS_NAME, verified=True),
        mean_length=lexical.mean_length,
        names=kind.open(building / NAMES_NAME, verified=True) if (building / NAMES_NAME).is_dir() else None,
    )


def _still_good(plan: Plan, members: Mapping[str, frozenset[str]], changed: int) -> Probes | None:
    """Return the live generation's measurement with what has changed since; None when it must be made again."""
    before = plan.live.probes if plan.live else None
    if before is None or before.names is None or not plan.same_parts_as_live():
        return None
    total = before.changed + changed
    languages = set(members) if len(members) > 1 else set()
    if before.passages < KEPT_FROM or total > STALE * before.passages or set(before.languages) != languages:
        return None
    facts = {name: one.model_copy(update={"passages": len(members[name])}) for name, one in before.languages.items()}
    return before.model_copy(update={"changed": total, "languages": facts})
