"""Weights of a model in training by name: taken out for a checkpoint, and put back.

Where they are sharded over processes (`quarry.training.fit.loop.sharding`), every process takes part in taking them out, and gets
all of them.
"""

from typing import TYPE_CHECKING, Any

from quarry.indexer.errors import ModelError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def trainable_weights(model: "SentenceTransformer") -> "dict[str, Any]":
    """Return name to tensor of what is trained, on the CPU: all that a checkpoint must hold."""
    return {
        name: _whole(weight.detach()).to("cpu").contiguous()
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


def weights_without_numbers(model: "SentenceTransformer") -> list[str]:
    """Return the names of weights with a value that is infinite or not a number."""
    return sorted(name for name, weight in model.named_parameters() if not bool(weight.isfinite().all()))


def restore_weights(model: "SentenceTransformer", weights: "dict[str, Any]") -> None:
    """Put saved weights back.

    Raises:
        ModelError: If they are not those of this model.
    """
    import torch

    own = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    if own.keys() != weights.keys():
        raise ModelError(
            "fit.other_checkpoint",
            "the checkpoint has {count} weights and the model trains {own}",
            expected="the same names",
            do="Begin again in another folder",
            count=len(weights),
            own=len(own),
        )
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(_shard_of(weights[name], weight))


def _whole(weight: Any) -> Any:
    """Return a weight that may be in shards as one tensor."""
    return weight.full_tensor() if hasattr(weight, "full_tensor") else weight


def _shard_of(whole: Any, weight: Any) -> Any:
    """Return this process's shard of a tensor, as `weight` is sharded; all of it where that is whole."""
    if not hasattr(weight, "full_tensor"):
        return whole
    from torch.distributed.tensor import distribute_tensor

    placed = whole.to(weight.device_mesh.device_type)
    return distribute_tensor(placed, weight.device_mesh, weight.placements, src_data_rank=None)
