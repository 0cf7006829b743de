"""The same work on a Ray cluster: it starts workers, gives them what is next, and starts them again when they or their machines die.

Ray Core, not Ray Data: its row checkpoints hold all ids in memory and depend on the layout of blocks. Here everything that is done is
in the folder, so nothing depends on Ray's own state; workers and driver may be killed at any moment. All machines need the same disk
and an installed Quarry.
"""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quarry.indexer.build.progress import Clock, Observer, Unobserved
from quarry.indexer.embedder import Embedder, EmbedderSpec
from quarry.indexer.encode.cut import Kind, UnitCutter, UnitRecord
from quarry.indexer.encode.encoding import ShardEncoder
from quarry.indexer.encode.units import Unit
from quarry.indexer.encode.work import EncodeReport, cutter_of, units_below
from quarry.indexer.errors import MissingExtraError, SearchError
from quarry.indexer.messages import Message
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.shards.folder import ShardFolder

_DEATHS = 3  # of workers over one job
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """How each worker loads the model: its folder on the common disk, and what the spec says of it."""

    folder: str
    spec: EmbedderSpec
    device: str

    def load(self) -> Embedder:
        """Load it. Raises ModelError."""
        from quarry.indexer.models.encoder import load_embedder

        return load_embedder(
            Path(self.folder),
            model_id=self.spec.model,
            revision=self.spec.revision,
            origin=self.spec.origin,
            device=self.device,
            dim=self.spec.dim,
        )


