"""What a manifest says of how a generation was built and tuned."""

from dataclasses import asdict
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.messages import Message

StoredMessage: TypeAlias = Annotated[
    Message,
    PlainValidator(lambda value: value if isinstance(value, Message) else Message.from_json(value)),
    PlainSerializer(Message.as_json),
]
"""A message in a JSON file; plain sentences of older versions are read too."""


class Fact(BaseModel):
    """Something that a manifest says; fields that it does not know are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Chunking(Fact):
    """How documents were cut: limits in tokens of the named tokenizer."""

    max_tokens: int
    overlap_tokens: int
    tokenizer: str


class ReadingFacts(Fact):
    """How the files were read, as the next build reads them unless told otherwise.

    Attributes:
        ocr: Whether text was recognized on pages that are pictures.
        keep_repeated: Whether banners and menus that repeat over the pages of a site were kept.
    """

    ocr: bool = False
    keep_repeated: bool = False


class Lexical(Fact):
    """Which analyzer made the terms (identity with versions) and which engine scores them.

    `languages` is the share of the passages by language, in [0, 1], that the analyzer was chosen by; empty when it was told.
    """

    analyzer: str
    identity: str
    engine: str
    languages: dict[str, float] = {}


class Store(Fact):
    """Which vector store holds the vectors, and what it tuned itself to."""

    kind: str
    details: dict[str, Any]


class EmbedderFacts(Fact):
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


class Lineage(Fact):
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


class RerankerFacts(Fact):
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
