"""The objects of a lake and the records in them.

lake.json                         the pointer: settings, the live generation, the ones before; replaced with If-Match
projection.safetensors            what made the token states, where they are kept
roots/NAME.json                   which shards the files below a folder are in; written when all of them are there
shards/KEY.json                   marker of a shard: its parts with size and SHA-256; written last
shards/KEY.*.arrow                documents, passages, vectors and titles of one unit of files
generations/NAME/*.lance          the tables: passages, names (titles and headings), documents, terms, values, token states
generations/NAME/generation.json  what they hold: manifest, versions, how to search; written after them
models/NAME/...                   what was tuned on a lake, for its readers
"""

from hashlib import sha256
from json import JSONDecodeError, dumps, loads
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from quarry.indexer.errors import IndexFormatError, IndexMismatchError
from quarry.indexer.storage.facts import Chunking, EmbedderFacts, ReadingFacts
from quarry.indexer.storage.files.sealing import FileFact
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.pointer import Switch
from quarry.indexer.stores.lake.objects import Objects, Tagged, stale

LAKE_NAME = "lake.json"
GENERATION_NAME = "generation.json"
PASSAGES, NAMES, DOCUMENTS, TERMS, VALUES = "passages", "names", "documents", "terms", "values"
STATES = "states"
MODELS = "models"
KIND = "lake"
_FORMAT = 1
_HISTORY = 50  # switches that are kept
_CHECKSUM = "checksum"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Any = TypeVar("_Any", bound=BaseModel)


class LakeSettings(_Record):
    """What all that is in a lake has in common; set by `quarry lake init` and never changed.

    Attributes:
        embedder: The model.
        chunking: How documents are cut.
        reading: How files are read.
        analyzer: What makes the terms.
        token_states: Whether those of passages are kept, for the second stage.
        heads: Digest of the model's own heads that make them; empty for layer states.
    """

    embedder: EmbedderFacts
    chunking: Chunking
    reading: ReadingFacts
    analyzer: str
    token_states: bool = False
    heads: str = ""

    @property
    def identity(self) -> str:
        """Digest of what makes a shard out of files."""
        facts = [self.embedder.fingerprint, self.chunking.model_dump(), self.reading.model_dump(), self.analyzer]
        facts += [self.heads] if self.token_states else []
        return sha256(dumps(facts, sort_keys=True).encode()).hexdigest()


class LakePointer(_Record):
    """The pointer: what a lake is, and which generation answers.

    Attributes:
        settings: Of the lake.
        generation: The live one; empty before the first `quarry lake publish`.
        history: Switches, newest last.
    """

    settings: LakeSettings
    generation: str = ""
    history: tuple[Switch, ...] = ()
    format: int = _FORMAT

    def switched(self, step: Switch) -> Self:
        """Return the pointer after a switch."""
        history = (*self.history[-(_HISTORY - 1) :], step)
        return self.model_copy(update={"generation": step.generation, "history": history})


class VectorFacts(_Record):
    """How a table of vectors is searched, and what was measured.

    Attributes:
        index: `IVF_RQ`, or `none` where every vector is compared.
        probes: Partitions that are looked into.
        refine: Candidates per wanted neighbor that are compared with their stored vectors.
        recall: Recall@10 against exact search on the sample, in [0, 1].
        sample: Questions that it was measured with.
    """

    index: str = "none"
    probes: int = 0
    refine: int = 1
    recall: float = 1.0
    sample: int = 0


class LakeGeneration(_Record):
    """One generation of a lake.

    Attributes:
        manifest: As an index's.
        versions: Of the tables, by name.
        passages: How the vectors of passages are searched.
        names: The same for titles and headings; None without any.
        mean_length: Words of a passage, on average.
        centroids: Mean vectors of the languages, in the order of their names; empty for one.
        roots: Documents by folder.
        shards: Keys of the shards that are in it.
        tables: The generation whose tables it has, when it differs from that one only in what was tuned; empty for its own.
        models: Files of what was tuned, by name below the lake.
        heads: Digest of the model's own heads that made the token states; empty for layer states.
    """

    manifest: Manifest
    versions: dict[str, int]
    passages: VectorFacts
    names: VectorFacts | None = None
    mean_length: float
    centroids: tuple[tuple[float, ...], ...] = ()
    roots: dict[str, int] = {}
    shards: tuple[str, ...] = ()
    tables: str = ""
    models: dict[str, FileFact] = {}
    heads: str = ""
    format: int = _FORMAT

    @property
    def folder(self) -> str:
        """Where its tables lie."""
        return generation_folder(self.tables or self.manifest.generation)


