"""The losses of training as pure functions on vectors and logits. They know no model, no text and no trainer.

Embedder: similarity[i, j] is that of query i and text j of the batch; each text of a batch is there once, whoever brought it.
sentence-transformers' MultipleNegativesRankingLoss and DistillKLDivLoss are the same on batches without shared texts (tested);
they cannot leave single texts out for single queries, which is why these are here.

Reranker: logits[i, j] is that of query i with its candidate j; candidate 0 is the positive; padding is where `known` is false.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quarry.training.fit.spec import MatryoshkaSpec, RerankerSpec, TrainSpec

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Roles:
    """What each text of a batch is to each query. B queries, U texts of this process, all integers int64.

    Attributes:
        positive: Column of the drawn positive, shape (B,).
        own: Columns of the drawn hard negatives, padded with -1, shape (B, K).
        known: Numbers of all texts that are known to answer the query, padded with -1, shape (B, P).
        text: Number of each text, shape (U,); equal numbers are equal texts.
        alone: Queries that see their own positive and negatives only, bool, shape (B,).
        teacher: Teacher scores of the positive and of `own`, float32, shape (B, 1 + K); NaN where there is none.
    """

    positive: "Tensor"
    own: "Tensor"
    known: "Tensor"
    text: "Tensor"
    alone: "Tensor"
    teacher: "Tensor"


def own_columns(roles: Roles, width: int) -> "Tensor":
    """Return which columns are a query's own hard negatives, bool, shape (B, width)."""
    own = roles.own
    mask = own.new_zeros((own.shape[0], width + 1))
    mask.scatter_(1, own.masked_fill(own < 0, width), 1)  # padding lands in a column that is cut off
    return mask[:, :width].bool()


def candidates(roles: Roles, similarity: "Tensor", margin: float | None) -> "Tensor":
    """Return which columns count in each query's softmax, bool, shape (B, width).

    The drawn positive always counts. Another text that is known to answer the query never does; nor, in a query that is
    alone, what other rows brought; nor a text of other rows that is more similar than the positive by more than `margin`.

    Args:
        roles: What each text is.
        similarity: Cosines, shape (B, width).
        margin: In cosine units; None lets every text of the batch count.
    """
    rows, width = similarity.shape
    own = own_columns(roles, width)
    positive = own.new_zeros((rows, width))
    positive.scatter_(1, roles.positive[:, None], True)
    answers = (roles.known[:, :, None] == roles.text[None, None, :]).any(dim=1)
    others = ~roles.alone[:, None].expand(rows, width)
    if margin is not None:
        limit = similarity.gather(1, roles.positive[:, None]) + margin
        others = others & (similarity <= limit)
    return positive | ((own | others) & ~answers)


def info_nce(similarity: "Tensor", counts: "Tensor", positive: "Tensor", temperature: float) -> "Tensor":
    """Return the mean over queries of -log softmax(similarity / temperature) at the positive.

    Args:
        similarity: Cosines, shape (B, width).
        counts: Which columns take part, bool, shape (B, width); the positive's is true.
        positive: Column of the positive, shape (B,).
        temperature: Above 0.
    """
    scores = (similarity / temperature).masked_fill(~counts, float("-inf"))
    found = scores.gather(1, positive[:, None])[:, 0]
    return (scores.logsumexp(dim=1) - found).mean()


def distillation(similarity: "Tensor", roles: Roles, temperature: float, teacher_temperature: float) -> "Tensor":
    """Return KL(teacher || student) over each query's positive and own negatives, mean over queries with teacher scores.

    A column without a teacher score is left out of both sides; a query with fewer than two scores counts as 0.
    """
    columns = similarity.new_zeros(roles.teacher.shape).long()  # (B, 1 + K)
    columns[:, 0], columns[:, 1:] = roles.positive, roles.own
    student = similarity.gather(1, columns.clamp(min=0)) / temperature
    teacher = roles.teacher.to(student.dtype).masked_fill(columns < 0, float("nan"))
    return taught(student, teacher, teacher_temperature)


def unit(vectors: "Tensor") -> "Tensor":
    """Return rows of length 1; a zero row stays zero."""
    length: Tensor = vectors.norm(dim=1, keepdim=True)
    return vectors / length.clamp(min=1e-12)


def batch_loss(queries: "Tensor", texts: "Tensor", roles: Roles, spec: TrainSpec) -> "Tensor":
    """Return the whole loss of one batch, a scalar.

    Args:
        queries: Vectors, shape (B, dim), of any length.
        texts: Vectors, shape (U, dim).
        roles: What each text is to each query.
        spec: Temperature, margin, Matryoshka parts and distillation are read.
    """
    parts = spec.matryoshka or MatryoshkaSpec(dims=(queries.shape[1],), weights=(1.0,))
    whole = unit(queries.detach()) @ unit(texts.detach()).T
    # judged on the whole vector, for every part alike
    counts = candidates(roles, whole, spec.loss.false_negative_margin)
    total = queries.new_zeros(())
    for dim, weight in zip(parts.dims, parts.weights, strict=True):
        similarity = unit(queries[:, :dim]) @ unit(texts[:, :dim]).T  # (B, U)
        part = info_nce(similarity, counts, roles.positive, spec.loss.temperature)
        if spec.distillation is not None:
            soft = distillation(similarity, roles, spec.loss.temperature, spec.distillation.teacher_temperature)
            part = (1 - spec.distillation.weight) * part + spec.distillation.weight * soft
        total = total + weight * part
    return total


def with_texts(roles: Roles, offset: int, text: "Tensor") -> Roles:
    """Return the roles of this process's queries among the texts of all processes.

    Args:
        roles: Columns count from this process's first text.
        offset: Column where this process's texts begin.
        text: Numbers of all texts.
    """
    own = roles.own.where(roles.own < 0, roles.own + offset)
    return replace(roles, positive=roles.positive + offset, own=own, text=text)


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
