"""What a generation of a lake measures on itself: as an index does, on the same passages (`quarry.indexer.build.measuring.routes`)."""

from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.build.cached_embedder import CachedEmbedder
from quarry.indexer.build.measuring.routes import Parts, probe_languages, probe_routes
from quarry.indexer.embedder import Embedder
from quarry.indexer.lake.counted import Counted
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.storage.measured import Probes
from quarry.indexer.storage.vectors.vector_cache import VectorCache
from quarry.indexer.stores.centroids import common_languages
from quarry.indexer.stores.lake.opening import LakeParts


def centroids_of(counted: Counted) -> dict[str, NDArray[np.float32]]:
    """Return the mean vector of each language, by name; none for a corpus of one language."""
    common = common_languages(counted.languages)
    if len(common) < 2:
        return {}
    return {name: (counted.sums[name] / counted.languages[name]).astype(np.float32) for name in sorted(common)}


def measure(
    parts: LakeParts, embedder: Embedder, kind: str, centroids: dict[str, NDArray[np.float32]], scratch: Path
) -> Probes:
    """Probe both routes.

    Args:
        parts: The generation, opened.
        embedder: The lake's model.
        kind: Of the analyzer.
        centroids: What `centroids_of` returned.
        scratch: A folder that is thrown away afterwards.
    """
    probed = Parts(
        table=parts.texts,
        analyzer=analyzer(kind),
        lexical=parts.lexical,
        vectors=parts.vectors,
        mean_length=parts.lexical.mean_length,
        names=parts.names,
    )
    with closing(VectorCache.open(scratch / "probes.sqlite", embedder.spec.dim)) as cache:
        cached = CachedEmbedder(embedder, cache)
        if centroids:
            names = list(centroids)
            home = {name: parts.texts.outside([other for other in names if other != name]) for name in names}
            probes = probe_languages(probed, cached, parts.texts.languages_apart(names), centroids, home=home)
        else:
            probes = probe_routes(probed, cached)
    return probes.model_copy(update={"passages": len(parts.vectors)})
