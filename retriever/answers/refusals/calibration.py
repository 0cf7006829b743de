"""A small logistic model from signals to the probability that the passages hold the answer: fitting and storage.

There is one model for searches with vectors (`meaning`), two for those whose best passage is in the other language than the
question, where words cannot match (`tokens` where the index has token states, `across` where it has not), and one for words alone
(`words`). What is shipped was fitted by `python -m tests.benchmarks.evidence` and, for `tokens` and `across`, `evidence_mixed`; from
which strength on a question is answered, by `refusals`. An index's own thresholds are in its folder and bound to the embedder that they
were made with. MaxSim is on the scale of its model, so `tokens` is read for the embedder that it was fitted with and no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.resources import files
from json import dumps, loads
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import SettingsError, cause_of
from quarry.indexer.language import Language
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import write_atomic
from quarry.retriever.answers.refusals.signals import Signals

Kind = Literal["meaning", "tokens", "across", "words"]
KINDS: tuple[Kind, ...] = ("meaning", "tokens", "across", "words")
NAME = "evidence.json"  # in an index folder
REFUSED = 0.05  # at most this share of the answerable questions is called weak
FEATURES: dict[Kind, tuple[str, ...]] = {
    "meaning": ("closeness", "lead", "size", "cover", "cover_all", "known", "agree", "terms"),
    "tokens": ("standout", "tokens"),
    "across": ("closeness", "lead", "size"),
    "words": ("cover", "cover_all", "known", "terms", "size"),
}
_FORMAT = 1
_PRIOR = 1e-3  # of a fit without one: keeps weights finite when the classes can be told apart without error
_STEPS = 50
_CONVERGED = 1e-8


def values(signals: Signals, kind: Kind) -> tuple[float, ...]:
    """Return the model's inputs, in the order of `FEATURES[kind]`.

    Raises:
        ValueError: If the search had no vectors and another kind than words is asked for.
    """
    if kind != "words" and signals.closeness is None:
        raise ValueError("these signals are of a search without vectors; expected closeness and lead, or ask for words")
    if kind == "tokens" and signals.tokens is None:
        raise ValueError("these signals are of a search without token states; expected them, or ask for across")
    return tuple(float(getattr(signals, name)) for name in FEATURES[kind])


def kind_of(signals: Signals) -> Kind:
    """Return which model reads these signals."""
    if signals.closeness is None:
        return "words"
    if not signals.foreign:
        return "meaning"
    return "across" if signals.tokens is None or signals.standout is None else "tokens"


@dataclass(frozen=True, slots=True)
class Model:
    """A logistic model with the threshold below which evidence is weak.

    Attributes:
        kind: Which signals it reads.
        mean: Mean of each input, subtracted first.
        scale: Deviation of each input, above 0.
        weights: One per scaled input.
        bias: Log-odds of average signals.
        threshold: In [0, 1]; a strength below it is weak: nothing fits well.
        answers: In [0, 1]; from this strength on a question is answered, so that few answers are unsupported
            (`quarry.retriever.answers.refusals.promise`). None, in what earlier versions wrote: from `threshold` on.
        level: Share of an index's own unanswerable questions that its own threshold would answer, in [0, 1].
        weight: How much that own threshold counts against `answers`, in log-odds; 0 leaves `answers` as it is.
    """

    kind: Kind
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    threshold: float
    answers: float | None = None
    level: float = 1.0
    weight: float = 0.0

    @property
    def answered(self) -> float:
        """The strength from which on a question is answered, where the index has no threshold of its own."""
        return self.threshold if self.answers is None else self.answers

    def __post_init__(self) -> None:
        expected = len(FEATURES[self.kind])
        if {len(self.mean), len(self.scale), len(self.weights)} != {expected} or min(self.scale) <= 0:
            raise ValueError(f"a model of {self.kind} has other than {expected} inputs with scales above 0")

    def strength(self, signals: Signals) -> float:
        """Return the probability, in [0, 1], that the passages hold the answer, were half of all questions answerable."""
        return float(self.strengths(np.array([values(signals, self.kind)]))[0])

    def strengths(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the same for inputs of shape (n, inputs)."""
        scaled = (rows - np.array(self.mean)) / np.array(self.scale)
        return _sigmoid(scaled @ np.array(self.weights) + self.bias)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The models of one calibration and what they were fitted on.

    Attributes:
        meaning: For searches with vectors; None when made without an embedder.
        across: The same for passages in the other language.
        tokens: The same where token states are compared; None when there were none, and in what earlier versions wrote.
        words: For searches without vectors.
        origin: What it was fitted on.
        embedder: The embedder's name.
        fingerprint: The embedder it is bound to; empty for the shipped one, whose signals do not depend on it.
        thresholds: An index's own: kind and language, as `meaning zh`, to the strength from which on a question is answered.
        passages: How many the index had when its own questions set the thresholds; None where judged questions set them.
    """

    meaning: Model | None
    across: Model | None
    words: Model
    origin: Message
    embedder: str = ""
    fingerprint: str = ""
    tokens: Model | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    passages: int | None = None

    @property
    def models(self) -> tuple[Model | None, Model | None, Model | None, Model]:
        """What strengths and thresholds are on the scale of."""
        return self.meaning, self.across, self.tokens, self.words

    def answered(self, kind: Kind, language: Language) -> float:
        """Return the strength, in [0, 1], from which on a question in a language is answered; above 1: never."""
        return self.thresholds.get(f"{kind} {language}", self.model(kind).answered)

    def model(self, kind: Kind) -> Model:
        """Return the model of a kind; where it was not fitted, the one that needs less: across for tokens, else words."""
        wanted = {
            "meaning": self.meaning,
            "tokens": self.tokens or self.across,
            "across": self.across,
            "words": self.words,
        }
        return wanted[kind] or self.words

    def model_named(self, name: str) -> Model:
        """Return the model of a threshold's name, as `meaning zh`."""
        return next(self.model(kind) for kind in KINDS if kind == name.partition(" ")[0])

    def save(self, path: Path) -> None:
        """Write as JSON, as one step."""
        fields = {**asdict(self), "origin": self.origin.as_json()}
        content = dumps({"format": _FORMAT, **fields}, ensure_ascii=False, indent=1)
        write_atomic(path, content.encode() + b"\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            SettingsError: If the file is not such a calibration, or of another format.
        """
        try:
            content = loads(path.read_text(encoding="utf-8"))
            return cls.of(content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as err:
            raise SettingsError(
                "answers.no_calibration",
                "{path} is not a calibration of evidence ({error})",
                expected="what `quarry ask INDEX --calibrate DATASET` writes",
                do="Remove it, or calibrate again",
                path=path,
                error=cause_of(err),
            ) from err

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """Return a calibration from its JSON object. Raises ValueError, TypeError or KeyError when it is something else."""
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}, expected {_FORMAT}")
        meaning, across, tokens = content["meaning"], content["across"], content.get("tokens")
        return cls(
            meaning=_model(meaning) if meaning else None,
            across=_model(across) if across else None,
            tokens=_model(tokens) if tokens else None,
            words=_model(content["words"]),
            origin=Message.from_json(content["origin"]),
            embedder=str(content["embedder"]),
            fingerprint=str(content["fingerprint"]),
            thresholds={str(name): float(value) for name, value in content.get("thresholds", {}).items()},
            passages=content.get("passages"),
        )


def _model(row: Mapping[str, Any]) -> Model:
    lists = {name: tuple(float(value) for value in row[name]) for name in ("mean", "scale", "weights")}
    answers = row.get("answers")
    model = Model(
        row["kind"],
        **lists,
        bias=float(row["bias"]),
        threshold=float(row["threshold"]),
        answers=None if answers is None else float(answers),
        level=float(row.get("level", 1.0)),
        weight=float(row.get("weight", 0.0)),
    )
    numbers = (*model.mean, *model.scale, *model.weights, model.bias, model.answered, model.level, model.weight)
    if not np.isfinite(numbers).all():
        raise ValueError("a number is not finite")
    return model


def shipped_origin(sets: int, questions: int) -> Message:
    """Return what the calibration that comes with Quarry was fitted on."""
    return Message.of(
        "answers.shipped",
        "shipped calibration ({sets} judged sets, {questions} questions)",
        sets=sets,
        questions=questions,
    )


@cache
def shipped() -> Calibration:
    """Return the calibration that comes with Quarry."""
    return Calibration.load(shipped_file())


def shipped_file() -> Path:
    """Return where the calibration that comes with Quarry is."""
    return Path(str(files("quarry.retriever.answers").joinpath(NAME)))


def fit(
    rows: NDArray[np.float64],
    answerable: NDArray[np.bool_],
    weights: NDArray[np.float64],
    kind: Kind,
    prior: tuple[Model, float] | None = None,
) -> Model:
    """Fit a model by Newton's method, and put its threshold at the operating point `REFUSED`.

    Args:
        rows: Inputs, shape (n, inputs).
        answerable: Whether the answer was among the passages, shape (n,).
        weights: How much each row counts, shape (n,), above 0; both classes are scaled to the same mass.
        kind: Which signals the inputs are.
        prior: A model that the new one is drawn to, and as how many questions it counts; without it, towards zero, weakly.

    Raises:
        ValueError: If one class has no row.
    """
    if answerable.all() or not answerable.any():
        raise ValueError("all questions are of one class; expected answerable and unanswerable ones")
    mass = np.where(answerable, weights / weights[answerable].sum(), weights / weights[~answerable].sum()) / 2
    mean = np.average(rows, axis=0, weights=mass) if prior is None else np.array(prior[0].mean)
    spread = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=mass))
    scale = np.where(spread > 1e-9, spread, 1.0) if prior is None else np.array(prior[0].scale)
    center = np.zeros(rows.shape[1] + 1)
    pull = _PRIOR
    if prior is not None:
        center = np.array([*prior[0].weights, prior[0].bias])
        pull = prior[1] / len(rows) / 4  # a question at even odds has the curvature 1/4
    design = np.column_stack([(rows - mean) / scale, np.ones(len(rows))])
    found = _newton(design, answerable, mass, center, pull)
    model = Model(kind, _floats(mean), _floats(scale), _floats(found[:-1]), float(found[-1]), threshold=0.5)
    strengths = model.strengths(rows)  # of the rounded numbers, which are those that are kept
    return replace(model, threshold=weighted_quantile(strengths[answerable], mass[answerable], REFUSED))


def _newton(
    design: NDArray[np.float64],
    answerable: NDArray[np.bool_],
    mass: NDArray[np.float64],
    center: NDArray[np.float64],
    pull: float,
) -> NDArray[np.float64]:
    """Maximize the weighted log-likelihood less pull/2 times the squared distance from the center."""
    found = center.copy()
    for _ in range(_STEPS):
        odds = _sigmoid(design @ found)
        gradient = design.T @ (mass * (answerable - odds)) - pull * (found - center)
        curvature = (design * (mass * odds * (1 - odds))[:, np.newaxis]).T @ design + pull * np.eye(len(found))
        step = np.linalg.solve(curvature, gradient)
        found = found + step * min(1.0, 4.0 / max(1e-12, float(np.abs(step).max())))  # far steps can overshoot
        if float(np.abs(step).max()) < _CONVERGED:
            break
    return found


def weighted_quantile(strengths: NDArray[np.float64], mass: NDArray[np.float64], share: float) -> float:
    """Return the highest of the strengths, shape (n,), that has at most `share` of the mass strictly below it."""
    order = np.argsort(strengths, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(mass[order])[:-1]]) / mass.sum()
    return float(strengths[order][np.flatnonzero(below <= share + 1e-12)[-1]])


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(odds / 2)))


def _floats(numbers: Sequence[float] | NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(number), 6) for number in numbers)
