"""The three stages of C-Pack (arXiv 2309.07597) and KaLM (arXiv 2501.01028), each with its settings, and one door to them.

pretrain   plain texts, RetroMAE
general    pairs of every kind, negatives of the batch only, large batches, no instruction
reranker   the same rows as pairs, for a cross-encoder or a decoder that scores them
task       labelled rows: hard negatives, an instruction where a row has one, one data set per step, and a batch size for
retrieval and another one for the rest (arXiv 2409.15700)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from quarry.indexer.embedder import Pooling
from quarry.indexer.errors import SettingsError
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.fit.loop.progress import TrainObserver
from quarry.training.fit.rows.table import RowTable
from quarry.training.fit.run import TrainedModel
from quarry.training.fit.spec import BatchSpec, LossSpec, PretrainSpec, RerankerSpec, TrainSpec

Stage: TypeAlias = Literal["pretrain", "general", "task", "reranker"]
_STEPS = 8  # of an epoch at least, where the batch size was left open


@dataclass(frozen=True, slots=True)
class StageJob:
    """One stage of training.

    Attributes:
        stage: Which.
        model: The folder to begin with: a model, or `config.json` with a tokenizer.
        into: The run's folder; the model comes to `into/model`.
        settings: What differs from the stage's own settings (`stage_spec`), as a TOML file has it.
        pooling: How token states become one vector; None keeps the folder's (`quarry.training.fit.models.start`).
        device: `auto`, `cpu`, `cuda` or `cuda:N`; under torchrun each process takes its own.
    """

    stage: Stage
    model: Path
    into: Path
    settings: Mapping[str, Any]
    pooling: Pooling | None = None
    device: str = "auto"


def stage_spec(stage: Stage, settings: Mapping[str, Any], *, gpu: bool) -> TrainSpec:
    """Return the settings of a stage, with those of the user put over them.

    Raises:
        SettingsError: If a key is unknown or a value out of its range.
    """
    if stage == "pretrain":
        return PretrainSpec.of(_over(PretrainSpec(batch_size=64 if gpu else 16).model_dump(), settings))
    if stage == "reranker":
        return RerankerSpec.of(_over(RerankerSpec(loss=LossSpec(hard_negatives=7)).model_dump(), settings))
    mini = 64 if gpu else 16
    if stage == "general":
        loss = LossSpec(temperature=0.01, hard_negatives=0, false_negative_margin=None)
        batch = 1024 if gpu else 256
        own = TrainSpec(batch_size=batch, mini_batch=mini, loss=loss, query_format="{query}")
    else:
        loss = LossSpec(temperature=0.02, hard_negatives=7)
        batches = BatchSpec(order="homogeneous", other_size=256)
        own = TrainSpec(batch_size=512, mini_batch=mini, loss=loss, batches=batches)
    merged = _over(own.model_dump(), settings)
    _shrink(merged, settings)
    return TrainSpec.of(merged)


def _over(own: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Put settings over others, table by table."""
    merged = dict(own)
    for key, value in settings.items():
        before = merged.get(key)
        merged[key] = _over(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return merged


def _shrink(merged: dict[str, Any], settings: Mapping[str, Any]) -> None:
    """Let sizes that were left open follow a batch size or an order that was not."""
    size = merged["batch_size"]
    if "mini_batch" not in settings and isinstance(size, int):
        merged["mini_batch"] = min(merged["mini_batch"], size)
    batches, given = merged["batches"], settings.get("batches")
    if isinstance(batches, dict) and not (isinstance(given, Mapping) and "other_size" in given):
        other = batches.get("other_size")
        if other is not None:
            batches["other_size"] = min(other, size) if batches.get("order") == "homogeneous" else None


def fitting(spec: TrainSpec, rows: int, *, processes: int, given: bool) -> TrainSpec:
    """Return the settings with a batch that the data can fill.

    Args:
        spec: The settings.
        rows: How many rows there are.
        processes: How many share a step.
        given: Whether the user chose the batch size: then it is never changed.

    Raises:
        SettingsError: If a chosen batch is larger than the data.
    """
    if given and spec.batch_size * processes > rows:
        raise SettingsError(
            "fit.large_batch",
            "a step has {batch:row|rows} and the data {rows:row|rows}",
            expected="at most as many",
            do="Give a smaller batch_size, or more data",
            batch=spec.batch_size * processes,
            rows=rows,
        )
    most = max(2, rows // (_STEPS * processes))
    if given or spec.batch_size <= most:
        return spec
    other = spec.batches.other_size
    batches = spec.batches.model_copy(update={"other_size": None if other is None else min(other, most)})
    return spec.model_copy(update={"batch_size": most, "mini_batch": min(spec.mini_batch, most), "batches": batches})


def train_stage(
    job: StageJob,
    rows: Sequence[TrainingRow] | RowTable,
    spec: TrainSpec,
    *,
    dev: DevSet | None = None,
    observer: TrainObserver | None = None,
) -> TrainedModel:
    """Run a stage, or resume it.

    Args:
        job: Which, from where, to where.
        rows: Rows (`quarry.training.examples.row_files`), or texts for `pretrain` (`text_files`).
        spec: Settings, as `stage_spec` and `fitting` return them.
        dev: Held-out queries that choose the checkpoint; not for `pretrain`.
        observer: Receives progress events.

    Raises:
        ModelError: If the folder is no model and no config with a tokenizer, or RetroMAE cannot pre-train it.
        SettingsError: If a setting does not fit the model.
        FeedbackError: If no batch can be made of the rows.
        MissingExtraError: If the packages for training are not installed.
        TrainingStopped: After Ctrl-C; a checkpoint was saved.
        TrainingError: If `into` holds another run, memory or disk runs out, or the loss is not a number.
    """
    from quarry.training.fit.embedder import finetune
    from quarry.training.fit.models.start import started
    from quarry.training.fit.pretrain import pretrain
    from quarry.training.fit.reranker import finetune_reranker

    if isinstance(spec, RerankerSpec):
        read = rows.rows if isinstance(rows, RowTable) else rows
        return finetune_reranker(job.model, read, spec, job.into, dev=dev, observer=observer, device=job.device)
    base = started(job.model, job.into, pooling=job.pooling, seed=spec.seed)
    if isinstance(spec, PretrainSpec):
        return pretrain(base, rows, spec, job.into, observer=observer, device=job.device)
    return finetune(base, rows, spec, job.into, dev=dev, observer=observer, device=job.device)
