"""The manifest of one generation: what it was built from, with which model, and the digest of every file in it.

It is written last, so a folder without one is not a generation. It never holds document text.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, ValidationError

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import IndexFormatError, OtherFormatError
from quarry.indexer.messages import Message
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
from quarry.indexer.storage.segments import SegmentName, Segments

FORMAT = 4
# in format 1, reasons and notes are plain sentences; titles have vectors from 3 on; up to 3 there are no segments
_READABLE = (1, 2, 3, FORMAT)
MANIFEST_NAME = "manifest.json"

StoredMessage: TypeAlias = Annotated[
    Message,
    PlainValidator(lambda value: value if isinstance(value, Message) else Message.from_json(value)),
    PlainSerializer(Message.as_json),
]
"""A message in a JSON file; plain sentences of older versions are read too."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Chunking(_Part):
    """How documents were cut: limits in tokens of the named tokenizer."""

    max_tokens: int
    overlap_tokens: int
    tokenizer: str


class ReadingFacts(_Part):
    """How the files were read, as the next build reads them unless told otherwise.

    Attributes:
        ocr: Whether text was recognized on pages that are pictures.
        keep_repeated: Whether banners and menus that repeat over the pages of a site were kept.
    """

    ocr: bool = False
    keep_repeated: bool = False


class Lexical(_Part):
    """Which analyzer made the terms (identity with versions) and which engine scores them.

    `languages` is the share of the passages by language, in [0, 1], that the analyzer was chosen by; empty when it was told.
    """

    analyzer: str
    identity: str
    engine: str
    languages: dict[str, float] = {}


class Store(_Part):
    """Which vector store holds the vectors, and what it tuned itself to."""

    kind: str
    details: dict[str, Any]


class EmbedderFacts(_Part):
    """The full `EmbedderSpec`, with a hint where its folder was."""

    spec: dict[str, Any]
    fingerprint: str
    folder: str

    @classmethod
    def of(cls, spec: EmbedderSpec, folder: str) -> Self:
        """Describe an embedder."""
        return cls(spec=asdict(spec), fingerprint=spec.fingerprint, folder=folder)

    def to_spec(self) -> EmbedderSpec:
        """Return the spec that the vectors were made with."""
        return EmbedderSpec(**self.spec)


class Lineage(_Part):
    """How a tuned model came to be, and what its scores mean.

    Attributes:
        parent: The generation whose model was tuned.
        base: That model.
        run: Name of the run's folder below INDEX/tuning.
        verdict: The gate's verdict, with its numbers; plain English in manifests of older versions.
        forced: Whether it was promoted against the verdict.
        promoted: UTC time, ISO 8601.
        calibration: Cosines of this model on judged data: `threshold`, `low`, `high` as in `quarry.retriever.diagnosis.vectors.ScoreBand`.
        before: The lineage of the base, when that was tuned too.
    """

    parent: str
    base: EmbedderFacts
    run: str
    verdict: StoredMessage
    forced: bool
    promoted: str
    calibration: dict[str, float]
    before: "Lineage | None" = None


class RerankerFacts(_Part):
    """A reranker, or a second stage on token states, that was tuned for this index, and how it came to be.

    Attributes:
        model: Its name.
        digest: Content digest of its files, 40 hex digits.
        folder: Its folder, relative to the index.
        base: Name of the model that it was tuned from.
        parent: The generation that answered before.
        run: Name of the run's folder below INDEX/tuning.
        verdict: The gate's verdict, with its numbers; plain English in manifests of older versions.
        forced: Whether it was promoted against the verdict.
        promoted: UTC time, ISO 8601.
        before: The tuned reranker before it; None when there was none.
    """

    model: str
    digest: str
    folder: str
    base: str
    parent: str
    run: str
    verdict: StoredMessage
    forced: bool
    promoted: str
    before: "RerankerFacts | None" = None


ALL = "all"


class RouteQuality(_Part):
    """How well each route found passages again by a sentence taken out of them (`quarry.indexer.build.probes`).

    Attributes:
        probes: How many passages were looked for.
        bm25: nDCG@10 of BM25, rescaled so that a random order has 0; in [0, 1].
        dense: The same of dense search.
    """

    probes: int
    bm25: float
    dense: float


class LanguageFacts(_Part):
    """One of several languages of an index (`quarry.indexer.build.languages`).

    Attributes:
        passages: How many are in it.
        share: Of the lead of this language's mean similarity with a question in it, what passages in other languages are given.
    """

    passages: int
    share: float


class NameFacts(_Part):
    """The titles and headings of an index, which have vectors of their own (`quarry.indexer.build.names`).

    Attributes:
        count: How many distinct ones.
        quality: nDCG@10 at which a sentence finds the one that its passage stands under, rescaled so that a random order has 0; in
            [0, 1]. It is near 0 where they are ids or file names.
        offset: How much higher their similarities are than those of the passages, on average.
    """

    count: int
    quality: float
    offset: float


class Probes(_Part):
    """What the index measured on itself when it was built: how far the fusion may trust each route.

    Attributes:
        spread: Standard deviation of one question's similarities over the passages; the unit of gaps between them.
        quality: By the language of the questions, and of all under `all`; empty where the texts are too few or too short.
        languages: Those that have a centroid, by name; empty when there are not at least two.
        names: Titles and headings; None where they had no vectors yet.
        passages: How many there were when this was measured; 0 in older manifests.
        changed: How many were added or removed since then.
    """

    spread: float
    quality: dict[str, RouteQuality]
    languages: dict[str, LanguageFacts] = {}
    names: NameFacts | None = None
    passages: int = 0
    changed: int = 0


class Manifest(_Part):
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
