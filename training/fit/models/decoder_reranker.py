"""Training decoders as rerankers (arXiv 2409.15700, appendix D): the logit of `Yes`, or one scoring head per depth.

A layerwise model learns at every depth at once, with the order of its last depth as another teacher (self-distillation), and at a ratio of
token compression that is drawn for each step. Only the last depth learns from the rows alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quarry.indexer.models.batching import token_batches
from quarry.retriever.rerankers.depth import Compression, PairBatch, last_states
from quarry.training.fit.loop.losses import rerank_loss, taught
from quarry.training.fit.spec import RerankerSpec

_RATIOS = 90_173  # a stream of its own


class DecoderScores(nn.Module):
    """A decoder with what scores its last position.

    Args:
        body: The decoder without its head, perhaps with low-rank adapters in it.
        heads: One row per depth: a copy of the `Yes` row at the last depth, or new ones.
        spec: How it is trained.
    """

    def __init__(self, body: Any, heads: dict[int, Tensor], spec: RerankerSpec) -> None:
        super().__init__()
        self.body = body
        self.spec = spec
        self.depths = tuple(sorted(heads))
        self.heads = nn.ParameterDict({str(depth): nn.Parameter(row.clone()) for depth, row in heads.items()})

    @property
    def device(self) -> torch.device:
        """Where it is."""
        found: torch.device = next(self.parameters()).device
        return found

    def logits(self, batch: PairBatch, ratio: int, depths: Sequence[int]) -> Tensor:
        """Return one logit per depth and pair, float32, shape (depths, rows)."""
        states = last_states(self.body, batch, depths, Compression(ratio, (self.spec.compress_layer,)))
        rows = [last.float() @ self.heads[str(depth)][0] for depth, last in zip(depths, states, strict=True)]
        return torch.stack(rows)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the loss of what `DecoderCollator` gives."""
        pairs = PairBatch(*(inputs[name] for name in PairBatch._fields))
        ratio = int(inputs["ratio"])
        lengths = pairs.mask.sum(dim=1).tolist()
        parts = []
        for rows in token_batches(lengths, range(len(lengths)), self.spec.token_budget):
            chosen = slice(rows[0], rows[-1] + 1)
            first = pairs.ids.shape[1] - lengths[rows[0]]
            part = PairBatch(
                *(column[chosen, first:] for column in pairs[:3]), *(column[chosen] for column in pairs[3:])
            )
            parts.append(self.logits(part, ratio, self.depths))
        table, teacher = inputs["table"], inputs["teacher"]
        known = table >= 0
        scores = torch.cat(parts, dim=1)[:, table.clamp(min=0)]  # (depths, B, K)
        loss = torch.stack([rerank_loss(one, known, teacher, self.spec) for one in scores]).mean()
        if len(self.depths) > 1 and self.spec.self_distillation:
            last = scores[-1].detach().masked_fill(~known, float("nan"))
            followed = torch.stack([taught(one, last, 1.0) for one in scores[:-1]]).mean()
            loss = loss + self.spec.self_distillation * followed
        return loss


def drawn_ratio(spec: RerankerSpec, epoch: int, row: int) -> int:
    """Return the ratio of a step, which its first draw decides."""
    rng = np.random.default_rng([_RATIOS, spec.seed, epoch, row])
    return int(spec.compress[int(rng.integers(len(spec.compress)))])
