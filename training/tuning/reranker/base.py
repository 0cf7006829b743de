"""Which reranker a run begins with, and which ones the tuned one must beat."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quarry.indexer.errors import ModelError
from quarry.indexer.models.digest import content_digest
from quarry.indexer.models.folder import check_folder
from quarry.indexer.models.source import ModelSource, resolve_model
from quarry.indexer.storage.manifest import Manifest
from quarry.retriever.models.recorded import recorded_source, served_reranker, usable_device
from quarry.retriever.rerankers.cross_encoder import load_reranker
from quarry.training.tuning.reranker.trials import Ranker

FROM_ENCODER = "from-encoder"


@dataclass(frozen=True, slots=True)
class BaseReranker:
    """The model that is tuned.

    Attributes:
        name: The model's name.
        folder: The model's folder; only read.
        ranks: Whether it is a reranker already; an encoder gets a new head first.
    """

    name: str
    folder: Path
    ranks: bool


def base_reranker(root: Path, manifest: Manifest, wanted: str) -> BaseReranker:
    """Find the model that a run begins with.

    Args:
        root: The index folder.
        manifest: The manifest of its live generation.
        wanted: `auto`, `from-encoder`, an id or a folder.

    Raises:
        ModelError: If there is none, it is not on this machine, or it is neither a cross-encoder nor an encoder.
    """
    served = served_reranker(root, manifest.reranker)
    if wanted == FROM_ENCODER:
        if manifest.embedder is None:
            raise ModelError(
                "tuning.no_encoder",
                "{index} has no model",
                expected="one whose layers a reranker could begin with",
                do="Give --reranker",
                index=root,
            )
        source: ModelSource | None = recorded_source(root, manifest.embedder)
    else:
        source = served if wanted == "auto" else resolve_model(wanted, kind="reranker")
    if source is None:
        raise ModelError(
            "tuning.no_reranker",
            "there is no reranker to tune: none is recorded in the index, and none is in the local model cache",
            do="Give a reranker's folder with --reranker FOLDER, or --reranker from-encoder to make one of the index's own embedding "
            "model and your pairs. See `quarry models`",
        )
    kinds = _architectures(check_folder(source.folder))
    if any(kind.endswith("ForCausalLM") for kind in kinds):
        raise ModelError(
            "tuning.decoder",
            "{model} is a decoder that answers in words ({kind})",
            expected="a cross-encoder with one logit, such as BAAI/bge-reranker-base, or --reranker from-encoder",
            do="Choose one of those",
            model=source.model,
            kind=kinds[0],
        )
    ranks = any(kind.endswith("ForSequenceClassification") for kind in kinds)
    same = served is not None and source.folder == served.folder
    return BaseReranker(_served_name(served, manifest) if same else source.model, source.folder, ranks)


def rivals_of(base: BaseReranker, root: Path, manifest: Manifest, device: str) -> list[Ranker]:
    """Return what answers now, and the base when it is another reranker; the tuned one must beat them all.

    Args:
        base: The model that is tuned.
        root: The index folder.
        manifest: The manifest of its live generation.
        device: Where models run.

    Raises:
        ModelError: If one cannot be loaded.
    """
    served = served_reranker(root, manifest.reranker)
    if served is None:
        found = [Ranker("the first stage", "first-stage", None)]
    else:
        found = [loaded_ranker(served.folder, _served_name(served, manifest), device)]
    if base.ranks and (served is None or served.folder != base.folder):
        found.append(loaded_ranker(base.folder, base.name, device))
    return found


def _served_name(served: ModelSource | None, manifest: Manifest) -> str:
    recorded = manifest.reranker.model if manifest.reranker else ""
    return recorded or (served.model if served else "")


def loaded_ranker(folder: Path, name: str, device: str) -> Ranker:
    """Load a reranker.

    Raises:
        ModelError: If it is not a reranker, or cannot be loaded.
    """
    reranker = load_reranker(folder, model_id=name, device=usable_device(device)[0])
    return Ranker(name, content_digest(folder)[:16], reranker)


def _architectures(config: dict[str, Any]) -> list[str]:
    return [str(entry) for entry in config.get("architectures") or []]
