"""The semantic filter: how related a model finds the two texts of each pair, and from which score on a pair is kept.

C-Pack dropped what its scorer put below 0.43; such a number holds for one model (arXiv 2309.07597, section 3.2). The default rule needs
none: a pair must be more related (`quarry.training.pairs.filters.relatedness`) than 97 of 100 pairs put together at random, among those of
the same languages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Embedder, Progress
from quarry.training.pairs.filters.relatedness import Classes, across_languages, random_cells, relatedness
from quarry.training.pairs.found import KINDS, SYMMETRIC, FoundPair
from quarry.training.pairs.lexical import shares_held
from quarry.training.pairs.staging import Staging

SCORES = 4  # raise it with any change of the numbers of a pair: those of another version are not mixed with these
_BLOCK = 512  # pairs encoded together, which are each other's random pairs
LEAST = 32  # pairs among which a random one says something
_DRAWS = 8  # random pairs per pair
_WIDTH = 2 + _DRAWS

Rows: TypeAlias = NDArray[np.int64]
Scores: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FilterRule:
    """Which pairs stay; of `threshold` and `keep` at most one is given.

    Attributes:
        random: Share of random pairs that must score below a pair, when neither of the others is given.
        threshold: Lowest cosine.
        keep: Share of the pairs with the highest cosines.

    Raises:
        ValueError: If a share is out of range, or both are given.
    """

    random: float = 0.97
    threshold: float | None = None
    keep: float | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and self.keep is not None:
            raise ValueError("--threshold and --keep were both given; expected one of them. Leave one out")
        if self.keep is not None and not 0 < self.keep <= 1:
            raise ValueError(f"the share to keep is {self.keep}; expected a number above 0 and up to 1")
        if not 0 < self.random < 1:
            raise ValueError(f"the share of random pairs is {self.random}; expected a number between 0 and 1")


@dataclass(frozen=True, slots=True)
class Selected:
    """The pairs that are scored.

    Attributes:
        rows: Their numbers, ascending, shape (n,).
        specific: Whether each is asked by its specific query, shape (n,).
        classes: Its languages and whether both texts are of one kind, shape (n,).
    """

    rows: Rows
    specific: NDArray[np.bool_]
    classes: Classes


def classes_of(marks: NDArray[np.uint8]) -> Classes:
    """Return the class of each mark."""
    symmetric = np.isin(marks & 7, [KINDS.index(kind) for kind in SYMMETRIC])
    return ((marks >> 3) + 4 * symmetric).astype(np.int8)


def _grouped(classes: Classes, least: int) -> Classes:
    """Return the classes; -1 for those with fewer pairs than `least`."""
    few = np.bincount(classes, minlength=8) < least
    return np.where(few[classes], -1, classes).astype(np.int8)


def score_pairs(
    staging: Staging,
    selected: Selected,
    embedder: Embedder,
    file: Path,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> None:
    """Write `_WIDTH` numbers for each pair to a file, in the order of `_order`; what the file has already is not scored again."""
    done = file.stat().st_size // (4 * _WIDTH) if file.exists() else 0
    with file.open("ab") as handle:
        first = 0
        for places in _order(selected.classes, seed):
            first += len(places)
            if first <= done:
                continue
            handle.truncate(4 * _WIDTH * (first - len(places)))
            pairs = [_asked(staging, selected, place) for place in places.tolist()]
            handle.write(_scored(pairs, selected.classes[places], embedder).tobytes())
            handle.flush()
            if progress is not None:
                progress(len(places))


def read_scores(file: Path, selected: Selected, seed: int = 0) -> Scores:
    """Return what `score_pairs` wrote, shape (n, _WIDTH): cosine, relatedness, and the latter of random pairs, nan where none is."""
    found = np.empty((len(selected.rows), _WIDTH), np.float32)
    written = np.memmap(file, np.float32, "r").reshape(-1, _WIDTH) if len(found) else found
    first = 0
    for places in _order(selected.classes, seed):
        found[places] = written[first : first + len(places)]
        first += len(places)
    return found


def kept_by(rule: FilterRule, scores: Scores, classes: Classes) -> tuple[NDArray[np.bool_], dict[int, float]]:
    """Return which pairs stay, shape (n,), and the thresholds: by class for random pairs (-1 for small ones), else one under 0."""
    cosines = scores[:, 0]
    if rule.threshold is not None:
        return cosines >= rule.threshold, {0: rule.threshold}
    if rule.keep is not None:
        best = np.argsort(-cosines, kind="stable")[: int(np.ceil(rule.keep * len(cosines)))]
        kept = np.zeros(len(cosines), np.bool_)
        kept[best] = True
        return kept, {0: float(cosines[best].min())} if len(best) else {}
    kept, thresholds = np.ones(len(cosines), np.bool_), dict[int, float]()
    group = _grouped(classes, LEAST)
    for number in np.unique(group).tolist():
        inside = group == number
        drawn = scores[inside if number >= 0 or np.count_nonzero(inside) >= LEAST else slice(None), 2:]
        thresholds[number] = float(np.nanquantile(drawn, rule.random))
        kept[inside] = scores[inside, 1] >= thresholds[number]
    return kept, thresholds


def _order(classes: Classes, seed: int) -> Iterator[Rows]:
    """Yield the places of each block, drawn so that neighbours are not of one document.

    The last two of a class make one block. Classes of less than a block go together: texts of all of them are random ones for each.
    """
    draw, group = np.random.default_rng(seed), _grouped(classes, _BLOCK)
    for number in np.unique(group):
        places = draw.permutation(np.flatnonzero(group == number))
        cuts = list(range(_BLOCK, len(places) - LEAST, _BLOCK))
        yield from np.split(places, cuts)


def _asked(staging: Staging, selected: Selected, place: int) -> FoundPair:
    pair = staging[int(selected.rows[place])]
    return pair._replace(query=pair.specific) if selected.specific[place] else pair


def _scored(pairs: Sequence[FoundPair], classes: Classes, embedder: Embedder) -> Scores:
    queries = embedder.embed_queries([pair.query for pair in pairs])
    alike = [place for place, pair in enumerate(pairs) if pair.kind in SYMMETRIC]
    passages = np.empty_like(queries)
    others = np.setdiff1d(np.arange(len(pairs)), alike)
    passages[alike] = embedder.embed_queries([pairs[place].passage for place in alike])
    passages[others] = embedder.embed_documents([pairs[place].passage for place in others])
    asked, said = [pair.query for pair in pairs], [pair.passage for pair in pairs]
    random = random_cells(asked, said)
    cosines = across_languages(queries, passages, classes)
    found = relatedness(cosines, shares_held(asked, said).astype(np.float64), classes, random)
    out = np.full((len(pairs), _WIDTH), np.nan, np.float32)
    out[:, 0], out[:, 1] = (queries * passages).sum(axis=1), np.diagonal(found)
    for place, drawn in _drawn(classes, random):
        out[place, 2 : 2 + len(drawn)] = found[place, drawn]
    return out


def _drawn(classes: Classes, random: NDArray[np.bool_]) -> Iterator[tuple[int, Rows]]:
    """Yield each place of a block, and those whose passages make random pairs of its class with its query."""
    for alike in np.unique(classes & 6):
        places = np.flatnonzero(classes & 6 == alike)
        for number, place in enumerate(places.tolist()):
            after = np.roll(places, -1 - number)
            yield place, after[random[place, after]][:_DRAWS]
