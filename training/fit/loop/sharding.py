"""Weights, gradients and optimizer states in shards, one for each process (FSDP), for models that no single GPU trains whole.

Asked for as accelerate asks: `accelerate launch --use_fsdp ...` or `ACCELERATE_USE_FSDP=true torchrun ...`. What accelerate's
configuration says of offloading, resharding and layers is kept. The sharding itself is PyTorch's `fully_shard` (FSDP2;
https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html, after Zhao et al., arXiv 2304.11277), which transformers'
trainer takes as a model that owns its placement. Checkpoints and finished models hold whole weights, as without it.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from quarry.indexer.errors import TrainingError

_ASKED = "ACCELERATE_USE_FSDP"
_STRATEGIES = {"": True, "1": True, "FULL_SHARD": True, "2": False, "SHARD_GRAD_OP": False}  # to reshard after forward


@dataclass(frozen=True, slots=True)
class Sharding:
    """How weights are sharded.

    Attributes:
        reshard: Whether a layer's weights are dropped after its forward pass and gathered again for the backward one.
        offload: Whether shards stay on the CPU and come to the GPU for their layer only.
        layers: Class names of the layers that are gathered one at a time; empty for those that the model names itself.
    """

    reshard: bool = True
    offload: bool = False
    layers: tuple[str, ...] = ()

    @classmethod
    def asked(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """Return what accelerate's environment asks for; None for whole weights in each process.

        Raises:
            TrainingError: If it asks for something that this cannot do.
        """
        if _true(environment, "ACCELERATE_USE_DEEPSPEED"):
            raise _refused("DeepSpeed", "FSDP")
        if not _true(environment, _ASKED):
            return None
        strategy = environment.get("FSDP_SHARDING_STRATEGY", "")
        if strategy not in _STRATEGIES:
            raise _refused(f"FSDP_SHARDING_STRATEGY={strategy}", "FULL_SHARD, SHARD_GRAD_OP")
        if _true(environment, "FSDP_ACTIVATION_CHECKPOINTING"):
            raise _refused("FSDP_ACTIVATION_CHECKPOINTING", "gradient_checkpointing = true")
        if int(environment.get("WORLD_SIZE", "1")) < 2:
            raise TrainingError(
                "fit.sharding_alone",
                "accelerate was told to shard the weights (FSDP), and this is one process",
                expected="at least two to share them",
                do="Start more with torchrun --nproc_per_node or accelerate launch --num_processes",
            )
        reshard = _STRATEGIES[strategy] and environment.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower() != "false"
        names = environment.get("FSDP_TRANSFORMER_CLS_TO_WRAP", "")
        layers = tuple(name.strip() for name in names.split(",") if name.strip())
        return cls(reshard, _true(environment, "FSDP_OFFLOAD_PARAMS"), layers)

    def apply(self, model: Any, device: str, *, half: bool) -> None:
        """Shard a model that lies whole on the CPU, in place: each process keeps its part on its device.

        Args:
            model: Its layers are found by their class names.
            device: `cpu` or `cuda:N`.
            half: Whether weights are gathered in bfloat16; shards and sums of gradients stay float32.
        """
        import torch
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard

        kind = torch.device(device).type
        if kind == "cuda":
            torch.cuda.set_device(device)
        if not torch.distributed.is_initialized():  # what is offloaded is gathered by gloo
            torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo")
        precision = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        given: dict[str, Any] = {
            "mesh": init_device_mesh(kind, (int(os.environ["WORLD_SIZE"]),)),
            "reshard_after_forward": self.reshard,
            "mp_policy": precision if half else MixedPrecisionPolicy(),
            "offload_policy": CPUOffloadPolicy() if self.offload else OffloadPolicy(),
        }
        names = set(self.layers) or _named_by(model)
        for layer in [module for module in model.modules() if type(module).__name__ in names]:
            fully_shard(layer, **given)
        # between steps the root's weights are shards too: they are saved and restored there
        fully_shard(model, **{**given, "reshard_after_forward": True})


@contextmanager
def without_accelerate() -> Iterator[None]:
    """Keep accelerate from sharding as well, and transformers from opening models empty for it: the model owns its placement."""
    asked = os.environ.pop(_ASKED, None)
    try:
        yield
    finally:
        if asked is not None:
            os.environ[_ASKED] = asked


def is_sharded(model: Any) -> bool:
    """Whether a model's weights are in shards."""
    return any(hasattr(weight, "full_tensor") for weight in model.parameters())


def _named_by(model: Any) -> set[str]:
    """Return the class names of the layers that a model of transformers says must not be split."""
    return {name for module in model.modules() for name in (getattr(module, "_no_split_modules", None) or ())}


def _true(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() in ("1", "true", "yes")


def _refused(what: str, expected: str) -> TrainingError:
    return TrainingError(
        "fit.sharding",
        "accelerate was told to use {what}, which Quarry does not train with",
        expected="{wanted}",
        do="Change accelerate's configuration or the settings of the run",
        what=what,
        wanted=expected,
    )
