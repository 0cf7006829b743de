"""An opened index: one generation's manifest, texts, vectors and terms, checked and ready to search."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import IndexFormatError, IndexMismatchError
from quarry.indexer.lexical.analyzer import Analyzer, analyzer
from quarry.indexer.lexical.bm25 import LexicalIndex
from quarry.indexer.messages import Message
from quarry.indexer.principals import Principals
from quarry.indexer.storage.files.hold import Hold
from quarry.indexer.storage.files.sealing import verified_by_default
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.layout import CENTROIDS_NAME, CONTENTS_NAME
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.texts.generation_texts import repeated_documents
from quarry.indexer.stores.base import VectorStore
from quarry.indexer.stores.lake.view import as_index, follow
from quarry.indexer.stores.parts import Parts


@dataclass(frozen=True, slots=True)
class Index:
    """One generation, opened for reading. It stays the same while newer generations are built and go live.

    Attributes:
        root: The index folder.
        folder: The generation's folder.
        manifest: What it was built from, and with which model.
        chunks: Texts and metadata.
        lexical: The BM25 index.
        vectors: The vector store, None for a lexical-only index.
        names: That of titles and headings; None without any, and for an index from before they had vectors.
        analyzer: Makes the terms of queries.
        hold: Keeps the generation's files from being pruned; None on file systems without locks.
    """

    root: Path
    folder: Path
    manifest: Manifest
    chunks: ChunkTable
    lexical: LexicalIndex
    vectors: VectorStore | None
    names: VectorStore | None
    analyzer: Analyzer
    hold: Hold | None

    @classmethod
    def open(cls, root: Path | str, *, generation: str | None = None) -> Self:
        """Open the live generation, or a named one.

        Args:
            root: The index folder, or a lake: its folder, or an address such as `s3://bucket/kb`.
            generation: Its name; None for the live one.

        Raises:
            IndexFormatError: If the folder is not an index, is half-written, damaged (the file is named), or newer.

        Example:
            >>> from pathlib import Path
            >>> from quarry.indexer import Index
            >>> index = Index.open(Path("my-index"))
            >>> index.generation, index.vectors  # BM25 only
            ('000001', None)
            >>> index.chunks.roots()
            {'documents': '...documents'}
        """
        root = as_index(root)
        generations = Generations(root)
        name, hold = generations.hold(generation)
        folder = generations.folder / name
        manifest = Manifest.read(folder)
        damage = manifest.damage(folder)
        if damage:
            raise IndexFormatError(
                "opened.damaged",
                "generation {name} is damaged: {damage:;}",
                do="Run `quarry generations {index} --rollback`, or index again with --rebuild",
                name=name,
                damage=[each.message for each in damage[:3]],
                index=root,
            )
        parts = Parts.open(folder, manifest.store.kind if manifest.store else None)
        repeated = parts.texts.repeated() if verified_by_default(manifest.bytes) else []
        if repeated:
            raise repeated_documents(folder / CONTENTS_NAME, repeated)
        named = manifest.probes.names if manifest.probes else None
        return cls(
            root=root,
            folder=folder,
            manifest=manifest,
            chunks=parts.texts,
            lexical=parts.lexical,
            vectors=parts.vectors,
            names=parts.names if named is not None and named.count else None,
            analyzer=_analyzer(manifest.lexical.analyzer, folder),
            hold=hold,
        )

    def seen_by(self, principals: Principals) -> Self:
        """Return the same generation without the documents that somebody may not see, as if they had not been indexed.

        Raises:
            IndexFormatError: If a file has become unreadable, or the generation is of an older format.

        Example:
            >>> from pathlib import Path
            >>> from quarry.indexer import Index
            >>> from quarry.indexer.principals import Principals
            >>> Index.open(Path("my-index")).seen_by(Principals.of("ann")).chunks.counts()[0]
            4
        """
        parts = Parts.open(self.folder, self.manifest.store.kind if self.manifest.store else None, seen_by=principals)
        documents, chunks = parts.texts.counts()
        return replace(
            self,
            manifest=self.manifest.model_copy(update={"documents": documents, "chunks": chunks}),
            chunks=parts.texts,
            lexical=parts.lexical,
            vectors=parts.vectors,
            names=parts.names if self.names is not None else None,
        )

    @property
    def parts(self) -> Mapping[str, "Index"]:
        """The indexes that this one consists of, by name: itself under an empty one; see `quarry.indexer.joined` for several."""
        return {"": self}

    def centroids(self) -> dict[str, NDArray[np.float32]]:
        """Return the mean vector of each language, shape (dim,); empty for an index of one language."""
        names = sorted(self.manifest.probes.languages) if self.manifest.probes else []
        if len(names) < 2:
            return {}
        return dict(zip(names, np.load(self.folder / CENTROIDS_NAME, allow_pickle=False), strict=True))

    def newest(self) -> str:
        """Return the name of the generation that is live now; reads one small file, of a lake at most every two seconds.

        Raises:
            IndexFormatError: If it cannot be read.
        """
        follow(self.root)
        return Generations(self.root).pointer().generation

    @property
    def generation(self) -> str:
        """The generation's name."""
        return self.manifest.generation

    def check_embedder(self, spec: EmbedderSpec) -> None:
        """Check that an embedder's vectors are comparable with the stored ones.

        Raises:
            IndexMismatchError: If its fingerprint differs; the message names the command to run.
        """
        facts = self.manifest.embedder
        if facts is None or facts.fingerprint == spec.fingerprint:
            return
        theirs = facts.to_spec()
        differs = [
            Message.of(
                "opened.differs",
                "{field} {stored} against {given}",
                field=field,
                stored=repr(getattr(theirs, field)),
                given=repr(getattr(spec, field)),
            )
            for field in ("model", "revision", "dim", "max_tokens", "pooling", "document_format")
            if getattr(theirs, field) != getattr(spec, field)
        ]
        raise IndexMismatchError(
            "opened.another_embedder",
            "{index} was built with {theirs} and this embedder differs: {differs}",
            do="Use that model, or run `quarry index PATH --into {index} --model {mine} --rebuild`",
            index=self.root,
            theirs=theirs.model,
            differs=differs,
            mine=spec.model,
        )


def _analyzer(name: str, folder: Path) -> Analyzer:
    try:
        return analyzer(name)
    except ValueError as err:
        raise IndexFormatError(
            "opened.unknown_analyzer",
            "{folder} was made with the analyzer {name}",
            expected="one that this version of Quarry has",
            do="Upgrade quarry-search, roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
            folder=folder,
            name=repr(name[:80]),
        ) from err
