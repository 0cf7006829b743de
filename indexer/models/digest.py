"""What a model folder computes, as one number: the digest of the files that decide it."""

from contextlib import suppress
from hashlib import sha256
from json import JSONDecodeError, dumps, loads
from pathlib import Path

from quarry.indexer.lexical.analyzer import cache_folder
from quarry.indexer.models.folder import HEADS
from quarry.indexer.storage.files.durable import write_atomic

_DIGESTED = (".safetensors", ".json", ".txt", ".model")


def content_digest(folder: Path, *, remembered: bool = True) -> str:
    """Return a digest (40 hex digits) of the files that decide what a model computes.

    The cache folder remembers it by sizes and times, so that large weights are hashed once.

    Args:
        folder: The model's.
        remembered: False reads every byte again, as for a disk that may have changed one without a new time.
    """
    files = sorted(
        p
        for p in folder.rglob("*")
        if p.is_file() and p.suffix in _DIGESTED and not p.name.startswith(".") and p.name not in HEADS
    )
    stamp = [[p.relative_to(folder).as_posix(), p.stat().st_size, p.stat().st_mtime_ns] for p in files]
    key = sha256(dumps([str(folder), stamp]).encode()).hexdigest()[:32]
    memory = cache_folder() / "digests" / key
    if remembered:
        with suppress(OSError, JSONDecodeError):
            return str(loads(memory.read_text(encoding="utf-8")))
    digest = sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    value = digest.hexdigest()[:40]
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(memory, dumps(value).encode())
    except OSError:  # with a read-only or full cache the next call hashes again
        pass
    return value
