"""What several indexes measured on themselves, pooled: what one index of all their passages would have measured, as near as can be told.

Qualities, deviations and offsets are means weighed by the passages behind them. A language that only one index is in has that index's
measurement; where the languages of the indexes differ, each gets its centroid from the vectors there, and what no index could test has the
share of `quarry.indexer.build.measuring.languages` for that case.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.opened import Index
from quarry.indexer.storage.measured import ALL, LanguageFacts, NameFacts, Probes, RouteQuality
from quarry.indexer.stores.centroids import common_languages

UNTESTED = 0.5  # share of a language's lead; see `quarry.indexer.build.measuring.languages`
_SAMPLE = 2048  # passages that stand for an index of one language in its centroid

Weighed = Sequence[tuple[float, float]]  # (weight, value)
Counts = Mapping[str, Mapping[str, int]]  # by index, its passages by language


def languages_of(counts: Counts) -> dict[str, int]:
    """Return the passages of each language that several indexes together are in; empty where they are in one."""
    total: Counter[str] = Counter()
    for own in counts.values():
        total.update(own)
    common = common_languages(total)
    return common if len(common) > 1 else {}


def pooled(parts: Mapping[str, Index], counts: Counts, means: Mapping[str, NDArray[np.float32]]) -> Probes | None:
    """Return the measurement of several indexes together; None where one of them has none.

    Args:
        parts: The indexes, by name.
        counts: Their passages by language.
        means: From `centroids_of`.
    """
    probes = [part.manifest.probes for part in parts.values()]
    measured = [one for one in probes if one is not None]
    if len(measured) < len(probes):
        return None
    sizes = [part.manifest.chunks for part in parts.values()]
    languages = languages_of(counts)
    between = _between(languages, means)
    spreads = [
        # one language: the distance to the other ones was not there to be measured
        (size, one.spread if one.languages else float(np.hypot(one.spread, between)))
        for size, one in zip(sizes, measured, strict=True)
        if one.spread > 0
    ]
    return Probes(
        spread=_mean(spreads),
        quality=_qualities(parts, counts, languages),
        languages={name: LanguageFacts(passages=count, share=_share(parts, name)) for name, count in languages.items()},
        names=_names(measured, sizes),
        passages=sum(sizes),
    )


def centroids_of(parts: Mapping[str, Index], counts: Counts) -> dict[str, NDArray[np.float32]]:
    """Return the mean vector of each language of several indexes, shape (dim,); empty where they are in one."""
    found: dict[str, list[tuple[int, NDArray[np.float32]]]] = {name: [] for name in sorted(languages_of(counts))}
    if not found:
        return {}
    for index, part in parts.items():
        own, mine = part.centroids(), counts[index]
        if not own and part.vectors is not None and mine:
            own = {max(mine, key=lambda name: mine[name]): _mean_of_some(part)}
        for name, mean in own.items():
            if name in found:
                found[name].append((mine.get(name, 0), mean))
    return {
        name: np.average([mean for _, mean in each], axis=0, weights=[max(1, count) for count, _ in each]).astype(
            np.float32
        )
        for name, each in found.items()
        if each
    }


def _between(languages: Mapping[str, int], means: Mapping[str, NDArray[np.float32]]) -> float:
    """Return the deviation of a question's similarities that comes of two languages alone; 0 for one.

    A passage in the other language is less near by the lead of the question's own (`quarry.indexer.stores.centroids.lead_of`), which is
    taken at the centroids.
    """
    if len(means) < 2:
        return 0.0
    (one, other), total = sorted(means), sum(languages.values())
    share = languages[one] / total
    leads = [float(np.abs(means[name] @ (means[one] - means[other]))) for name in (one, other)]
    return float(np.sqrt(share * (1 - share)) * np.mean(leads))


def _mean_of_some(part: Index) -> NDArray[np.float32]:
    store = part.vectors
    if store is None:
        raise ValueError("an index without vectors has no centroid")
    rows = sorted(Random(0).sample(range(len(store)), min(len(store), _SAMPLE)))
    mean: NDArray[np.float32] = store.vectors_of(np.array(rows, dtype=np.int64)).mean(axis=0)
    return mean


def _qualities(parts: Mapping[str, Index], counts: Counts, languages: Mapping[str, int]) -> dict[str, RouteQuality]:
    found = {}
    for name in (*languages, ALL):
        each = [
            (count, quality)
            for index, part in parts.items()
            if (count := _passages_in(part, counts[index], name)) and (quality := _quality(part, name)) is not None
        ]
        if each:
            found[name] = RouteQuality(
                probes=sum(quality.probes for _, quality in each),
                bm25=_mean([(count, quality.bm25) for count, quality in each]),
                dense=_mean([(count, quality.dense) for count, quality in each]),
            )
    return found


def _quality(part: Index, name: str) -> RouteQuality | None:
    quality = part.manifest.probes.quality if part.manifest.probes else {}
    return quality.get(name, quality.get(ALL))


def _passages_in(part: Index, counts: Mapping[str, int], name: str) -> int:
    return part.manifest.chunks if name == ALL else common_languages(counts).get(name, 0)


def _share(parts: Mapping[str, Index], name: str) -> float:
    each = [
        (one.passages, one.share)
        for part in parts.values()
        if part.manifest.probes and (one := part.manifest.probes.languages.get(name)) is not None
    ]
    return _mean(each) if each else UNTESTED


def _names(probes: Sequence[Probes], sizes: Sequence[int]) -> NameFacts | None:
    found = [one.names for one in probes]
    names = [one for one in found if one is not None]
    if len(names) < len(found):
        return None

    def over(value: Callable[[NameFacts], float]) -> float:
        return _mean([(size, value(one)) for size, one in zip(sizes, names, strict=True) if one.count])

    return NameFacts(
        count=sum(one.count for one in names),
        quality=over(lambda one: one.quality),
        offset=over(lambda one: one.offset),
    )


def _mean(each: Weighed) -> float:
    total = sum(weight for weight, _ in each)
    return sum(weight * value for weight, value in each) / total if total else 0.0
