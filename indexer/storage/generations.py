"""Generations: whole versions of an index, side by side, with one small pointer file that says which is live.

    INDEX/
      quarry-index.json     the pointer, replaced atomically; nothing else ever changes in place
      writer.lock           held by the one process that builds; names its owner
      segments/1f6c.../     texts, vectors and terms of some passages; generations share them, see `segments`
      generations/000007/   a finished generation: manifest.json, which names its segments, and contents.sqlite
      generations/.000008/  one in the making; a crash leaves it, the next build removes it
      embeddings/           what an unfinished build has encoded; token states; vectors of probes

A generation is built beside the live one and becomes live by one rename. Readers keep theirs until they reopen: each
holds a shared lock on the manifest, and what is locked is not pruned. Segments that no generation names go with the last one that
did.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from quarry.indexer.errors import IndexFormatError, OtherFormatError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import sync_folder, sync_tree
from quarry.indexer.storage.files.file_locks import remove_unshared
from quarry.indexer.storage.files.hold import Hold
from quarry.indexer.storage.manifest import MANIFEST_NAME, Manifest
from quarry.indexer.storage.pointer import POINTER_NAME, Pointer
from quarry.indexer.storage.segments import Segments


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
            raise self._no_index()
        return Pointer.read(path)

    def _no_index(self) -> IndexFormatError:
        if not self.root.exists():
            return IndexFormatError(
                "storage.does_not_exist",
                "{index} does not exist",
                expected="an index",
                do="Make one with `quarry index PATH --into {index}`",
                index=self.root,
            )
        if not self.root.is_dir():
            return IndexFormatError(
                "storage.is_a_file",
                "{index} is a file",
                expected="an index folder",
                do="Give the folder that `quarry index --into` made",
                index=self.root,
            )
        if self.folder.is_dir() or (self.root / "embeddings").is_dir():
            return IndexFormatError(
                "storage.unfinished",
                "{index} holds an index that was never finished",
                expected="a quarry-index.json in it",
                do="Run `quarry index PATH --into {index}` again: it continues where it stopped",
                index=self.root,
            )
        return IndexFormatError(
            "storage.not_an_index",
            "{index} is not an index: it has no quarry-index.json",
            do="Make one with `quarry index PATH --into FOLDER`",
            index=self.root,
        )

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
        self._prune_segments()
        building = self.folder / f".{max(numbers, default=0) + 1:06d}"
        building.mkdir()
        return building

    def _prune_segments(self) -> None:
        """Remove the segments that no generation names. Only the writer may do so; with a manifest that cannot be read, all stay."""
        with suppress(IndexFormatError):
            manifests = [Manifest.read(self.folder / name) for name in self.finished()]
            Segments(self.root).prune({one.name for manifest in manifests for one in manifest.segments})

    def finish(self, building: Path) -> str:
        """Make a built folder a finished generation beside the live one: fsync, rename. Returns its name."""
        sync_tree(building)
        name = building.name.removeprefix(".")
        building.rename(self.folder / name)
        sync_folder(self.folder)
        return name

    def commit(self, building: Path, reason: Message) -> str:
        """Finish a built folder and make it live; return the generation's name."""
        name = self.finish(building)
        self.switch(name, reason)
        return name

    def switch(self, name: str, reason: Message) -> None:
        """Make a finished generation the live one, atomically.

        Raises:
            IndexFormatError: If there is no such finished generation.
        """
        if name not in self.finished():
            raise self._absent(name)
        try:
            history = self.pointer().history if self.exists() else ()
        except OtherFormatError:
            raise
        except IndexFormatError:  # damaged: writing it anew repairs it
            history = ()
        Pointer.to(name, reason, history).write(self.root / POINTER_NAME)

    def previous(self) -> str:
        """Return the generation that was live before the live one, and was not taken back; refused candidates never were.

        A rollback takes back what came after its target: of 1, 2, 3, back to 2, 4, the one before 4 is 2.

        Raises:
            IndexFormatError: If there is none.
        """
        pointer = self.pointer()
        lived: list[str] = []
        for step in pointer.history:
            taken_back = lived.index(step.generation) if step.generation in lived else len(lived)
            lived = [*lived[:taken_back], step.generation]
        here = set(self.finished()) - {pointer.generation}
        older = [name for name in lived if name in here]
        if not older:
            raise IndexFormatError(
                "storage.oldest",
                "generation {name} is the oldest one here; there is nothing to roll back to",
                name=pointer.generation,
            )
        return older[-1]

    def switch_back(self, name: str, reason: Message) -> None:
        """Make a generation live after every file of it was compared with its record.

        Raises:
            IndexFormatError: If there is no such finished generation, or it is damaged; the live one stays.
        """
        if name not in self.finished():
            raise self._absent(name)
        folder = self.folder / name
        damage = Manifest.read(folder).damage(folder, hashes=True)
        if damage:
            raise IndexFormatError(
                "storage.damaged_target",
                "generation {name} is damaged: {damage:;}",
                expected="one whose files match their record",
                do="Choose another one of `quarry generations {index}`; the live one still answers",
                name=name,
                damage=[each.message for each in damage[:3]],
                index=self.root,
            )
        self.switch(name, reason)

    def prune(self, keep: int) -> list[str]:
        """Remove all but the live generation, the `keep - 1` newest others, and those that are being read.

        Candidates that were never live, as killed tuning runs leave them, are counted apart: they push nothing out that a rollback
        could go back to.

        What the live model was tuned from stays as well: only there are the vectors that taking the model back needs.

        Segments that none of the rest names are removed too, so only the holder of the writer lock may prune.

        Returns:
            The removed names.

        Raises:
            ValueError: If keep < 1.
        """
        if keep < 1:
            raise ValueError(f"keep is {keep}; expected at least 1, for the live generation")
        pointer = self.pointer()
        lived = {step.generation for step in pointer.history}
        others = [name for name in self.finished() if name != pointer.generation]
        kinds = ([name for name in others if (name in lived) is was_live] for was_live in (True, False))
        surplus = sorted(name for kind in kinds for name in kind[: max(0, len(kind) - (keep - 1))])
        origins = self._origins(pointer.generation) if surplus else set()
        gone = [name for name in surplus if name not in origins and self._remove(name)]
        self._prune_segments()
        return gone

    def _origins(self, name: str) -> set[str]:
        """Return the generations that a generation's model was tuned from, as far as they are here."""
        here, found = set(self.finished()), set[str]()
        with suppress(IndexFormatError):  # what cannot be read names nothing
            while (lineage := Manifest.read(self.folder / name).lineage) and lineage.parent in here - found:
                name = lineage.parent
                found.add(name)
        return found

    def discard(self, name: str) -> None:
        """Remove a finished generation that is not live, even when somebody reads it, with the segments that it alone names.

        Only the holder of the writer lock may do so.

        Raises:
            IndexFormatError: If it is live, or not here.
        """
        if name == self.pointer().generation:
            raise IndexFormatError(
                "storage.is_live",
                "generation {name} is live",
                expected="one that is not",
                do="Roll back first",
                name=name,
            )
        if name not in self.finished():
            raise self._absent(name)
        self._remove(name, even_held=True)
        self._prune_segments()

    def _absent(self, name: str) -> IndexFormatError:
        here = self.finished()
        if not here:
            return IndexFormatError(
                "storage.no_generation", "generation {name} does not exist; no generation does", name=repr(name)
            )
        return IndexFormatError(
            "storage.unknown_generation",
            "generation {name} does not exist",
            expected="one of {here}",
            name=repr(name),
            here=here,
        )

    def _remove(self, name: str, *, even_held: bool = False) -> bool:
        """Remove a generation unless somebody is reading it; return whether it is gone."""
        manifest = self.folder / name / MANIFEST_NAME
        if not remove_unshared(manifest, even_shared=even_held):
            return False
        shutil.rmtree(manifest.parent)  # without its manifest it is no generation
        return True
