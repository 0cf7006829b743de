"""The gate: whether a tuned model may answer in place of the live one. Pure; it refuses unless it is shown to be better.

Two questions, both must be answered yes:

1. Is it better where it was to become better? Held-out queries, through the route that is served, paired with the live model.
2. Is it no worse elsewhere? A general set in Chinese and English, which tuning on one domain is known to hurt
   (Xiao et al., "LM-Cocktail", 2023).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from quarry.retriever.evaluation.compare import Comparison, compare
from quarry.retriever.evaluation.evaluate import Evaluation
from quarry.retriever.evaluation.slices import slices
from quarry.retriever.ranking import Query


@dataclass(frozen=True, slots=True)
class GateRule:
    """What a tuned model must hold.

    Attributes:
        measure: By which both sets are judged.
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
        refusals: Why not, one sentence each; empty when promoted.
    """

    promote: bool
    held_out: Comparison
    general: Comparison
    languages: Mapping[str, float]
    refusals: tuple["Refusal", ...]

    def words(self, language: Literal["en", "zh"] = "en") -> str:
        """Return the verdict with its numbers."""
        if language == "zh":
            head = "可以上线" if self.promote else "不上线：" + "；".join(refusal.chinese for refusal in self.refusals)
            return f"{head}。留出查询：{self.held_out.words('zh')} 通用集：{self.general.words('zh')}"
        head = "Promote" if self.promote else "Refused: " + "; ".join(refusal.english for refusal in self.refusals)
        return f"{head}. Held-out queries: {self.held_out.words()} General set: {self.general.words()}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason not to promote, in both languages of the interface."""

    english: str
    chinese: str


def judge(held_out: Trial, general: Trial, rule: GateRule = GateRule()) -> GateVerdict:
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


def _not_better(gain: Comparison) -> list[Refusal]:
    if gain.verdict == "better":
        return []
    reasons = {
        "worse": Refusal("it is worse on the held-out queries", "在留出查询上变差"),
        "no difference shown": Refusal(
            "no gain is shown on the held-out queries; more judged queries, or better ones, are needed",
            "在留出查询上没有显示出提升，需要更多或更好的标注查询",
        ),
        "too few queries": Refusal(
            f"{gain.count} held-out queries are too few for a verdict", f"留出查询只有 {gain.count} 个，无法下结论"
        ),
    }
    return [reasons[gain.verdict]]


def _worse_elsewhere(general: Comparison, languages: Mapping[str, float], rule: GateRule) -> list[Refusal]:
    refusals = []
    if general.difference < -rule.general_drop:
        refusals.append(
            Refusal(
                f"the general set falls by {-general.difference:.4f}, more than {rule.general_drop} is allowed",
                f"通用集下降 {-general.difference:.4f}，超过允许的 {rule.general_drop}",
            )
        )
    names = {"zh": ("Chinese", "中文"), "en": ("English", "英文")}
    for code, change in sorted(languages.items()):
        if change < -rule.language_drop:
            english, chinese = names.get(code, (code, code))
            refusals.append(
                Refusal(
                    f"its {english} queries fall by {-change:.4f}, more than {rule.language_drop} is allowed",
                    f"其中{chinese}查询下降 {-change:.4f}，超过允许的 {rule.language_drop}",
                )
            )
    return refusals
