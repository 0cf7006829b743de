"""The keys of an index: who may ask its servers, as whom. They are kept as digests in INDEX/keys.json.

    key, secret = add(index, "ann", Principals...)     the secret is shown once
    ring = KeyRing(index)                              reads the file again when it has changed
    ring.holder("Bearer qk_...")                       whose key it is; None for nobody's

A key is 256 random bits, so its SHA-256 cannot be turned back by trying words, and needs no salt.
"""

import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from quarry.indexer.errors import SettingsError
from quarry.indexer.messages import Message
from quarry.indexer.principals import Principals
from quarry.indexer.storage.files.durable import write_atomic
from quarry.indexer.storage.files.locks import waited_lock

NAME = "keys.json"
PREFIX = "qk_"
_FORMAT = 1
_LOCK = "keys.lock"


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret of a key: its digest, and until when it is good; None for ever."""

    sha256: str
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it is still good."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Key:
    """A key.

    Attributes:
        name: Whose.
        principals: As whom they ask; None sees everything, and may add and remove documents.
        created: When.
        secrets: One, and until a rotation has ended the one before.
    """

    name: str
    principals: tuple[str, ...] | None
    created: datetime
    secrets: tuple[Secret, ...]


def keys_path(index: Path) -> Path:
    """Return the file of an index's keys."""
    return index / NAME


def read_keys(index: Path) -> tuple[Key, ...]:
    """Return the keys of an index; none without a file.

    Raises:
        SettingsError: If the file cannot be read.
    """
    path = keys_path(index)
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}")  # noqa: TRY301 (explained below with the others)
        return tuple(_key(entry) for entry in content["keys"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise SettingsError(
            "app.keys_unreadable",
            "the keys in {path} cannot be read ({reason})",
            expected="a file that `quarry keys` wrote",
            do="Put it back, or remove it and add the keys again",
            path=path,
            reason=str(err) or type(err).__name__,
        ) from err


def add_key(index: Path, name: str, principals: Sequence[str] | None) -> str:
    """Add a key and return its secret, which is stored nowhere.

    Args:
        index: The index folder.
        name: Whose it is; must be new.
        principals: As whom its holder asks; None sees everything, and may write.

    Raises:
        SettingsError: If there is a key of this name.
    """
    with waited_lock(index / _LOCK):
        keys = read_keys(index)
        if any(key.name == name for key in keys):
            raise SettingsError(
                "app.key_exists",
                "there is a key {name}",
                expected="a new name",
                do="Give it a new secret with `quarry keys INDEX rotate {name}`, or revoke it first",
                name=name,
            )
        secret = _new_secret()
        named = None if principals is None else Principals.of(principals).names
        _write(index, (*keys, Key(name, named, datetime.now(UTC), (Secret(_digest(secret)),))))
    return secret


def rotate_key(index: Path, name: str, overlap: timedelta) -> str:
    """Give a key a new secret and return it; the old one stays good for a while.

    Raises:
        SettingsError: If there is no key of this name.
    """
    now = datetime.now(UTC)
    with waited_lock(index / _LOCK):
        keys = read_keys(index)
        old = _named(keys, name)
        secret = _new_secret()
        ending = tuple(
            replace(each, until=min(each.until or now + overlap, now + overlap))
            for each in old.secrets
            if each.holds(now)
        )
        kept = tuple(each for each in ending if each.holds(now))
        changed = replace(old, secrets=(Secret(_digest(secret)), *kept))
        _write(index, tuple(changed if key is old else key for key in keys))
    return secret


def revoke_key(index: Path, name: str) -> None:
    """Remove a key; running servers refuse it from their next request on.

    Raises:
        SettingsError: If there is no key of this name.
    """
    with waited_lock(index / _LOCK):
        keys = read_keys(index)
        gone = _named(keys, name)
        _write(index, tuple(key for key in keys if key is not gone))


class KeyRing:
    """The keys of an index as a server checks them. Safe to share between threads."""

    def __init__(self, index: Path) -> None:
        self._index = index
        self._lock = Lock()
        self._version: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()
        self._required = False
        self.problem = ""  # why no key opens anything now

    @property
    def required(self) -> bool:
        """Whether requests need a key; once there were keys, they do until the server is started again."""
        self._follow()
        return self._required

    def holder(self, authorization: str) -> Key | None:
        """Return whose key an Authorization header carries; None for nobody's. Every digest is compared, in constant time."""
        self._follow()
        scheme, _, given = authorization.partition(" ")
        digest, now = _digest(given.strip()), datetime.now(UTC)
        found: Key | None = None
        for key in self._keys:
            for secret in key.secrets:
                if hmac.compare_digest(secret.sha256, digest) and secret.holds(now):
                    found = key
        return found if scheme.lower() == "bearer" else None

    def _follow(self) -> None:
        """Read the file when it has changed; one that cannot be read opens nothing."""
        with self._lock:
            version = _version(keys_path(self._index))
            if version == self._version:
                return
            self._version = version
            try:
                self._keys, self.problem = read_keys(self._index), ""
            except SettingsError as err:
                self._keys, self.problem = (), str(err)
            self._required = self._required or version is not None


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def _named(keys: Sequence[Key], name: str) -> Key:
    for key in keys:
        if key.name == name:
            return key
    raise SettingsError(
        "app.no_such_key",
        "there is no key {name}",
        expected="one of {known}",
        do="Run `quarry keys INDEX list`",
        name=name,
        known=[key.name for key in keys] or Message.of("app.no_keys", "none: the index has no keys"),
    )


def _new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "replace")).hexdigest()


def _write(index: Path, keys: Sequence[Key]) -> None:
    content = {"format": _FORMAT, "keys": [_entry(key) for key in keys]}
    write_atomic(keys_path(index), json.dumps(content, ensure_ascii=False, indent=1).encode())
    keys_path(index).chmod(0o600)


def _entry(key: Key) -> dict[str, Any]:
    return {
        "name": key.name,
        "principals": key.principals,
        "created": key.created.isoformat(timespec="seconds"),
        "secrets": [
            {"sha256": each.sha256, "until": each.until.isoformat() if each.until else None} for each in key.secrets
        ],
    }


def _key(entry: Any) -> Key:
    named = entry["principals"]
    return Key(
        str(entry["name"]),
        None if named is None else tuple(str(name) for name in named),
        datetime.fromisoformat(entry["created"]),
        tuple(
            Secret(str(each["sha256"]), datetime.fromisoformat(each["until"]) if each["until"] else None)
            for each in entry["secrets"]
        ),
    )
