"""The loss of reranker training as pure functions on logits. It knows no model, no text and no trainer.

Layout: logits[i, j] is that of query i with its candidate j; candidate 0 is the positive; padding is where `known` is false.
"""

from typing import TYPE_CHECKING

from quarry.training.fit.spec import RerankerSpec

if TYPE_CHECKING:
    from torch import Tensor

_NOTHING = -1e9  # of a padded candidate: its share of a softmax is 0, and no gradient is lost to infinities


def listwise(logits: "Tensor", known: "Tensor") -> "Tensor":
    """Return the mean over queries of -log softmax(logits) at the positive, shape () from (B, K) twice."""
    scores = logits.masked_fill(~known, _NOTHING)
    return (scores.logsumexp(dim=1) - scores[:, 0]).mean()


def binary(logits: "Tensor", known: "Tensor") -> "Tensor":
    """Return the mean over pairs of the cross entropy between sigmoid(logit) and 1 for the positive, 0 for the others."""
    import torch

    target = torch.zeros_like(logits)
    target[:, 0] = 1.0
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return each.masked_fill(~known, 0.0).sum() / known.sum()


def taught(logits: "Tensor", teacher: "Tensor", temperature: float) -> "Tensor":
    """Return KL(softmax(teacher / temperature) || softmax(logits)), mean over queries with two teacher scores or more.

    Args:
        logits: Shape (B, K).
        teacher: The same shape; NaN where there is no score.
        temperature: In the teacher's units.
    """
    scored = ~teacher.isnan()
    counts = scored.sum(dim=1) > 1
    target = (teacher.nan_to_num(0.0) / temperature).masked_fill(~scored, _NOTHING)
    student = logits.masked_fill(~scored, _NOTHING)
    terms = target.softmax(1) * (target.log_softmax(1) - student.log_softmax(1))
    return terms.masked_fill(~scored, 0.0).sum(dim=1).masked_fill(~counts, 0.0).sum() / counts.sum().clamp(min=1)


def rerank_loss(logits: "Tensor", known: "Tensor", teacher: "Tensor", spec: RerankerSpec) -> "Tensor":
    """Return the whole loss of one batch, a scalar, from logits, `known` and teacher scores, each of shape (B, K)."""
    loss = listwise(logits, known) if spec.objective == "listwise" else binary(logits, known)
    if spec.distillation is None:
        return loss
    weight = spec.distillation.weight
    return (1 - weight) * loss + weight * taught(logits, teacher, spec.distillation.teacher_temperature)
