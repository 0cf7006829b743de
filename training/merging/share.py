"""How much of the tuned weights is kept; the rest is the base model's, against forgetting. Chosen on the dev queries.

LM-Cocktail (Xiao et al. 2023, arXiv 2311.13534): the weighted mean of a tuned model and its base keeps most of the gain and
loses less elsewhere.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quarry.indexer.errors import ModelError
from quarry.training.fit.loop.dev_score import DevSet, dev_score
from quarry.training.fit.models.trainable import open_trainable
from quarry.training.fit.models.weights import restore_weights, trainable_weights
from quarry.training.fit.spec import TrainSpec
from quarry.training.merging.mixture import merge_models

_SAME = 0.4  # of one query's nDCG@10: an answer that goes from the first place to the second is no difference
_USUAL = 0.6  # what dev sets of a hundred queries chose in every run of docs/results.md; the paper's own is 0.5


@dataclass(frozen=True, slots=True)
class KeptShare:
    """The chosen model.

    Attributes:
        folder: Where it is.
        share: Share of the tuned weights in it, above 0 and up to 1.
        score: nDCG@10 on the dev queries.
        base_score: That of the base model.
    """

    folder: Path
    share: float
    score: float
    base_score: float


def keep_share(  # noqa: PLR0913 (two models and how to mix them)
    base: Path,
    tuned: Path,
    dev: DevSet,
    spec: TrainSpec,
    work: Path,
    *,
    shares: Sequence[float],
    known: Mapping[float, float] | None = None,
    device: str = "auto",
) -> KeptShare:
    """Measure mixtures on the dev queries and take the best one.

    Of equally good ones it is the one nearest to the usual share, because a few dev queries say little about it.

    Args:
        base: Folder of the model before training.
        tuned: Folder of the tuned model.
        dev: Queries that the model was not trained on.
        spec: Lengths are read.
        work: Where the mixture is written; what is there is replaced.
        shares: Shares of the tuned weights to try, above 0 and up to 1; 1 is the tuned model itself.
        known: Share to nDCG@10 on `dev` where it was measured already, such as 0 and 1 while training.
        device: Where models run.

    Raises:
        ModelError: If the two folders do not hold the same weights.
    """
    tried = sorted(set(shares))
    scores = dict(known or {})
    if unknown := [share for share in (0.0, *tried) if share not in scores]:
        measured = score_mixtures(base, tuned, [dev], spec, alphas=unknown, device=device)
        scores.update({found.alpha: found.scores[0] for found in measured})
    base_score, *rest = (scores[share] for share in (0.0, *tried))
    lowest = max(rest) - _SAME / len(dev.queries)
    good = [(share, score) for share, score in zip(tried, rest, strict=True) if score >= lowest]
    share, score = min(good, key=lambda one: abs(one[0] - _USUAL))
    if share == 1:
        return KeptShare(tuned, share, score, base_score)
    shutil.rmtree(work, ignore_errors=True)
    work.parent.mkdir(parents=True, exist_ok=True)
    return KeptShare(merge_models(base, tuned, work, alpha=share), share, score, base_score)


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
            "fit.other_weights",
            "{base} and {tuned} differ in {count} weights ({first})",
            expected="the same names and shapes",
            do="Give the tuned model's base",
            base=base,
            tuned=tuned,
            count=len(differ),
            first=differ[:1],
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
