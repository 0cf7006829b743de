"""Every setting of training does something: changed alone it changes data, steps or weights. A new one without a case fails here."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from quarry.training.fit.embedder import finetune
from quarry.training.fit.loop import trainer
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.fit.models.start import started
from quarry.training.fit.pretrain import pretrain
from quarry.training.fit.reranker import finetune_reranker
from quarry.training.fit.spec import (
    BatchSpec,
    DistillationSpec,
    InContextSpec,
    LoraSpec,
    LossSpec,
    MatryoshkaSpec,
    PretrainSpec,
    RerankerSpec,
    TrainSpec,
)
from tests.retriever.rerankers.tiny_rerankers import make
from tests.training.masked_model import masked_model
from tests.training.tiny_model import tiny_model, topic_rows

pytestmark = pytest.mark.slow
PARTS = {
    "loss": LossSpec,
    "matryoshka": MatryoshkaSpec,
    "distillation": DistillationSpec,
    "batches": BatchSpec,
    "lora": LoraSpec,
    "in_context": InContextSpec,
}
ROWS = [
    replace(row, kind=("a", "b", "sts")[number % 3], pos_scores=(2.0,), neg_scores=(1.0, 0.5))
    for number, row in enumerate(topic_rows(36, negatives=2))
]
DEV = DevSet.of_rows(topic_rows(6, first=200))
STEADY = {"batch_size": 12, "learning_rate": 1e-3, "precision": "float32", "checkpoint_steps": 0, "dropout": 0.0}
SHOWN = {"query_format": "{query} > ", "max_query_tokens": 30}
HOMOGENEOUS = {"batches": {"order": "homogeneous"}}
MATRYOSHKA = {"matryoshka": {"dims": [32, 8], "weights": [1.0, 0.5]}}
LORA = {"lora": {"rank": 4}, "dropout": None}  # one number for every dropout replaces that of the adapters
TEACHER = {"distillation": {}}
IN_CONTEXT = {**SHOWN, "in_context": {"max_tokens": 250}}
# the setting: what else is set on both sides, and its other value
EMBEDDER = {
    "epochs": ({}, 2),
    "batch_size": ({}, 6),
    "mini_batch": ({}, 4),
    "token_budget": ({}, 64),
    "learning_rate": ({}, 2e-3),
    "warmup": ({}, 1.0),
    "weight_decay": ({}, 1.0),
    "dropout": ({}, 0.4),
    "loss.temperature": ({}, 0.1),
    "loss.in_batch_negatives": ({}, False),
    "loss.hard_negatives": ({}, 1),
    "loss.false_negative_margin": ({}, -0.9),
    "matryoshka.dims": (MATRYOSHKA, [32, 4]),
    "matryoshka.weights": (MATRYOSHKA, [1.0, 1.0]),
    "distillation.teacher_temperature": (TEACHER, 0.1),
    "distillation.weight": (TEACHER, 0.9),
    "batches.order": ({}, "homogeneous"),
    "batches.ratio": ({"batches": {"order": "semi-homogeneous"}}, 0.3),
    "batches.other_size": (HOMOGENEOUS, 4),
    "lora.rank": (LORA, 2),
    "lora.alpha": (LORA, 8),
    "lora.dropout": (LORA, 0.5),
    "lora.targets": (LORA, ["query"]),
    "in_context.examples": (IN_CONTEXT, 1),
    "in_context.choice": (IN_CONTEXT, "fixed"),
    "in_context.part_tokens": (IN_CONTEXT, 8),
    "in_context.max_tokens": (IN_CONTEXT, 60),
    "precision": ({}, "bfloat16"),
    "gradient_checkpointing": ({}, True),
    "freeze_embeddings": ({}, True),
    "max_query_tokens": ({}, 12),
    "max_passage_tokens": ({}, 12),
    "query_format": ({}, "{query}"),
    "seed": ({}, 1),
    "eval_steps": ({}, 2),
    "patience": ({"eval_steps": 1, "learning_rate": 1e-7}, 1),
    "checkpoint_steps": ({}, 1),
}
LAYERWISE = {"head": "layerwise", "start_layer": 1}
RERANKER = {
    "objective": ({}, "binary"),
    "max_tokens": ({}, 20),
    "learning_rate": ({}, 2e-3),
    "batch_size": ({}, 6),
    "head": ({"start_layer": 1}, "layerwise"),
    "prompt": ({}, "same meaning"),
    "start_layer": (LAYERWISE, 2),
    "self_distillation": (LAYERWISE, 0.0),
    "compress": ({**LAYERWISE, "compress_layer": 1}, [2]),
    "compress_layer": ({**LAYERWISE, "compress": [2], "compress_layer": 1}, 2),
}
PRETRAIN = {
    "encoder_mask": ({}, 0.6),
    "decoder_mask": ({}, 0.2),
    "learning_rate": ({}, 1e-2),
    "max_passage_tokens": ({}, 9),
}


def leaves(spec, own_only=False):
    """Return the names of all settings, those of parts as `part.name`."""
    names = {name for name in spec.model_fields if not own_only or name in spec.__annotations__}
    nested = names & PARTS.keys()
    return (names - nested) | {f"{part}.{name}" for part in nested for name in PARTS[part].model_fields}


def with_value(settings, name, value):
    part, _, inner = name.rpartition(".")
    if not part:
        return {**settings, name: value}
    held = settings.get(part)
    return {**settings, part: {**(held if isinstance(held, Mapping) else {}), inner: value}}


def seen(train, spec, out):
    """Return what a run does: its forwards, its steps, how often it saves, and its weights."""
    calls, saved = [], []
    usual = trainer.save_file
    hook = register_module_forward_hook(
        lambda module, _, __: calls.append(type(module).__name__) if "Layer" in type(module).__name__ else None
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "save_file", lambda *given: saved.append(1) or usual(*given))
        try:
            done = train(spec, out)
        finally:
            hook.remove()
    steps = [line for line in (done.run / "log.jsonl").read_text().splitlines() if json.loads(line)]
    tensors = {path.name: path.read_bytes() for path in done.folder.glob("*.safetensors")}
    return len(calls), len(steps), len(saved), tensors


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trainers(tmp_path_factory):
    bert = tiny_model(tmp_path_factory.mktemp("bert") / "m", dropout=0.0)
    decoder = make(tmp_path_factory.mktemp("llama") / "m", "llama")
    masked = started(masked_model(tmp_path_factory.mktemp("masked") / "m"), tmp_path_factory.mktemp("run"))
    texts = [replace(row, query=row.pos[0]) for row in ROWS]
    return {
        "embedder": lambda spec, out: finetune(bert, ROWS, spec, out, dev=DEV, device="cpu"),
        "reranker": lambda spec, out: finetune_reranker(decoder, ROWS[:12], spec, out, device="cpu"),
        "pretrain": lambda spec, out: pretrain(masked, texts, spec, out, device="cpu"),
    }


@pytest.fixture(scope="module")
def before():
    """What was seen with each set of settings that several cases share."""
    return {}


CASES = [
    *(("embedder", TrainSpec, name, *case) for name, case in EMBEDDER.items()),
    *(("reranker", RerankerSpec, name, *case) for name, case in RERANKER.items()),
    *(("pretrain", PretrainSpec, name, *case) for name, case in PRETRAIN.items()),
]


@pytest.mark.parametrize(("what", "kind", "name", "shared", "value"), CASES, ids=[f"{c[0]}-{c[2]}" for c in CASES])
def test_a_setting_changed_alone_changes_data_steps_or_weights(
    what, kind, name, shared, value, trainers, before, tmp_path
):
    base = {**STEADY, **shared}
    key = json.dumps([what, base])
    if key not in before:
        before[key] = seen(trainers[what], kind.of(base), tmp_path / "before")
    after = seen(trainers[what], kind.of(with_value(base, name, value)), tmp_path / "after")
    assert after != before[key]


def test_every_setting_has_a_case():
    assert leaves(TrainSpec) == EMBEDDER.keys()
    assert leaves(RerankerSpec, own_only=True) == RERANKER.keys()
    assert leaves(PretrainSpec, own_only=True) == PRETRAIN.keys()


def test_the_same_settings_change_nothing(trainers, before, tmp_path):
    spec = TrainSpec.of(STEADY)
    assert seen(trainers["embedder"], spec, tmp_path / "a") == seen(trainers["embedder"], spec, tmp_path / "b")
