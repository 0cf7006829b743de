"""Learning the map: the positive of each query first among its negatives, and not far from the plain MaxSim.

    loss = cross entropy of softmax(plain score + gain * z(MaxSim of the changed query)), positive first
           + closeness * mean squared distance of z(tuned MaxSim) from z(plain MaxSim)

Listwise over one positive and 15 negatives of the index's own ranking, a residual on the fused score. Only the map and its gain move.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.stores.blas import one_thread
from quarry.indexer.tokens.projection import TokenBytes, unit_rows
from quarry.retriever.rerankers.token_map import TokenMap
from quarry.training.tuning.second_stage.lists import CandidateList
from quarry.training.tuning.second_stage.spec import SecondStageSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_GAIN = 0.5  # at the start


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The map that the queries chose, and nDCG@10 on them without it and with maps that had not seen them, in [0, 1].

    Attributes:
        tuned: The map.
        before: Mean without it.
        after: Mean with maps that had not seen the query.
        gains: The difference of each query, shape (queries,).
    """

    tuned: TokenMap
    before: float
    after: float
    gains: NDArray[np.float64]


def fit_map(train: Sequence[CandidateList], dev: Sequence[CandidateList], spec: SecondStageSpec) -> Chosen:
    """Learn a map from all queries; its closeness and gain are chosen by cross-fitting.

    A few dozen dev queries are too few to choose by. So every query is a dev query once: it is judged by maps that were learned
    without its fold. The smallest gain that is within one standard error of the best is taken, and then one map is learned from all
    queries for each seed, and their mean is the map. It is learned on one thread, so that the number of threads changes nothing.

    Args:
        train: Queries; those whose answer is not among the candidates teach nothing.
        dev: Other queries.
        spec: How.

    Raises:
        ValueError: If the spec has no closeness or no gain.
    """
    if not spec.closeness or not spec.gains:
        raise ValueError("there are no gains or closenesses; expected at least one of each")
    queries = [*train, *dev]
    before = np.array([one.quality(one.compared.plain) for one in queries])
    with _one_thread():
        crossed = {
            (closeness, gain): found
            for closeness in spec.closeness
            for gain, found in _crossed(queries, spec, closeness)
        }
        closeness, gain = _choice(crossed, before)
        seeds = range(spec.seed, spec.seed + spec.seeds)
        change = np.stack([_learned(queries, spec, closeness, seed) for seed in seeds]).mean(axis=0)
    after = crossed[closeness, gain]
    return Chosen(TokenMap(change, gain), _mean(before), _mean(after), after - before)


def _crossed(
    queries: Sequence[CandidateList], spec: SecondStageSpec, closeness: float
) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Yield for each gain the quality of every query, shape (queries,), by a map that was learned without its fold."""
    qualities = {gain: np.zeros(len(queries)) for gain in spec.gains}
    for fold in range(min(spec.folds, len(queries))):
        rest = [one for place, one in enumerate(queries) if place % spec.folds != fold]
        tuned = TokenMap(_learned(rest, spec, closeness, spec.seed), 1.0)
        for place in range(fold, len(queries), spec.folds):
            one = queries[place]
            part = one.compared.tuned_part(tuned)
            for gain in spec.gains:
                qualities[gain][place] = one.quality(one.compared.plain + np.float32(gain) * part)
    yield from qualities.items()


def _choice(
    crossed: Mapping[tuple[float, float], NDArray[np.float64]], before: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the closeness and the gain: the smallest gain within one standard error of the best, of equals the better one."""
    best = max(crossed, key=lambda key: (_mean(crossed[key]), -key[1]))
    behind = {key: crossed[best] - found for key, found in crossed.items()}
    error = {key: float(lost.std()) / max(1, len(before)) ** 0.5 for key, lost in behind.items()}
    near = [key for key, lost in behind.items() if _mean(lost) <= error[key]]
    if _mean(crossed[best]) <= _mean(before):  # nothing was gained
        near = [key for key in near if key[1] == min(gain for _, gain in near)]
    return min(near, key=lambda key: (key[1], -_mean(crossed[key])))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order, whatever the machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with one_thread():
            yield
    finally:
        torch.set_num_threads(threads)


