"""sentence-transformers' trainer with our batches, our loss and our checkpoints.

This module imports torch and sentence-transformers at the top, because its classes derive from theirs; it is imported only
where a run begins. It decides nothing about data and writes nothing but checkpoints.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from json import dumps, loads
from pathlib import Path
from typing import Any, Self

import torch
from datasets import Dataset
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sentence_transformers import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.losses.gradcache import CachedLossMixin
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from transformers import Trainer, TrainingArguments

from quarry.indexer.models.batching import token_batches
from quarry.training.fit.loop.losses import Roles, batch_loss, rerank_loss, with_texts
from quarry.training.fit.loop.processes import most_of_processes
from quarry.training.fit.loop.sharding import is_sharded
from quarry.training.fit.models.retromae import MaskedTexts
from quarry.training.fit.models.weights import restore_weights, trainable_weights
from quarry.training.fit.rows.batches import Draw
from quarry.training.fit.spec import RerankerSpec, TrainSpec

WEIGHTS, OPTIMIZER = "trained.safetensors", "optimizer.safetensors"
_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
Features = dict[str, Tensor]


class ContrastiveLoss(CachedLossMixin, nn.Module):
    """`batch_loss` over a model: in pieces of like length, or with cached gradients (GradCache) when a mini batch is set."""

    def __init__(self, model: SentenceTransformer, spec: TrainSpec) -> None:
        nn.Module.__init__(self)
        self.model = model
        self.spec = spec
        self.mini_batch_size = spec.mini_batch

    def forward(self, features: Sequence[Features], labels: dict[str, Tensor]) -> Tensor:
        """Return the loss of queries and texts, in this order in `features`; `labels` are the fields of `Roles`."""
        if self.spec.mini_batch:
            columns = [_as_long_as_others(column) for column in features] if is_sharded(self.model) else features
            return self.forward_cached(columns, labels)  # type: ignore[arg-type]  # it hands labels on as they are
        queries, texts = (self._embed(column) for column in features)
        return self._loss(queries, texts, Roles(**labels))

    def _embed(self, column: Features) -> Tensor:
        """Return vectors, shape (n, dim). Rows come longest first, so each piece is cut to its own width."""
        lengths = column["attention_mask"].sum(dim=1).tolist()
        pieces = list(token_batches(lengths, range(len(lengths)), self.spec.token_budget))

        def embedded(rows: Sequence[int]) -> Tensor:
            names = ("input_ids", "attention_mask")
            piece = {name: column[name][rows[0] : rows[-1] + 1, : max(1, lengths[rows[0]])] for name in names}
            vectors: Tensor = self.model(piece)["sentence_embedding"]
            return vectors

        # with shards every process gathers each layer as often as the others; asked before, since gathering is answered in turn
        more = most_of_processes(len(pieces)) - len(pieces) if is_sharded(self.model) else 0
        vectors = torch.cat([embedded(rows) for rows in pieces])
        for _ in range(more):
            vectors = vectors + 0.0 * embedded(pieces[-1][-1:]).sum()
        return vectors

    def calculate_loss(  # type: ignore[override]
        self, reps: list[list[Tensor]], labels: dict[str, Tensor] | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """Return the loss of vectors in mini batches, as sentence-transformers' gradient cache asks for it."""
        roles = Roles(**(labels or {}))
        loss = self._loss(torch.cat(reps[0])[: len(roles.positive)], torch.cat(reps[1])[: len(roles.text)], roles)
        if with_backward:
            loss.backward()  # type: ignore[no-untyped-call]
            loss = loss.detach()
        return loss

    def _loss(self, queries: Tensor, texts: Tensor, roles: Roles) -> Tensor:
        with torch.autocast(queries.device.type, enabled=False):  # a softmax at temperature 0.02 needs float32
            if (
                self.spec.loss.in_batch_negatives
                and torch.distributed.is_available()
                and torch.distributed.is_initialized()
            ):
                texts, roles = _across_processes(texts, roles)
            precision = torch.promote_types(queries.dtype, torch.float32)
            return batch_loss(queries.to(precision), texts.to(precision), roles, self.spec)


