"""The gate: whether a tuned model may answer in place of the live one. Pure; it refuses unless it is shown to be better.

Two questions, both must be answered yes:

1. Is it better where it was to become better? Held-out queries, through the route that is served, paired with the live model.
2. Is it no worse elsewhere? A general set in Chinese and English, which tuning on one domain is known to hurt
   (Xiao et al., "LM-Cocktail", 2023).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quarry.indexer.messages import Message
from quarry.retriever.evaluation.compare import Comparison, compare
from quarry.retriever.evaluation.evaluate import Evaluation
from quarry.retriever.evaluation.slices import slices
from quarry.retriever.ranking import Query


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
        general: The comparison on the general set.
        languages: Language to the change of its mean on the general set.
        refusals: Why not; empty when promoted.
    """

    promote: bool
    held_out: Comparison
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
            Message.of("tuning.verdict_held_out", "Held-out queries: {comparison}", comparison=self.held_out.message()),
            Message.of("tuning.verdict_general", "General set: {comparison}", comparison=self.general.message()),
        )

    def message(self) -> Message:
        """Return the verdict with its figures."""
        return Message.of(
            "tuning.verdict",
            "{reason}. Held-out queries: {held_out} General set: {general}",
            reason=self.reason(),
            held_out=self.held_out.message(),
            general=self.general.message(),
        )


def judge(held_out: Trial, general: Trial, rule: GateSpec = GateSpec()) -> GateVerdict:
    """Compare the tuned with the live model and decide.

    Args:
        held_out: Queries that training has not seen.
        general: The regression set.
        rule: What must hold.

    Raises:
        CorpusError: If the two evaluations of a trial are of different judgements or share no query.
        ValueError: If one lacks the rule's measure.
    """
    gain = compare(held_out.before, held_out.after, rule.measure)
    elsewhere = compare(general.before, general.after, rule.measure)
    languages = _by_language(general, rule.measure)
    refusals = [*_not_better(gain), *_worse_elsewhere(elsewhere, languages, rule)]
    return GateVerdict(not refusals, gain, elsewhere, languages, tuple(refusals))


def _by_language(trial: Trial, measure: str) -> dict[str, float]:
    before = {part.name: part.means[measure].value for part in slices(trial.before, trial.queries, "language")}
    after = {part.name: part.means[measure].value for part in slices(trial.after, trial.queries, "language")}
    return {name: after[name] - value for name, value in before.items() if name in after}


def _not_better(gain: Comparison) -> list[Message]:
    reasons = {
        "worse": Message.of("tuning.worse", "it is worse on the held-out queries"),
        "no difference shown": Message.of(
            "tuning.no_gain",
            "no gain is shown on the held-out queries; more judged queries, or better ones, are needed",
        ),
        "too few queries": Message.of(
            "tuning.few_held_out", "{count} held-out queries are too few for a verdict", count=gain.count
        ),
    }
    return [] if gain.verdict == "better" else [reasons[gain.verdict]]


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
