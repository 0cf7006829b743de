"""Publishing: what was added becomes a new generation, beside the live one, which answers until one conditional put replaces it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from quarry.indexer.build.progress import Clock, Observer, Unobserved
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.lake.counted import Counted
from quarry.indexer.lake.indexing import INDEX_FROM, index_tables, index_vectors
from quarry.indexer.lake.making import Lake
from quarry.indexer.lake.measuring import centroids_of, measure
from quarry.indexer.lake.roots import root_listings
from quarry.indexer.lake.shard import LakeShard, marker_name, read_marker
from quarry.indexer.lake.streaming import Target, write_tables
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.messages import Message
from quarry.indexer.storage.facts import Lexical, Store
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.pointer import Switch
from quarry.indexer.stores.lake.layout import (
    GENERATION_NAME,
    KIND,
    NAMES,
    PASSAGES,
    LakeGeneration,
    check_lake_model,
    generation_folder,
    read_generation,
    read_pointer,
    replace_pointer,
    sealed,
)
from quarry.indexer.stores.lake.lexical import ENGINE
from quarry.indexer.stores.lake.objects import Objects
from quarry.indexer.stores.lake.opening import LakeParts

CLAIM_NAME = "claim.json"


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What was published.

    Attributes:
        generation: Its name.
        switched: False when what was added is live already.
        documents: In it.
        passages: In it.
        left_out: Documents that were left out because their id was there before.
        index: Of the vectors: `IVF_RQ`, or `none` where every vector is compared.
        recall: Recall@10 against exact search.
        probes: Partitions that a search looks into.
        refine: Candidates per hit that are compared with their stored vectors.
        seconds: By phase.
    """

    generation: str
    switched: bool
    documents: int
    passages: int
    left_out: int
    index: str
    recall: float
    probes: int
    refine: int
    seconds: dict[str, float]


def publish(
    lake: Lake,
    embedder: Embedder,
    *,
    observer: Observer | None = None,
    index_from: int = INDEX_FROM,
    scratch: Path | None = None,
) -> PublishReport:
    """Make what was added the live generation.

    Args:
        lake: The lake.
        embedder: Its model, for the few hundred sentences that a generation is measured with.
        observer: Receives progress events.
        index_from: With fewer vectors, all are compared with a question.
        scratch: Where counts are kept meanwhile, about 300 bytes a passage; None for the system's temporary folder.

    Returns:
        The counts. On any error, the live generation stays as it was.

    Raises:
        IndexMismatchError: If the model is not the lake's.
        ShardError: If a shard is missing or damaged; it is named.
        SearchError: If recall@10 stays below 0.95.
        IndexBusyError: If another process has switched meanwhile.
        IndexFormatError: If nothing was added yet, or the storage does not answer.
    """
    objects = lake.objects
    check_lake_model(objects.uri, lake.settings, embedder.spec.fingerprint)
    pointer, before = read_pointer(objects)
    listings = root_listings(objects)
    keys = tuple(key for listing in listings for key in listing.shards)
    if not keys:
        raise _nothing_added(objects)
    roots = {listing.name: sum(shard.documents for shard in _shards(objects, listing.shards)) for listing in listings}
    live = read_generation(objects, pointer.generation) if pointer.generation else None
    if live is not None and live.shards == keys and live.roots == roots:
        return _report(live, Clock(Unobserved()), switched=False, added=sum(roots.values()))
    clock = Clock(observer or Unobserved())
    name = claimed(objects, [step.generation for step in pointer.history])
    with TemporaryDirectory(prefix="quarry-lake-", dir=scratch) as folder:
        made = _Making(lake, embedder, name, clock, Path(folder)).make(keys, index_from)
    made = made.model_copy(update={"roots": roots, "shards": keys, **_tuned(made.manifest, live)})
    objects.write(f"{generation_folder(name)}/{GENERATION_NAME}", sealed(made))
    step = Switch(generation=name, at=_now(), reason=made.manifest.reason)
    replace_pointer(objects, pointer.switched(step), before)
    return _report(made, clock, switched=True, added=sum(roots.values()))