def _as_long_as_others(column: Features) -> Features:
    """Return a column with its last row again, until it is as long as that of any other process: mini batches must be as many."""
    rows = len(column["input_ids"])
    more = most_of_processes(rows) - rows
    return {name: torch.cat([value, value[-1:].expand(more, -1)]) for name, value in column.items()} if more else column


def _across_processes(texts: Tensor, roles: Roles) -> tuple[Tensor, Roles]:
    """Gather the texts of all processes, with gradient; each process keeps its own queries, so scores are computed once."""
    from sentence_transformers.util import all_gather_with_grad

    group = torch.distributed
    count = torch.tensor([texts.shape[0]], device=texts.device)
    counts = [torch.zeros_like(count) for _ in range(group.get_world_size())]
    group.all_gather(counts, count)
    sizes = [int(size) for size in counts]
    widest = max(sizes)
    wide = nn.functional.pad(texts, (0, 0, 0, widest - texts.shape[0]))  # gathering needs equal shapes
    number = nn.functional.pad(roles.text, (0, widest - texts.shape[0]), value=-1)
    vectors = all_gather_with_grad(wide)
    numbers = [torch.zeros_like(number) for _ in sizes]
    group.all_gather(numbers, number)
    keep = torch.cat([torch.arange(size) + at * widest for at, size in enumerate(sizes)]).to(texts.device)
    offset = sum(sizes[: group.get_rank()])
    return vectors[keep], with_texts(roles, offset, torch.cat(numbers)[keep])


class PairLoss(nn.Module):
    """`rerank_loss` over a cross-encoder, in pieces of like length."""

    def __init__(self, model: CrossEncoder, spec: RerankerSpec) -> None:
        super().__init__()
        self.model = model
        self.spec = spec

    def forward(
        self,
        features: Sequence[Features],
        labels: dict[str, Tensor],
        prompt: str | None = None,
        task: str | None = None,
    ) -> Tensor:
        """Return the loss; `features` holds the pairs, `labels` the table and the teacher of `PairCollator`.

        sentence-transformers hands `prompt` and `task` over; they are not used, because pairs come as tokens.
        """
        del prompt, task
        pairs, table = features[0], labels["table"]
        lengths = pairs["attention_mask"].sum(dim=1).tolist()
        logits = []
        for rows in token_batches(lengths, range(len(lengths)), self.spec.token_budget):
            piece = {name: column[rows[0] : rows[-1] + 1, : lengths[rows[0]]] for name, column in pairs.items()}
            logits.append(self.model(piece)["scores"].view(-1).float())
        scores = torch.cat(logits)[table.clamp(min=0)]  # (B, K)
        return rerank_loss(scores, table >= 0, labels["teacher"], self.spec)


class _InOrder:
    """The planned batches, as a batch sampler."""

    def __init__(self, count: int) -> None:
        self.batch_size: int | None = None
        self.drop_last = False
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[int]]:
        return iter([number] for number in range(self._count))


