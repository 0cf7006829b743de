"""A shard of a lake: what came out of one unit of files, in Arrow files, and a marker that makes it complete.

A file's name has the digest of its content, and the marker, written last and only where there is none, names the files with size and
SHA-256. So a shard is there whole or not at all, and of two workers that make the same one the first wins.
"""

from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from typing import Any

from pydantic import BaseModel, ConfigDict

from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.messages import Message
from quarry.indexer.readers.base import Reason
from quarry.indexer.shards.shard import ShardError
from quarry.indexer.storage.files.sealing import FileFact
from quarry.indexer.stores.lake.layout import sealed, unsealed
from quarry.indexer.stores.lake.objects import Objects

FOLDER = "shards"


class LakePart(BaseModel):
    """Some documents of a shard: one file per table.

    Attributes:
        files: Object name and content, by table.
        passages: How many.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    files: dict[str, tuple[str, FileFact]]
    passages: int


class LakeShard(BaseModel):
    """The marker of a shard.

    Attributes:
        key: Its name.
        documents: How many.
        passages: How many.
        parts: In order.
        skipped: What was left out: source, reason, and the message as JSON.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    key: str
    documents: int
    passages: int
    parts: tuple[LakePart, ...]
    skipped: tuple[tuple[str, Reason, dict[str, object]], ...] = ()
    format: int = 1

    def left_out(self) -> list[Skipped]:
        """Return what was left out."""
        return [Skipped(source, reason, Message.from_json(detail)) for source, reason, detail in self.skipped]

    @property
    def files(self) -> Iterator[tuple[str, FileFact]]:
        """Object name and content of all files."""
        return (file for part in self.parts for file in part.files.values())


def marker_name(key: str) -> str:
    """Return the name of a shard's marker."""
    return f"{FOLDER}/{key}.json"


def write_part(objects: Objects, key: str, batches: dict[str, Any]) -> LakePart:
    """Write the files of a part; a batch of each table is given."""
    files: dict[str, tuple[str, FileFact]] = {}
    for table, batch in batches.items():
        content = _as_bytes(batch)
        digest = sha256(content).hexdigest()
        name = f"{FOLDER}/{key}.{table}.{digest[:16]}.arrow"
        objects.write(name, content)
        files[table] = (name, FileFact(size=len(content), sha256=digest))
    return LakePart(files=files, passages=batches["passages"].num_rows)


def write_marker(objects: Objects, shard: LakeShard) -> bool:
    """Make a shard complete; False when another worker was first."""
    return objects.create(marker_name(shard.key), sealed(shard))


def read_marker(objects: Objects, key: str) -> LakeShard | None:
    """Return the marker of a shard; None when it is not complete.

    Raises:
        IndexFormatError: If it is damaged.
    """
    try:
        content = objects.read(marker_name(key)).content
    except (FileNotFoundError, NotADirectoryError):
        return None
    return unsealed(LakeShard, content, f"{objects.uri}/{marker_name(key)}")


def read_file(objects: Objects, name: str, fact: FileFact) -> Any:
    """Read one file of a shard as an Arrow table and compare it with its checksum.

    Raises:
        ShardError: If it is missing or damaged; the file is named.
    """
    import pyarrow as pa

    content = file_content(objects, name, fact)
    with pa.ipc.open_file(pa.BufferReader(content)) as reader:
        return reader.read_all()


def file_content(objects: Objects, name: str, fact: FileFact) -> bytes:
    """Return one file of a shard, compared with its checksum. Raises as `read_file`."""
    try:
        content = objects.read(name).content
    except (FileNotFoundError, NotADirectoryError) as err:
        raise _damaged(objects, name, Message.of("shards.file_gone", "it is missing")) from err
    if len(content) != fact.size or sha256(content).hexdigest() != fact.sha256:
        raise _damaged(objects, name, Message.of("shards.checksum", "its content does not match its checksum"))
    return content


def _damaged(objects: Objects, name: str, what: Message) -> ShardError:
    key = name.rpartition("/")[2].partition(".")[0]
    return ShardError(
        "lake.damaged_shard",
        "{lake}/{name} is damaged ({what}); what is live is as it was",
        expected="what was added",
        do="Remove {lake}/shards/{key}.json and run the `quarry lake add` command again: only its files are read and encoded once "
        "more",
        lake=objects.uri,
        name=name,
        key=key,
        what=what,
    )


def _as_bytes(batch: Any) -> bytes:
    import pyarrow as pa

    sink = BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue()
