"""A generation's texts, vectors and terms, opened: of its segments together, or of the one folder that older formats have."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.lexical.bm25 import LexicalIndex
from quarry.indexer.lexical.index import LexicalSegment, UnionIndex, open_lexical
from quarry.indexer.principals import Principals
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.layout import CONTENTS_NAME, LEXICAL_NAME, NAMES_NAME, VECTORS_NAME
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.texts.contents import texts_of
from quarry.indexer.storage.texts.generation_texts import GenerationTexts, SegmentState, open_texts, wrong_removals
from quarry.indexer.storage.texts.packing import read_meta
from quarry.indexer.storage.texts.seen import open_seen
from quarry.indexer.stores import ALL_KINDS, store_class
from quarry.indexer.stores.base import VectorStore
from quarry.indexer.stores.lake.layout import GENERATION_NAME
from quarry.indexer.stores.union import Part, UnionStore

LAKE = "lake"
"""The store kind of a generation whose texts, vectors and terms are in a lake (`quarry.indexer.stores.lake`)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a generation consists of.

    Attributes:
        texts: Documents and passages.
        lexical: The BM25 index.
        vectors: The vectors of passages; None for a lexical-only index.
        names: Those of titles and headings; None without any, and for an index from before they had vectors.
    """

    texts: ChunkTable
    lexical: LexicalIndex
    vectors: VectorStore | None
    names: VectorStore | None

    @classmethod
    def open(cls, generation: Path, store: str | None, *, seen_by: Principals | None = None) -> Self:
        """Open a generation by its folder, without comparing digests.

        Args:
            generation: The folder.
            store: The kind of its vector stores; None for a lexical-only index.
            seen_by: Who asks: only what they may see is there. None for everything.

        Raises:
            IndexFormatError: If a file is missing or damaged, or if an older format is opened for somebody.
        """
        if store == LAKE:
            return cls._of_lake(generation, seen_by)
        texts = open_texts(generation) if seen_by is None else open_seen(generation, seen_by)
        if isinstance(texts, GenerationTexts):
            return cls(texts, *_joined([*texts.segments()], generation, store))
        names = _store(generation / NAMES_NAME, store) if (generation / NAMES_NAME).is_dir() else None
        return cls(texts, open_lexical(generation / LEXICAL_NAME), _store(generation / VECTORS_NAME, store), names)

    @classmethod
    def _of_lake(cls, generation: Path, seen_by: Principals | None) -> Self:
        from quarry.indexer.stores.lake.opening import LakeParts
        from quarry.indexer.stores.lake.view import viewed

        if seen_by is not None:
            raise IndexFormatError(
                "stores.lake_without_access",
                "a lake does not tell who may see a document",
                expected="an index folder where documents are hidden from some",
                do="Search without --as and without keys that name people, or index into a folder",
            )
        parts = LakeParts.open(*viewed(generation))
        return cls(parts.texts, parts.lexical, parts.vectors, parts.names)


def texts_at(generation: Path, principals: Principals | None = None) -> ChunkTable:
    """Open the texts of a generation by its folder, of a lake's view too; those that somebody may see, where it is said who asks.

    Raises:
        IndexFormatError: If a file is missing or damaged, or if an older format or a lake is opened for somebody.
    """
    if (generation / GENERATION_NAME).is_file():
        return Parts.open(generation, LAKE, seen_by=principals).texts
    return open_texts(generation) if principals is None else open_seen(generation, principals)


@contextmanager
def live_texts(index: Path | ChunkTable, principals: Principals | None = None) -> Iterator[ChunkTable]:
    """Open the texts of an index's live generation inside a `with` block.

    Args:
        index: The index folder, or texts that are open and stay so.
        principals: Who asks; None sees everything. Texts that are open show what they show.

    Raises:
        IndexFormatError: If the folder is not an index, or is damaged, or somebody asks a lake.
    """
    if isinstance(index, ChunkTable):
        yield index
        return
    live = Generations(index).live()
    table = texts_at(live, principals)
    try:
        yield table
    finally:
        table.close()


def hides_from_strangers(index: Path) -> bool:
    """Whether a document of an index's live generation may not be seen by everybody; False in formats that cannot hide.

    Raises:
        IndexFormatError: If the folder is not an index, or is damaged.
    """
    stranger = Principals(())
    with live_texts(index) as texts:
        if not isinstance(texts, GenerationTexts):
            return False
        return any(not stranger.may_see(read_meta(document.meta)) for document in texts.labels())


def _joined(
    segments: list[SegmentState], generation: Path, store: str | None
) -> tuple[LexicalIndex, VectorStore | None, VectorStore | None]:
    terms: list[tuple[LexicalSegment, SegmentState]] = []
    vectors: list[Part] = []
    names: list[Part] = []
    for each in segments:
        folder = texts_of(generation, each.name).parent
        mine = LexicalSegment.open(folder / LEXICAL_NAME)
        rows = each.removed
        if len(mine) - len(rows) != each.left or (len(rows) and not 0 <= rows[0] <= rows[-1] < len(mine)):
            raise wrong_removals(generation / CONTENTS_NAME, each.name, len(mine))
        terms.append((mine, each))
        opened = _store(folder / VECTORS_NAME, store)
        if opened is not None:
            gone = [mine.ids[row] for row in each.removed.tolist()]
            vectors.append(Part(opened, _those_in(opened, len(mine), gone)))
        titles = _store(folder / NAMES_NAME, store) if (folder / NAMES_NAME).is_dir() else None
        if titles is not None:
            names.append(Part(titles, frozenset(filter(titles.holds, each.removed_names))))
    lexical = UnionIndex([(mine, each.removed) for mine, each in terms])
    return lexical, UnionStore.of(vectors), UnionStore.of(names)


def _those_in(store: VectorStore, passages: int, removed: list[str]) -> frozenset[str]:
    """Return which of the removed passages of a segment have a vector; those that were gone when it was made have none."""
    return frozenset(removed if len(store) == passages else filter(store.holds, removed))


def _store(folder: Path, kind: str | None) -> VectorStore | None:
    if kind is None:
        return None
    if kind not in ALL_KINDS:
        raise IndexFormatError(
            "stores.unknown_kind",
            "the manifest of {folder} names the store {kind}",
            expected="one of {known}",
            do="Upgrade quarry-search, roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
            folder=folder,
            kind=repr(kind[:80]),
            known=list(ALL_KINDS),
        )
    return store_class(kind).open(folder, verified=True)
