"""From what the user asked for to objects: which model, from where, on which device. The one place that chooses."""

from dataclasses import dataclass
from pathlib import Path

from quarry.indexer.embedder import Embedder
from quarry.indexer.messages import Message
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """An embedder for building, or none for a lexical-only index.

    Attributes:
        embedder: None means lexical only.
        folder: Where it was loaded from.
        trail: What was tried, in order, and why it failed.
        notes: For the manifest: what the user should later know about this choice.
    """

    embedder: Embedder | None
    folder: str
    trail: tuple[Message, ...]
    notes: tuple[Message, ...] = ()


def choose_model(wanted: str, *, device: str, dim: int | None = None, allow_download: bool = False) -> ChosenModel:
    """Find and load the embedder for a new or changed index.

    Args:
        wanted: `auto`, `none` (lexical only), a repository id, or a folder.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        dim: Matryoshka truncation, None for the model's own dimension.
        allow_download: Whether the model hub may be asked.

    Raises:
        ModelError: If a named model cannot be found or loaded.
    """
    if wanted == "none":
        return ChosenModel(None, "", (Message.of("app.lexical_only", "no model was asked for: lexical search only"),))
    from quarry.indexer.models.encoder import load_embedder
    from quarry.indexer.models.source import resolve_model

    tried: list[Message] = []
    source = resolve_model(wanted, allow_download=allow_download, trail=tried)
    if source is None:
        note = Message.of(
            "app.no_model_here",
            "no embedding model was on this machine when this index was built: lexical search (BM25) only",
        )
        return ChosenModel(
            None, "", (*tried, Message.of("app.see_models", "`quarry models` lists the known models")), (note,)
        )
    embedder = load_embedder(
        source.folder, model_id=source.model, revision=source.revision, origin=source.origin, device=device, dim=dim
    )
    notes: tuple[Message, ...] = ()
    if source.origin == "offline bundle":
        notes = (
            Message.of(
                "app.bundle_used",
                "{model} from the offline bundle is used, because no BGE model was found on this machine",
                model=source.model,
            ),
        )
    return ChosenModel(embedder, str(source.folder), source.trail, notes)


def live_manifest(index: Path) -> Manifest | None:
    """Return the live generation's manifest, None when the index does not exist yet."""
    generations = Generations(index)
    return Manifest.read(generations.live()) if generations.exists() else None
