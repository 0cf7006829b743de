"""Drivers that die at random moments, and two at once: `python -m tests.indexer.lake.drivers encode|add CORPUS TARGET KILLS SEED`.

The same work is begun again and again in processes of this one, each killed after a random part of the time that all of it takes; then two
processes finish it together. Printed is one JSON object: how many were killed, and which shards were there after each.
"""

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from quarry.indexer.encode.work import encode_corpus, shard_settings
from quarry.indexer.lake.adding import add_to_lake
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.shards.folder import ShardFolder
from tests.fakes import WordEmbedder
from tests.indexer.lake.lakes import SPEC, new_lake

PART = 8  # of the whole time is the longest that a driver lives, so that the work is not done after a few of them


def encode(corpus: Path, target: Path) -> None:
    """Encode a corpus into a folder of shards."""
    embedder = WordEmbedder()
    settings = shard_settings(embedder, "", SPEC, ReadOptions(), token_states=False)
    encode_corpus([corpus], ShardFolder.create(target, settings), embedder)


def add(corpus: Path, target: Path) -> None:
    """Add a corpus to a lake."""
    embedder = WordEmbedder()
    add_to_lake(new_lake(target, embedder), [corpus], embedder)


WORK: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "encode": (encode, "vectors/*.json"),
    "add": (add, "shards/*.json"),
}


def started(work: Callable[[Path, Path], None], corpus: Path, target: Path, seconds: float | None) -> int:
    """Begin the work in a process that is killed after some seconds; return its id."""
    pid = os.fork()
    if pid:
        return pid
    if seconds is not None:
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        work(corpus, target)
    except Exception as err:  # noqa: BLE001 (said to the parent, none of whose own code may run here)
        print(repr(err), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def main(kind: str, corpus: Path, target: Path, kills: int, seed: int) -> None:
    """Kill so many drivers, then let two finish."""
    (work, pattern), rng = WORK[kind], random.Random(seed)
    begun = perf_counter()
    _, status = os.waitpid(started(work, corpus, target.with_name(f"{target.name}-undisturbed"), None), 0)
    whole = perf_counter() - begun
    killed, seen = 0, []
    for _ in range(kills):
        _, ended = os.waitpid(started(work, corpus, target, rng.uniform(0, whole / PART)), 0)
        killed += os.WIFSIGNALED(ended)
        seen.append({path.name: path.stat().st_mtime_ns for path in target.glob(pattern)})
    last = [started(work, corpus, target, None) for _ in range(2)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in last]
    seen.append({path.name: path.stat().st_mtime_ns for path in target.glob(pattern)})
    lost = sum(now.get(name) != at for before, now in zip(seen, seen[1:], strict=False) for name, at in before.items())
    counts = [len(each) for each in seen]
    print(json.dumps({"first": status, "killed": killed, "codes": codes, "shards": counts, "changed": lost}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
