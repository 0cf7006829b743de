"""What a manifest says of what an index measured on itself."""

from pydantic import Field

from quarry.indexer.storage.facts import Fact

ALL = "all"


class RouteQuality(Fact):
    """How well each route found passages again by a sentence taken out of them (`quarry.indexer.build.measuring.routes`).

    Attributes:
        probes: How many passages were looked for.
        bm25: nDCG@10 of BM25, rescaled so that a random order has 0; in [0, 1].
        dense: The same of dense search.
    """

    probes: int
    bm25: float
    dense: float


class LanguageFacts(Fact):
    """One of several languages of an index (`quarry.indexer.build.measuring.languages`).

    Attributes:
        passages: How many are in it.
        share: Of the lead of this language's mean similarity with a question in it, what passages in other languages are given.
    """

    passages: int
    share: float


class NameFacts(Fact):
    """The titles and headings of an index, which have vectors of their own (`quarry.indexer.build.names`).

    Attributes:
        count: How many distinct ones.
        quality: nDCG@10 at which a sentence finds the one that its passage stands under, rescaled so that a random order has 0; in
            [0, 1]. It is near 0 where they are ids or file names.
        offset: How much higher their similarities are than those of the passages, on average.
    """

    count: int
    quality: float
    offset: float


class Probes(Fact):
    """What the index measured on itself when it was built: how far the fusion may trust each route.

    Attributes:
        spread: Standard deviation of one question's similarities over the passages; the unit of gaps between them.
        quality: By the language of the questions, and of all under `all`; empty where the texts are too few or too short.
        languages: Those that have a centroid, by name; empty when there are not at least two.
        names: Titles and headings; None where they had no vectors yet.
        passages: How many there were when this was measured; 0 in older manifests.
        changed: How many were added or removed since then.
    """

    spread: float
    quality: dict[str, RouteQuality]
    languages: dict[str, LanguageFacts] = Field(default_factory=dict)
    names: NameFacts | None = None
    passages: int = 0
    changed: int = 0