class _Making:
    """One generation in the making."""

    def __init__(self, lake: Lake, embedder: Embedder, name: str, clock: Clock, scratch: Path) -> None:
        self._lake, self._embedder, self._name = lake, embedder, name
        self._clock, self._scratch = clock, scratch
        states = lake.settings.token_states
        self._target = Target(lake.objects, generation_folder(name), embedder.spec.dim, states)

    def make(self, keys: tuple[str, ...], index_from: int) -> LakeGeneration:
        """Write tables and indexes, and measure; what is returned is not stored yet."""
        objects, dim = self._lake.objects, self._target.dim
        with Counted(self._scratch) as counted:
            tables = write_tables(lambda: _shards(objects, keys), self._target, counted, self._clock)
            self._clock.phase("indexing", None)
            index_tables(tables)
            place = f"{objects.uri}/{self._target.folder}"
            found = index_vectors(tables[PASSAGES], "chunk_id", dim, f"{place}/{PASSAGES}.lance", index_from=index_from)
            named = None
            if NAMES in tables:
                named = index_vectors(tables[NAMES], "id", dim, f"{place}/{NAMES}.lance", index_from=index_from)
            centroids = centroids_of(counted)
            made = LakeGeneration(
                manifest=self._manifest(counted),
                versions={table: int(opened.version) for table, opened in tables.items()},
                passages=found,
                names=named,
                mean_length=counted.mean_length(),
                centroids=tuple(tuple(row.tolist()) for row in centroids.values()),
                heads=self._lake.settings.heads,
            )
        parts = LakeParts.open(objects, made)
        self._clock.phase("probing", None)
        kind = self._lake.settings.analyzer
        probes = measure(parts, self._embedder, kind, centroids, self._scratch)
        store = Store(kind=KIND, details=parts.vectors.details)
        manifest = made.manifest.model_copy(update={"probes": probes, "store": store})
        return made.model_copy(update={"manifest": manifest})

    def _manifest(self, counted: Counted) -> Manifest:
        settings, first = self._lake.settings, int(self._name) == 1
        return Manifest(
            quarry=version("quarry-search"),
            generation=self._name,
            created=_now(),
            reason=Message.of("build.built", "built") if first else Message.of("build.updated", "updated"),
            documents=counted.documents,
            chunks=counted.passages,
            corpus_sha256=counted.corpus_sha256(),
            chunking=settings.chunking,
            lexical=Lexical(analyzer=settings.analyzer, identity=analyzer(settings.analyzer).name, engine=ENGINE),
            embedder=settings.embedder,
            store=Store(kind=KIND, details={}),
            reading=settings.reading,
            token_states=settings.token_states,
            files={},
        )


def _tuned(manifest: Manifest, live: LakeGeneration | None) -> dict[str, object]:
    """Return what the new generation takes over of the live one: what was tuned, with its files."""
    if live is None:
        return {}
    kept = {name: getattr(live.manifest, name) for name in ("reranker", "second_stage", "query_shift", "lineage")}
    return {"manifest": manifest.model_copy(update=kept), "models": live.models}


def _shards(objects: Objects, keys: tuple[str, ...]) -> Iterator[LakeShard]:
    for key in keys:
        found = read_marker(objects, key)
        if found is None:
            raise IndexFormatError(
                "lake.no_shard",
                "{lake}/{name} is missing; what is live is as it was",
                expected="every shard that was added",
                do="Run the `quarry lake add` command again: it makes what is missing",
                lake=objects.uri,
                name=marker_name(key),
            )
        yield found


def claimed(objects: Objects, known: Sequence[str]) -> str:
    """Return the number of the new generation; of two processes that publish at once, each gets one of its own."""
    folders = {each.name.split("/")[1] for each in objects.names("generations")}
    number = max((int(name) for name in {*folders, *known} if name.isdigit()), default=0)
    while True:
        number += 1
        name = f"{number:06d}"
        if objects.create(f"{generation_folder(name)}/{CLAIM_NAME}", f'{{"at": "{_now()}"}}'.encode()):
            return name


def _report(made: LakeGeneration, clock: Clock, *, switched: bool, added: int) -> PublishReport:
    facts, manifest = made.passages, made.manifest
    return PublishReport(
        generation=manifest.generation,
        switched=switched,
        documents=manifest.documents,
        passages=manifest.chunks,
        left_out=added - manifest.documents,
        index=facts.index,
        recall=facts.recall,
        probes=facts.probes,
        refine=facts.refine,
        seconds=clock.finish(),
    )


def _nothing_added(objects: Objects) -> IndexFormatError:
    return IndexFormatError(
        "lake.nothing_added",
        "nothing was added to {lake} yet",
        do="Run `quarry lake add {lake} DOCS`",
        lake=objects.uri,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
