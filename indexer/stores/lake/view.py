"""A view: a small index folder on this machine that stands for a lake, so that whatever takes an index takes a lake.

    CACHE/lakes/DIGEST/lake-view.json    the address
    CACHE/lakes/DIGEST/...               pointer, and per generation a manifest of the kind `lake`; what users said (feedback, evaluations)
    CACHE/lakes/DIGEST/models/NAME/...   what was tuned on the lake, on this machine or on another, fetched with the generation that has it

Texts, vectors and terms stay in the lake. A view follows the lake's pointer when it is opened or asked for the newest generation.
"""

import shutil
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from time import monotonic

import numpy as np

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.lexical.analyzer import cache_folder
from quarry.indexer.storage.files.durable import write_atomic
from quarry.indexer.storage.files.locks import waited_lock
from quarry.indexer.storage.files.sealing import FileFact, seal, unseal
from quarry.indexer.storage.layout import CENTROIDS_NAME
from quarry.indexer.storage.manifest import MANIFEST_NAME, describe_files
from quarry.indexer.storage.pointer import POINTER_NAME, Pointer, Switch
from quarry.indexer.stores.lake.layout import (
    GENERATION_NAME,
    LAKE_NAME,
    LakeGeneration,
    LakePointer,
    model_path,
    read_generation,
    read_pointer,
    sealed,
    unsealed,
)
from quarry.indexer.stores.lake.objects import Objects, is_remote, objects_of

VIEW_NAME = "lake-view.json"
_ADDRESS = "lake"
_EVERY_S = 2.0  # between two looks at the pointer of a lake by one process
_looked: dict[Path, float] = {}


def as_index(place: str | Path) -> Path:
    """Return the index folder for a place: its view, up to date, for a lake; the folder itself for anything else.

    Args:
        place: An index folder, a lake's folder, or an address such as `s3://bucket/kb`.

    Raises:
        IndexFormatError: If a lake has nothing to search yet, cannot be reached or is damaged.
        MissingExtraError: If the package for object storage is not installed.
    """
    path = Path(place)
    if (path / VIEW_NAME).is_file():
        follow(path)
        return path
    if not (is_remote(place) or str(place).startswith("file:/") or (path / LAKE_NAME).is_file()):
        return path
    objects = objects_of(place)
    view = cache_folder() / "lakes" / sha256(objects.uri.encode()).hexdigest()[:24]
    view.mkdir(parents=True, exist_ok=True)
    if not (view / VIEW_NAME).is_file():
        read_pointer(objects)  # an address without a lake leaves no view
        write_atomic(view / VIEW_NAME, seal({_ADDRESS: objects.uri}))
    follow(view, at_once=True)
    return view


def address_of(folder: Path) -> str | None:
    """Return the address of the lake that a folder is the view of; None for any other folder."""
    try:
        return str(unseal(folder / VIEW_NAME)[_ADDRESS])
    except (FileNotFoundError, NotADirectoryError):
        return None


def place_of(folder: Path) -> str:
    """Return what a user calls an index by: the folder, or the address of the lake that it is the view of, a path where that is one."""
    address = address_of(folder)
    return folder.as_posix() if address is None else address.removeprefix("file://")


def follow(view: Path, *, at_once: bool = False) -> None:
    """Bring a view in step with its lake.

    Args:
        view: The folder; one that is no view is left as it is.
        at_once: Look now, whenever the last look was.

    Raises:
        IndexFormatError: If the lake cannot be reached, or is damaged.
    """
    address = address_of(view)
    if address is None or (not at_once and monotonic() - _looked.get(view, -_EVERY_S) < _EVERY_S):
        return
    objects = objects_of(address)
    pointer, _ = read_pointer(objects)
    _looked[view] = monotonic()
    if not pointer.generation:
        raise IndexFormatError(
            "stores.lake_empty",
            "{lake} has nothing to search yet",
            do="Run `quarry lake add {lake} DOCS`, then `quarry lake publish {lake}`",
            lake=address,
        )
    with waited_lock(view / ".view.lock"):
        _update(view, objects, pointer)


def _update(view: Path, objects: Objects, pointer: LakePointer) -> None:
    known: tuple[Switch, ...] = ()
    with suppress(FileNotFoundError, IndexFormatError):  # missing or damaged, it is written again
        known = Pointer.read(view / POINTER_NAME).history
    folder = view / "generations" / pointer.generation
    if known == pointer.history and (folder / MANIFEST_NAME).is_file():
        return
    # A lake that was made again has generations of the same names, switched to at other times
    same = {step.generation for step in pointer.history if step in known}
    for other in folder.parent.iterdir() if folder.parent.is_dir() else ():
        if other.name not in same:
            shutil.rmtree(other, ignore_errors=True)
    if not (folder / MANIFEST_NAME).is_file():
        generation = read_generation(objects, pointer.generation)
        fetch_models(objects, generation, view)
        _write_generation(folder, generation)
    Pointer(generation=pointer.generation, history=pointer.history).write(view / POINTER_NAME)


def fetch_models(objects: Objects, generation: LakeGeneration, folder: Path) -> None:
    """Fetch the files of what was tuned below a folder; those that are there with the right content stay.

    Raises:
        IndexFormatError: If one is missing or damaged in the lake, or has a name that leads elsewhere.
    """
    for name, fact in generation.models.items():
        path = folder / model_path(name)
        if path.is_file() and _is(path.read_bytes(), fact):
            continue
        try:
            content = objects.read(name).content
        except (FileNotFoundError, NotADirectoryError):
            content = b""
        if not _is(content, fact):
            raise IndexFormatError(
                "stores.lake_tuned",
                "{lake}/{name}, which was tuned on this lake, is missing or damaged",
                expected="the file that was promoted",
                do="Roll back with `quarry lake rollback {lake}`",
                lake=objects.uri,
                name=name,
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)


def _is(content: bytes, fact: FileFact) -> bool:
    return len(content) == fact.size and sha256(content).hexdigest() == fact.sha256


def _write_generation(folder: Path, generation: LakeGeneration) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / GENERATION_NAME, sealed(generation))
    if generation.centroids:
        np.save(folder / CENTROIDS_NAME, np.array(generation.centroids, dtype=np.float32), allow_pickle=False)
    generation.manifest.model_copy(update={"files": describe_files(folder)}).write(folder)


def viewed(folder: Path) -> tuple[Objects, LakeGeneration]:
    """Return the lake and the generation that a generation's folder in a view stands for.

    Raises:
        IndexFormatError: If the folder is in no view, or is damaged.
    """
    address = address_of(folder.parent.parent)
    if address is None:
        raise IndexFormatError(
            "stores.no_view",
            "{folder} belongs to a lake and is not in a view of one",
            do="Give the address of the lake instead",
            folder=folder,
        )
    content = (folder / GENERATION_NAME).read_bytes()
    return objects_of(address), unsealed(LakeGeneration, content, str(folder / GENERATION_NAME))
