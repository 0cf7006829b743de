"""What damage is noticed by: the size and SHA-256 of files, and JSON files that carry a checksum of themselves."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from json import JSONDecodeError, dumps, loads
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.storage.durable import file_sha256

_VERIFY_BELOW = 256 << 20  # hashing 256 MiB takes about half a second here; larger indexes: `quarry doctor`
_CHECKSUM = "checksum"


class FileFact(BaseModel):
    """Size in bytes and SHA-256 (hex) of one file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    size: int
    sha256: str


def describe(folder: Path, paths: Iterable[Path]) -> dict[str, FileFact]:
    """Return size and digest of files below a folder, by relative POSIX path, in the order of the paths."""
    return {
        path.relative_to(folder).as_posix(): FileFact(size=path.stat().st_size, sha256=file_sha256(path))
        for path in sorted(paths)
    }


def differences(folder: Path, facts: Mapping[str, FileFact], *, hashes: bool | None = None) -> list[str]:
    """List what differs between recorded files and those on disk.

    Args:
        folder: Where the files are.
        facts: What was recorded, by relative POSIX path.
        hashes: Compare digests too; None does it when the whole is at most 256 MiB. Sizes are always compared.

    Returns:
        One sentence per missing or changed file, naming it; empty when all is well.
    """
    total = sum(fact.size for fact in facts.values())
    compare_hashes = total <= _VERIFY_BELOW if hashes is None else hashes
    found: list[str] = []
    for name, fact in sorted(facts.items()):
        path = folder / name
        if not path.is_file():
            found.append(f"{path} is missing")
        elif path.stat().st_size != fact.size:
            found.append(f"{path} has {path.stat().st_size} bytes, expected {fact.size}")
        elif compare_hashes and file_sha256(path) != fact.sha256:
            found.append(f"{path} has another SHA-256 than the one recorded")
    return found


def seal(content: Mapping[str, Any]) -> bytes:
    """Return JSON of an object with a checksum of itself, which `unseal` compares."""
    return dumps({**content, _CHECKSUM: _digest(content)}, ensure_ascii=False, indent=1).encode()


def unseal(path: Path) -> dict[str, Any]:
    """Read a JSON object, without its checksum. One that has no checksum is of an older version and is taken as it is.

    Raises:
        FileNotFoundError: If there is no such file.
        IndexFormatError: If it cannot be read, is no JSON object, or does not match its checksum.
    """
    try:
        content = loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (JSONDecodeError, RecursionError) as err:
        raise IndexFormatError(f"{path} is not valid JSON ({err}); the index is damaged. {_REMEDY}") from err
    except (OSError, UnicodeDecodeError) as err:
        raise IndexFormatError(f"{path} cannot be read ({err}); expected a JSON file. {_REMEDY}") from err
    if not isinstance(content, dict):
        raise IndexFormatError(f"{path} holds a JSON {type(content).__name__}; expected an object. {_REMEDY}")
    recorded = content.pop(_CHECKSUM, None)
    if recorded is not None and recorded != _digest(content):
        raise IndexFormatError(f"{path} is damaged: its content does not match its own checksum. {_REMEDY}")
    return content


_REMEDY = "Run `quarry generations INDEX --rollback`, or index again with --rebuild"


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(dumps(content, sort_keys=True).encode()).hexdigest()
