"""Where a searcher gets its models from: loaded once, at the first need, with the reason kept when one cannot be had."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import ModelError, SearchError
from quarry.indexer.models.precision import split_device
from quarry.indexer.opened import Index
from quarry.indexer.storage.manifest import EmbedderFacts, RerankerFacts
from quarry.retriever.base import Reranker
from quarry.retriever.ranking import StageReport
from quarry.retriever.stages.guard import Guard

if TYPE_CHECKING:
    from quarry.indexer.models.source import ModelSource


class EmbedderSupply:
    """The embedder that an index was built with."""

    def __init__(self, index: Index, embedder: Embedder | None, device: str) -> None:
        self._index = index
        self._embedder = embedder
        self._device = device
        self._failure = ""
        self.notice = ""  # what the user should know of how the model runs
        self._lock = threading.Lock()
        self.guard = Guard("dense search")

    def unavailable(self) -> str:
        """Return why dense search cannot run, or an empty string (the model may still have to be loaded)."""
        if self._index.vectors is None or self._index.manifest.embedder is None:
            return (
                "this index has no vectors; BM25 answered. Build them with "
                f"`quarry index PATH --into {self._index.root} --model auto --rebuild`"
            )
        self.warm()
        return self._failure and f"{self._failure}; BM25 answered"

    def for_generation(self, index: Index) -> "EmbedderSupply":
        """Return the supply of another generation of the index; a loaded model goes along when it is still the model."""
        facts, loaded = index.manifest.embedder, self._embedder
        same = loaded is not None and facts is not None and facts.fingerprint == loaded.spec.fingerprint
        return EmbedderSupply(index, loaded if same else None, self._device)

    def get(self) -> Embedder:
        """Return the embedder, loading it when needed.

        Raises:
            ModelError: If it cannot be found or loaded.
            IndexMismatchError: If what is found under its name is not what the index was built with.
        """
        with self._lock:
            if self._embedder is None:
                self._embedder = self._load()
            return self._embedder

    def warm(self) -> str:
        """Load the model now; returns why that is not possible, or an empty string. A failure is remembered."""
        if self._embedder is None and not self._failure and self._index.vectors is not None:
            try:
                self.get()
            except (SearchError, OSError, RuntimeError, ValueError, ImportError, MemoryError) as err:
                self._failure = f"the embedding model could not be loaded: {err}"
        return self._failure

    def _load(self) -> Embedder:
        facts = self._index.manifest.embedder
        if facts is None:
            raise ModelError("the index names no embedder; expected one beside its vectors")
        device, self.notice = usable_device(self._device)
        embedder = recorded_embedder(self._index.root, facts, device)
        self._index.check_embedder(embedder.spec)
        return embedder


def recorded_source(root: Path, facts: EmbedderFacts) -> "ModelSource":
    """Find the model that a manifest speaks of.

    Args:
        root: The index folder: a tuned model lives inside its index, other models' folders are absolute.
        facts: Out of the manifest.

    Raises:
        ModelError: If it is not on this machine.
    """
    from quarry.indexer.models.source import resolve_model

    spec = facts.to_spec()
    folder = root / facts.folder
    # a folder's content is digested, so a changed model is noticed
    source = resolve_model(str(folder) if facts.folder and folder.is_dir() else spec.model)
    if source is None:
        raise ModelError(f"{spec.model} is not on this machine; expected it in {facts.folder or 'the model cache'}")
    return source


def recorded_embedder(root: Path, facts: EmbedderFacts, device: str) -> Embedder:
    """Load an embedder by what a manifest says of it. Whether it is still the same is for the caller to check.

    Raises:
        ModelError: If it is not on this machine, or cannot be loaded.
    """
    from quarry.indexer.models.encoder import load_embedder

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
    )


def served_reranker(root: Path, facts: RerankerFacts | None, wanted: str = "auto") -> "ModelSource | None":
    """Find the reranker that a search with `wanted` uses.

    Args:
        root: The index folder.
        facts: Out of the manifest; the tuned reranker that `auto` means, None when none is recorded.
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
        state = "was changed" if source else "is not there"
        raise ModelError(
            f"the reranker {facts.model} that this index records {state} in {folder}; expected revision {facts.digest[:12]}. "
            f"Put it back, or go back to what answered before it: quarry models rollback {root}"
        )
    return source


def usable_device(wanted: str) -> tuple[str, str]:
    """Return the device to run on and a notice: the CPU where CUDA is asked for and not there, so that no query is lost."""
    import torch

    if wanted.startswith("cuda") and not torch.cuda.is_available():
        precision = split_device(wanted)[1]
        return "cpu" if precision == "auto" else f"cpu:{precision}", f"device {wanted!r} is not there; the CPU is used"
    return wanted, ""


class RerankerSupply:
    """The reranker of a searcher: none, one handed over, or one to be found and loaded.

    `auto` is the one that was tuned for the index, when it records one; else the best one on this machine.
    """

    def __init__(
        self,
        wanted: str | Reranker | None,
        device: str,
        index: Index | None = None,
        shared: Callable[[Reranker], Reranker] = lambda reranker: reranker,
    ) -> None:
        """Say which one is wanted; `shared` makes of it what several callers use at once."""
        self._root = index.root if index else Path()
        self._recorded = index.manifest.reranker if index else None  # not the index itself, which holds its generation
        self._asked = wanted
        self._wanted = wanted if isinstance(wanted, str) else None
        self._reranker = None if wanted is None or isinstance(wanted, str) else shared(wanted)
        self._shared = shared
        self._device = device
        self._report = StageReport("rerank", "off", "no reranker was asked for")
        self._lock = threading.Lock()
        self.guard = Guard("the reranker")

    def for_generation(self, index: Index) -> "RerankerSupply":
        """Return the supply of another generation of the index: this one, unless that records another reranker."""
        if index.manifest.reranker == self._recorded:
            return self
        return RerankerSupply(self._asked, self._device, index, self._shared)

    def get(self) -> tuple[Reranker | None, StageReport]:
        """Return the reranker, loading it when needed; or None and the report that says why."""
        with self._lock:
            if self._reranker is None and self._wanted not in (None, "none"):
                self._load(str(self._wanted))
                self._wanted = None
            return self._reranker, self._report

    def warm(self) -> str:
        """Load the reranker now; returns why that is not possible when one was asked for by name."""
        _, report = self.get()
        return report.reason if report.degrades else ""

    def _load(self, wanted: str) -> None:
        from quarry.retriever.rerankers.cross_encoder import load_reranker

        facts = self._recorded if wanted == "auto" else None
        try:
            source = served_reranker(self._root, facts, wanted)
            if source is None:
                reason = "no reranker is on this machine; see `quarry models`"
                self._report = StageReport("rerank", "off", reason)
                return
            device, _ = usable_device(self._device)
            name = facts.model if facts else source.model
            self._reranker = self._shared(load_reranker(source.folder, model_id=name, device=device))
        except (SearchError, OSError, RuntimeError, ValueError, ImportError, MemoryError) as err:
            self._report = StageReport(
                "rerank", "missing", f"the reranker could not be loaded: {err}; the fused order stands"
            )
