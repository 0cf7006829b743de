"""The search that answers now, as what is learned without a training run (second stage, query shift) is judged against it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from quarry.indexer.embedder import Embedder
from quarry.indexer.models.digest import content_digest
from quarry.indexer.opened import Index
from quarry.indexer.storage.facts import RerankerFacts
from quarry.retriever.models.lazy import LATE
from quarry.retriever.models.recorded import recorded_embedder, usable_device
from quarry.retriever.searcher import Searcher
from quarry.training.tuning.candidates import MODELS
from quarry.training.tuning.embedder.subject import model_of
from quarry.training.tuning.subject import Judged

_QUESTIONS = 4096  # are encoded once, however often they are asked


@dataclass(frozen=True, slots=True)
class LiveSearch:
    """What answers now."""

    searcher: Searcher
    embedder: Embedder

    @classmethod
    def open(cls, root: Path, device: str) -> Self:
        """Open the live generation with its model and its second stage; no cross-encoder has a say.

        Raises:
            ModelError: If the model cannot be loaded.
        """
        from quarry.indexer.models.transformer import TransformerEmbedder

        opened = Index.open(root)
        embedder = recorded_embedder(root, model_of(root, opened.manifest), usable_device(device)[0])
        if isinstance(embedder, TransformerEmbedder):
            embedder = embedder.remembering(_QUESTIONS)
        return cls(Searcher.open(root, embedder=embedder, rerank=LATE, generation=opened.generation), embedder)

    @property
    def index(self) -> Index:
        """The live generation."""
        return self.searcher.index

    def promotion(
        self, name: str, folder: Path, judged: Judged, run: str, before: RerankerFacts | None
    ) -> RerankerFacts:
        """Describe the promotion, now, of what was learned on top of this search.

        Args:
            name: What it is.
            folder: Where it is, inside the index's models.
            judged: The verdict.
            run: That learned it.
            before: What it takes the place of.
        """
        return RerankerFacts(
            model=name,
            digest=content_digest(folder.absolute()),
            folder=f"{MODELS}/{folder.name}",
            base=self.embedder.spec.model,
            parent=self.index.generation,
            run=run,
            verdict=judged.verdict.message(),
            forced=not judged.verdict.promote,
            promoted=datetime.now(UTC).isoformat(timespec="seconds"),
            before=before,
        )
