"""The models that a manifest records, found on this machine and loaded as they were."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import ModelError
from quarry.indexer.messages import Message
from quarry.indexer.models.forward.precision import split_device
from quarry.indexer.storage.facts import EmbedderFacts, RerankerFacts
from quarry.indexer.storage.manifest import Manifest

if TYPE_CHECKING:
    from quarry.indexer.models.encoder import EncoderOptions
    from quarry.indexer.models.source import ModelSource


def recorded_source(root: Path, facts: EmbedderFacts) -> "ModelSource":
    """Find the model that a manifest names.

    Args:
        root: The index folder: a tuned model lives inside its index, other models' folders are absolute.
        facts: From the manifest.

    Raises:
        ModelError: If it is not on this machine.
    """
    from quarry.indexer.models.source import resolve_model

    spec = facts.to_spec()
    folder = root / facts.folder
    # a folder's content is digested, so a changed model is noticed
    source = resolve_model(str(folder) if facts.folder and folder.is_dir() else spec.model)
    if source is None:
        if facts.folder:
            raise ModelError(
                "stages.model_gone",
                "{model} is not on this machine",
                expected="it in {folder}",
                do="Put it back, or see `quarry models`",
                model=spec.model,
                folder=facts.folder,
            )
        raise ModelError(
            "stages.model_not_cached",
            "{model} is not on this machine",
            expected="it in the model cache",
            do="See `quarry models`",
            model=spec.model,
        )
    return source


def recorded_embedder(
    root: Path, facts: EmbedderFacts, device: str, *, asked: "EncoderOptions | None" = None
) -> Embedder:
    """Load the embedder that a manifest names, with the query format that it records: own instruction and examples included.

    The caller checks whether it is still the same.

    Args:
        root: The index folder.
        facts: From the manifest.
        device: Where it runs.
        asked: Another instruction or other examples than the recorded ones.

    Raises:
        ModelError: If it is not on this machine, or cannot be loaded, or takes no examples.
    """
    from quarry.indexer.models.encoder import EncoderOptions, load_embedder

    spec = facts.to_spec()
    source = recorded_source(root, facts)
    kept = source.folder.name == spec.revision  # a snapshot in the hub's cache: its name is its commit
    return load_embedder(
        source.folder,
        model_id=spec.model,
        revision=spec.revision if kept else source.revision,
        origin=spec.origin,
        device=device,
        dim=spec.dim,
        options=replace(asked or EncoderOptions(), query_format=spec.query_format),
    )


def as_recorded(embedder: Embedder | None, manifest: Manifest) -> Embedder | None:
    """Return a loaded model with the query format that its index records, for writing: a search may ask with other examples."""
    from quarry.indexer.models.transformer import TransformerEmbedder

    facts = manifest.embedder
    if facts is None or not isinstance(embedder, TransformerEmbedder):
        return embedder
    return embedder.asking(facts.to_spec().query_format)


def served_reranker(root: Path, facts: RerankerFacts | None, wanted: str = "auto") -> "ModelSource | None":
    """Find the reranker that a search with `wanted` uses.

    Args:
        root: The index folder.
        facts: From the manifest: the tuned reranker that `auto` means; None when none is recorded.
        wanted: `auto`, an id or a folder.

    Returns:
        None when `auto` finds none.

    Raises:
        ModelError: If it is named or recorded and not here, or was changed since.
    """
    from quarry.indexer.models.source import resolve_model

    if facts is None or wanted != "auto":
        return resolve_model(wanted, kind="reranker")
    folder = root / facts.folder
    source = resolve_model(str(folder.absolute()), kind="reranker") if folder.is_dir() else None
    if source is None or source.revision != facts.digest:
        raise _other_reranker(root, facts, folder, changed=source is not None)
    return source


def _other_reranker(root: Path, facts: RerankerFacts, folder: Path, *, changed: bool) -> ModelError:
    state = Message.of("stages.was_changed", "was changed") if changed else Message.of("stages.is_gone", "is missing")
    return ModelError(
        "stages.other_reranker",
        "the reranker {model} that this index records {state} in {folder}",
        expected="revision {revision}",
        do="Put it back, or return to what answered before it: quarry models rollback {index}",
        model=facts.model,
        state=state,
        folder=folder,
        revision=facts.digest[:12],
        index=root,
    )


def usable_device(wanted: str) -> tuple[str, Message | None]:
    """Return the device to run on, and a notice when it is not the wanted one: without that GPU the CPU answers."""
    import torch

    device = split_device(wanted)[0]
    no_gpu = device == "mps" and not torch.backends.mps.is_available()
    if no_gpu or (device.startswith("cuda") and not torch.cuda.is_available()):
        precision = split_device(wanted)[1]
        notice = Message.of("stages.no_such_device", "device {device} is not available; the CPU is used", device=wanted)
        return "cpu" if precision == "auto" else f"cpu:{precision}", notice
    return wanted, None
