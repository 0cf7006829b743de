"""RetroMAE proved by gradients and by counting: the decoder has the [CLS] state and nothing else of the encoder."""

from math import sqrt

import numpy as np
import pytest
import torch

from quarry.indexer.errors import ModelError
from quarry.indexer.models.encoder import load_embedder
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.models.retromae import IGNORED, Masker
from quarry.training.fit.models.start import started
from quarry.training.fit.pretrain import _mask_token, _Pretrainee, pretrain
from quarry.training.fit.rows.batches import plan_batches
from quarry.training.fit.rows.table import RowTable
from quarry.training.fit.spec import PretrainSpec
from tests.training.masked_model import masked_model
from tests.training.tiny_model import topic_rows

SPEC = PretrainSpec(batch_size=4, max_passage_tokens=64, epochs=2, learning_rate=1e-3)
TEXTS = [TrainingRow(text, (text,)) for row in topic_rows(12) for text in row.pos]
KINDS = ["bert", "roberta", "xlm-roberta"]


def opened(folder, run, kind):
    base = started(masked_model(folder, kind), run)
    return _Pretrainee(base, RowTable.of(TEXTS), SPEC, "cpu", _mask_token(base))


@pytest.mark.parametrize("kind", KINDS)
def test_the_decoders_loss_reaches_no_state_of_the_encoder_but_cls(kind, tmp_path):
    trainee = opened(tmp_path / "m", tmp_path / "run", kind)
    batch = trainee.collate(plan_batches(TEXTS, SPEC).batches[0])
    states = trainee.model.encode(batch["masked_ids"], batch["mask"])
    states.retain_grad()
    decoded = trainee.model.decode(states[:, 0], batch["ids"], batch["seen"])
    trainee.model.guess_loss(decoded, batch["labels"]).backward()
    assert float(states.grad[:, 1:].abs().max()) == 0.0
    assert float(states.grad[:, 0].abs().min(dim=1).values.max()) > 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_is_guessed_without_itself_and_from_cls(kind, tmp_path):
    trainee = opened(tmp_path / "m", tmp_path / "run", kind)
    trainee.model.eval()
    batch = trainee.collate(plan_batches(TEXTS, SPEC).batches[0])
    cls = trainee.model.encode(batch["masked_ids"], batch["mask"])[:, 0].detach()

    def logits(ids, state):
        with torch.no_grad():
            return trainee.model.logits(trainee.model.decode(state, ids, batch["seen"]))

    plain = logits(batch["ids"], cls)
    for place in (1, 5, 9):
        other = batch["ids"].clone()
        other[:, place] = torch.where(other[:, place] == 20, 21, 20)
        changed = logits(other, cls)
        assert torch.equal(plain[:, place], changed[:, place])
        assert not torch.equal(plain, changed)  # others see it
    assert not torch.allclose(plain, logits(batch["ids"], cls + 1.0))


def test_the_shares_of_masked_and_hidden_tokens_are_those_asked_for():
    masker = Masker(4, frozenset(range(5)), 0.3, 0.5, 0)
    rng = np.random.default_rng(0)
    texts = [[1, *rng.integers(5, 60, 48).tolist(), 2] for _ in range(210)]
    found = masker(texts, [(0, 0, number) for number in range(210)])
    words = found.labels != IGNORED
    count = int(words.sum())
    assert count == 210 * 48
    masked = int((found.masked_labels != IGNORED).sum())
    assert abs(masked - 0.3 * count) < 3.3 * sqrt(count * 0.3 * 0.7)
    assert torch.equal(found.masked_ids == 4, found.masked_labels != IGNORED)
    assert torch.equal(torch.where(words, found.labels, found.ids), found.ids)
    assert not bool((found.masked_labels != IGNORED)[~words].any())
    own = torch.eye(50, dtype=torch.bool)[None]
    of_words = words[:, :, None] & words[:, None, :] & ~own
    hidden, pairs = int((~found.seen & of_words).sum()), int(of_words.sum())
    assert abs(hidden - 0.5 * pairs) < 3.3 * sqrt(pairs * 0.25)
    assert not bool((found.seen & own)[:, 1:].any())
    special = ~words[:, None, :] & ~own & words[:, :, None]
    assert bool(found.seen[special].all())
    assert len({tuple(row.tolist()) for row in found.seen[0, 1:-1]}) == 48  # a context for each position


def test_draws_follow_from_the_seed_the_epoch_and_the_row(tmp_path):
    trainee = opened(tmp_path / "m", tmp_path / "run", "bert")
    plan = plan_batches(TEXTS, SPEC)
    first = trainee.collate(plan.batches[0])
    assert torch.equal(first["masked_ids"], trainee.collate(plan.batches[0])["masked_ids"])
    at = {draw.row: (number, line) for number, batch in enumerate(plan.batches[3:]) for line, draw in enumerate(batch)}
    differs = 0
    for line, draw in enumerate(plan.batches[0]):
        number, place = at[draw.row]
        again = trainee.collate(plan.batches[3 + number])
        size = int(first["mask"][line].sum())
        differs += not torch.equal(first["masked_ids"][line, :size], again["masked_ids"][place, :size])
    assert differs > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_begun_from_a_config_is_pre_trained_and_served(kind, tmp_path):
    base = started(masked_model(tmp_path / "m", kind, weights=False), tmp_path / "run")
    trained = pretrain(base, TEXTS, SPEC, tmp_path / "run", device="cpu")
    assert trained.steps == 6
    embedder = load_embedder(trained.folder, device="cpu")
    assert embedder.spec.pooling == "cls"
    assert embedder.spec.dim == 32
    before = load_embedder(base, device="cpu").embed_documents(["花园 3"])
    assert not np.allclose(embedder.embed_documents(["花园 3"]), before)


def test_what_cannot_be_pre_trained_is_refused(tmp_path):
    base = started(masked_model(tmp_path / "m", mask=False), tmp_path / "run")
    with pytest.raises(ModelError, match="has no mask token; expected"):
        pretrain(base, TEXTS, SPEC, tmp_path / "run", device="cpu")
    from tests.training.tiny_model import tiny_model

    with pytest.raises(ModelError, match="of the kind 'qwen3', which RetroMAE cannot pre-train"):
        pretrain(tiny_model(tmp_path / "q", "qwen3"), TEXTS, SPEC, tmp_path / "run2", device="cpu")
    with pytest.raises(ValueError, match="lora, mini_batch do not apply to pre-training"):
        PretrainSpec(mini_batch=2, lora={})
