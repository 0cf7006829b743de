"""What was learned about a search: any of its parts, kept in one folder, put on a search together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from quarry.indexer.messages import Message
from quarry.retriever.rerankers import token_map
from quarry.retriever.rerankers.token_map import TokenMap
from quarry.retriever.searcher import Searcher
from quarry.retriever.stages import query_shift
from quarry.retriever.stages.query_shift import QueryShift


@dataclass(frozen=True, slots=True)
class SearchParts:
    """The parts that help.

    Attributes:
        shift: How questions move, and how much more BM25 counts; None where neither helps.
        tokens: The second stage's map; None where it does not help.
    """

    shift: QueryShift | None = None
    tokens: TokenMap | None = None

    def __bool__(self) -> bool:
        """Whether any part helps."""
        return self.shift is not None or self.tokens is not None

    def on(self, search: Searcher) -> Searcher:
        """Return the search with these parts; what is not among them stays as it is."""
        moved = search if self.shift is None else search.with_query_shift(self.shift)
        return moved if self.tokens is None else moved.with_second_stage(self.tokens)

    def named(self) -> list[Message]:
        """Return the names of the parts."""
        found = []
        if self.shift is not None and self.shift.shift.any():
            found.append(MOVES)
        if self.shift is not None and self.shift.fusion:
            found.append(WEIGHT)
        return [*found, *([MAP] if self.tokens is not None else [])]

    def save(self, folder: Path) -> Path:
        """Write them into a folder, which is made; returns the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.shift is not None:
            self.shift.save(folder)
        if self.tokens is not None:
            self.tokens.save(folder)
        return folder

    @classmethod
    def load(cls, folder: Path, dim: int | None = None) -> Self:
        """Read them.

        Args:
            folder: Written by `save`.
            dim: Length of the index's vectors; None does not check.

        Raises:
            ModelError: If one is damaged, or made for vectors of another length.
        """
        return cls(
            QueryShift.load(folder, dim) if (folder / query_shift.NAME).is_file() else None,
            TokenMap.load(folder) if (folder / token_map.NAME).is_file() else None,
        )


MOVES = Message.of("tuning.part_moves", "how questions move")
WEIGHT = Message.of("tuning.part_weight", "how much BM25 counts")
MAP = Message.of("tuning.part_map", "the second stage")
