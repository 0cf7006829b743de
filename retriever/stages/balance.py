"""How much BM25 counts against dense search for one query: from what the index measured on itself and what the query shows.

    weight = sigmoid(0.6 + 3 * advantage + log(coverage) - 0.5 * gap)

`advantage` is the logarithm of the quality of BM25 over that of dense search, with 0.5 added to both. Both were measured when
the index was built, on sentences taken out of its own passages (`quarry.indexer.build.measuring.routes`). `coverage` is the
share of the query's idf mass that one of the best BM25 hits matched, full from 0.3 on: a Chinese question matches little of
English pages. `gap` is how far the best similarity is above the tenth, in standard deviations of similarities in this index:
dense search that has decided is followed. A route that finds next to nothing is left out altogether: dense search below half of
BM25's quality (random weights, an encoder of another language), BM25 below a tenth of dense search's. Where neither finds a
tenth, neither is left out.

The four weights and the 0.5 were chosen from a grid on collections and harder copies of them, and tested on families that were
left out: `python -m tests.benchmarks.fusion CACHE --choose`; docs/ranking.md has the table. Indexes without probes have the
rule of before: 0.4 times the coverage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

from quarry.indexer.lexical.bm25 import LexicalIndex
from quarry.indexer.messages import Message
from quarry.indexer.storage.measured import ALL, Probes, RouteQuality
from quarry.retriever.ranking import Hit

OFFSET, BY_ADVANTAGE, BY_COVERAGE, BY_GAP = 0.6, 3.0, 1.0, -0.5
EVEN = 0.5  # added to both qualities: with much of it a difference counts, with little a ratio
WEAK_DENSE, WEAK_BM25 = 0.5, 0.1  # shares of the other route's quality below which a route is left out
MEASURABLE = 0.1  # a quality below it is within the error of 128 probes, and no reason to leave the other route out
NEGLIGIBLE = 0.04  # a weight this close to 0 or 1 is 0 or 1
WEIGHT_BEFORE = 0.4  # the largest weight of BM25 in an index without probes
FULL_COVERAGE = 0.3
_FAINT = 0.02  # added to the coverage, so that its logarithm is finite
_LONGEST_WORD = 12  # characters; an unknown run of more is several unknown words that are not apart
TOP_HITS = 3  # among which the best coverage is looked for
_TENTH = 9
_LEAST_SPREAD = 1e-6  # all similarities are equal


@dataclass(frozen=True, slots=True)
class Balance:
    """The weight of BM25 in the fusion, in [0, 1], and why."""

    weight: float
    reason: Message


def balance(
    probes: Probes | None, coverage: float, dense: Sequence[Hit], language: str = ALL, learned: float = 0.0
) -> Balance:
    """Weigh BM25 for one query.

    Args:
        probes: What the index measured on itself.
        coverage: From `coverage_of`, in [0, 1].
        dense: Dense hits, best first.
        language: Of the query; in an index of two languages each has its own measurement.
        learned: What judgements taught about this index, in log-odds of the weight; a route that is left out stays out.
    """
    chosen = _measured(probes, coverage, dense, language)
    if not learned or not 0 < chosen.weight < 1:
        return chosen
    weight = _sigmoid(log(chosen.weight / (1 - chosen.weight)) + learned)
    return Balance(
        weight,
        Message.of(
            "stages.weight_learned",
            "judgements moved the weight of BM25 to {weight:.2f}; before: {before}",
            weight=weight,
            before=chosen.reason,
        ),
    )


def _measured(probes: Probes | None, coverage: float, dense: Sequence[Hit], language: str) -> Balance:
    """Weigh BM25 by what the index measured and what the query shows."""
    if not dense:
        return Balance(1.0, Message.of("stages.no_dense_hits", "dense search found nothing"))
    quality = _quality_of(probes, language) if probes else None
    if probes is None or quality is None:
        weight = WEIGHT_BEFORE * min(1.0, coverage / FULL_COVERAGE)
        return Balance(weight, _unmeasured(weight, added=probes is not None))
    if is_dense_left_out(probes, language):
        return Balance(1.0, _because(Message.of("stages.bm25_alone", "BM25 alone ranks"), quality))
    if max(quality.bm25, quality.dense) >= MEASURABLE and quality.bm25 < WEAK_BM25 * quality.dense:
        return Balance(0.0, _because(Message.of("stages.dense_alone", "dense search alone ranks"), quality))
    gap = (dense[0].score - dense[min(_TENTH, len(dense) - 1)].score) / max(probes.spread, _LEAST_SPREAD)
    weight = _weight(advantage_of(quality), coverage, gap)
    how = Message.of(
        "stages.weighed",
        "BM25 weighs {weight:.2f} (coverage {coverage:.2f}, dense lead {gap:.1f})",
        weight=weight,
        coverage=coverage,
        gap=gap,
    )
    return Balance(weight, _because(how, quality))


def is_dense_left_out(probes: Probes, language: str) -> bool:
    """Whether dense search is too weak in this index to count for questions in a language."""
    quality = _quality_of(probes, language)
    if quality is None or max(quality.bm25, quality.dense) < MEASURABLE:
        return False
    return quality.dense < WEAK_DENSE * quality.bm25


def _quality_of(probes: Probes, language: str) -> RouteQuality | None:
    return probes.quality.get(language, probes.quality.get(ALL))


def _because(how: Message, quality: RouteQuality) -> Message:
    return Message.of(
        "stages.by_probes",
        "{how}: on its own passages this index scores {bm25:.2f} with BM25 and {dense:.2f} with dense search",
        how=how,
        bm25=quality.bm25,
        dense=quality.dense,
    )


def _unmeasured(weight: float, *, added: bool) -> Message:
    if added:
        return Message.of(
            "stages.probes_too_few",
            "BM25 weighs {weight:.2f}, by a fixed rule: the index has too little text to probe its routes",
            weight=weight,
        )
    return Message.of(
        "stages.no_probes",
        "BM25 weighs {weight:.2f}, by a fixed rule: the index was built before routes were probed",
        do="Add the probes with `quarry index PATH --into INDEX`",
        weight=weight,
    )


def advantage_of(quality: RouteQuality) -> float:
    """Return the logarithm of BM25's quality over that of dense search, 0.5 added to both.

    Example:
        >>> round(advantage_of(RouteQuality(probes=128, bm25=0.6, dense=0.45)), 3)
        0.147
    """
    return log((quality.bm25 + EVEN) / (quality.dense + EVEN))


def _weight(advantage: float, coverage: float, gap: float) -> float:
    covered = log(min(1.0, (coverage + _FAINT) / FULL_COVERAGE))
    weight = _sigmoid(OFFSET + BY_ADVANTAGE * advantage + BY_COVERAGE * covered + BY_GAP * gap)
    if weight < NEGLIGIBLE:
        return 0.0
    return 1.0 if weight > 1 - NEGLIGIBLE else weight


def _sigmoid(odds: float) -> float:
    return 1 / (1 + exp(-odds))


def coverage_of_hits(tokens: Sequence[str], index: LexicalIndex, hits: Sequence[Hit]) -> float:
    """Return what `coverage_of` returns, from hits of a later stage that keep their BM25 ranks in their evidence."""
    found = [hit for hit in hits if hit.evidence.bm25]
    return coverage_of(tokens, index, sorted(found, key=lambda hit: hit.evidence.bm25.rank if hit.evidence.bm25 else 0))


def coverage_of(tokens: Sequence[str], index: LexicalIndex, hits: Sequence[Hit]) -> float:
    """Return the share, in [0, 1], of a query's idf mass that one of the best BM25 hits matched.

    Args:
        tokens: All of the query's terms, stop words too: those of another language than the corpus's are unknown to it and
            lower the coverage. A term that is in no passage has the idf of a term with no document, once per twelve characters:
            words that are written together are unknown, and several.
        index: Where their idf comes from.
        hits: BM25 hits, best first, with their matched terms.
    """
    distinct = set(tokens)
    idfs = {token: idf for token in distinct if (idf := index.idf(token)) is not None}
    if not idfs or not hits:
        return 0.0
    unknown = log(1 + (len(index) + 0.5) / 0.5)
    total = sum(idfs.get(token, unknown * max(1.0, len(token) / _LONGEST_WORD)) for token in distinct)
    matched = max(sum(idfs.get(term, 0.0) for term in hit.evidence.terms) for hit in hits[:TOP_HITS])
    return min(1.0, matched / total) if total > 0 else 0.0