def generation_folder(name: str) -> str:
    """Return where a generation lies."""
    return f"generations/{name}"


def model_path(name: str) -> Path:
    """Return the path, below an index folder, of a file that was tuned.

    Raises:
        IndexFormatError: If the name is not that of a file below `models`.
    """
    parts = name.split("/")
    if len(parts) < 3 or parts[0] != MODELS or "\\" in name or any(part.startswith(".") or not part for part in parts):
        raise _damaged(name, "not a file of a tuned model")
    return Path(*parts)


def sealed(record: BaseModel) -> bytes:
    """Return a record as JSON with its own checksum."""
    content = record.model_dump(mode="json")
    return dumps({**content, _CHECKSUM: _digest(content)}, ensure_ascii=False, indent=1).encode()


def unsealed(kind: type[_Any], content: bytes, name: str) -> _Any:
    """Read a record.

    Args:
        kind: Its class.
        content: What `sealed` returned.
        name: Where it lies, for errors.

    Raises:
        IndexFormatError: If it is damaged, or of another format.
    """
    try:
        found = loads(content)
        recorded = found.pop(_CHECKSUM, None)
        if recorded != _digest(found):
            raise _damaged(name, "its content does not match its checksum")
        if "format" in kind.model_fields and found.get("format") != _FORMAT:
            raise IndexFormatError(
                "stores.lake_format",
                "{path} has format {theirs}",
                expected="format {ours}",
                do="Update Quarry",
                path=name,
                theirs=str(found.get("format")),
                ours=_FORMAT,
            )
        return kind.model_validate(found)
    except (JSONDecodeError, UnicodeDecodeError, AttributeError, ValidationError) as err:
        raise _damaged(name, str(err).splitlines()[0]) from err


def _digest(content: dict[str, Any]) -> str:
    return sha256(dumps(content, sort_keys=True).encode()).hexdigest()


def _damaged(name: str, error: str) -> IndexFormatError:
    return IndexFormatError(
        "stores.lake_record",
        "{path} is damaged ({error})",
        expected="the record that was written",
        do="Roll back with `quarry lake rollback`, or publish again",
        path=name,
        error=error,
    )


def read_pointer(objects: Objects) -> tuple[LakePointer, Tagged]:
    """Read the pointer of a lake.

    Raises:
        IndexFormatError: If there is no lake, or the pointer is damaged.
    """
    try:
        found = objects.read(LAKE_NAME)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise IndexFormatError(
            "stores.no_lake",
            "{lake} is not a lake: it has no lake.json",
            do="Make one with `quarry lake init {lake}`, or check the address",
            lake=objects.uri,
        ) from err
    return unsealed(LakePointer, found.content, f"{objects.uri}/{LAKE_NAME}"), found


def replace_pointer(objects: Objects, pointer: LakePointer, before: Tagged) -> None:
    """Replace the pointer, if nobody has done so since it was read.

    Raises:
        IndexBusyError: If somebody has.
    """
    if not objects.replace(LAKE_NAME, sealed(pointer), before.tag):
        raise stale(objects.uri)


def read_generation(objects: Objects, name: str) -> LakeGeneration:
    """Read the record of a generation.

    Raises:
        IndexFormatError: If it is not there or is damaged.
    """
    path = f"{generation_folder(name)}/{GENERATION_NAME}"
    try:
        content = objects.read(path).content
    except (FileNotFoundError, NotADirectoryError) as err:
        raise IndexFormatError(
            "stores.no_lake_generation",
            "{lake} has no generation {name}",
            expected="one that `quarry lake status {lake}` lists",
            do="Roll back with `quarry lake rollback {lake}`, or publish again",
            lake=objects.uri,
            name=name,
        ) from err
    return unsealed(LakeGeneration, content, f"{objects.uri}/{path}")


def check_lake_model(lake: str, settings: LakeSettings, fingerprint: str) -> None:
    """Refuse a model that is not the lake's.

    Raises:
        IndexMismatchError: If its fingerprint differs.
    """
    if settings.embedder.fingerprint != fingerprint:
        raise IndexMismatchError(
            "stores.lake_model",
            "{lake} is for vectors of {theirs}, and this model is another one",
            do="Give that model, or make another lake",
            lake=lake,
            theirs=settings.embedder.to_spec().model,
        )
