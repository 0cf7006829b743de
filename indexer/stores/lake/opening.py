"""Opening a generation of a lake: what an index folder's files are for an ordinary generation."""

from dataclasses import dataclass
from typing import Self

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.stores.lake.layout import (
    DOCUMENTS,
    NAMES,
    PASSAGES,
    TERMS,
    VALUES,
    LakeGeneration,
    VectorFacts,
)
from quarry.indexer.stores.lake.lexical import LakeTerms
from quarry.indexer.stores.lake.objects import Objects
from quarry.indexer.stores.lake.tables import Table
from quarry.indexer.stores.lake.texts import LakeTables, LakeTexts
from quarry.indexer.stores.lake.vectors import LakeVectors


@dataclass(frozen=True, slots=True)
class LakeParts:
    """What a generation of a lake consists of.

    Attributes:
        texts: Documents and passages.
        lexical: BM25.
        vectors: Of passages.
        names: Of titles and headings; None without any.
    """

    texts: LakeTexts
    lexical: LakeTerms
    vectors: LakeVectors
    names: LakeVectors | None

    @classmethod
    def open(cls, objects: Objects, generation: LakeGeneration) -> Self:
        """Open the tables of a generation at its versions.

        Raises:
            IndexFormatError: If a table cannot be read, or has other rows than were written.
        """

        def table(name: str) -> Table:
            return Table.open(objects, generation.folder, name, generation.versions[name])

        manifest = generation.manifest
        facts = manifest.embedder
        if facts is None:
            raise IndexFormatError(
                "stores.lake_model_missing",
                "{lake} names no embedding model",
                expected="one in every generation of a lake",
                do="Publish again",
                lake=objects.uri,
            )
        passages, dim = table(PASSAGES), facts.to_spec().dim
        vectors = LakeVectors(passages, "chunk_id", dim, generation.passages)
        if len(vectors) != manifest.chunks:
            raise IndexFormatError(
                "stores.lake_rows",
                "{path} has {rows:row|rows}",
                expected="{wanted}, as its generation says",
                do="Roll back with `quarry lake rollback`, or publish again",
                path=passages.place,
                rows=len(vectors),
                wanted=manifest.chunks,
            )
        named = generation.names or VectorFacts()
        return cls(
            texts=LakeTexts(LakeTables(passages, table(DOCUMENTS), table(VALUES)), generation),
            lexical=LakeTerms(passages, table(TERMS), manifest.chunks, generation.mean_length),
            vectors=vectors,
            names=LakeVectors(table(NAMES), "id", dim, named) if generation.names is not None else None,
        )