class Planned:
    """Runs the batches of a plan in order; a checkpoint holds only what is trained. Mixed into a trainer, before it."""

    model: Any
    args: Any
    optimizer: Any
    lr_scheduler: Any
    _batches: Sequence[tuple[Draw, ...]]
    _collate: Callable[[Sequence[Draw]], dict[str, Any]]

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        if self._is_sharded():  # the model owns its placement: nothing is to be wrapped or moved
            self.is_distributed_loading_by_transformers = True
            self.place_model_on_device = False

    def _is_sharded(self) -> bool:
        return is_sharded(self.model)

    def plan(self, batches: Sequence[tuple[Draw, ...]], collate: Callable[[Sequence[Draw]], dict[str, Any]]) -> None:
        """Set what is run; before `train`."""
        self._batches = batches
        self._collate = collate

    def _build_dataloader(self, dataset: Dataset, batch_size: int, dataset_kind: str) -> Any:  # noqa: ARG002 (the base class's signature)
        return torch.utils.data.DataLoader(
            self._batches,  # type: ignore[arg-type]
            batch_sampler=_InOrder(len(self._batches)),
            collate_fn=lambda chosen: self._collate(chosen[0]),
        )

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Leave the model card to `quarry.training.fit.models.model_folder`."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002 (the base class's signature)
        folder = Path(output_dir or str(self.args.output_dir))
        weights = trainable_weights(self.model)  # all processes take part where each holds a shard
        if self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(weights, folder / WEIGHTS)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self._is_sharded():
            super()._save_optimizer_and_scheduler(output_dir)  # type: ignore[misc]
            return
        state: Any = get_optimizer_state_dict(self.model, self.optimizer.optimizer, options=_WHOLE)
        if self.args.should_save:
            moments = {
                f"{kind}/{name}": value for name, kinds in state["state"].items() for kind, value in kinds.items()
            }
            told = {"groups": state["param_groups"], "schedule": self.lr_scheduler.state_dict()}
            save_file(moments, Path(output_dir) / OPTIMIZER, metadata={"quarry": dumps(told)})

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not self._is_sharded():
            super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[misc]
            return
        kept = Path(checkpoint) / OPTIMIZER
        with safe_open(kept, framework="pt") as file:
            told = loads((file.metadata() or {})["quarry"])
        moments: dict[str, dict[str, Tensor]] = {}
        for key, value in load_file(kept).items():
            kind, _, name = key.partition("/")
            moments.setdefault(name, {})[kind] = value
        state: Any = {"state": moments, "param_groups": told["groups"]}
        set_optimizer_state_dict(self.model, self.optimizer.optimizer, state, options=_WHOLE)
        self.lr_scheduler.load_state_dict(told["schedule"])

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:  # noqa: ARG002 (the base class's signature)
        restore_weights(self.model, load_file(Path(resume_from_checkpoint) / WEIGHTS))


class PlannedTrainer(Planned, SentenceTransformerTrainer):
    """Trains an embedder."""

    @classmethod
    def of(cls, arguments: Mapping[str, Any], loss: ContrastiveLoss, callback: Any) -> Self:
        """Return a trainer of the loss's model."""
        return cls(args=SentenceTransformerTrainingArguments(**arguments), **_parts(loss, callback))


class PlannedRerankerTrainer(Planned, CrossEncoderTrainer):
    """Trains a reranker."""

    @classmethod
    def of(cls, arguments: Mapping[str, Any], loss: PairLoss, callback: Any) -> Self:
        """Return a trainer of the loss's model."""
        return cls(args=CrossEncoderTrainingArguments(**arguments), **_parts(loss, callback))


class PlannedPretrainer(Planned, Trainer):
    """Trains a masked language model."""

    @classmethod
    def of(cls, arguments: Mapping[str, Any], model: nn.Module, callback: Any) -> Self:
        """Return a trainer of the model."""
        placeholder = Dataset.from_dict({"text": [""]})
        return cls(model=model, args=TrainingArguments(**arguments), train_dataset=placeholder, callbacks=[callback])

    def get_train_dataloader(self) -> Any:
        """Return the planned batches, dealt out to the processes."""
        self.accelerator.even_batches = False
        return self.accelerator.prepare(self._build_dataloader(self.train_dataset, 1, "train"))

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], *_: Any, **__: Any) -> Tensor:
        """Return the loss of one batch."""
        loss: Tensor = model(MaskedTexts(**inputs))
        return loss


class PlannedDecoderTrainer(PlannedPretrainer):
    """Trains a decoder reranker."""

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], *_: Any, **__: Any) -> Tensor:
        """Return the loss of one batch."""
        loss: Tensor = model(inputs)
        return loss


def _parts(loss: ContrastiveLoss | PairLoss, callback: Any) -> dict[str, Any]:
    """Return what both trainers are made of; they want to see a data set, but the plan has the data."""
    placeholder = Dataset.from_dict({"query": [""], "passage": [""], "label": [0]})
    return {"model": loss.model, "train_dataset": placeholder, "loss": loss, "callbacks": [callback]}
