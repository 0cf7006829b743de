"""The models of a searcher: each is loaded once, when it is first needed; when that fails, the reason is kept."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import ModelError, SearchError, cause_of
from quarry.indexer.messages import Message
from quarry.indexer.models.forward.precision import split_device
from quarry.indexer.opened import Index
from quarry.indexer.storage.facts import EmbedderFacts, RerankerFacts
from quarry.indexer.storage.manifest import Manifest
from quarry.retriever.base import Reranker
from quarry.retriever.ranking import StageReport
from quarry.retriever.stages.guard import DENSE_SEARCH, THE_RERANKER, Guard
from quarry.retriever.stages.hybrid import bm25_answered
from quarry.retriever.stages.rerank import first_order_stands

if TYPE_CHECKING:
    from quarry.indexer.models.encoder import EncoderOptions
    from quarry.indexer.models.source import ModelSource


_NOT_LOADED = (SearchError, OSError, RuntimeError, ValueError, ImportError, MemoryError)


class LazyEmbedder:
    """The embedder that an index was built with."""

    def __init__(self, index: Index, embedder: Embedder | None, device: str) -> None:
        self._index = index
        self._embedder = embedder
        self._device = device
        self._failure: Message | None = None
        self.notice: Message | None = None  # what the user should know about how the model runs
        self._lock = threading.Lock()
        self.guard = Guard(DENSE_SEARCH)

    def unavailable(self) -> Message | None:
        """Load the model when needed; return why dense search cannot run, None when it can."""
        if self._index.vectors is None or self._index.manifest.embedder is None:
            return Message.of(
                "stages.no_vectors",
                "this index has no vectors; BM25 answered",
                do="Build them with `quarry index PATH --into {index} --model auto --rebuild`",
                index=str(self._index.root),
            )
        failure = self.warm()
        return failure and bm25_answered(failure)

    def for_generation(self, index: Index) -> "LazyEmbedder":
        """Return the embedder of another generation of the index: the loaded one, when that was built with the same model."""
        facts, loaded = index.manifest.embedder, self._embedder
        if loaded is None or facts is None or facts.fingerprint != loaded.spec.fingerprint:
            return LazyEmbedder(index, None, self._device)
        # document vectors are alike, but queries may be formatted in another way now
        before = self._index.manifest.embedder
        wanted = facts.to_spec().query_format
        same = wanted == loaded.spec.query_format or (before is not None and wanted == before.to_spec().query_format)
        return LazyEmbedder(index, loaded if same else None, self._device)

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

    def warm(self) -> Message | None:
        """Load the model now; return why that failed, None when it did not. A failure is remembered."""
        if self._embedder is None and self._failure is None and self._index.vectors is not None:
            try:
                self.get()
            except _NOT_LOADED as err:
                self._failure = Message.of(
                    "stages.embedder_not_loaded",
                    "the embedding model could not be loaded: {error}",
                    error=cause_of(err),
                )
        return self._failure

    def _load(self) -> Embedder:
        facts = self._index.manifest.embedder
        if facts is None:
            raise ModelError("stages.no_embedder", "the index names no embedder", expected="one beside its vectors")
        device, self.notice = usable_device(self._device)
        embedder = recorded_embedder(self._index.root, facts, device)
        self._index.check_embedder(embedder.spec)
        return embedder


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


LATE = "late"  # late interaction only


class LazyReranker:
    """The reranker of a searcher: none, a loaded one, or one to find and load.

    `auto` means the one tuned for the index, when it records one, else the best one on this machine. `late` means none:
    late interaction (`quarry.retriever.rerankers.late_interaction`) belongs to the index, not to a model.
    """

    def __init__(
        self,
        wanted: str | Reranker | None,
        device: str,
        index: Index | None = None,
        shared: Callable[[Reranker], Reranker] = lambda reranker: reranker,
    ) -> None:
        """Nothing is loaded yet; `shared` wraps the loaded reranker, for callers that use it at the same time."""
        self._root = index.root if index else Path()
        self._recorded = index.manifest.reranker if index else None  # not the index itself, which holds its generation
        self._asked = wanted
        self._wanted = wanted if isinstance(wanted, str) else None
        self._reranker = None if wanted is None or isinstance(wanted, str) else shared(wanted)
        self._shared = shared
        self._device = device
        self._report = StageReport("rerank", "off", Message.of("stages.not_wanted", "no reranker was asked for"))
        self._lock = threading.Lock()
        self.guard = Guard(THE_RERANKER)

    @property
    def late(self) -> bool:
        """Whether late interaction is wanted: always, unless no reranking at all is."""
        return self._asked not in (None, "none")

    @property
    def tuned(self) -> str:
        """The digest of the reranker that was tuned for this index, where it is the one that is wanted; else empty."""
        return self._recorded.digest if self._asked == "auto" and self._recorded else ""

    def for_generation(self, index: Index) -> "LazyReranker":
        """Return the reranker of another generation of the index: this one, unless that records another."""
        if index.manifest.reranker == self._recorded:
            return self
        return LazyReranker(self._asked, self._device, index, self._shared)

    def get(self) -> tuple[Reranker | None, StageReport]:
        """Return the reranker, loading it when needed; or None and the report that says why."""
        with self._lock:
            if self._reranker is None and self._wanted not in (None, "none", LATE):
                self._load(str(self._wanted))
                self._wanted = None
            return self._reranker, self._report

    def warm(self) -> Message | None:
        """Load the reranker now; return why that failed when one was asked for, else None."""
        _, report = self.get()
        return report.reason if report.degrades else None

    def _load(self, wanted: str) -> None:
        from quarry.retriever.rerankers.cross_encoder import load_reranker

        facts = self._recorded if wanted == "auto" else None
        try:
            source = served_reranker(self._root, facts, wanted)
            if source is None:
                reason = Message.of("stages.no_reranker", "no reranker is on this machine", do="See `quarry models`")
                self._report = StageReport("rerank", "off", reason)
                return
            device, _ = usable_device(self._device)
            name = facts.model if facts else source.model
            self._reranker = self._shared(load_reranker(source.folder, model_id=name, device=device))
        except _NOT_LOADED as err:
            failure = Message.of(
                "stages.reranker_not_loaded", "the reranker could not be loaded: {error}", error=cause_of(err)
            )
            self._report = StageReport("rerank", "missing", first_order_stands(failure))
