"""Learning the map: the positive of each query first among its negatives, and not far from the plain MaxSim.

    loss = cross entropy of softmax(plain score + gain * z(MaxSim of the changed query)), positive first
           + closeness * mean squared distance of z(tuned MaxSim) from z(plain MaxSim)

Listwise over one positive and 15 negatives of the index's own ranking, a residual on the fused score. Only the map and its gain move.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.tokens.projection import unit_rows
from quarry.retriever.rerankers.token_map import TokenMap
from quarry.training.tuning.second_stage.lists import CandidateList, mean_quality
from quarry.training.tuning.second_stage.spec import SecondStageSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_GAIN = 0.5  # at the start


@dataclass(frozen=True, slots=True)
class Chosen:
    """The map that the dev queries chose, and nDCG@10 on them without and with it, in [0, 1]."""

    tuned: TokenMap
    before: float
    after: float


def fit_map(train: Sequence[CandidateList], dev: Sequence[CandidateList], spec: SecondStageSpec) -> Chosen:
    """Learn one map for each closeness; the dev queries choose among them and among the gains.

    Args:
        train: Queries; those whose answer is not among the candidates are passed over.
        dev: Other queries.
        spec: How.

    Returns:
        The best by the dev queries; of equals the one with the smallest gain.

    Raises:
        ValueError: If the spec has no closeness or no gain.
    """
    before = mean_quality(dev, None)
    best: Chosen | None = None
    for closeness in spec.closeness:
        change = _learned(train, spec, closeness)
        parts = [one.compared.tuned_part(TokenMap(change, 1.0)) for one in dev]
        for gain in sorted(spec.gains):
            qualities = [
                one.quality(one.compared.plain + np.float32(gain) * part) for one, part in zip(dev, parts, strict=True)
            ]
            after = float(np.mean(qualities)) if qualities else 0.0
            if best is None or (after, -gain) > (best.after, -best.tuned.gain):
                best = Chosen(TokenMap(change, gain), before, after)
    if best is None:
        raise ValueError("there are no gains or closenesses; expected at least one of each")
    return best


def _learned(train: Sequence[CandidateList], spec: SecondStageSpec, closeness: float) -> NDArray[np.float32]:
    import torch

    usable = [one for one in train if one.positive() is not None and one.negatives(1)]
    dim = usable[0].compared.asked.shape[1] if usable else (train[0].compared.asked.shape[1] if train else 1)
    change = torch.zeros(dim, dim, requires_grad=True)
    log_gain = torch.tensor(float(np.log(_GAIN)), requires_grad=True)
    optimizer = torch.optim.Adam([change, log_gain], lr=spec.learning_rate)
    steps = spec.epochs * -(-len(usable) // spec.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    draws = np.random.default_rng(spec.seed)
    for _ in range(spec.epochs):
        for part in _batches(draws.permutation(len(usable)), spec.batch_size):
            optimizer.zero_grad()
            loss = torch.stack(
                [_loss(usable[row], change, log_gain.exp(), spec.negatives, closeness) for row in part]
            ).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    found: NDArray[np.float32] = change.detach().numpy().astype(np.float32)
    return found


def _batches(order: NDArray[np.int64], size: int) -> Iterator[list[int]]:
    for first in range(0, len(order), size):
        yield order[first : first + size].tolist()


def _loss(one: CandidateList, change: "Tensor", gain: "Tensor", negatives: int, closeness: float) -> "Tensor":
    """Return the loss of one query."""
    import torch
    from torch.nn.functional import cross_entropy, normalize

    rows = [one.positive() or 0, *one.negatives(negatives)]
    asked = torch.from_numpy(one.compared.asked)
    changed = normalize(asked + asked @ change.T, dim=1)
    states = [torch.from_numpy(unit_rows(one.compared.states[row])) for row in rows]
    tuned, plain = (_z(_maxsims(vectors, states)) for vectors in (changed, asked))
    logits = torch.from_numpy(one.compared.plain[rows]) + gain * tuned
    loss: Tensor = (
        cross_entropy(logits[None], torch.zeros(1, dtype=torch.long)) + closeness * (tuned - plain).pow(2).mean()
    )
    return loss


def _maxsims(asked: "Tensor", states: "Sequence[Tensor]") -> "Tensor":
    """Return the MaxSim of each candidate, shape (n_candidates,)."""
    import torch

    cosines = asked @ torch.cat(list(states)).T  # (n_query_tokens, all passage tokens)
    ends = np.cumsum([len(one) for one in states]).tolist()
    parts = [cosines[:, first:end] for first, end in zip([0, *ends[:-1]], ends, strict=True)]
    return torch.stack([part.amax(dim=1).mean() for part in parts])


def _z(values: "torch.Tensor") -> "torch.Tensor":
    return (values - values.mean()) / values.std(unbiased=False).clamp(min=1e-6)
