"""What ends a training run from outside: memory or disk that runs out, another process that ended. The errors say how to resume."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quarry.indexer.errors import TrainingError
from quarry.training.fit.spec import TrainSpec


@contextmanager
def explained(spec: TrainSpec, out: Path) -> Iterator[None]:
    """Explain what ended a run inside a `with` block; everything else passes.

    Raises:
        TrainingError: If memory or disk ran out, or another process of the run ended.
    """
    from safetensors import SafetensorError

    from quarry.indexer.models.batching import is_out_of_memory

    try:
        yield
    except (OSError, SafetensorError) as err:
        raise TrainingError(
            "fit.file",
            "the run in {folder} could not write or read a file ({why})",
            do="Make room: what was saved before is whole, and the same call resumes from it",
            folder=out,
            why=str(err),
        ) from err
    except (MemoryError, RuntimeError) as err:
        if isinstance(err, RuntimeError) and any(
            name in str(err) for name in ("PytorchStreamWriter", "inline_container")
        ):
            raise TrainingError(
                "fit.checkpoint",
                "the run in {folder} could not save a checkpoint ({why})",
                do="Make room: what was saved before is whole, and the same call resumes from it",
                folder=out,
                why=str(err),
            ) from err
        if isinstance(err, RuntimeError) and _is_of_a_peer(err):
            raise TrainingError(
                "fit.peer_lost",
                "another process of this run ended ({why})",
                expected="all of them until the end",
                do="See what it said last. Run the same command again: it resumes from the last checkpoint",
                why=str(err).partition("\n")[0],
            ) from err
        if isinstance(err, RuntimeError) and not is_out_of_memory(err):
            raise
        raise TrainingError(
            "fit.memory",
            "memory ran out with batch_size {batch_size}, {tokens} passage tokens and mini_batch {mini_batch}",
            do="Set mini_batch (such as 8), freeze_embeddings, lora, or fewer tokens. The base model is unchanged",
            batch_size=spec.batch_size,
            tokens=spec.max_passage_tokens,
            mini_batch=spec.mini_batch,
        ) from err


def _is_of_a_peer(err: RuntimeError) -> bool:
    """Tell whether processes could no longer speak with each other; gloo has no class of its own for it."""
    import torch.distributed

    if not torch.distributed.is_available():
        return False
    return isinstance(err, torch.distributed.DistError) or "/gloo/" in str(err) or "[Gloo]" in str(err)
