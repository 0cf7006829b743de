"""Which share of a tuned model to keep: the mixtures with its base are scored on a dev set. Nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quarry.indexer.errors import ModelError
from quarry.training.fit.dev_score import DevSet, dev_score
from quarry.training.fit.spec import TrainSpec
from quarry.training.fit.trainable import open_trainable, restore_weights, trainable_weights

ALPHAS = (0.25, 0.5, 0.75, 1.0)  # LM-Cocktail looks at steps of 0.1; each costs one encoding of the dev candidates


@dataclass(frozen=True, slots=True)
class AlphaScore:
    """What a mixture is worth.

    Attributes:
        alpha: Share of the tuned model, 0 to 1.
        scores: nDCG@10 on each dev set given, in [0, 1].
    """

    alpha: float
    scores: tuple[float, ...]


def score_mixtures(
    base: Path,
    tuned: Path,
    dev_sets: Sequence[DevSet],
    spec: TrainSpec,
    *,
    alphas: Sequence[float] = ALPHAS,
    device: str = "auto",
) -> list[AlphaScore]:
    """Score (1 - alpha) * base + alpha * tuned on dev sets, such as that of the run and a general one.

    Args:
        base: The model before training.
        tuned: What was made of it.
        dev_sets: At least one.
        spec: Lengths are read.
        alphas: Shares to try, each 0 to 1.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Returns:
        One line per alpha, in the order given.

    Raises:
        ModelError: If the two do not hold the same weights.
    """
    plain = TrainSpec(max_query_tokens=spec.max_query_tokens, max_passage_tokens=spec.max_passage_tokens)
    first = trainable_weights(open_trainable(base, plain, device="cpu").model)
    opened = open_trainable(tuned, plain, device=device)
    second = {name: weight.clone() for name, weight in trainable_weights(opened.model).items()}
    differ = sorted(name for name in second if name not in first or first[name].shape != second[name].shape)
    if differ or first.keys() != second.keys():
        raise ModelError(
            f"{base} and {tuned} differ in {len(differ)} weights ({', '.join(differ[:1])}); expected the same names and "
            "shapes. Give the tuned model's base"
        )
    found = []
    for alpha in alphas:
        restore_weights(opened.model, {name: first[name].lerp(second[name], alpha) for name in second})
        found.append(
            AlphaScore(
                alpha,
                tuple(
                    dev_score(
                        opened, dev, max_query_tokens=spec.max_query_tokens, max_passage_tokens=spec.max_passage_tokens
                    )
                    for dev in dev_sets
                ),
            )
        )
    return found
