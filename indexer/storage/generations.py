"""Generations: whole versions of an index, side by side, with one small pointer file that says which is live.

    INDEX/
      quarry-index.json     the pointer, replaced atomically; nothing else ever changes in place
      writer.lock           held (flock) by the one process that builds; names its owner
      generations/000007/   a finished generation: manifest.json, chunks.sqlite, lexical/, vectors/
      generations/.000008/  one in the making; a crash leaves it, the next build removes it
      embeddings/           vectors by passage digest, so that nothing is ever encoded twice

A generation is built beside the live one and becomes live by one rename. Readers keep theirs until they reopen: each
holds a shared lock (flock) on the manifest, and what is locked is not pruned.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from weakref import finalize

from pydantic import BaseModel, ConfigDict, ValidationError

from quarry.indexer.errors import IndexFormatError, OtherFormatError
from quarry.indexer.storage.durable import sync_folder, sync_tree, write_atomic
from quarry.indexer.storage.locks import process_lock
from quarry.indexer.storage.manifest import FORMAT, MANIFEST_NAME, check_format
from quarry.indexer.storage.sealing import seal, unseal

POINTER_NAME = "quarry-index.json"


class Switch(BaseModel):
    """One change of the live generation."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    generation: str
    at: str
    reason: str


class Pointer(BaseModel):
    """The pointer file: which generation answers, and how it came to be (newest last)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: int = FORMAT
    generation: str
    history: tuple[Switch, ...] = ()


class Hold:
    """Keeps a generation from being pruned, until it is let go or forgotten, or the process ends in whatever way."""

    def __init__(self, descriptor: int) -> None:
        self.let_go = finalize(self, os.close, descriptor)

    @classmethod
    def on(cls, folder: Path) -> "Hold | None":
        """Hold the generation in this folder; None when it is not there (any more)."""
        try:
            descriptor = os.open(folder / MANIFEST_NAME, os.O_RDONLY)
        except OSError:
            return None
        hold = cls(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:  # it is being pruned
            return None
        except OSError:  # a file system without locks: readers work there, unprotected
            return hold
        return hold if os.fstat(descriptor).st_nlink else None


class Generations:
    """The generations of one index folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "generations"

    def exists(self) -> bool:
        """Whether a generation was ever made live here."""
        return (self.root / POINTER_NAME).is_file()

    def pointer(self) -> Pointer:
        """Read the pointer.

        Raises:
            IndexFormatError: If the folder is not an index, is half-written, or of a newer format.
        """
        path = self.root / POINTER_NAME
        if not path.is_file():
            raise IndexFormatError(self._why_no_index())
        content = unseal(path)
        check_format(content, path)
        try:
            pointer = Pointer.model_validate(content)
        except ValidationError as err:
            raise IndexFormatError(f"{path} is damaged ({err.error_count()} wrong fields); index again") from err
        if "/" in pointer.generation or pointer.generation.startswith("."):
            raise IndexFormatError(f"{path} names generation {pointer.generation!r}, which is not a plain name")
        return pointer

    def _why_no_index(self) -> str:
        if not self.root.exists():
            return (
                f"{self.root} does not exist; expected an index. Make one with `quarry index PATH --into {self.root}`"
            )
        if not self.root.is_dir():
            return f"{self.root} is a file; expected an index folder. Give the folder that `quarry index --into` made"
        if self.folder.is_dir() or (self.root / "embeddings").is_dir():
            return (
                f"{self.root} holds an index that was never finished; expected a {POINTER_NAME} in it. "
                f"Run `quarry index PATH --into {self.root}` again: it continues where it stopped"
            )
        return f"{self.root} is not an index: it has no {POINTER_NAME}. Make one with `quarry index PATH --into FOLDER`"

    def live(self) -> Path:
        """Return the folder of the live generation."""
        return self.folder / self.pointer().generation

    def hold(self, name: str | None = None) -> tuple[str, Hold | None]:
        """Hold a generation, or the live one, for reading, even while others are made, switched to and pruned.

        Returns:
            Its name, and None instead of a hold when it is not there or is damaged.

        Raises:
            IndexFormatError: If no name is given and the pointer cannot be read.
        """
        before = ""
        while True:
            chosen = name or self.pointer().generation
            hold = Hold.on(self.folder / chosen)
            if hold is not None or chosen in (name, before):
                return chosen, hold
            before = chosen  # pruned since the pointer was read: look again

    def finished(self) -> list[str]:
        """Names of all finished generations, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(
            path.name
            for path in self.folder.iterdir()
            if not path.name.startswith(".") and (path / MANIFEST_NAME).is_file()
        )

    def begin(self) -> Path:
        """Make an empty folder for the next generation; leftovers of crashed builds are removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(".*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for path in self.folder.iterdir():  # renamed by a build that died before its manifest could be trusted
            if not (path / MANIFEST_NAME).is_file():
                shutil.rmtree(path, ignore_errors=True)
        numbers = [int(path.name) for path in self.folder.iterdir() if path.name.isdigit()]
        building = self.folder / f".{max(numbers, default=0) + 1:06d}"
        building.mkdir()
        return building

    def finish(self, building: Path) -> str:
        """Make a built folder a finished generation beside the live one: fsync, rename. Returns its name."""
        sync_tree(building)
        name = building.name.removeprefix(".")
        building.rename(self.folder / name)
        sync_folder(self.folder)
        return name

    def commit(self, building: Path, reason: str) -> str:
        """Finish a built folder and make it live. Returns the generation's name."""
        name = self.finish(building)
        self.switch(name, reason)
        return name

    def switch(self, name: str, reason: str) -> None:
        """Point to a finished generation, atomically.

        Raises:
            IndexFormatError: If there is no such finished generation.
        """
        if name not in self.finished():
            raise IndexFormatError(
                f"generation {name!r} is not here; expected one of {', '.join(self.finished()) or 'none'}"
            )
        try:
            history = self.pointer().history if self.exists() else ()
        except OtherFormatError:
            raise
        except IndexFormatError:  # damaged: this mends it
            history = ()
        step = Switch(generation=name, at=datetime.now(UTC).isoformat(timespec="seconds"), reason=reason)
        pointer = Pointer(generation=name, history=(*history[-49:], step))
        write_atomic(self.root / POINTER_NAME, seal(pointer.model_dump(mode="json")))

    def previous(self) -> str:
        """The finished generation before the live one that was live itself: a refused candidate is never rolled back to.

        Raises:
            IndexFormatError: If there is none.
        """
        pointer = self.pointer()
        live, lived = pointer.generation, {step.generation for step in pointer.history}
        older = [name for name in self.finished() if name < live and name in lived]
        if not older:
            raise IndexFormatError(f"generation {live} is the oldest one here; there is nothing to roll back to")
        return older[-1]

    def prune(self, keep: int) -> list[str]:
        """Remove all but the live generation, the `keep - 1` newest others, and those that are being read.

        Returns:
            The removed names.

        Raises:
            ValueError: If keep < 1.
        """
        if keep < 1:
            raise ValueError(f"keep is {keep}; expected at least 1, for the live generation")
        live = self.pointer().generation
        others = [name for name in self.finished() if name != live]
        return [name for name in others[: max(0, len(others) - (keep - 1))] if self._remove(name)]

    def discard(self, name: str) -> None:
        """Remove a finished generation that is not live, even when somebody reads it.

        Raises:
            IndexFormatError: If it is live, or not here.
        """
        if name == self.pointer().generation:
            raise IndexFormatError(f"generation {name} is live and answers; expected another one. Roll back first")
        if name not in self.finished():
            raise IndexFormatError(f"generation {name!r} is not here; expected one of {', '.join(self.finished())}")
        self._remove(name, even_held=True)

    def _remove(self, name: str, *, even_held: bool = False) -> bool:
        """Remove a generation, unless somebody reads it; returns whether it is gone."""
        manifest = self.folder / name / MANIFEST_NAME
        descriptor = os.open(manifest, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if not even_held:
                        return False
            manifest.unlink()  # from here on it is no generation
            shutil.rmtree(manifest.parent)
        finally:
            os.close(descriptor)
        return True


@contextmanager
def writer_lock(root: Path) -> Iterator[None]:
    """Hold the index's writer lock. The kernel frees it when the process dies, so it never goes stale.

    Raises:
        IndexBusyError: If another process holds it; the message names that process.
    """
    root.mkdir(parents=True, exist_ok=True)
    with process_lock(
        root / "writer.lock", f"{root} is being written by", "expected no other writer. Wait for it, or stop it"
    ):
        yield
