"""The file that names a running server: one per user and index, below the user's cache folder.

It is a hint, never trusted alone. It holds a secret; a server proves that it is the one meant by hashing a fresh nonce with it, before
it gets a question or a token. So a file left behind by a crash, whose port another program has taken, harms nobody.
"""

import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from quarry.indexer.lexical.analyzer import cache_folder
from quarry.indexer.storage.files.durable import write_atomic

_LARGEST = 10_000  # bytes of a file


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server as its file describes it.

    Attributes:
        index: The index folder, resolved.
        url: Where it listens.
        rerank: Its `--rerank`.
        device: Its `--device`.
        token: What requests must carry; empty for none.
        pid: Its process.
        version: Its version of Quarry.
        secret: What it proves itself with.
    """

    index: str
    url: str
    rerank: str
    device: str
    token: str = ""
    pid: int = field(default_factory=os.getpid)
    version: str = field(default_factory=lambda: version("quarry-search"))
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def proof(self, nonce: str, generation: str) -> str:
        """Return what only the server of this file, or a reader of it, can say about a nonce."""
        said = "\n".join((nonce, self.index, generation, str(self.pid), self.version))
        return hmac.new(self.secret.encode(), said.encode(), "sha256").hexdigest()


def announce(server: RunningServer) -> Path:
    """Write a server's file.

    Raises:
        OSError: If the cache folder cannot be written.
    """
    path = _path(Path(server.index))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mask = os.umask(0o077)
    try:
        write_atomic(path, json.dumps(asdict(server)).encode())
    finally:
        os.umask(mask)
    return path


def withdraw(server: RunningServer) -> None:
    """Remove a server's file, unless another server on the same index has written its own."""
    path = _path(Path(server.index))
    if _read(path) == server:
        path.unlink(missing_ok=True)


def announced(index: Path) -> RunningServer | None:
    """Return the server on an index, by its file; None without one that is ours, current and of a living process."""
    server = _read(_path(index.resolve()))
    if server is None or server.index != str(index.resolve()) or server.version != version("quarry-search"):
        return None
    return server if _lives(server.pid) else None


def _path(index: Path) -> Path:
    return cache_folder() / "servers" / f"{sha256(str(index).encode()).hexdigest()[:32]}.json"


def _read(path: Path) -> RunningServer | None:
    try:
        if not (_is_private(path.parent) and _is_private(path)) or path.stat().st_size > _LARGEST:
            return None
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return _server(content) if isinstance(content, dict) else None


def _server(content: Mapping[str, Any]) -> RunningServer | None:
    kinds = {
        "index": str,
        "url": str,
        "rerank": str,
        "device": str,
        "token": str,
        "pid": int,
        "version": str,
        "secret": str,
    }
    if set(content) != set(kinds) or not all(isinstance(content[name], kind) for name, kind in kinds.items()):
        return None
    return RunningServer(**content)


def _is_private(path: Path) -> bool:
    """Whether a file belongs to this user and nobody else can read it; on Windows a profile's folders are."""
    if not hasattr(os, "getuid"):
        return True
    found = path.lstat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o077


def _lives(pid: int) -> bool:
    if os.name == "nt":  # signal 0 would end the process there
        return True
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return False
    return pid > 0
