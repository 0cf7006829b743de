"""A model folder opened for training: the modules of sentence-transformers with the pooling and formats of the folder.

Nothing is ever written into the folder.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.indexer.errors import MissingExtraError, ModelError, SettingsError
from quarry.indexer.models.batching import by_length, token_batches
from quarry.indexer.models.folder import check_folder, stored_id
from quarry.indexer.models.format import ModelFormat, model_format
from quarry.indexer.models.loading import (
    choose_device,
    load_tokenizer,
    load_weights,
    quiet_libraries,
)
from quarry.indexer.models.tokenizer import ModelTokenizer
from quarry.training.fit.loop.processes import most_of_processes, shared_rows
from quarry.training.fit.loop.sharding import is_sharded
from quarry.training.fit.rows.examples_before import in_context_format
from quarry.training.fit.rows.tokens import QueryTokens, Tokenizer, asked_format, padded
from quarry.training.fit.spec import LoraSpec, TrainSpec

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True, slots=True)
class Trainable:
    """An embedder whose weights can change.

    Attributes:
        model: Transformer, Pooling, Dense layers when there are any, Normalize.
        tokenizer: The tokenizer that the folder stores and the encoder uses.
        shape: Pooling, formats and length, as the folder wants them.
        dim: Length of the vectors.
        folder: Where it came from; only read.
    """

    model: "SentenceTransformer"
    tokenizer: ModelTokenizer
    shape: ModelFormat
    dim: int
    folder: Path

    def document_text(self, text: str) -> str:
        """Return a passage in the model's format."""
        head, tail = self.shape.document_format.split("{text}", 1)
        return head + text + tail

    def embed(self, texts: Sequence[str], *, max_tokens: int, token_budget: int) -> Vectors:
        """Return unit rows of formatted texts, shape (len(texts), dim), as the encoder computes them; weights stay.

        The processes of a run share the texts out, and all of them get every row.

        Args:
            texts: Already in their format.
            max_tokens: Longer ones are cut.
            token_budget: Padded tokens per forward.
        """
        return self._forward(Tokenizer(self.tokenizer, max_tokens).encode(texts), token_budget)

    def embed_queries(
        self, queries: Sequence[str], prompts: Sequence[str], *, max_tokens: int, token_budget: int
    ) -> Vectors:
        """Return unit rows of queries, shape (len(queries), dim), in the model's format or with other instructions.

        Args:
            queries: Without their format.
            prompts: Instruction of each (`TrainingRow.prompt`); empty for the model's own.
            max_tokens: Of a query in its format, examples not counted; longer ones are cut.
            token_budget: Padded tokens per forward.
        """
        formats = [asked_format(self.shape.query_format, prompt) for prompt in prompts]
        return self._forward(QueryTokens(self.tokenizer, self.shape, max_tokens).encode(queries, formats), token_budget)

    def _forward(self, ids: Sequence[Sequence[int]], token_budget: int) -> Vectors:
        import torch

        lengths = [len(row) for row in ids]

        def vectors(rows: Sequence[int]) -> Vectors:
            out = np.empty((len(rows), self.dim), dtype=np.float32)
            batches = list(token_batches([lengths[row] for row in rows], range(len(rows)), token_budget))
            for batch in _as_many_as_others(self.model, batches):
                tokens = padded([ids[rows[place]] for place in batch], self.tokenizer.padding)
                features = {"input_ids": tokens.ids, "attention_mask": tokens.mask}
                moved = {name: value.to(self.model.device) for name, value in features.items()}
                out[batch] = self.model(moved)["sentence_embedding"].float().cpu().numpy()
            return out

        was_training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():  # inference mode would spoil what sharded weights are gathered into
                return shared_rows(by_length(lengths).tolist(), vectors)
        finally:
            self.model.train(was_training)


def _as_many_as_others(model: Any, batches: list[list[int]]) -> list[list[int]]:
    """Return the batches, the last one again where others have more: sharded weights are gathered by all processes together."""
    return batches + batches[-1:] * (most_of_processes(len(batches)) - len(batches)) if is_sharded(model) else batches


def require_training() -> None:
    """Check that the packages of the extra are there.

    Raises:
        MissingExtraError: If one is not; it is named.
    """
    from importlib.util import find_spec

    missing = [name for name in ("sentence_transformers", "accelerate", "datasets") if find_spec(name) is None]
    if missing:
        raise _missing(missing)


def _missing(packages: list[str]) -> MissingExtraError:
    return MissingExtraError(
        "fit.missing_extra",
        "training needs {packages}",
        do="Install it with `pip install 'quarry-search[train]'`",
        packages=packages,
    )


def own_device(wanted: str) -> str:
    """Turn `auto` into the best device; under torchrun each process takes the GPU of its local rank.

    Raises:
        ModelError: If CUDA is asked for and not there, or there are fewer GPUs than processes.
    """
    chosen = choose_device(wanted)
    rank = os.environ.get("LOCAL_RANK")
    if chosen != "cuda" or rank is None:
        return chosen
    import torch

    processes, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if processes > gpus:
        raise ModelError(
            "fit.few_gpus",
            "{processes:process|processes} were started on this machine, which has {gpus:GPU|GPUs}",
            expected="at most one for each GPU",
            do="Start fewer (--nproc_per_node), or train on the processor with --device cpu",
            processes=processes,
            gpus=gpus,
        )
    return f"cuda:{rank}"


