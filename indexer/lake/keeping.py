"""Keeping a lake: what is in it, what is wrong with it, going back, and removing what nothing names."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from time import time

import numpy as np

from quarry.indexer.errors import IndexFormatError, SearchError
from quarry.indexer.lake.making import Lake
from quarry.indexer.lake.roots import root_listings
from quarry.indexer.lake.shard import FOLDER, file_content, read_marker
from quarry.indexer.messages import Message
from quarry.indexer.storage.pointer import Switch
from quarry.indexer.stores.lake.layout import (
    GENERATION_NAME,
    MODELS,
    LakeGeneration,
    generation_folder,
    read_generation,
    read_pointer,
    replace_pointer,
)
from quarry.indexer.stores.lake.objects import Listed, Objects
from quarry.indexer.stores.lake.opening import LakeParts

KEEP = 2  # generations that were live before, and stay
GRACE_HOURS = 24.0  # what is younger, or was live since, is left alone
_ASKED = 20  # passages that `doctor` looks for by their own vectors


@dataclass(frozen=True, slots=True)
class RootStatus:
    """A folder in a lake.

    Attributes:
        name: What its documents' ids begin with.
        path: Where it was on the machine that added it.
        documents: In its shards.
        passages: In them.
        live: Whether the live generation has exactly these.
    """

    name: str
    path: str
    documents: int
    passages: int
    live: bool


@dataclass(frozen=True, slots=True)
class LakeStatus:
    """What is in a lake.

    Attributes:
        lake: Its address.
        model: The embedding model.
        live: The live generation; None before the first publish.
        history: Switches, newest last.
        generations: Names of those whose files are there.
        roots: Folders that were added.
        bytes: Of all objects.
        objects: How many there are.
    """

    lake: str
    model: str
    live: LakeGeneration | None
    history: tuple[Switch, ...]
    generations: tuple[str, ...]
    roots: tuple[RootStatus, ...]
    bytes: int
    objects: int

    @property
    def to_publish(self) -> bool:
        """Whether something was added or taken out that is not live."""
        gone = set(self.live.roots) - {root.name for root in self.roots} if self.live else set()
        return bool(gone) or not all(root.live for root in self.roots)


def status_of(lake: Lake) -> LakeStatus:
    """Describe a lake. Raises IndexFormatError when a record is damaged, or the storage does not answer."""
    objects = lake.objects
    pointer, _ = read_pointer(objects)
    live = read_generation(objects, pointer.generation) if pointer.generation else None
    known = set(live.shards) if live else set()
    roots = []
    for listing in root_listings(objects):
        shards = [shard for key in listing.shards if (shard := read_marker(objects, key)) is not None]
        roots.append(
            RootStatus(
                name=listing.name,
                path=listing.path,
                documents=sum(shard.documents for shard in shards),
                passages=sum(shard.passages for shard in shards),
                live=known.issuperset(listing.shards) and live is not None and listing.name in live.roots,
            )
        )
    listed = list(objects.names())
    generations = {each.name.split("/")[1] for each in listed if each.name.startswith("generations/")}
    return LakeStatus(
        lake=objects.uri,
        model=lake.settings.embedder.to_spec().model,
        live=live,
        history=pointer.history,
        generations=tuple(sorted(generations)),
        roots=tuple(roots),
        bytes=sum(each.size for each in listed),
        objects=len(listed),
    )


def roll_back(lake: Lake) -> Switch:
    """Make the generation live that was live before this one.

    Raises:
        IndexFormatError: If there is none, or its record is damaged.
        IndexBusyError: If another process has switched meanwhile.
    """
    pointer, before = read_pointer(lake.objects)
    earlier = [step.generation for step in pointer.history if step.generation != pointer.generation]
    if not earlier:
        raise IndexFormatError(
            "lake.nothing_before",
            "{lake} has no generation before the live one",
            do="Publish again with other documents",
            lake=lake.objects.uri,
        )
    name = earlier[-1]
    generation = read_generation(lake.objects, name)
    LakeParts.open(lake.objects, generation)  # one that `clean` has removed is not switched to
    at = datetime.now(UTC).isoformat(timespec="seconds")
    reason = Message.of("lake.rolled_back", "rolled back from {name}", name=pointer.generation)
    step = Switch(generation=name, at=at, reason=reason)
    replace_pointer(lake.objects, pointer.switched(step), before)
    return step


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What was removed, or would be.

    Attributes:
        objects: Their names.
        bytes: Of them.
        generations: Those that are gone.
        kept: Generations that are left.
    """

    objects: tuple[str, ...]
    bytes: int
    generations: tuple[str, ...]
    kept: tuple[str, ...]


