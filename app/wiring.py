"""From what the user asked for to objects: which model, from where, on which device. The one place that chooses."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import ModelError
from quarry.indexer.messages import Message
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.retriever.rerankers.depth import Depth

if TYPE_CHECKING:
    from quarry.indexer.models.encoder import EncoderOptions
    from quarry.retriever.base import Reranker


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


def choose_model(
    wanted: str,
    *,
    device: str,
    dim: int | None = None,
    allow_download: bool = False,
    asked: "EncoderOptions | None" = None,
) -> ChosenModel:
    """Find and load the embedder for a new or changed index.

    Args:
        wanted: `auto`, `none` (lexical only), a repository id, or a folder.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        dim: Matryoshka truncation, None for the model's own dimension.
        allow_download: Whether the model hub may be asked.
        asked: Instruction and examples of its queries; None for the model's own.

    Raises:
        ModelError: If a named model cannot be found or loaded, or takes no examples.
    """
    if wanted == "none":
        return ChosenModel(
            None, "", (Message.of("app.lexical_only", "no embedding model was chosen: search by words only"),)
        )
    from quarry.indexer.models.encoder import EncoderOptions, load_embedder
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
        source.folder,
        model_id=source.model,
        revision=source.revision,
        origin=source.origin,
        device=device,
        dim=dim,
        options=asked or EncoderOptions(),
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


def model_for(
    index: Path,
    wanted: str | None = None,
    *,
    device: str = "auto",
    dim: int | None = None,
    download: bool = False,
    asked: "EncoderOptions | None" = None,
) -> ChosenModel:
    """Return the model to build with: the one asked for, else the index's own, else `auto`.

    Raises:
        ModelError: If it is not on this machine, or cannot be loaded.
    """
    manifest = live_manifest(index) if wanted is None else None
    if manifest is None:
        return choose_model(wanted or "auto", device=device, dim=dim, allow_download=download, asked=asked)
    if manifest.embedder is None:
        reason = Message.of("cli.index_without_model", "this index has none: BM25 only; add one with --model auto")
        return ChosenModel(None, "", (reason,), manifest.notes)
    from quarry.retriever.models.recorded import recorded_embedder, usable_device

    # the index is not opened: it may be damaged, and building repairs it
    embedder = recorded_embedder(index, manifest.embedder, usable_device(device)[0], asked=asked)
    return ChosenModel(embedder, manifest.embedder.folder, (), manifest.notes)


def asked_options(examples: Path | None, instruction: str | None = None) -> "EncoderOptions | None":
    """Return how a user wants a model to be asked: `--examples` and `--instruction`; None when neither was given.

    Raises:
        SettingsError: If the file of examples cannot be read, or one of them lacks a part.
    """
    if examples is None and instruction is None:
        return None
    from quarry.indexer.models.encoder import EncoderOptions
    from quarry.indexer.models.few_shot import read_shots

    return EncoderOptions(instruction=instruction, examples=read_shots(examples) if examples else ())


def embedder_asking(index: Path, examples: Path | None, device: str) -> Embedder | None:
    """Return an index's model with other examples than the recorded ones; None without a file, for the index's own model.

    Raises:
        ModelError: If the index has no model, or it takes no examples.
        SettingsError: If the file cannot be read, or an example lacks a part.
    """
    asked = asked_options(examples)
    if asked is None:
        return None
    from quarry.retriever.models.recorded import recorded_embedder, usable_device

    manifest = Manifest.read(Generations(index).live())
    if manifest.embedder is None:
        raise ModelError(
            "app.examples_without_model",
            "{index} has no embedding model, so examples have nothing to work on",
            expected="an index with an in-context model",
            do="Leave --examples out",
            index=index,
        )
    return recorded_embedder(index, manifest.embedder, usable_device(device)[0], asked=asked)


def reranker_asking(index: Path, rerank: str, device: str, depth: Depth) -> "str | Reranker":
    """Return what `rerank` names, or, where only some of its layers are to run, that reranker itself, loaded.

    Raises:
        ModelError: If there is no reranker, or it cannot be run so.
    """
    if depth == Depth():
        return rerank
    from quarry.retriever.models.recorded import served_reranker, usable_device
    from quarry.retriever.rerankers.cross_encoder import load_reranker

    facts = Manifest.read(Generations(index).live()).reranker if rerank == "auto" else None
    source = None if rerank in ("none", "late") else served_reranker(index, facts, rerank)
    if source is None:
        raise ModelError(
            "app.depth_without_reranker",
            "--cutoff-layers and --compress were given, and there is no reranker with --rerank {rerank}",
            expected="a layerwise reranker",
            do="Give its folder with --rerank, or leave them out",
            rerank=rerank,
        )
    return load_reranker(
        source.folder,
        model_id=facts.model if facts else source.model,
        device=usable_device(device)[0],
        cutoff_layers=depth.cutoff_layers,
        compress=depth.compress,
    )


def live_manifest(index: Path) -> Manifest | None:
    """Return the live generation's manifest, None when the index does not exist yet."""
    generations = Generations(index)
    return Manifest.read(generations.live()) if generations.exists() else None