def open_trainable(folder: Path, spec: TrainSpec, *, model_id: str | None = None, device: str = "auto") -> Trainable:
    """Open a folder for training, in float32 whatever it is stored in.

    Args:
        folder: A Hugging Face or sentence-transformers folder with safetensors weights.
        spec: LoRA, dropout, checkpointing, the query format and frozen embeddings are applied; the Matryoshka parts are checked.
        model_id: Repository id; None reads it from the folder.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        ModelError: If the folder is incomplete, damaged or unknown.
        SettingsError: If a Matryoshka part is longer than the vector, or LoRA targets are not in the model.
        MissingExtraError: If LoRA is asked for and peft is not installed.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
    from transformers import AutoModel

    config = check_folder(folder)
    shape = model_format(folder, config, model_id or stored_id(folder, config))
    if spec.query_format is not None:
        shape = replace(shape, query_format=spec.query_format)
    if spec.in_context is not None:
        in_context_format(shape)
        shape = replace(shape, in_context=True)
    tokenizer = load_tokenizer(folder, config)
    load_weights(AutoModel, folder, device="cpu")  # says what is missing or damaged; sentence-transformers would not
    local = {"local_files_only": True}
    with quiet_libraries():
        transformer = Transformer(
            str(folder),
            max_seq_length=shape.max_tokens,
            config_kwargs=dict(local),
            processor_kwargs=dict(local),
            model_kwargs={**local, "dtype": torch.float32, "use_safetensors": True},
        )
    _drop_unread(transformer.model)
    if shape.bidirectional:
        _look_both_ways(transformer)
    hidden = int(config["hidden_size"])
    modes = {"last_token": "lasttoken"}
    modules: list[Any] = [transformer, Pooling(hidden, modes.get(shape.pooling, shape.pooling))]
    modules += [Dense.load(str(path.parent), subfolder=path.name, local_files_only=True) for path in shape.dense]
    dim = int(modules[-1].out_features) if shape.dense else hidden
    model = SentenceTransformer(modules=[*modules, Normalize()], device=own_device(device))
    _prepare(model, spec, dim)
    return Trainable(model, tokenizer, shape, dim, folder)


def _look_both_ways(transformer: Any) -> None:
    """Let every token of a decoder see all real ones, as the encoder does; pooling gets its own mask back.

    The saved configuration says so too, because the tuned model has a name that no profile knows.
    """
    from quarry.indexer.models.forward.pooling import full_attention

    masks: list[Any] = []

    def widen(_: Any, given: tuple[dict[str, Any], ...]) -> None:
        features = given[0]
        masks.append(features["attention_mask"])
        features["attention_mask"] = full_attention(masks[-1], next(transformer.model.parameters()).dtype)

    def narrow(_: Any, __: Any, features: dict[str, Any]) -> None:
        features["attention_mask"] = masks.pop()

    transformer.register_forward_pre_hook(widen)
    transformer.register_forward_hook(narrow)
    transformer.model.config.is_causal = False


def _drop_unread(weights: Any) -> None:
    """BERT's own pooler is not read by any pooling here; without gradient it would stall training on several GPUs."""
    if getattr(weights, "pooler", None) is not None:
        weights.pooler = None
    if getattr(weights.config, "use_cache", False):
        weights.config.use_cache = False


def _prepare(model: "SentenceTransformer", spec: TrainSpec, dim: int) -> None:
    import torch

    if spec.matryoshka is not None and max(spec.matryoshka.dims) > dim:
        raise SettingsError(
            "fit.matryoshka",
            "matryoshka.dims has {dim}",
            expected="at most {most}, the model's dimension",
            dim=max(spec.matryoshka.dims),
            most=dim,
        )
    inner: Any = model[0].model
    inner.train()
    if spec.lora is not None:
        model[0].model = with_lora(inner, spec.lora)
    elif spec.freeze_embeddings:
        inner.get_input_embeddings().requires_grad_(False)
    if spec.gradient_checkpointing:
        inner.gradient_checkpointing_enable({"use_reentrant": False})
    if spec.dropout is not None:
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = spec.dropout


def with_lora(inner: Any, lora: LoraSpec) -> Any:
    """Return a model with low-rank adapters, which alone are trained.

    Raises:
        SettingsError: If the targets are not in the model.
        MissingExtraError: If peft is not installed.
    """
    try:
        from peft import LoraConfig, TaskType, get_peft_model
    except ImportError as err:
        raise _missing(["peft"]) from err
    config = LoraConfig(
        task_type=TaskType.FEATURE_EXTRACTION,
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) or "all-linear",
    )
    try:
        return get_peft_model(inner, config)
    except ValueError as err:
        names = {name.rpartition(".")[2] for name, module in inner.named_modules() if "Linear" in type(module).__name__}
        raise SettingsError(
            "fit.lora_targets",
            "lora.targets {targets} are not in the model",
            expected="some of {names}",
            targets=str(list(lora.targets)),
            names=sorted(names),
        ) from err


def merge_adapters(model: "SentenceTransformer") -> None:
    """Add low-rank adapters to the weights they belong to, so that a plain model is left; does nothing without them."""
    inner: Any = model[0].model
    if hasattr(inner, "merge_and_unload"):
        model[0].model = inner.merge_and_unload()
