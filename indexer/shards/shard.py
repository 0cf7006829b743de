"""One shard: vectors of some passages by their digest, in one safetensors file, and a marker that makes it complete.

The marker is written last, only where there is none, and names the file with its size and SHA-256. So a shard is there whole or not
at all, and two writers of one shard cannot mix: each writes a file of its own, and the first marker decides.
"""

import errno
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from quarry.indexer.embedder import TermWeights, Vectors
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import sync_folder, write_atomic
from quarry.indexer.storage.files.sealing import seal, unseal, wrong_fields
from quarry.indexer.tokens.projection import TokenBytes

DIGEST = 16
"""Bytes of a passage's digest (`passage_digest`)."""
_NAME = 32  # hex digits
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EACCES)  # what FAT and some network drives answer
MARKER = ".json"
_FILE = ".safetensors"
_NEW = ".new"


class ShardError(IndexFormatError):
    """A shard that cannot be used, by name."""


class _Marker(BaseModel):
    """What a marker says of its shard."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str
    size: int
    sha256: str
    passages: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Vectors of some passages.

    Attributes:
        digests: `passage_digest` of each, each once.
        vectors: Shape (len(digests), dim), float32.
        states: Compressed token states of each; empty when none are kept.
        terms: Weights of terms of each, for a model with heads of its own; empty without.
    """

    digests: Sequence[bytes]
    vectors: Vectors
    states: Sequence[TokenBytes] = ()
    terms: Sequence[TermWeights] = ()

    def as_bytes(self) -> bytes:
        """Return it as a safetensors file."""
        tensors: dict[str, NDArray[Any]] = {
            "digests": np.frombuffer(b"".join(self.digests), dtype=np.uint8).reshape(-1, DIGEST),
            "vectors": np.ascontiguousarray(self.vectors, dtype=np.float32),
        }
        if self.states:
            width = max(one.shape[1] for one in self.states)
            tensors["states"] = np.concatenate([one.reshape(-1, width) for one in self.states])
            tensors["state_ends"] = np.cumsum([len(one) for one in self.states], dtype=np.int64)
        if self.terms:
            tensors["term_ids"] = np.concatenate([one.ids for one in self.terms]).astype(np.int64)
            tensors["term_weights"] = np.concatenate([one.weights for one in self.terms]).astype(np.float32)
            tensors["term_ends"] = np.cumsum([len(one.ids) for one in self.terms], dtype=np.int64)
        return save(tensors)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read a safetensors file that `as_bytes` made.

        Raises:
            KeyError: If a tensor is missing; SafetensorError if it is no such file.
            ValueError: If tensors do not fit together.
        """
        tensors = load(content)
        rows = tensors["digests"]
        if rows.ndim != 2 or rows.shape[1] != DIGEST or len(rows) != len(tensors["vectors"]):
            raise ValueError(f"digests have shape {rows.shape}; expected ({len(tensors['vectors'])}, {DIGEST})")
        states = np.split(tensors["states"], tensors["state_ends"][:-1]) if "states" in tensors else []
        terms: list[TermWeights] = []
        if "term_ids" in tensors:
            ends = tensors["term_ends"][:-1]
            pairs = zip(np.split(tensors["term_ids"], ends), np.split(tensors["term_weights"], ends), strict=True)
            terms = [TermWeights(ids, weights) for ids, weights in pairs]
        return cls([row.tobytes() for row in rows], tensors["vectors"], states, terms)


def shard_name(digests: Sequence[bytes], settings: str) -> str:
    """Return the name of the shard that holds the vectors of these passages, made with these settings."""
    return sha256(settings.encode() + b"".join(sorted(digests))).hexdigest()[:_NAME]


def write_shard(folder: Path, name: str, shard: Shard) -> bool:
    """Write a shard; False when another writer was first, whose shard stays."""
    content = shard.as_bytes()
    digest = sha256(content).hexdigest()
    data = folder / f"{name}.{digest[:16]}{_FILE}"
    write_atomic(data, content)
    marker = _Marker(file=data.name, size=len(content), sha256=digest, passages=len(shard.digests))
    if put_if_absent(folder / f"{name}{MARKER}", seal(marker.model_dump())):
        return True
    if _marker(folder / f"{name}{MARKER}").file != data.name:  # equal bytes have one name
        data.unlink(missing_ok=True)
    return False


def has_shard(folder: Path, name: str) -> bool:
    """Whether a shard is there and as long as it should be; what is damaged is removed, to be made again."""
    path = folder / f"{name}{MARKER}"
    try:
        marker = _marker(path)
    except FileNotFoundError:
        return False
    except IndexFormatError:
        path.unlink(missing_ok=True)
        return False
    data = folder / marker.file
    if data.is_file() and data.stat().st_size == marker.size:
        return True
    path.unlink(missing_ok=True)
    data.unlink(missing_ok=True)
    return False


def read_shard(folder: Path, name: str) -> Shard:
    """Read a shard and compare it with its checksum.

    Raises:
        ShardError: If it is missing or damaged; the file is named.
    """
    marker = _marker(folder / f"{name}{MARKER}")
    data = folder / marker.file
    try:
        content = data.read_bytes()
    except OSError as err:
        raise _damaged(data, name, Message.plain(str(err.strerror or err))) from err
    if len(content) != marker.size or sha256(content).hexdigest() != marker.sha256:
        raise _damaged(data, name, Message.of("shards.checksum", "its content does not match its checksum"))
    try:
        return Shard.from_bytes(content)
    except (KeyError, ValueError, IndexError, SafetensorError) as err:
        raise _damaged(data, name, Message.plain(str(err))) from err


def shard_names(folder: Path) -> list[str]:
    """Return the names of all shards that have a marker, sorted."""
    return sorted(path.name.removesuffix(MARKER) for path in folder.glob(f"*{MARKER}") if not path.name.startswith("."))


def put_if_absent(path: Path, content: bytes) -> bool:
    """Write a file that is not there yet, whole and durably; False when it is there."""
    temp = path.with_name(f".{path.name}.{os.getpid()}{_NEW}")
    try:
        write_atomic(temp, content)
        os.link(temp, path)
    except FileExistsError:
        return False
    except FileNotFoundError:  # what is beside a file that is complete, `sweep` takes for left over
        if path.parent.is_dir():
            return False
        raise
    except OSError as err:
        if err.errno not in _NO_LINKS:
            raise
        return _written_exclusively(path, content)
    finally:
        temp.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def sweep(folder: Path, name: str = "", older: float = 0) -> None:
    """Remove what writers that died have left of files whose names begin with `name`.

    Args:
        folder: Where they wrote.
        name: Of whose files; empty for those of all.
        older: Seconds that have passed since; less may be a writer at work. A time so far in the future counts as much: the clock has
            gone back since.
    """
    for path in folder.iterdir():
        if path.name.startswith(".") and path.suffix in (_NEW, ".tmp") and path.name.lstrip(".").startswith(name):
            with suppress(FileNotFoundError):  # swept by another, or renamed by its writer
                if abs(time.time() - path.stat().st_mtime) >= older:
                    path.unlink()


def _written_exclusively(path: Path, content: bytes) -> bool:
    """Write a file that is not there yet, where there are no hard links; a crash may leave a part, which its checksum tells."""
    try:
        with path.open("xb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
    except FileExistsError:
        return False
    sync_folder(path.parent)
    return True


def _marker(path: Path) -> _Marker:
    content = unseal(path)
    try:
        marker = _Marker.model_validate(content)
    except ValidationError as err:
        raise wrong_fields(path, err) from err
    if Path(marker.file).name != marker.file:
        raise _damaged(path, path.stem, Message.of("shards.other_place", "it names a file elsewhere"))
    return marker


def _damaged(path: Path, name: str, what: Message) -> ShardError:
    return ShardError(
        "shards.damaged",
        "{path} is damaged ({what})",
        expected="the vectors that were written",
        do="Remove {name}.json and run the `quarry encode` command again: only this shard is encoded once more",
        path=path,
        name=name,
        what=what,
    )
