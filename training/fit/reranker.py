"""Fine-tuning a reranker: the rows that train an embedder, read as pairs. The base model's folder stays untouched."""

from collections.abc import Sequence
from pathlib import Path

from quarry.indexer.models.folder import check_folder
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.fit.loop.progress import TrainObserver
from quarry.training.fit.models.decoder_trainee import DecoderTrainee
from quarry.training.fit.models.reranker_trainee import RerankerTrainee
from quarry.training.fit.rows.table import RowTable
from quarry.training.fit.run import Start, TrainedModel, run_training
from quarry.training.fit.spec import RerankerSpec


def finetune_reranker(
    model_folder: Path,
    rows: Sequence[TrainingRow],
    spec: RerankerSpec,
    out: Path,
    *,
    dev: DevSet | None = None,
    observer: TrainObserver | None = None,
    device: str = "auto",
) -> TrainedModel:
    """Train a reranker, or resume an unfinished run.

    Args:
        model_folder: A cross-encoder, an encoder (an embedding model) that gets a new head, or a language model; it is only read.
        rows: What to learn from, mined negatives included.
        spec: How.
        out: The run's folder; new, or that of the same run. The model comes to `out/model`, for
            `quarry.retriever.rerankers.cross_encoder.load_reranker`.
        dev: Held-out queries. Each reranks its judged passages among other ones.
        observer: Receives progress events.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; under torchrun each process takes its own.

    Raises:
        FeedbackError: If no batch can be made of the rows.
        ModelError: If the model cannot be opened, or classifies into several labels.
        MissingExtraError: If the packages for training are not installed.
        TrainingStopped: After Ctrl-C; a checkpoint was saved.
        TrainingError: If `out` holds another run, dev queries are among the rows, memory or disk runs out, or the loss is
            not a number.
    """
    return run_training(
        Start(model_folder, device, lambda place: _trainee(model_folder, rows, spec, place)),
        RowTable.of(rows),
        spec,
        out,
        dev=dev,
        observer=observer,
    )


def _trainee(folder: Path, rows: Sequence[TrainingRow], spec: RerankerSpec, device: str) -> RerankerTrainee:
    """Return what is trained: as the settings say, or as the folder's architecture does."""
    causal = any(str(name).endswith("ForCausalLM") for name in check_folder(folder).get("architectures") or [])
    if spec.head in {"layerwise", "yes"} or (spec.head == "auto" and causal):
        return DecoderTrainee(folder, rows, spec, device)
    return RerankerTrainee(folder, rows, spec, device)
