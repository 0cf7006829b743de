"""Which reranker a run begins with, and which ones the tuned one must beat."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quarry.indexer.errors import ModelError
from quarry.indexer.models.loading import check_folder
from quarry.indexer.models.source import ModelSource, content_digest, resolve_model
from quarry.indexer.storage.manifest import Manifest
from quarry.retriever.rerankers.cross_encoder import load_reranker
from quarry.retriever.stages.models import recorded_source, served_reranker, usable_device
from quarry.training.tuning.reranker_trials import Ranker

FROM_ENCODER = "from-encoder"


@dataclass(frozen=True, slots=True)
class BaseReranker:
    """The model that is tuned.

    Attributes:
        name: Its name.
        folder: Where it lies; only read.
        ranks: Whether it is a reranker already; an encoder gets a new head first.
        served: The reranker that `--rerank auto` uses now, None when that leaves the first stage's order.
        served_name: Its name, empty without one.
    """

    name: str
    folder: Path
    ranks: bool
    served: ModelSource | None
    served_name: str

    def rivals(self, device: str) -> list[Ranker]:
        """Return what answers now, and the base when it is another reranker; the tuned one must beat them all.

        Raises:
            ModelError: If one cannot be loaded.
        """
        if self.served is None:
            found = [Ranker("the first stage", "first-stage", None)]
        else:
            found = [loaded_ranker(self.served.folder, self.served_name, device)]
        if self.ranks and (self.served is None or self.served.folder != self.folder):
            found.append(loaded_ranker(self.folder, self.name, device))
        return found


def base_reranker(root: Path, manifest: Manifest, wanted: str) -> BaseReranker:
    """Find the model that a run begins with.

    Args:
        root: The index folder.
        manifest: Of its live generation.
        wanted: `auto`, `from-encoder`, an id or a folder.

    Raises:
        ModelError: If there is none, it is not on this machine, or it is no cross-encoder and no encoder.
    """
    served = served_reranker(root, manifest.reranker)
    if wanted == FROM_ENCODER:
        if manifest.embedder is None:
            raise ModelError(
                f"{root} has no model; expected one whose layers a reranker could begin with. Give --reranker"
            )
        source: ModelSource | None = recorded_source(root, manifest.embedder)
    else:
        source = served if wanted == "auto" else resolve_model(wanted, kind="reranker")
    if source is None:
        raise ModelError(
            "there is no reranker to tune: none is recorded in the index, and none is in the local model cache. Give the folder of "
            f"one with --reranker FOLDER, or --reranker {FROM_ENCODER} to make one of the index's own embedding model and your "
            "pairs. See `quarry models`"
        )
    kinds = _architectures(check_folder(source.folder))
    if any(kind.endswith("ForCausalLM") for kind in kinds):
        raise ModelError(
            f"{source.model} is a decoder that answers in words ({kinds[0]}); expected a cross-encoder with one logit, such as "
            f"BAAI/bge-reranker-base, or --reranker {FROM_ENCODER}. Choose one of those"
        )
    ranks = any(kind.endswith("ForSequenceClassification") for kind in kinds)
    recorded = manifest.reranker.model if manifest.reranker else ""
    answers = recorded or served.model if served else ""
    same = served is not None and source.folder == served.folder
    return BaseReranker(answers if same else source.model, source.folder, ranks, served, answers)


def loaded_ranker(folder: Path, name: str, device: str) -> Ranker:
    """Load a reranker.

    Raises:
        ModelError: If it is none, or cannot be loaded.
    """
    reranker = load_reranker(folder, model_id=name, device=usable_device(device)[0])
    return Ranker(name, content_digest(folder)[:16], reranker)


def _architectures(config: dict[str, Any]) -> list[str]:
    return [str(entry) for entry in config.get("architectures") or []]
