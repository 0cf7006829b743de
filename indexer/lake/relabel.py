"""A new generation of a lake, or of an index, that differs from the live one in what was tuned on it.

What is tuned without encoding a passage is a few files: a reranker, a second stage, how questions move. In a lake they are stored below
`models/`, and a generation is made that names them and has the tables of the live one. The pointer is replaced as by a publish, so
every reader follows, and `quarry lake rollback` goes back.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from quarry.indexer.errors import IndexFormatError, ModelError
from quarry.indexer.lake.publishing import claimed
from quarry.indexer.messages import Message
from quarry.indexer.storage import relabel
from quarry.indexer.storage.facts import RerankerFacts
from quarry.indexer.storage.files.sealing import FileFact
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.pointer import Switch
from quarry.indexer.stores.lake.layout import (
    GENERATION_NAME,
    generation_folder,
    read_generation,
    read_pointer,
    replace_pointer,
    sealed,
)
from quarry.indexer.stores.lake.objects import Objects, objects_of
from quarry.indexer.stores.lake.view import address_of, follow


def with_reranker(index: Path, reranker: RerankerFacts | None, reason: Message, *, expected: Manifest) -> str:
    """Make an index, or the lake that a folder is the view of, answer with another reranker, or with none of its own.

    Args:
        index: The index folder; the files of what was tuned are in it.
        reranker: What the new generation records.
        reason: Recorded in the history.
        expected: The generation that the caller judged. Its documents may have changed since; its models may not.

    Returns:
        The generation that is live now.

    Raises:
        IndexFormatError: If the live generation cannot be read, or the storage of a lake does not answer.
        IndexMismatchError: If another model or reranker has gone live since.
        IndexBusyError: If another process is writing to the index, or has switched the lake meanwhile.
    """
    return with_parts(index, {"reranker": reranker}, reason, expected=expected)


def with_second_stage(index: Path, facts: RerankerFacts | None, reason: Message, *, expected: Manifest) -> str:
    """Make the live generation answer with another second stage, or with the plain one. As `with_reranker`."""
    return with_parts(index, {"second_stage": facts}, reason, expected=expected)


def with_query_shift(index: Path, facts: RerankerFacts | None, reason: Message, *, expected: Manifest) -> str:
    """Make the questions of the live generation move in another way, or not at all. As `with_reranker`."""
    return with_parts(index, {"query_shift": facts}, reason, expected=expected)


def with_parts(index: Path, changes: Mapping[str, RerankerFacts | None], reason: Message, *, expected: Manifest) -> str:
    """Change several of these at once: `reranker`, `second_stage`, `query_shift`; None for none. As `with_reranker`."""
    address = address_of(index)
    if address is None:
        return relabel.relabelled(index, changes, reason, expected)
    objects = objects_of(address)
    pointer, before = read_pointer(objects)
    live = read_generation(objects, pointer.generation)
    relabel.check_judged(live.manifest, expected)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    name = claimed(objects, [step.generation for step in pointer.history])
    manifest = live.manifest.model_copy(update={"generation": name, "created": at, "reason": reason, **changes})
    folders = {facts.folder for facts in tuned_in(manifest) if facts is not None}
    made = live.model_copy(
        update={
            "manifest": manifest,
            "tables": live.tables or live.manifest.generation,
            "models": _stored(objects, index, folders),
        }
    )
    objects.write(f"{generation_folder(name)}/{GENERATION_NAME}", sealed(made))
    replace_pointer(objects, pointer.switched(Switch(generation=name, at=at, reason=reason)), before)
    follow(index, at_once=True)
    return name


def tuned_in(manifest: Manifest) -> tuple[RerankerFacts | None, ...]:
    """Return what was tuned in a generation beside its embedding model."""
    return manifest.reranker, manifest.second_stage, manifest.query_shift


def _stored(objects: Objects, index: Path, folders: set[str]) -> dict[str, FileFact]:
    """Store the folders of what was tuned in a lake; return their files by name.

    Raises:
        ModelError: If a folder is not there.
        IndexFormatError: If other content has the name already.
    """
    found: dict[str, FileFact] = {}
    for folder in sorted(folders):
        files = [path for path in sorted((index / folder).rglob("*")) if path.is_file()]
        before = [] if files else [each.name for each in objects.names(folder)]  # tuned on another machine
        found.update((name, _fact(objects.read(name).content)) for name in before)
        if not files and not before:
            raise ModelError(
                "lake.no_tuned_folder",
                "{folder} is not there, and what was tuned is in it",
                expected="the folder of the run",
                do="Tune again under another name",
                folder=index / folder,
            )
        for path in files:
            name, content = path.relative_to(index).as_posix(), path.read_bytes()
            if not objects.create(name, content) and objects.read(name).content != content:
                raise IndexFormatError(
                    "lake.tuned_taken",
                    "{lake}/{name} holds what another run made",
                    expected="none",
                    do="Tune again with another --run NAME",
                    lake=objects.uri,
                    name=name,
                )
            found[name] = _fact(content)
    return found


def _fact(content: bytes) -> FileFact:
    return FileFact(size=len(content), sha256=sha256(content).hexdigest())
