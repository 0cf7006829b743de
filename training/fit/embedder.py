"""Fine-tuning an embedder: rows in, a plain model folder out. The base model's folder and every live index stay untouched."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from quarry.indexer.models.few_shot import with_shots
from quarry.indexer.models.format import ModelFormat
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.loop.dev_score import DevSet, dev_score
from quarry.training.fit.loop.progress import TrainObserver
from quarry.training.fit.models.model_folder import write_tuned
from quarry.training.fit.models.trainable import Trainable, open_trainable, require_training
from quarry.training.fit.rows.batches import Draw
from quarry.training.fit.rows.collation import Collator
from quarry.training.fit.rows.examples_before import ExamplesBefore
from quarry.training.fit.rows.table import RowTable
from quarry.training.fit.rows.tokens import asked_format
from quarry.training.fit.run import Start, TrainedModel, run_training
from quarry.training.fit.spec import TrainSpec


def finetune(
    model_folder: Path,
    rows: Sequence[TrainingRow] | RowTable,
    spec: TrainSpec,
    out: Path,
    *,
    dev: DevSet | None = None,
    observer: TrainObserver | None = None,
    device: str = "auto",
) -> TrainedModel:
    """Train a model on rows, or resume an unfinished run.

    Args:
        model_folder: A model folder as `quarry.indexer.models.encoder.load_embedder` takes it; it is only read.
        rows: What to learn from.
        spec: How.
        out: The run's folder; new, or that of the same run. The model comes to `out/model`.
        dev: Held-out queries that choose the checkpoint and stop early; none of them may be among the rows.
        observer: Receives progress events.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; under torchrun each process takes its own.

    Raises:
        FeedbackError: If no batch can be made of the rows.
        ModelError: If the model cannot be opened.
        SettingsError: If the spec does not fit the model.
        MissingExtraError: If the packages for training are not installed.
        TrainingStopped: After Ctrl-C; a checkpoint was saved.
        TrainingError: If `out` holds another run, dev queries are among the rows, memory or disk runs out, or the loss is
            not a number.
    """
    require_training()
    table = RowTable.of(rows)
    return run_training(
        Start(
            model_folder,
            device,
            lambda place: _EmbedderTrainee(open_trainable(model_folder, spec, device=place), table, spec),
        ),
        table,
        spec,
        out,
        dev=dev,
        observer=observer,
    )


def _served(shape: ModelFormat, table: RowTable, examples: ExamplesBefore | None) -> ModelFormat:
    """Return the format that a model trained on rows is used with."""
    prompts = list(table.prompts)
    query_format = asked_format(shape.query_format, prompts[0]) if len(prompts) == 1 else shape.query_format
    if examples is not None and len(table.kinds) == 1:
        query_format = with_shots(query_format, examples.served(table.kinds[0]))
    return replace(shape, query_format=query_format)


class _EmbedderTrainee:
    """An embedder as a run sees it."""

    what = "embedder"

    def __init__(self, trainable: Trainable, table: RowTable, spec: TrainSpec) -> None:
        # one instruction for all rows is the one that the model is served with, and so are fixed examples of one kind
        given = spec.in_context
        fixed = None
        if given is not None and given.choice == "fixed":
            fixed = ExamplesBefore(table, given, trainable.tokenizer, spec.seed)
        self._trainable = replace(trainable, shape=_served(trainable.shape, table, fixed))
        self._spec = spec
        self._collator = Collator(table, spec, trainable.tokenizer, trainable.shape)
        self.base = trainable.shape.model
        self.model = trainable.model

    def trainer(self, arguments: Mapping[str, Any], callback: Any) -> Any:
        """See `quarry.training.fit.loop.steps.Trainee`."""
        from quarry.training.fit.loop.trainer import ContrastiveLoss, PlannedTrainer

        return PlannedTrainer.of(arguments, ContrastiveLoss(self.model, self._spec), callback)

    def collate(self, draws: Sequence[Draw]) -> dict[str, Any]:
        """See `quarry.training.fit.loop.steps.Trainee`."""
        return self._collator(draws)

    def score(self, dev: DevSet) -> float:
        """See `quarry.training.fit.loop.steps.Trainee`."""
        return dev_score(
            self._trainable,
            dev,
            max_query_tokens=self._spec.max_query_tokens,
            max_passage_tokens=self._spec.max_passage_tokens,
        )

    def write(self, folder: Path, digest: str, record: Mapping[str, Any]) -> None:
        """See `quarry.training.fit.loop.steps.Trainee`."""
        write_tuned(self._trainable, folder, digest=digest, record=record)
