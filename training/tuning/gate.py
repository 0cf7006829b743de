"""The gate: whether a tuned model may answer in place of the live one. Pure; it refuses unless it is shown to be better.

Two questions, both must be answered yes:

1. Is it better where it was to become better? Held-out queries, through the route that is served, paired with the live model.
   The evidence is an e-value (`quarry.retriever.evaluation.betting`), so the gate may be asked again after every judgement: a model
   that is no different passes at any of these looks with a chance of at most `FALSE_PROMOTIONS`.
2. Is it no worse elsewhere? A general set in Chinese and English, which tuning on one domain is known to hurt
   (Xiao et al., "LM-Cocktail", 2023).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from quarry.indexer.messages import Message
from quarry.retriever.evaluation.betting import e_values, queries_needed
from quarry.retriever.evaluation.compare import MINIMUM_QUERIES, Comparison, compare
from quarry.retriever.evaluation.evaluate import Evaluation
from quarry.retriever.evaluation.slices import slices
from quarry.retriever.ranking import Query

FALSE_PROMOTIONS = 0.01  # of models that are no different, however often the gate is asked
ENOUGH = 1 / FALSE_PROMOTIONS  # evidence
_MOST_SAID = 1e6  # evidence beyond it is written as this


@dataclass(frozen=True, slots=True)
class GateSpec:
    """What a tuned model must hold.

    Attributes:
        measure: The measure that both sets are judged by.
        general_drop: Largest fall of the mean on the general set, in [0, 1].
        language_drop: Largest fall of the mean of its Chinese or its English queries, in [0, 1].

    Raises:
        ValueError: If a drop is not in [0, 1].
    """

    measure: str = "nDCG@10"
    general_drop: float = 0.01
    language_drop: float = 0.02

    def __post_init__(self) -> None:
        for name in ("general_drop", "language_drop"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a number in [0, 1]")


@dataclass(frozen=True, slots=True)
class Trial:
    """The live and the tuned model on one set of queries."""

    before: Evaluation
    after: Evaluation
    queries: Sequence[Query]


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Whether to promote, and why.

    Attributes:
        promote: Only when both questions are answered yes.
        held_out: The comparison on the held-out queries.
        evidence: E-value of the gain on the held-out queries, at least 0: what a bet on it against even odds has made of 1 by now.
        general: The comparison on the general set.
        languages: Language to the change of its mean on the general set.
        refusals: Why not; empty when promoted.
    """

    promote: bool
    held_out: Comparison
    evidence: float
    general: Comparison
    languages: Mapping[str, float]
    refusals: tuple[Message, ...]

    def reason(self) -> Message:
        """Return whether to promote, with the reasons of a refusal."""
        if self.promote:
            return Message.of("tuning.promote", "Promote")
        return Message.of("tuning.refused", "Refused: {reasons}", reasons=list(self.refusals))

    def figures(self) -> tuple[Message, Message]:
        """Return the figures of its two tests."""
        return (
            Message.of("tuning.verdict_held_out", "Held-out queries: {comparison}", comparison=self._gain()),
            Message.of("tuning.verdict_general", "General set: {comparison}", comparison=self.general.message()),
        )

    def message(self) -> Message:
        """Return the verdict with its figures."""
        return Message.of(
            "tuning.verdict",
            "{reason}. Held-out queries: {held_out} General set: {general}",
            reason=self.reason(),
            held_out=self._gain(),
            general=self.general.message(),
        )

    def _gain(self) -> Message:
        found = self.held_out
        return Message.of(
            "tuning.gain",
            "{measure} {before:.4f} -> {after:.4f}, difference {difference:+.4f}, evidence {evidence:,.1f} to 1 ({enough:g} to 1 is "
            "enough); {wins} wins, {ties} ties, {losses} losses on {count} queries.",
            measure=found.measure,
            before=found.before,
            after=found.after,
            difference=found.difference,
            evidence=min(self.evidence, _MOST_SAID),
            enough=ENOUGH,
            wins=len(found.wins),
            ties=len(found.ties),
            losses=len(found.losses),
            count=found.count,
        )


def judge(held_out: Trial, general: Trial, rule: GateSpec = GateSpec(), share: float = 1.0) -> GateVerdict:
    """Compare the tuned with the live model and decide.

    Args:
        held_out: Queries that training has not seen.
        general: The regression set.
        rule: What must hold.
        share: Of judged queries that are held out, in (0, 1]: a refusal says how many more of all are needed.

    Raises:
        CorpusError: If the two evaluations of a trial are of different judgements or share no query.
        ValueError: If one lacks the rule's measure.
    """
    gain = compare(held_out.before, held_out.after, rule.measure)
    evidence = _evidence(gain)
    elsewhere = compare(general.before, general.after, rule.measure)
    languages = _by_language(general, rule.measure)
    refusals = [*_not_better(gain, evidence, share), *_worse_elsewhere(elsewhere, languages, rule)]
    return GateVerdict(not refusals, gain, evidence, elsewhere, languages, tuple(refusals))


def _evidence(gain: Comparison, sign: int = 1) -> float:
    """Return the e-value of a gain, or with -1 of a loss, by the queries in the order of the data set."""
    return float(e_values(sign * np.array(list(gain.deltas.values())))[-1])


def _by_language(trial: Trial, measure: str) -> dict[str, float]:
    before = {part.name: part.means[measure].value for part in slices(trial.before, trial.queries, "language")}
    after = {part.name: part.means[measure].value for part in slices(trial.after, trial.queries, "language")}
    return {name: after[name] - value for name, value in before.items() if name in after}


def _not_better(gain: Comparison, evidence: float, share: float) -> list[Message]:
    if gain.count < MINIMUM_QUERIES:
        return [
            Message.of("tuning.few_held_out", "{count} held-out queries are too few for a verdict", count=gain.count)
        ]
    if evidence >= ENOUGH:
        return []
    if _evidence(gain, sign=-1) >= ENOUGH:
        return [Message.of("tuning.worse", "it is worse on the held-out queries")]
    needed = queries_needed(np.array(list(gain.deltas.values())), ENOUGH)
    if needed is not None:
        return [
            Message.of(
                "tuning.no_gain_yet",
                "no gain is shown on the held-out queries yet; if further ones gain as these do, about {more:judged query|judged "
                "queries} more are enough",
                more=ceil(needed / share),
            )
        ]
    return [
        Message.of(
            "tuning.no_gain",
            "no gain is shown on the held-out queries; more judged queries, or better ones, are needed",
        )
    ]


def _worse_elsewhere(general: Comparison, languages: Mapping[str, float], rule: GateSpec) -> list[Message]:
    refusals = []
    if general.difference < -rule.general_drop:
        refusals.append(
            Message.of(
                "tuning.general_falls",
                "the general set falls by {fall:.4f}, more than {allowed} is allowed",
                fall=-general.difference,
                allowed=rule.general_drop,
            )
        )
    for code, change in sorted(languages.items()):
        if change < -rule.language_drop:
            refusals.append(
                Message.of(
                    "tuning.language_falls",
                    "its {language} queries fall by {fall:.4f}, more than {allowed} is allowed",
                    language=_language(code),
                    fall=-change,
                    allowed=rule.language_drop,
                )
            )
    return refusals


def _language(code: str) -> Message:
    if code == "zh":
        return Message.of("tuning.chinese", "Chinese")
    return Message.of("tuning.english", "English") if code == "en" else Message.plain(code)
