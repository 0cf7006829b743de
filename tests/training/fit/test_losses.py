"""The loss against plain torch, sentence-transformers and pencil, on vectors."""

import math

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss, MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Normalize
from sentence_transformers.util import pairwise_cos_sim

from quarry.training.fit.loop.losses import (
    Roles,
    batch_loss,
    candidates,
    distillation,
    info_nce,
    own_columns,
    with_texts,
)
from quarry.training.fit.spec import DistillationSpec, LossSpec, MatryoshkaSpec, TrainSpec


def roles(rows: int, negatives: int, **changes) -> Roles:
    """Texts are the positives, then each query's first negative, its second, and so on, as sentence-transformers has them."""
    own = torch.arange(rows)[:, None] + rows * torch.arange(1, negatives + 1)[None, :]
    parts = {
        "positive": torch.arange(rows),
        "own": own,
        "known": torch.arange(rows)[:, None],
        "text": torch.arange(rows * (1 + negatives)),
        "alone": torch.zeros(rows, dtype=torch.bool),
        "teacher": torch.full((rows, 1 + negatives), math.nan),
    }
    return Roles(**{**parts, **changes})


def vectors(rows: int, negatives: int, dim: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    made = torch.Generator().manual_seed(0)
    texts = torch.randn(rows * (1 + negatives), dim, generator=made, dtype=torch.float64)
    return torch.randn(rows, dim, generator=made, dtype=torch.float64), texts


PLAIN = LossSpec(temperature=0.05, false_negative_margin=None)


@pytest.mark.parametrize("negatives", [0, 1, 3])
def test_it_is_sentence_transformers_loss_where_no_text_is_shared(negatives):
    queries, texts = vectors(6, negatives)
    reference = MultipleNegativesRankingLoss(SentenceTransformer(modules=[Normalize()]), scale=20.0)
    expected = reference.compute_loss_from_embeddings([queries, *texts.split(6)], None)
    found = batch_loss(queries, texts, roles(6, negatives), TrainSpec(loss=PLAIN))
    assert found.item() > 0.5  # else the comparison says nothing
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_loop_with_every_rule_gives_the_same_loss():
    rows, negatives, temperature, margin = 7, 2, 0.1, 0.05
    queries, texts = vectors(rows, negatives, 8)
    number = torch.arange(21)
    number[5] = 100  # text 5 is known to answer query 0 as well
    known = torch.stack([number[:rows], torch.full((rows,), -1)], dim=1)
    known[0, 1] = 100
    own = roles(rows, negatives).own.clone()
    own[2, 1] = -1  # query 2 has one negative only
    alone = torch.zeros(rows, dtype=torch.bool)
    alone[3] = True
    made = roles(rows, negatives, text=number, known=known, own=own, alone=alone)
    cosine = torch.nn.functional.normalize(queries) @ torch.nn.functional.normalize(texts).T
    total, masked = 0.0, 0
    for i in range(rows):
        kept = []
        for j in range(21):
            is_own = j in own[i].tolist()
            answers = int(number[j]) in known[i].tolist()
            close = bool(cosine[i, j] > cosine[i, i] + margin)
            masked += close and not is_own and j != i
            if j == i or (not answers and (is_own or (not alone[i] and not close))):
                kept.append(cosine[i, j] / temperature)
        total += float(torch.logsumexp(torch.stack(kept), 0) - cosine[i, i] / temperature)
    assert masked > 5  # the margin does something here
    spec = TrainSpec(loss=LossSpec(temperature=temperature, false_negative_margin=margin))
    assert batch_loss(queries, texts, made, spec).item() == pytest.approx(total / rows, abs=1e-6)


def test_who_counts_as_a_negative_by_hand():
    similarity = torch.tensor([[0.5, 0.9, 0.55, 0.1], [0.2, 0.8, 0.3, 0.9]])
    two = roles(2, 1)
    assert own_columns(two, 4).tolist() == [[False, False, True, False], [False, False, False, True]]
    assert candidates(two, similarity, None).all()
    strict = candidates(
        two, similarity, 0.1
    )  # 0.9 > 0.5 + 0.1 is another's text; 0.9 is the second query's own negative
    assert strict.tolist() == [[True, False, True, True], [True, True, True, True]]
    alone = roles(2, 1, alone=torch.tensor([True, False]))
    assert candidates(alone, similarity, None).tolist() == [[True, False, True, False], [True] * 4]
    shared = roles(
        2, 1, text=torch.tensor([0, 1, 1, 3])
    )  # query 0 was given the text that answers query 1 as a negative
    assert candidates(shared, similarity, None).tolist() == [[True] * 4, [True, True, False, True]]


def test_info_nce_with_a_pencil():
    similarity = torch.tensor([[1.0, 0.0]])
    everything = torch.ones(1, 2, dtype=torch.bool)
    assert info_nce(similarity, everything, torch.tensor([0]), 1.0).item() == pytest.approx(math.log(1 + math.exp(-1)))
    alone = info_nce(similarity, torch.tensor([[True, False]]), torch.tensor([0]), 1.0)
    assert alone.item() == 0.0


def test_distillation_is_sentence_transformers_divergence():
    rows, negatives = 5, 3
    queries, texts = vectors(rows, negatives)
    teacher = torch.randn(rows, 1 + negatives, generator=torch.Generator().manual_seed(1)) * 3
    made = roles(rows, negatives, teacher=teacher)
    similarity = torch.nn.functional.normalize(queries) @ torch.nn.functional.normalize(texts).T
    reference = DistillKLDivLoss(
        SentenceTransformer(modules=[Normalize()]), pairwise_cos_sim, student_temperature=0.1, teacher_temperature=2.0
    )
    expected = reference.compute_loss_from_embeddings([queries, *texts.split(rows)], teacher.double()).item() / 0.1**2
    assert expected > 0.1
    assert distillation(similarity, made, 0.1, 2.0).item() == pytest.approx(expected, abs=1e-6)


def test_rows_without_teacher_scores_do_not_count_in_distillation():
    rows, negatives = 4, 2
    queries, texts = vectors(rows, negatives)
    teacher = torch.randn(rows, 3, generator=torch.Generator().manual_seed(1))
    similarity = queries @ texts.T
    half = teacher.clone()
    half[2:] = math.nan
    half[1, 1:] = math.nan  # one score alone is no order
    only_first = distillation(
        similarity[:1],
        roles(rows, negatives, teacher=teacher[:1], positive=torch.tensor([0]), own=roles(rows, negatives).own[:1]),
        0.1,
        1.0,
    )
    assert distillation(similarity, roles(rows, negatives, teacher=half), 0.1, 1.0).item() == pytest.approx(
        only_first.item()
    )
    none = roles(rows, negatives)
    assert distillation(similarity, none, 0.1, 1.0).item() == 0.0
    queries.requires_grad_()
    spec = TrainSpec(loss=PLAIN, distillation=DistillationSpec(weight=0.5))
    batch_loss(queries, texts, none, spec).backward()
    assert queries.grad is not None
    assert torch.isfinite(queries.grad).all()


def test_matryoshka_is_the_weighted_sum_over_the_parts():
    queries, texts = vectors(6, 1)
    spec = TrainSpec(loss=PLAIN, matryoshka=MatryoshkaSpec(dims=(16, 4), weights=(1.0, 0.25)))
    parts = [batch_loss(queries[:, :d], texts[:, :d], roles(6, 1), TrainSpec(loss=PLAIN)).item() for d in (16, 4)]
    assert abs(parts[0] - parts[1]) > 0.01
    assert batch_loss(queries, texts, roles(6, 1), spec).item() == pytest.approx(parts[0] + 0.25 * parts[1], abs=1e-9)


def test_the_texts_of_other_processes_are_more_negatives():
    queries, texts = vectors(4, 1)
    whole = batch_loss(queries, texts, roles(4, 1), TrainSpec(loss=PLAIN)).item()
    split = [
        (
            roles(
                2,
                1,
                positive=torch.arange(2),
                own=torch.arange(2, 4)[:, None],
                known=torch.arange(2)[:, None] + 2 * p,
                text=torch.tensor([0, 1, 4, 5]) + 2 * p,
            ),
            torch.cat([texts[2 * p : 2 * p + 2], texts[4 + 2 * p : 6 + 2 * p]]),
        )
        for p in (0, 1)
    ]
    number, all_texts = torch.cat([r.text for r, _ in split]), torch.cat([t for _, t in split])
    each = [
        batch_loss(queries[2 * p : 2 * p + 2], all_texts, with_texts(split[p][0], 4 * p, number), TrainSpec(loss=PLAIN))
        for p in (0, 1)
    ]
    assert sum(part.item() for part in each) / 2 == pytest.approx(whole, abs=1e-9)


def test_padding_stays_padding_among_the_texts_of_all():
    moved = with_texts(roles(2, 1, own=torch.tensor([[2], [-1]])), 10, torch.arange(20))
    assert moved.own.tolist() == [[12], [-1]]
    assert moved.positive.tolist() == [10, 11]
