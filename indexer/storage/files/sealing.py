"""How damage is noticed: by the size and SHA-256 of files, and by JSON files that carry their own checksum."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import dumps, loads
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import access_error, accessible, file_sha256

_VERIFY_BELOW = 256 << 20  # hashing 256 MiB takes about half a second here; larger indexes: `quarry doctor`
_CHECKSUM = "checksum"


class FileFact(BaseModel):
    """Size in bytes and SHA-256 (hex) of one file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    size: int = Field(ge=0)
    sha256: str


def _inside(name: str) -> str:
    if any(part in ("", ".", "..") for part in name.split("/")) or "\\" in name or "\0" in name:
        raise ValueError("a file of a folder, by its path from there")
    return name


FileFacts: TypeAlias = dict[Annotated[str, AfterValidator(_inside)], FileFact]
"""Size and digest of files below a folder by relative POSIX path; a path that leads out of the folder is refused."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is not as it was recorded."""

    file: Path
    message: Message

    def __str__(self) -> str:
        return str(self.message)


def describe(folder: Path, paths: Iterable[Path]) -> dict[str, FileFact]:
    """Return size and digest of files below a folder, by relative POSIX path, in the order of the paths."""
    return {
        path.relative_to(folder).as_posix(): FileFact(size=path.stat().st_size, sha256=file_sha256(path))
        for path in sorted(paths)
    }


def verified_by_default(size: int) -> bool:
    """Whether digests are compared at opening when nobody says: for at most 256 MiB."""
    return size <= _VERIFY_BELOW


def differences(folder: Path, facts: Mapping[str, FileFact], *, hashes: bool | None = None) -> list[Damage]:
    """List what differs between recorded files and those on disk.

    Args:
        folder: Where the files are.
        facts: What was recorded, by relative POSIX path.
        hashes: Compare digests too; None does it when the whole is at most 256 MiB. Sizes are always compared.

    Returns:
        One per missing or changed file, by name; empty when all is well.

    Raises:
        AccessError: If this user may not read one.
    """
    total = sum(fact.size for fact in facts.values())
    compare_hashes = verified_by_default(total) if hashes is None else hashes
    checked = ((folder / name, fact) for name, fact in sorted(facts.items()))
    with accessible():
        found = [(path, _difference(path, fact, hashes=compare_hashes)) for path, fact in checked]
    return [Damage(path, message) for path, message in found if message is not None]


def _difference(path: Path, fact: FileFact, *, hashes: bool) -> Message | None:
    if not path.is_file():
        return Message.of("storage.file_missing", "{path} is missing", path=str(path))
    size = path.stat().st_size
    if size != fact.size:
        return Message.of(
            "storage.file_size",
            "{path} has {size} bytes instead of {wanted}",
            path=str(path),
            size=size,
            wanted=fact.size,
        )
    if hashes and file_sha256(path) != fact.sha256:
        return Message.of("storage.file_digest", "{path} does not match its recorded SHA-256", path=str(path))
    return None


def seal(content: Mapping[str, Any]) -> bytes:
    """Return an object as JSON with its own checksum, which `unseal` compares."""
    return dumps({**content, _CHECKSUM: _digest(content)}, ensure_ascii=False, indent=1).encode()


def unseal(path: Path) -> dict[str, Any]:
    """Read a JSON object and leave out its checksum. Files of older versions have none and are taken as they are.

    Raises:
        FileNotFoundError: If there is no such file.
        AccessError: If this user may not read it.
        IndexFormatError: If it cannot be read, is not a JSON object, or does not match its checksum.
    """
    try:
        content = loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except PermissionError as err:
        raise access_error(err) or err from err
    except (OSError, UnicodeDecodeError) as err:
        raise IndexFormatError(
            "storage.unreadable_json",
            "{path} cannot be read ({error})",
            expected="a JSON file",
            do="Run `quarry generations INDEX --rollback`, or index again with --rebuild",
            path=path,
            error=str(err),
        ) from err
    except (ValueError, RecursionError) as err:
        raise IndexFormatError(
            "storage.not_json",
            "{path} is damaged: it is not valid JSON ({error})",
            do="Run `quarry generations INDEX --rollback`, or index again with --rebuild",
            path=path,
            error=str(err),
        ) from err
    if not isinstance(content, dict):
        raise IndexFormatError(
            "storage.not_an_object",
            "{path} holds a JSON {kind}",
            expected="an object",
            do="Run `quarry generations INDEX --rollback`, or index again with --rebuild",
            path=path,
            kind=type(content).__name__,
        )
    recorded = content.pop(_CHECKSUM, None)
    if recorded is not None and recorded != _digest(content):
        raise IndexFormatError(
            "storage.checksum",
            "{path} is damaged: its content does not match its own checksum",
            do="Run `quarry generations INDEX --rollback`, or index again with --rebuild",
            path=path,
        )
    return content


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(dumps(content, sort_keys=True).encode()).hexdigest()


def check_header(content: Mapping[str, Any], path: Path, readable: Sequence[int]) -> None:
    """Refuse the header of a segment or of a store in a format that this version does not read.

    Raises:
        IndexFormatError: If its format is another one.
    """
    if content.get("format") not in readable:
        raise IndexFormatError(
            "storage.header_format",
            "{path} has format {format}",
            expected="a format that this version of Quarry reads: {readable}",
            do="Upgrade quarry-search, roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
            path=path,
            format=repr(content.get("format")),
            readable=list(readable),
        )


def wrong_fields(path: Path, err: ValidationError) -> IndexFormatError:
    """Make the error for a sealed file whose content has other fields than its kind."""
    return IndexFormatError(
        "storage.wrong_fields",
        "{path} is damaged: {count:wrong field|wrong fields}, first {field}",
        do="Run `quarry generations INDEX --rollback`, or index again with --rebuild",
        path=path,
        count=err.error_count(),
        field=".".join(map(str, err.errors()[0]["loc"])),
    )
