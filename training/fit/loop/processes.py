"""What several processes of one run decide and compute together, so that all of them do the same. A single process is alone."""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_Number = TypeVar("_Number", bound=np.floating[Any])


def any_process(said: bool) -> bool:
    """Return whether any process of the run said so: Ctrl-C that reached one of them stops all, with one checkpoint."""
    return bool(most_of_processes(int(said)))


def most_of_processes(count: int) -> int:
    """Return the largest count of all processes."""
    if not _are_several():
        return count
    import torch

    found = torch.tensor([count], device=_device())
    torch.distributed.all_reduce(found, op=torch.distributed.ReduceOp.MAX)
    return int(found.item())


def agreed(figure: float) -> float:
    """Return the first process's figure, by which all of them decide: on unlike machines the last digit may differ."""
    if not _are_several():
        return figure
    import torch

    found = torch.tensor([figure], dtype=torch.float64, device=_device())
    torch.distributed.broadcast(found, src=0)
    return float(found.item())


def shared_rows(order: Sequence[int], compute: Callable[[Sequence[int]], NDArray[_Number]]) -> NDArray[_Number]:
    """Have each process compute its share of rows, and return all of them to each, in the order of their numbers.

    Args:
        order: The numbers 0 to n - 1, like ones side by side: they are dealt out in turn.
        compute: Returns the rows with the given numbers, shape (len(numbers), width). Each process gets as many; some are computed
            twice where they do not come out even.
    """
    if not _are_several() or not len(order):
        return _placed(order, compute(order))
    import torch

    group = torch.distributed
    processes, rank = group.get_world_size(), group.get_rank()
    places = range(rank, -(-len(order) // processes) * processes, processes)
    mine = torch.from_numpy(compute([order[place % len(order)] for place in places])).to(_device())
    found = [torch.empty_like(mine) for _ in range(processes)]
    group.all_gather(found, mine)
    dealt = torch.stack(found, dim=1).flatten(0, 1)[: len(order)]
    return _placed(order, dealt.cpu().numpy())


def _placed(order: Sequence[int], rows: NDArray[_Number]) -> NDArray[_Number]:
    out = np.empty_like(rows)
    out[list(order)] = rows
    return out


def _are_several() -> bool:
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return False
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()


def _device() -> str:
    """Return where the processes exchange tensors: NCCL needs a GPU's."""
    from torch.distributed.distributed_c10d import get_backend_config

    return "cuda" if "nccl" in get_backend_config() else "cpu"
