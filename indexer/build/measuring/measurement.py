"""What an index measures on itself, and when: at every change, and from 1,000 passages on when a tenth of them has changed.

`quarry.indexer.build.measuring.routes` has the method. The manifest keeps the measurement, with how many passages there were
and how many have been added or removed since.
"""

import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.build.cached_embedder import CachedEmbedder
from quarry.indexer.build.measuring.languages import mean_vector
from quarry.indexer.build.measuring.routes import Parts, probe_languages, probe_routes
from quarry.indexer.build.plan import Plan
from quarry.indexer.lexical.index import UnionIndex
from quarry.indexer.storage.layout import CENTROIDS_NAME
from quarry.indexer.storage.measured import Probes
from quarry.indexer.storage.vectors.vector_cache import VectorCache, probes_path
from quarry.indexer.stores.base import VectorStore
from quarry.indexer.stores.centroids import common_languages, major_languages
from quarry.indexer.stores.parts import Parts as StoredParts

KEPT_FROM = (
    1000  # passages; a smaller index is measured at every change, so that it answers like one built from nothing
)
STALE = 0.1  # share of the passages that may change before an update of a larger one measures again


def kept_measurement(parts: StoredParts, building: Path, plan: Plan, good: Probes) -> Probes:
    """Carry the live generation's measurement over to the one that is being built, with its centroids.

    Args:
        parts: The new generation, opened.
        building: Its folder.
        plan: What is built.
        good: What `still_good` returned.

    Raises:
        ValueError: If the live generation has no measurement.
    """
    if plan.live is None or good.names is None:
        raise ValueError("nothing to keep: there is no live generation with a measurement")
    centroids = building.parent / plan.live.generation / CENTROIDS_NAME
    if centroids.is_file():
        shutil.copyfile(centroids, building / CENTROIDS_NAME)
    count = len(parts.names) if parts.names is not None else 0
    return good.model_copy(update={"names": good.names.model_copy(update={"count": count})})


def measure_routes(parts: StoredParts, building: Path, plan: Plan) -> Probes | None:
    """Probe both routes of a generation that is being built, and write the centroids of its languages into its folder.

    Args:
        parts: The new generation, opened.
        building: Its folder.
        plan: With which embedder and analyzer.

    Returns:
        The measurement, without a quality where too few passages can be cut in two; None for a lexical-only index.
    """
    if plan.embedder is None or parts.vectors is None:
        return None
    spec, table = plan.embedder.spec, parts.texts
    with closing(VectorCache.open(probes_path(plan.index, spec.fingerprint), spec.dim)) as cache:
        members = major_languages(table.languages()) if len(common_languages(table.language_counts())) > 1 else {}
        centroids: dict[str, NDArray[np.float32]] = {}
        if len(members) > 1:
            centroids = {name: mean_vector(parts.vectors, members[name]) for name in sorted(members)}
            np.save(building / CENTROIDS_NAME, np.array(list(centroids.values())), allow_pickle=False)
        probed, embedder = _probed(parts, parts.vectors, plan), CachedEmbedder(plan.embedder, cache)
        probes = probe_languages(probed, embedder, members, centroids) if centroids else probe_routes(probed, embedder)
        cache.keep(embedder.used)
        return probes.model_copy(update={"passages": len(parts.vectors)})


def _probed(parts: StoredParts, vectors: VectorStore, plan: Plan) -> Parts:
    if not isinstance(parts.lexical, UnionIndex):
        raise TypeError(
            f"terms of kind {type(parts.lexical).__name__}; expected those of segments, which a build writes"
        )
    return Parts(
        table=parts.texts,
        analyzer=plan.cutter.analyzer,
        lexical=parts.lexical,
        vectors=vectors,
        mean_length=parts.lexical.mean_length,
        names=parts.names,
    )


def still_good(plan: Plan, languages: Mapping[str, int], changed: int) -> Probes | None:
    """Return the live generation's measurement with what has changed since; None when it must be made again.

    Args:
        plan: What is built.
        languages: Passages of the new generation by language.
        changed: How many passages were added or removed since the live generation.
    """
    before = plan.live.probes if plan.live else None
    if before is None or before.names is None or not plan.same_parts_as_live():
        return None
    total, common = before.changed + changed, common_languages(languages)
    if before.passages < KEPT_FROM or total > STALE * before.passages:
        return None
    if set(before.languages) != (set(common) if len(common) > 1 else set()):
        return None
    facts = {name: one.model_copy(update={"passages": common[name]}) for name, one in before.languages.items()}
    return before.model_copy(update={"changed": total, "languages": facts})
