"""Making a lake: the storage is tried first, because a store without conditional puts loses what two writers do at once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

from quarry.indexer.build.checks import need_token_states
from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.embedder import Embedder, heads_of
from quarry.indexer.errors import IndexMismatchError, SettingsError
from quarry.indexer.lexical.analyzer import analyzer as analyzer_named
from quarry.indexer.messages import Message
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.storage.facts import Chunking, EmbedderFacts, ReadingFacts
from quarry.indexer.stores.lake.layout import (
    LAKE_NAME,
    LakePointer,
    LakeSettings,
    read_pointer,
    sealed,
)
from quarry.indexer.stores.lake.objects import Objects, objects_of


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake, opened for writing."""

    objects: Objects
    settings: LakeSettings

    @classmethod
    def open(cls, place: str | Path) -> Self:
        """Open a lake.

        Raises:
            IndexFormatError: If there is none, or its pointer is damaged.
            SettingsError: If the address is of another kind.
            MissingExtraError: If the package for object storage is not installed.
        """
        objects = objects_of(place)
        return cls(objects, read_pointer(objects)[0].settings)


def settings_for(
    embedder: Embedder,
    folder: str,
    chunking: ChunkSpec,
    read: ReadOptions,
    analyzer: str = "jieba",
    *,
    token_states: bool = False,
) -> LakeSettings:
    """Return the settings of a new lake.

    Args:
        embedder: The model.
        folder: Where it was loaded from.
        chunking: Length and overlap of passages.
        read: How files are read.
        analyzer: What makes the terms, as for `quarry index --analyzer`.
        token_states: Whether token states of passages are kept for the second stage, about 25 KB a passage.

    Raises:
        ModelError: If token states are asked for and the model gives none.
        ValueError: If the analyzer is unknown.
        MissingExtraError: If the analyzer is not installed.
    """
    analyzer_named(analyzer)
    if token_states:
        need_token_states(embedder)
    return LakeSettings(
        embedder=EmbedderFacts.of(embedder.spec, folder),
        chunking=Chunking(
            max_tokens=chunking.max_tokens, overlap_tokens=chunking.overlap_tokens, tokenizer=embedder.tokens.name
        ),
        reading=ReadingFacts(ocr=bool(read.ocr), keep_repeated=bool(read.keep_repeated)),
        analyzer=analyzer,
        token_states=token_states,
        heads=heads_of(embedder) if token_states else "",
    )


def make_lake(place: str | Path, settings: LakeSettings) -> Lake:
    """Make a lake, or open one with the same settings.

    Args:
        place: An address or a folder.
        settings: What all that comes into it has in common.

    Raises:
        SettingsError: If the storage does not keep conditional puts, or the address is of another kind.
        IndexMismatchError: If there is a lake with other settings.
        IndexFormatError: If the storage cannot be reached.

    Example:
        >>> from quarry.indexer.lake.making import make_lake, settings_for
        >>> settings = settings_for(embedder, "", ChunkSpec(), ReadOptions())  # doctest: +SKIP
        >>> make_lake("s3://bucket/kb", settings)  # doctest: +SKIP
    """
    objects = objects_of(place)
    check_conditional_puts(objects)
    if objects.create(LAKE_NAME, sealed(LakePointer(settings=settings))):
        return Lake(objects, settings)
    found = read_pointer(objects)[0].settings
    if found.identity != settings.identity:
        raise IndexMismatchError(
            "lake.other_settings",
            "{lake} is a lake already, with other settings: {theirs}; these are {mine}",
            do="Give another address, or the same settings",
            lake=objects.uri,
            theirs=_named(found),
            mine=_named(settings),
        )
    return Lake(objects, found)


def check_conditional_puts(objects: Objects) -> None:
    """Try, with a small object that is removed again, whether the storage refuses a put whose condition does not hold.

    Raises:
        SettingsError: If it does not; what it did is named.
        IndexFormatError: If the storage cannot be reached.
    """
    name = f"trial/{uuid4().hex}"
    try:
        trials: list[tuple[Message, Callable[[], bool], bool]] = [
            (Message.of("lake.trial_new", "writing a new object"), lambda: objects.create(name, b"1"), True),
            (
                Message.of("lake.trial_again", "If-None-Match on one that is there"),
                lambda: objects.create(name, b"2"),
                False,
            ),
            (
                Message.of("lake.trial_other", "If-Match with a tag of something else"),
                lambda: objects.replace(name, b"3", '"00000000000000000000000000000000"'),
                False,
            ),
            (
                Message.of("lake.trial_same", "If-Match with the tag that it has"),
                lambda: objects.replace(name, b"4", objects.read(name).tag),
                True,
            ),
        ]
        for what, trial, wanted in trials:
            if trial() is not wanted:
                raise SettingsError(
                    "lake.no_conditional_puts",
                    "the storage of {lake} does not keep conditional puts: {what} was {answer}",
                    expected="a store that refuses a put whose condition does not hold, as S3, MinIO and R2 do",
                    do="Use another store: two writers would lose each other's work here",
                    lake=objects.uri,
                    what=what,
                    answer=Message.of("lake.refused", "refused") if wanted else Message.of("lake.accepted", "accepted"),
                )
    finally:
        objects.remove([name])


def _named(settings: LakeSettings) -> str:
    chunking = settings.chunking
    model = settings.embedder.to_spec().model
    states = ", token states" if settings.token_states else ""
    return f"{model}, {chunking.max_tokens}/{chunking.overlap_tokens} tokens, {settings.analyzer}{states}"
