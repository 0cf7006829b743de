"""The known models and whether they are on this machine: what `quarry models` and the page of models show."""

from dataclasses import dataclass

from quarry.indexer.messages import Message
from quarry.indexer.models import offline_bundle
from quarry.indexer.models.profiles import EMBEDDERS, RERANKERS, EmbedderProfile, RerankerProfile
from quarry.indexer.models.source import find_cached, repository_folder


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One line of `quarry models`: what a model is and needs, and where it was found (`here`, empty when it was not)."""

    model: str
    kind: str
    languages: str
    dim: int | None
    max_tokens: int
    memory_mb: int
    here: str
    megabytes_on_disk: int | None
    folder: str
    note: Message | None


def list_models() -> list[ModelRow]:
    """Return every known model, embedders first."""
    return [*(_row(profile) for profile in EMBEDDERS), *(_row(profile) for profile in RERANKERS)]


def _row(profile: EmbedderProfile | RerankerProfile) -> ModelRow:
    folder, reason = find_cached(profile.model)
    here, note = ("cache" if folder else ""), None
    if folder is None and profile.model == offline_bundle.MODEL:
        note = offline_bundle.absence()
        here, folder = ("offline bundle", offline_bundle.made_folder()) if note is None else ("", None)
    if not here and repository_folder(profile.model).is_dir():
        note = reason
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) >> 20 if folder else None
    if here == "offline bundle" and not size:
        note = Message.of("models.made_on_first_use", "made on first use, in about ten seconds")
    return ModelRow(
        model=profile.model,
        kind="embedder" if isinstance(profile, EmbedderProfile) else f"reranker ({profile.kind})",
        languages=profile.languages,
        dim=profile.dim if isinstance(profile, EmbedderProfile) else None,
        max_tokens=profile.max_tokens,
        memory_mb=round(profile.million_parameters * 4),  # fp32
        here=here,
        megabytes_on_disk=size,
        folder=str(folder or ""),
        note=note,
    )