def _learned(train: Sequence[CandidateList], spec: SecondStageSpec, closeness: float, seed: int) -> NDArray[np.float32]:
    import torch

    usable = [one for one in train if one.positive() is not None and one.negatives(1)]
    dim = usable[0].compared.asked.shape[1] if usable else (train[0].compared.asked.shape[1] if train else 1)
    lessons = [_Lesson.of(one, spec.negatives) for one in usable]
    change = torch.zeros(dim, dim, requires_grad=True)
    log_gain = torch.tensor(float(np.log(_GAIN)), requires_grad=True)
    optimizer = torch.optim.Adam([change, log_gain], lr=spec.learning_rate)
    steps = spec.epochs * -(-len(lessons) // spec.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    draws = np.random.default_rng(seed)
    for _ in range(spec.epochs):
        for part in _batches(draws.permutation(len(lessons)), spec.batch_size):
            optimizer.zero_grad()
            loss = torch.stack([lessons[row].loss(change, log_gain.exp(), closeness) for row in part]).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    found: NDArray[np.float32] = change.detach().numpy().astype(np.float32)
    return found


def _batches(order: NDArray[np.int64], size: int) -> Iterator[list[int]]:
    for first in range(0, len(order), size):
        yield order[first : first + size].tolist()


@dataclass(frozen=True, slots=True, eq=False)
class _Lesson:
    """A query with its positive and negatives; what does not depend on the map is computed once.

    Attributes:
        asked: The query's token vectors, shape (n_query_tokens, dim).
        stored: The passages' token vectors as they are stored, one after the other, the positive's first.
        ends: Where each passage ends among them.
        scores: Their plain scores, shape (n_candidates,).
        plain: z(MaxSim) without the map, shape (n_candidates,).
    """

    asked: "Tensor"
    stored: TokenBytes
    ends: Sequence[int]
    scores: "Tensor"
    plain: "Tensor"

    @classmethod
    def of(cls, one: CandidateList, negatives: int) -> "_Lesson":
        import torch

        rows = [one.positive() or 0, *one.negatives(negatives)]
        asked = torch.from_numpy(one.compared.asked)
        stored = np.concatenate([one.compared.states[row] for row in rows])
        ends = np.cumsum([len(one.compared.states[row]) for row in rows]).tolist()
        plain = _z(maxsims(asked, stored, ends))
        return cls(asked, stored, ends, torch.from_numpy(one.compared.plain[rows]), plain)

    def loss(self, change: "Tensor", gain: "Tensor", closeness: float) -> "Tensor":
        """Return the loss with a map and its gain."""
        import torch
        from torch.nn.functional import cross_entropy, normalize

        changed = normalize(self.asked + self.asked @ change.T, dim=1)
        tuned = _z(maxsims(changed, self.stored, self.ends))
        logits = self.scores + gain * tuned
        right: Tensor = cross_entropy(logits[None], torch.zeros(1, dtype=torch.long))
        return right + closeness * (tuned - self.plain).pow(2).mean()


def maxsims(asked: "Tensor", stored: TokenBytes, ends: Sequence[int]) -> "Tensor":
    """Return the MaxSim of each candidate, shape (n_candidates,); its gradient flows through the tokens that met alone.

    Args:
        asked: The query's token vectors, unit rows, shape (n_query_tokens, dim).
        stored: The candidates' token vectors as they are stored, one after the other, shape (n_tokens, dim).
        ends: Where each candidate ends among them.
    """
    import torch

    states = torch.from_numpy(unit_rows(stored))
    cosines = (asked.detach() @ states.T).numpy()  # (n_query_tokens, n_tokens)
    met = np.stack(
        [first + cosines[:, first:end].argmax(axis=1) for first, end in zip([0, *ends[:-1]], ends, strict=True)]
    )  # (n_candidates, n_query_tokens)
    return (states[torch.from_numpy(met)] * asked).sum(dim=2).mean(dim=1)


def _z(values: "torch.Tensor") -> "torch.Tensor":
    return (values - values.mean()) / values.std(unbiased=False).clamp(min=1e-6)
