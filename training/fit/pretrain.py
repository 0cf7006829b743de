"""Pre-training a model on plain texts with RetroMAE. What it learns is in `quarry.training.fit.models.retromae`."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import ModelError
from quarry.indexer.models.folder import check_folder, read_json, stored_id
from quarry.indexer.models.format import ModelFormat, model_format, write_profile
from quarry.indexer.models.loading import load_tokenizer, quiet_libraries
from quarry.indexer.models.tokenizer import ModelTokenizer
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.fit.loop.progress import TrainObserver
from quarry.training.fit.models.model_folder import tuned_name, write_beside
from quarry.training.fit.models.start import ENCODERS
from quarry.training.fit.models.trainable import own_device, require_training
from quarry.training.fit.rows.batches import Draw
from quarry.training.fit.rows.table import RowTable
from quarry.training.fit.rows.tokens import Tokenizer
from quarry.training.fit.run import Start, TrainedModel, run_training
from quarry.training.fit.spec import PretrainSpec


def pretrain(
    model_folder: Path,
    rows: Sequence[TrainingRow] | RowTable,
    spec: PretrainSpec,
    out: Path,
    *,
    observer: TrainObserver | None = None,
    device: str = "auto",
) -> TrainedModel:
    """Pre-train an encoder, or resume an unfinished run. The trained folder has the encoder alone, with the pooling `cls`.

    Args:
        model_folder: A model folder (see `quarry.training.fit.models.start.started`); it is only read.
        rows: One text each, as their `query`; nothing else of them is read.
        spec: How.
        out: The run's folder; new, or that of the same run. The model comes to `out/model`.
        observer: Receives progress events.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; under torchrun each process takes its own.

    Raises:
        ModelError: If the model is no BERT, RoBERTa or XLM-R, its tokenizer has no mask token, or it cannot be opened.
        FeedbackError: If there are fewer than two texts.
        MissingExtraError: If the packages for training are not installed.
        TrainingStopped: After Ctrl-C; a checkpoint was saved.
        TrainingError: If `out` holds another run, memory or disk runs out, or the loss is not a number.
    """
    require_training()
    mask_id = _mask_token(model_folder)
    table = RowTable.of(rows)
    return run_training(
        Start(model_folder, device, lambda place: _Pretrainee(model_folder, table, spec, place, mask_id)),
        table,
        spec,
        out,
        dev=None,
        observer=observer,
    )


def _mask_token(folder: Path) -> int:
    """Return the number of the mask token.

    Raises:
        ModelError: If the model is of another kind, or its tokenizer has no such token.
    """
    config = check_folder(folder)
    kind = config.get("model_type")
    if kind not in ENCODERS:
        raise ModelError(
            "fit.no_encoder",
            "{folder} holds a model of the kind {kind}, which RetroMAE cannot pre-train",
            expected="one of {known}",
            do="Choose another with --model, or begin with --stage general",
            folder=folder,
            kind=repr(kind),
            known=list(ENCODERS),
        )
    tokenizer = load_tokenizer(folder, config)
    named = {**read_json(folder / "special_tokens_map.json"), **read_json(folder / "tokenizer_config.json")}
    stored = named.get("mask_token")
    token = stored.get("content") if isinstance(stored, dict) else stored
    backend = tokenizer.backend_tokenizer
    found = next(
        (number for name in (token, "[MASK]", "<mask>") if name and (number := backend.token_to_id(name)) is not None),
        None,
    )
    if found is None:
        raise ModelError(
            "fit.no_mask_token",
            "the tokenizer in {folder} has no mask token",
            expected="[MASK], <mask> or the mask_token of tokenizer_config.json",
            do="Choose another model, or begin with --stage general",
            folder=folder,
        )
    return int(found)


class _Pretrainee:
    """A masked language model as a run sees it."""

    what = "pretrained encoder"

    def __init__(self, folder: Path, table: RowTable, spec: PretrainSpec, device: str, mask_id: int) -> None:
        import torch
        from transformers import AutoModelForMaskedLM

        from quarry.training.fit.models.retromae import RetroMae, masker

        config = check_folder(folder)
        self._folder, self._rows, self._spec = folder, table.rows, spec
        self.shape: ModelFormat = model_format(folder, config, stored_id(folder, config))
        self.base = self.shape.model
        self._tokenizer: ModelTokenizer = load_tokenizer(folder, config)
        self._encode = Tokenizer(self._tokenizer, min(spec.max_passage_tokens, self.shape.max_tokens))
        self._masker = masker(self._tokenizer, spec.encoder_mask, spec.decoder_mask, mask_id)
        with quiet_libraries():
            model: Any = AutoModelForMaskedLM.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
        self.model = RetroMae(model).to(own_device(device))
        if spec.dropout is not None:
            for module in self.model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = spec.dropout

    def trainer(self, arguments: Mapping[str, Any], callback: Any) -> Any:
        """See `quarry.training.fit.loop.steps.Trainee`."""
        from quarry.training.fit.loop.trainer import PlannedPretrainer

        return PlannedPretrainer.of(arguments, self.model, callback)

    def collate(self, draws: Sequence[Draw]) -> dict[str, Any]:
        """See `quarry.training.fit.loop.steps.Trainee`."""
        texts = self._encode.encode([self._rows[draw.row].query for draw in draws])
        masked = self._masker(texts, [(self._spec.seed, draw.epoch, draw.row) for draw in draws])
        return {field.name: getattr(masked, field.name) for field in fields(masked)}

    def score(self, dev: DevSet) -> float:
        """Return no number: nobody asks, because a run without dev set scores nothing."""
        del dev
        return float("nan")

    def write(self, folder: Path, digest: str, record: Mapping[str, Any]) -> None:
        """See `quarry.training.fit.loop.steps.Trainee`."""
        body = self.model.body
        body.save_pretrained(folder)
        spec = EmbedderSpec(
            model=tuned_name(self.shape.model, digest),
            revision=digest,
            dim=int(body.config.hidden_size),
            max_tokens=self.shape.max_tokens,
            pooling="cls",
            query_format=self.shape.query_format,
            document_format=self.shape.document_format,
        )
        write_profile(folder, spec)
        write_beside(folder, self._folder, record, _card(spec, record))


def _card(spec: EmbedderSpec, record: Mapping[str, Any]) -> str:
    return f"""---
library_name: transformers
tags: [retromae, quarry]
---
# {spec.model}

An encoder pre-trained with RetroMAE from `{record["base"]["model"]}` (revision `{record["base"]["revision"]}`) on {record["rows"]} texts
(digest `{record["rows_digest"]}`), {record["steps"]} steps. Its [CLS] state holds the text; train it on pairs before you search with it.

Settings and digests are in `training.json`.
"""
