"""From what the user asked for to objects: which model, from where, on which device. The one place that chooses."""

from dataclasses import dataclass
from pathlib import Path

from quarry.indexer.embedder import Embedder
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """An embedder for building, or none for a lexical-only index.

    Attributes:
        embedder: None means lexical only.
        folder: Where it was loaded from.
        trail: What was tried and why the next was taken, one sentence each.
        notes: For the manifest: what the user should know of this choice later.
    """

    embedder: Embedder | None
    folder: str
    trail: tuple[str, ...]
    notes: tuple[str, ...] = ()


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
        return ChosenModel(None, "", ("no model was asked for: lexical search only",))
    from quarry.indexer.models.encoder import load_embedder
    from quarry.indexer.models.source import resolve_model

    tried: list[str] = []
    source = resolve_model(wanted, allow_download=allow_download, trail=tried)
    if source is None:
        note = "no embedding model was on this machine when this index was built: lexical search (BM25) only"
        return ChosenModel(None, "", (*tried, "`quarry models` shows what there is"), (note,))
    embedder = load_embedder(
        source.folder, model_id=source.model, revision=source.revision, origin=source.origin, device=device, dim=dim
    )
    notes: tuple[str, ...] = ()
    if source.origin == "offline bundle":
        notes = (f"{source.model} from the offline bundle is used, because no BGE model could be had on this machine",)
    return ChosenModel(embedder, str(source.folder), source.trail, notes)


def live_manifest(index: Path) -> Manifest | None:
    """Return the live generation's manifest, None when the index does not exist yet."""
    generations = Generations(index)
    return Manifest.read(generations.live()) if generations.exists() else None
