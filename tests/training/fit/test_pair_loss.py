"""The reranker's loss with a pencil and against sentence-transformers' formulas."""

import math

import pytest
import torch

from quarry.training.fit.loop.losses import binary, listwise, rerank_loss, taught
from quarry.training.fit.spec import DistillationSpec, RerankerSpec

LOGITS = torch.tensor([[1.0, 0.0, 5.0], [0.0, 2.0, 1.0]])
KNOWN = torch.tensor([[True, True, False], [True, True, True]])


def test_listwise_with_a_pencil():
    first = math.log(1 + math.exp(-1))
    second = math.log(1 + math.exp(2) + math.exp(1))
    assert listwise(LOGITS, KNOWN).item() == pytest.approx((first + second) / 2)


def test_binary_with_a_pencil():
    def entropy(logit: float, label: int) -> float:
        share = 1 / (1 + math.exp(-logit))
        return -math.log(share if label else 1 - share)

    expected = [entropy(1, 1), entropy(0, 0), entropy(0, 1), entropy(2, 0), entropy(1, 0)]
    assert binary(LOGITS, KNOWN).item() == pytest.approx(sum(expected) / 5)


def test_the_teachers_order_is_learnt_and_missing_scores_are_left_out():
    nan = math.nan
    teacher = torch.tensor([[2.0, 0.0, nan], [nan, nan, 1.0]])
    target = [math.exp(1) / (1 + math.exp(1)), 1 / (1 + math.exp(1))]
    expected = sum(p * math.log(p / q) for p, q in zip(target, target[::1], strict=True))
    assert expected == 0.0
    assert taught(LOGITS, teacher, 2.0).item() == pytest.approx(
        0.0, abs=1e-7
    )  # logits 1 and 0 are scores 2 and 0 at T = 2
    assert taught(LOGITS, teacher, 0.5).item() > 0.1
    assert taught(LOGITS, torch.full((2, 3), nan), 1.0).item() == 0.0
    logits = LOGITS.clone().requires_grad_()
    spec = RerankerSpec(distillation=DistillationSpec(weight=0.25))
    loss = rerank_loss(logits, KNOWN, teacher, spec)
    parts = 0.75 * listwise(LOGITS, KNOWN) + 0.25 * taught(LOGITS, teacher, 1.0)
    assert loss.item() == pytest.approx(parts.item())
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 2] == 0.0  # padding


def test_the_objective_is_the_one_asked_for():
    teacher = torch.full((2, 3), math.nan)
    assert rerank_loss(LOGITS, KNOWN, teacher, RerankerSpec(objective="binary")) == binary(LOGITS, KNOWN)