class Worker:
    """What runs on a machine of the cluster: a model, and both steps."""

    def __init__(self, folder: Path, model: ModelPlace, read: ReadOptions) -> None:
        """Remember what `ready` will open and load: a constructor's errors look like a dead machine to Ray."""
        self._folder, self._model, self._read = folder, model, read

    def ready(self) -> None:
        """Open the folder and load the model."""
        folder, embedder = ShardFolder.open(self._folder), self._model.load()
        self._cutter = UnitCutter(folder, cutter_of(folder.settings, embedder.tokens, self._read))
        self._encoder = ShardEncoder(folder, embedder)

    def cut(self, unit: Unit) -> UnitRecord:
        """Cut a unit."""
        return self._cutter.cut(unit)

    def encode(self, name: str, kind: Kind) -> int:
        """Encode a shard."""
        return self._encoder.encode(name, kind)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which cluster, and how much of it.

    Attributes:
        address: `local` for this machine, else what `ray.init` takes, such as `ray://head:10001` or `auto`.
        workers: How many; None for one per GPU, or one per machine where there is none.
    """

    address: str = LOCAL
    workers: int | None = None


def encode_on_ray(
    paths: Sequence[Path],
    folder: ShardFolder,
    model: ModelPlace,
    read: ReadOptions,
    cluster: Cluster,
    observer: Observer | None = None,
) -> EncodeReport:
    """Encode files and folders with the workers of a Ray cluster.

    Args:
        paths: Files and folders, on a disk that every machine sees at the same place.
        folder: Where the shards go, on such a disk.
        model: How workers load the model.
        read: How files are read.
        cluster: Where.
        observer: Receives progress events.

    Raises:
        MissingExtraError: If Ray is not installed.
        SearchError: If the cluster does not start or cannot be reached, or as `encode_corpus`.
    """
    ray = _ray()
    started = not ray.is_initialized()
    if started:
        _connect(ray, cluster.address)
    try:
        report, clock = EncodeReport(), Clock(observer or Unobserved())
        clock.phase("encoding", None)
        hire, count = _hiring(ray, cluster, (folder.root.resolve(), model, read))
        units = units_below(paths, folder.settings, read, report.skipped)
        _Foreman(ray, hire, units, report, clock).run(count)
    except ray.exceptions.RayTaskError as err:
        if isinstance(err.cause, SearchError):
            raise err.cause from err
        raise
    else:
        report.seconds = clock.finish()
        return report
    finally:
        if started:
            ray.shutdown()


@dataclass(frozen=True, slots=True)
class _WaitingShard:
    """A shard to encode."""

    name: str
    kind: Kind


_Job = Unit | _WaitingShard


class _Foreman:
    """Gives each idle worker a shard to encode, or the next unit to cut when none waits.

    When a worker dies, alone or with its machine, another one takes its job. Its successor may have to wait for a free machine; nothing
    else waits for that. Ray's own restarts would keep the job with the successor.
    """

    def __init__(
        self, ray: Any, hire: Callable[[], Any], units: Iterator[Unit], report: EncodeReport, clock: Clock
    ) -> None:
        self._ray, self._hire, self._units = ray, hire, units
        self._report, self._clock = report, clock
        self._idle: deque[Any] = deque()
        self._jobs: deque[_Job] = deque()  # shards, and what dead workers left
        self._running: dict[Any, tuple[Any, _Job | None]] = {}  # None: the worker is starting
        self._deaths: Counter[_Job | None] = Counter()

    def run(self, workers: int) -> None:
        """Do everything. Raises SearchError when a job has killed several workers."""
        for _ in range(workers):
            self._start()
        while self._assign():
            done, _ = self._ray.wait(list(self._running), num_returns=1)
            self._finish(done[0])

    def _start(self) -> None:
        worker = self._hire()
        self._running[worker.ready.remote()] = (worker, None)

    def _assign(self) -> bool:
        """Give out jobs; return whether any is left or running."""
        left = True
        while left and self._idle:
            job = self._jobs.popleft() if self._jobs else next(self._units, None)
            if job is None:
                left = False
                break
            worker = self._idle.popleft()
            call = worker.cut.remote(job) if isinstance(job, Unit) else worker.encode.remote(job.name, job.kind)
            self._running[call] = (worker, job)
        return left or any(job is not None for _, job in self._running.values())

    def _finish(self, call: Any) -> None:
        worker, job = self._running.pop(call)
        try:
            result = self._ray.get(call)
        except self._ray.exceptions.RayActorError as err:
            self._bury(job, err)
            return
        self._idle.append(worker)
        if isinstance(result, UnitRecord):
            self._report.count(result)
            self._jobs.extend(_WaitingShard(name, kind) for name, (kind, _) in result.shards.items())
        elif isinstance(job, _WaitingShard):
            self._report.encoded += result
            self._report.kept += not result
            self._clock.observer.advance(result)

    def _bury(self, job: _Job | None, err: Exception) -> None:
        """Give the job of a dead worker back, and start another worker."""
        self._deaths[job] += 1
        if self._deaths[job] > _DEATHS:
            raise SearchError(
                "shards.workers_die",
                "{count} workers died over {job} ({error})",
                expected="enough memory for the model and one file",
                do="Look into Ray's logs, or run `quarry encode` without --ray to see the error; what is complete is kept",
                count=self._deaths[job],
                job=_named(job),
                error=str(err).splitlines()[0],
            ) from err
        if job is not None:
            self._jobs.append(job)
        self._start()


def _named(job: _Job | None) -> str | Message:
    if job is None:
        return Message.of("shards.their_start", "their start")
    return str(job.files[0]) if isinstance(job, Unit) else job.name


def _hiring(ray: Any, cluster: Cluster, work: tuple[Path, ModelPlace, ReadOptions]) -> tuple[Callable[[], Any], int]:
    """Return what starts a worker, and how many of them there should be."""
    resources = ray.cluster_resources()
    gpus, machines = int(resources.get("GPU", 0)), len([node for node in ray.nodes() if node["Alive"]])
    on_gpu = gpus > 0 and not work[1].device.startswith("cpu")
    count = cluster.workers or (gpus if on_gpu else machines)
    actor = ray.remote(num_gpus=1 if on_gpu else 0, num_cpus=max(1, int(resources.get("CPU", 1)) // count))(Worker)
    return lambda: actor.remote(*work), count


def _connect(ray: Any, address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == LOCAL:
        options |= {"include_dashboard": False}
    else:
        options["address"] = address
    try:
        ray.init(**options)
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as err:  # what Ray raises when nobody answers, or its own start times out
        raise SearchError(
            "shards.no_cluster",
            "Ray at {address} did not start or answer ({error})",
            expected="a running cluster, or `--ray local`",
            do="Check `ray status`, or share the work out without Ray: `--shard 1/N` ... `--shard N/N`",
            address=address,
            error=str(err).splitlines()[0] if str(err) else type(err).__name__,
        ) from err


def _ray() -> Any:
    try:
        import ray
    except ImportError as err:
        raise MissingExtraError(
            "shards.no_ray",
            "the package `ray` is not installed",
            do="Run `pip install 'quarry-search[scale]'`, or share the work out with --shard",
        ) from err
    return ray
