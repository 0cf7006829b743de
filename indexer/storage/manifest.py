"""The manifest of one generation: what it was built from, with which model, and the digest of every file in it.

It is written last, so a folder without one is not a generation. It never holds document text.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from quarry.indexer.errors import IndexFormatError, OtherFormatError
from quarry.indexer.storage.facts import (
    Chunking,
    EmbedderFacts,
    Fact,
    Lexical,
    Lineage,
    ReadingFacts,
    RerankerFacts,
    Store,
    StoredMessage,
)
from quarry.indexer.storage.files.durable import write_atomic
from quarry.indexer.storage.files.sealing import (
    Damage,
    FileFact,
    FileFacts,
    describe,
    differences,
    seal,
    unseal,
    verified_by_default,
    wrong_fields,
)
from quarry.indexer.storage.measured import Probes
from quarry.indexer.storage.segments import SegmentName, Segments

FORMAT = 4
# in format 1, reasons and notes are plain sentences; titles have vectors from 3 on; up to 3 there are no segments
_READABLE = (1, 2, 3, FORMAT)
MANIFEST_NAME = "manifest.json"


class Manifest(Fact):
    """All facts of one generation.

    `embedder` and `store` are None for a lexical-only index, `lineage` for an untuned model, `reranker` when none was tuned,
    `probes` for one that was built before there were any, and for a lexical-only one.
    `segments` are in the order of their numbers in `contents.sqlite`; an older generation has none, and its parts in its own folder.
    `files` are those in the generation's own folder.
    `second_stage` is the tuned second stage, None when none was tuned.
    `query_shift` is what judgements taught about questions (`quarry.retriever.stages.query_shift`), None when nothing was learned.
    `token_states` says whether `INDEX/embeddings` holds those of every passage, for late interaction.
    """

    format: int = FORMAT
    quarry: str
    generation: str
    created: str
    reason: StoredMessage
    documents: int
    chunks: int
    corpus_sha256: str
    chunking: Chunking
    lexical: Lexical
    embedder: EmbedderFacts | None
    store: Store | None
    notes: tuple[StoredMessage, ...] = ()
    lineage: Lineage | None = None
    reranker: RerankerFacts | None = None
    second_stage: RerankerFacts | None = None
    query_shift: RerankerFacts | None = None
    probes: Probes | None = None
    token_states: bool = False
    reading: ReadingFacts = ReadingFacts()
    segments: tuple[SegmentName, ...] = ()
    files: FileFacts

    @property
    def bytes(self) -> int:
        """The size of its files, with those of its segments, which other generations may share."""
        return sum(fact.size for fact in self.files.values()) + sum(segment.bytes for segment in self.segments)

    def file_count(self, folder: Path) -> int:
        """Return how many files it records for its generation and the segments of that. Raises as `damage` does."""
        segments = Segments(folder.parent.parent)
        return len(self.files) + sum(segments.file_count(segment) for segment in self.segments)

    def write(self, folder: Path) -> None:
        """Write `manifest.json`, with its own checksum, durably."""
        current = self.model_copy(update={"format": FORMAT})
        write_atomic(folder / MANIFEST_NAME, seal(current.model_dump(mode="json")))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read and check the manifest.

        Raises:
            IndexFormatError: If it is missing, is not valid JSON of this shape, or has another format version.
        """
        path = folder / MANIFEST_NAME
        try:
            content = unseal(path)
        except (FileNotFoundError, NotADirectoryError) as err:
            raise IndexFormatError(
                "storage.no_manifest",
                "{folder} has no readable manifest.json ({error})",
                expected="one in every finished generation",
                do="Run `quarry index PATH --into INDEX` again",
                folder=folder,
                error=str(err),
            ) from err
        check_format(content, path)
        try:
            manifest = cls.model_validate(content)
        except ValidationError as err:
            raise wrong_fields(path, err) from err
        if folder.name.isdigit() and manifest.generation != folder.name:
            raise IndexFormatError(
                "storage.other_generation",
                "{path} is that of generation {other}",
                expected="that of its own folder",
                do="Something was copied over this generation: restore it, run `quarry generations INDEX --rollback`, or index again",
                path=path,
                other=manifest.generation,
            )
        return manifest

    def damage(self, folder: Path, *, hashes: bool | None = None) -> list[Damage]:
        """List what differs between the recorded files and those on disk.

        Args:
            folder: The generation.
            hashes: Compare digests too; None does it when the whole is at most 256 MiB. Sizes are always compared.

        Returns:
            One per missing or changed file of the generation and of its segments; empty when all is well.

        Raises:
            IndexFormatError: If a segment is of a newer format.
        """
        compared = verified_by_default(self.bytes) if hashes is None else hashes
        segments = Segments(folder.parent.parent)
        found = differences(folder, self.files, hashes=compared)
        return [*found, *(each for one in self.segments for each in segments.damage(one, hashes=compared))]


def check_format(content: Mapping[str, Any], path: Path) -> None:
    """Refuse JSON that is not ours, or of a newer format.

    Raises:
        OtherFormatError: If its `format` is not one that this version reads.
    """
    found = content.get("format")
    if found not in _READABLE:
        raise OtherFormatError(
            "storage.other_format",
            "{path} has format {format}",
            expected="a format that this version of Quarry reads: {readable}",
            do="Upgrade quarry-search, or index again into a new folder",
            path=path,
            format=repr(found),
            readable=list(_READABLE),
        )


def describe_files(folder: Path) -> dict[str, FileFact]:
    """Return size and digest of every file below a folder, by relative POSIX path."""
    return describe(folder, (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_NAME))
