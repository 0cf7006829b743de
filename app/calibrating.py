"""After a build: the thresholds of "not in your documents", by questions made of the documents that were indexed."""

from pathlib import Path
from typing import TYPE_CHECKING

from quarry.retriever.answers.refusals.own import calibrate_on_own
from quarry.retriever.searcher import Searcher

if TYPE_CHECKING:
    from quarry.indexer.embedder import Embedder


def calibrate_built(index: Path, embedder: "Embedder | None") -> None:
    """Set the thresholds of an index that was just built; nothing happens where those that it has still hold.

    At most 200 questions are asked.

    Args:
        index: The index folder.
        embedder: What it was built with; None for an index without vectors.
    """
    calibrate_on_own(Searcher.open(index, embedder=embedder), embedder)
