"""A folder of shards, and the settings that all of them were made with.

    SHARDS/shards.json     model, chunking, whether token states are kept; written first, and never changed
    SHARDS/units/          which passages came out of which files, so that they need not be read again
    SHARDS/passages/       passages that wait to be encoded; each goes when its shard is complete
    SHARDS/vectors/        the shards

Every file is written whole or not at all, and none is ever changed; what damage or a crash has spoilt is made again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import IndexFormatError, IndexMismatchError
from quarry.indexer.messages import Message
from quarry.indexer.shards.shard import (
    Shard,
    has_shard,
    put_if_absent,
    read_shard,
    shard_name,
    shard_names,
    sweep,
    write_shard,
)
from quarry.indexer.storage.facts import Chunking, EmbedderFacts, ReadingFacts
from quarry.indexer.storage.files.sealing import seal, unseal, wrong_fields

SETTINGS_NAME = "shards.json"
_FORMAT = 1
_DEAD = 3600.0  # seconds after which a file that is half written has no writer: it takes one of them at most


class ShardSettings(BaseModel):
    """What all shards of a folder have in common.

    Attributes:
        embedder: The model.
        chunking: How documents were cut.
        reading: How files were read.
        token_states: Whether token states are kept beside the vectors.
        heads: Digest of the model's own heads, empty without.
        format: Version of the folder's layout.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    embedder: EmbedderFacts
    chunking: Chunking
    reading: ReadingFacts
    token_states: bool = False
    heads: str = ""
    format: int = _FORMAT

    @property
    def identity(self) -> str:
        """Digest of what makes a vector: shards of one identity can be told apart by their passages alone."""
        facts = [self.embedder.fingerprint, self.token_states, self.heads]
        return sha256(dumps(facts).encode()).hexdigest()

    @property
    def cut_identity(self) -> str:
        """Digest of what makes passages out of files."""
        return sha256(dumps([self.chunking.model_dump(), self.reading.model_dump()]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ShardFolder:
    """The shards below one folder."""

    root: Path
    settings: ShardSettings

    @classmethod
    def create(cls, root: Path, settings: ShardSettings) -> Self:
        """Open the folder for writing; it is made when it is not there.

        Raises:
            IndexMismatchError: If its shards were made with other settings.
            IndexFormatError: If there is something else in it, or its settings are damaged.
        """
        if root.exists() and not (root / SETTINGS_NAME).is_file() and any(root.iterdir()):
            raise _no_shards(root)
        for name in ("units", "passages", "vectors"):
            (root / name).mkdir(parents=True, exist_ok=True)
            sweep(root / name, older=_DEAD)
        put_if_absent(root / SETTINGS_NAME, seal(settings.model_dump(mode="json")))
        found = cls.open(root)
        if difference := _difference(found.settings, settings):
            raise IndexMismatchError(
                "shards.other_settings",
                "{folder} holds vectors made with another {what}: {theirs} there, {mine} in this run",
                do="Give the same settings, or another folder with --into",
                folder=root,
                what=difference[0],
                theirs=difference[1],
                mine=difference[2],
            )
        return found

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open an existing folder.

        Raises:
            IndexFormatError: If it holds no shards, or its settings are damaged or of another format.
        """
        path = root / SETTINGS_NAME
        try:
            content = unseal(path)
        except (FileNotFoundError, NotADirectoryError):
            raise _no_shards(root) from None
        try:
            settings = ShardSettings.model_validate(content)
        except ValidationError as err:
            raise wrong_fields(path, err) from err
        if settings.format != _FORMAT:
            raise IndexFormatError(
                "shards.other_format",
                "{path} has format {theirs}",
                expected="format {ours}",
                do="Update Quarry, or encode into another folder",
                path=path,
                theirs=settings.format,
                ours=_FORMAT,
            )
        return cls(root, settings)

    def check(self, spec: EmbedderSpec, chunking: Chunking) -> None:
        """Refuse an index whose passages find no vector here: of another model, or cut otherwise.

        Raises:
            IndexMismatchError: If model or passage length differ.
        """
        facts = EmbedderFacts.of(spec, "")
        mine = self.settings.model_copy(update={"embedder": facts, "chunking": chunking})
        if difference := _difference(self.settings, mine):
            what, theirs, ours = difference
            raise IndexMismatchError(
                "shards.other_index",
                "{folder} holds vectors made with another {what} than this index has: {theirs} there, {mine} here",
                do="Index with --model, --chunk-tokens and --overlap as they were encoded, or encode again as this index has them",
                folder=self.root,
                what=what,
                theirs=theirs,
                mine=ours,
            )

    @property
    def units(self) -> Path:
        """Where it is kept which passages came out of which files."""
        return self.root / "units"

    @property
    def passages(self) -> Path:
        """Where passages wait."""
        return self.root / "passages"

    def name_of(self, digests: list[bytes]) -> str:
        """Return the name of the shard of these passages."""
        return shard_name(digests, self.settings.identity)

    def has(self, name: str) -> bool:
        """Whether a shard is complete; a damaged one is removed."""
        return has_shard(self.root / "vectors", name)

    def write(self, name: str, shard: Shard) -> bool:
        """Write a shard; False when another process was first."""
        return write_shard(self.root / "vectors", name, shard)

    def shards(self) -> Iterator[Shard]:
        """Read all shards, one after the other. Raises ShardError for a damaged one."""
        for name in shard_names(self.root / "vectors"):
            yield read_shard(self.root / "vectors", name)

    def count(self) -> int:
        """Return how many shards there are."""
        return len(shard_names(self.root / "vectors"))


def _difference(theirs: ShardSettings, mine: ShardSettings) -> tuple[Message, str, str] | None:
    if theirs.embedder.fingerprint != mine.embedder.fingerprint:
        their, our = theirs.embedder.to_spec(), mine.embedder.to_spec()
        named = Message.of("shards.model", "model")
        return named, f"{their.model} ({their.revision[:12]})", f"{our.model} ({our.revision[:12]})"
    if theirs.chunking != mine.chunking:
        named = Message.of("shards.chunking", "passage length")
        texts = [f"{one.max_tokens}/{one.overlap_tokens} ({one.tokenizer})" for one in (theirs.chunking, mine.chunking)]
        return named, texts[0], texts[1]
    if theirs.reading != mine.reading:
        return Message.of("shards.reading", "way of reading"), str(theirs.reading), str(mine.reading)
    if (theirs.token_states, theirs.heads) != (mine.token_states, mine.heads):
        return Message.of("shards.states", "choice of token states"), str(theirs.token_states), str(mine.token_states)
    return None


def _no_shards(root: Path) -> IndexFormatError:
    return IndexFormatError(
        "shards.none",
        "{folder} holds no vectors of `quarry encode`",
        expected="a folder with {name} in it, or a new one",
        do="Run `quarry encode DOCS --into FOLDER`, or check the path",
        folder=root,
        name=SETTINGS_NAME,
    )