def clean(lake: Lake, *, hours: float = GRACE_HOURS, keep: int = KEEP, dry_run: bool = False) -> Cleaning:
    """Remove what nothing names: shards of no folder, generations that are neither live nor kept, and leftovers of killed writers.

    Nothing younger than `hours` is touched, so a writer at work is safe, and no generation that was live within them, so a reader
    is: it follows the live one within seconds.

    Args:
        lake: The lake.
        hours: See above.
        keep: How many generations that were live before stay, for going back.
        dry_run: Only say what would be removed.

    Raises:
        ValueError: If hours or keep is below 0.
        IndexFormatError: If a record is damaged: then nothing is removed, as it cannot be told what it names.
    """
    if hours < 0 or keep < 0:
        raise ValueError(f"hours is {hours} and keep is {keep}; expected both to be at least 0")
    objects, now = lake.objects, time()
    pointer, _ = read_pointer(objects)
    kept = _kept_generations(pointer.history, pointer.generation, now - hours * 3600, keep)
    named = set(_named_by_shards(objects, [*_listed_keys(objects), *_live_keys(objects, pointer.generation)]))
    for name in sorted(kept):
        if objects.size(f"{generation_folder(name)}/{GENERATION_NAME}") is not None:
            generation = read_generation(objects, name)
            kept.add(generation.tables or name)
            named |= set(generation.models)
    gone = [
        each for each in objects.names() if each.modified < now - hours * 3600 and not _is_needed(each, named, kept)
    ]
    generations = {each.name.split("/")[1] for each in objects.names("generations")}
    lost = {each.name.split("/")[1] for each in gone if each.name.startswith("generations/")} - kept
    if not dry_run:
        objects.remove(each.name for each in gone)
    return Cleaning(
        objects=tuple(each.name for each in gone),
        bytes=sum(each.size for each in gone),
        generations=tuple(sorted(lost)),
        kept=tuple(sorted(generations - lost)),
    )


def _kept_generations(history: tuple[Switch, ...], live: str, since: float, keep: int) -> set[str]:
    """Return the live generation, those that were live since a time, and the last ones before.

    A switch is not earlier than the one before it, whatever the clock said that was set back between them.
    """
    kept, earlier = {live}, []
    times = accumulate((datetime.fromisoformat(step.at).timestamp() for step in history[1:]), max)
    for step, until in zip(history, [*times, None], strict=False):
        if until is None or until >= since:
            kept.add(step.generation)
        earlier.append(step.generation)
    for name in list(dict.fromkeys(reversed(earlier)))[: keep + 1]:
        kept.add(name)
    return kept


def _listed_keys(objects: Objects) -> list[str]:
    return [key for listing in root_listings(objects) for key in listing.shards]


def _live_keys(objects: Objects, live: str) -> tuple[str, ...]:
    return read_generation(objects, live).shards if live else ()


def _named_by_shards(objects: Objects, keys: list[str]) -> Iterator[str]:
    for key in dict.fromkeys(keys):
        yield f"{FOLDER}/{key}.json"
        found = read_marker(objects, key)
        yield from (name for name, _ in found.files) if found else ()


def _is_needed(each: Listed, named: set[str], kept: set[str]) -> bool:
    folder, _, rest = each.name.partition("/")
    if folder in (FOLDER, MODELS):
        return each.name in named
    if folder == "generations":
        return rest.split("/")[0] in kept
    return folder != "trial"


def examine(lake: Lake) -> Iterator[Message | None]:
    """Look at everything that a search or the next publish needs; yield what is wrong, and None for each thing that is well."""
    objects = lake.objects
    for key in _listed_keys(objects):
        yield from _examine_shard(objects, key)
    pointer, _ = read_pointer(objects)
    earlier = dict.fromkeys(step.generation for step in pointer.history if step.generation != pointer.generation)
    for name in [pointer.generation, *earlier] if pointer.generation else ():
        removed = objects.size(f"{generation_folder(name)}/{GENERATION_NAME}") is None
        if name == pointer.generation or not removed:
            yield _examine_generation(objects, name)


def _examine_shard(objects: Objects, key: str) -> Iterator[Message | None]:
    try:
        found = read_marker(objects, key)
    except SearchError as err:
        yield err.message
        return
    if found is None:
        yield Message.of(
            "lake.shard_gone",
            "shard {key} is missing",
            do="Run the `quarry lake add` command again: it makes what is missing",
            key=key,
        )
        return
    for name, fact in found.files:
        try:
            file_content(objects, name, fact)
        except SearchError as err:
            yield err.message
        else:
            yield None


def _examine_generation(objects: Objects, name: str) -> Message | None:
    """Open every table of a generation, and look for some passages by their own vectors and by their own words."""
    try:
        generation = read_generation(objects, name)
        parts = LakeParts.open(objects, generation)
        texts = parts.texts.counts()
        rows = np.linspace(0, len(parts.vectors) - 1, min(_ASKED, len(parts.vectors)), dtype=np.int64)
        vectors = parts.vectors.vectors_of(np.unique(rows))
        best = [near[0].similarity for near in parts.vectors.search(vectors, 1)]
    except SearchError as err:
        return err.message
    found = sum(similarity > 1 - 1e-3 for similarity in best)
    if texts != (generation.manifest.documents, generation.manifest.chunks) or found < len(best):
        return Message.of(
            "lake.lost_passages",
            "generation {name} finds {hits} of {asked} passages by their own vectors",
            expected="all of them",
            do="Roll back with `quarry lake rollback`, or publish again",
            name=generation_folder(name),
            hits=found,
            asked=len(best),
        )
    return None
