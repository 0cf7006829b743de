"""A store's folder as one unit: a crash leaves the state before or the state after, never a mixture.

    store.json             the header: kind, facts, and size and SHA-256 of every data file; replaced atomically, last
    vectors.000002.npy     data files carry the number of their flush, so no flush writes over what the header names
    ids.000002.npy

Files that the header does not name are leftovers of a crash; the next flush removes them.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import sync_tree, write_atomic
from quarry.indexer.storage.files.sealing import (
    FileFact,
    FileFacts,
    check_header,
    describe,
    differences,
    seal,
    unseal,
    wrong_fields,
)

FORMAT = 2
HEADER_NAME = "store.json"
_NUMBERED = re.compile(r"^(?:vectors|ids|places|index|codes|center|sizes|factors)\.(\d{6})\.\w+$")
_FIRST_FORMAT = ("vectors.npy", "index.faiss", "faiss.json", "lance", "lance.json")
_CHANGING = "latest_version_hint.json"  # Lance rewrites it with every version, and does not need it
_TUNED: dict[str, tuple[type, ...]] = {
    "index": (str,),
    "search": (int,),
    "refine": (int,),
    "recall@10": (int, float),
}
_LEAST = {"search": 0, "refine": 1}
_MOST = 1 << 30  # what the libraries take for an effort


class Header(BaseModel):
    """The content of `store.json`.

    Attributes:
        kind: `auto`, `exact`, `faiss`, `lance`, `milvus` or `qdrant`.
        number: The flush that wrote the data files.
        dim: Length of the vectors.
        count: How many there are.
        facts: The search parameters that the store tuned, and the recall measured.
        files: Every data file by its path in the folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    format: int = FORMAT
    kind: str
    number: int
    dim: int = Field(ge=1)
    count: int = Field(ge=0)
    facts: dict[str, Any]
    files: FileFacts

    @classmethod
    def read(cls, folder: Path, kind: str, *, verified: bool) -> Self | None:
        """Read the header and compare the data files with it.

        Args:
            folder: The store's folder.
            kind: The expected kind of store.
            verified: Whether the caller has already compared digests; sizes are compared in any case.

        Returns:
            The header, or None when the folder has none or one of the first format.

        Raises:
            IndexFormatError: If it is damaged, of another kind or of a newer format, or a file is missing or changed.
        """
        path = folder / HEADER_NAME
        try:
            content = unseal(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if "format" not in content and "checksum" not in content and "ids" in content:
            return None
        check_header(content, path, [1, FORMAT])
        try:
            header = cls.model_validate(content)
        except ValidationError as err:
            raise wrong_fields(path, err) from err
        if header.kind != kind:
            raise IndexFormatError(
                "stores.kind",
                "{path} is that of a store of kind {kind}",
                expected="{wanted}",
                do="Roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
                path=path,
                kind=repr(header.kind),
                wanted=repr(kind),
            )
        refuse_damage(folder, header.files, hashes=False if verified else None)
        return header


def refuse_damage(folder: Path, files: Mapping[str, FileFact], *, hashes: bool | None) -> None:
    """Raise IndexFormatError, naming the files, when some differ from their records."""
    wrong = differences(folder, files, hashes=hashes)
    if wrong:
        raise IndexFormatError(
            "stores.damaged",
            "the store is damaged: {damage:;}",
            do="Roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
            damage=[each.message for each in wrong[:3]],
        )


def no_header(folder: Path) -> IndexFormatError:
    """Make the error for a folder without the header of a store."""
    return IndexFormatError(
        "stores.no_header",
        "{folder} is not a store: it has no store.json",
        expected="the folder of a flushed store",
        do="Roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
        folder=folder,
    )


def unreadable(path: Path, error: Message, wanted: Message) -> IndexFormatError:
    """Make the error for a file of a store that cannot be read.

    Args:
        path: The file.
        error: Why not.
        wanted: What it should be.
    """
    return IndexFormatError(
        "stores.unreadable",
        "{path} cannot be read ({error})",
        expected="{wanted}",
        do="Roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
        path=path,
        error=error,
        wanted=wanted,
    )


def other_content(path: Path, content: Message, wanted: Message) -> IndexFormatError:
    """Make the error for a file of a store that holds something else than it should.

    Args:
        path: The file.
        content: What it holds.
        wanted: What it should hold.
    """
    return IndexFormatError(
        "stores.other_content",
        "{path} holds {content}",
        expected="{wanted}",
        do="Roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
        path=path,
        content=content,
        wanted=wanted,
    )


def check_tuned(facts: Mapping[str, Any], path: Path) -> None:
    """Raise IndexFormatError when the record of an approximate index lacks a fact, or an effort is out of bounds."""
    wrong = [key for key, types in _TUNED.items() if not isinstance(facts.get(key), types)]
    wrong += [key for key, least in _LEAST.items() if key not in wrong and not least <= facts[key] <= _MOST]
    if wrong:
        raise IndexFormatError(
            "stores.tuning_facts",
            "{path} has no valid {keys} of the vector index",
            do="Roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
            path=path,
            keys=wrong,
        )


class State:
    """The data files of one flush, before and while they are sealed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        self.number = max((_number(name) or 0 for name in names), default=0) + 1

    def path(self, stem: str, suffix: str) -> Path:
        """Return the path of a data file of this flush."""
        return numbered(self.folder, stem, self.number, suffix)

    def seal(self, kind: str, dim: int, count: int, facts: Mapping[str, Any]) -> None:
        """Make the data files durable, then current in one step; remove those of other flushes."""
        mine = [path for path in self.folder.iterdir() if _number(path.name) == self.number]
        files = [inner for path in mine for inner in (path.rglob("*") if path.is_dir() else [path])]
        facts_of_files = describe(self.folder, (path for path in files if path.is_file() and path.name != _CHANGING))
        sync_tree(self.folder)
        header = Header(kind=kind, number=self.number, dim=dim, count=count, facts=dict(facts), files=facts_of_files)
        write_atomic(self.folder / HEADER_NAME, seal(header.model_dump()))
        for path in self.folder.iterdir():
            stale = _number(path.name) not in (None, self.number) or path.name in _FIRST_FORMAT
            if stale or path.name.startswith(f".{HEADER_NAME}."):
                _remove(path)

    def drop(self) -> None:
        """Remove the data files of this flush, unless the header names them: it may have failed after sealing."""
        try:
            sealed = unseal(self.folder / HEADER_NAME).get("number") == self.number
        except FileNotFoundError:
            sealed = False
        for path in [] if sealed else list(self.folder.iterdir()):
            if _number(path.name) == self.number:
                _remove(path)


@contextmanager
def new_state(folder: Path) -> Iterator[State]:
    """Yield the state of the next flush; its files are removed when writing or sealing fails."""
    state = State(folder)
    try:
        yield state
    except BaseException:
        state.drop()
        raise


def numbered(folder: Path, stem: str, number: int, suffix: str) -> Path:
    """Return the path of a data file of one flush."""
    return folder / f"{stem}.{number:06d}{suffix}"


def _number(name: str) -> int | None:
    found = _NUMBERED.match(name)
    return int(found[1]) if found else None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # the next flush tries again
            path.unlink()
