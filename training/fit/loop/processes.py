"""What several processes of one run decide together, so that all of them do the same. A single process decides alone."""

import os
from collections.abc import Callable


def any_process(said: bool) -> bool:
    """Return whether any process of the run said so: Ctrl-C that reached one of them stops all, with one checkpoint."""
    if not _are_several():
        return said
    import torch

    flag = torch.tensor([float(said)], device=_device())
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


def of_first_process(score: Callable[[], float]) -> float:
    """Have the first process score the model, while the others wait for the figure that they all decide by.

    Args:
        score: Evaluates the model as it is, which is the same in all processes.
    """
    if not _are_several():
        return score()
    import torch

    first = torch.distributed.get_rank() == 0
    found = torch.tensor([score() if first else 0.0], dtype=torch.float64, device=_device())
    torch.distributed.broadcast(found, src=0)
    return float(found.item())


def _are_several() -> bool:
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return False
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()


def _device() -> str:
    """Return where the processes exchange tensors: NCCL needs a GPU's."""
    from torch import distributed

    return "cuda" if distributed.get_backend() == "nccl" else "cpu"
