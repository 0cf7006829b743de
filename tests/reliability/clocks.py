"""A clock that goes back by an hour or by ten years, between two runs of a writer and during one: what was there stays, and is whole."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from itertools import cycle
from pathlib import Path
from typing import Any, Self

from quarry.indexer.opened import Index
from tests.fakes import WordEmbedder
from tests.reliability.kills import ACTS, build, keep_segments, state
from tests.training.killing import Tell, forked

HOUR, TEN_YEARS = 3600, 10 * 365 * 86_400
CLOCKS = {
    "an hour back": (HOUR,),
    "ten years back": (TEN_YEARS,),
    "back and forth at every look": (0, HOUR, TEN_YEARS),
}


def turn_back(seconds: tuple[int, ...]) -> Callable[[], int]:
    """Let all of Quarry see a clock that is so many seconds behind, the next number at each look; only in a fork that ends soon.

    Files keep the times that the system gives them, so they are from the future.

    Returns:
        What tells how often the clock was looked at.
    """
    behind, looks, now = cycle(seconds), [0], time.time

    def shifted() -> float:
        looks[0] += 1
        return now() - next(behind)

    class Moved(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            looks[0] += 1
            return super().now(tz) - timedelta(seconds=next(behind))

    clock = {id(time.time): shifted, id(time.time_ns): lambda: int(shifted() * 1e9), id(datetime): Moved}
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "quarry"]
    for module in [time, *modules]:
        for name, value in list(vars(module).items()):
            if id(value) in clock:
                setattr(module, name, clock[id(value)])
    return lambda: looks[0]


def run(folder: Path, seed: int = 0, rounds: int = 4) -> Iterator[dict[str, Any]]:
    """Let every writer work some rounds, each under a clock further back than the one before it, and under the right one again.

    Raises:
        AssertionError: At the first writer that fails, and at the first thing that is lost, mixed or damaged.
    """
    for kind in ACTS:
        index, tried, looked = folder / f"clock-{kind}", 0, 0
        assert forked(lambda tell, index=index: build(index, 0, tell))[0] == 0  # type: ignore[misc]
        for shift in CLOCKS.values():
            for behind in [(0,), shift] * (rounds // 2):
                tried += 1
                looked += _once(kind, index, tried, behind)
        yield {"fault": "a clock that goes back", "writer": kind, "tried": tried, "looks": looked, "lost": 0}
    yield _of_a_lake(folder / "clock-lake", rounds)


def _of_a_lake(folder: Path, rounds: int) -> dict[str, Any]:
    """Publish to a lake and clean it: what is live is whole, and so is what was live before it."""
    lake, corpus, tried, looked = folder / "lake", folder / "corpus", 0, 0

    def begin(tell: Tell) -> None:
        from tests.indexer.lake.lakes import filled_lake, write_corpus

        filled_lake(str(lake), write_corpus(corpus, files=4))

    assert forked(begin)[0] == 0
    for shift in CLOCKS.values():
        for behind in [(0,), shift] * (rounds // 2):
            tried += 1

            def work(tell: Tell, behind: tuple[int, ...] = behind, number: int = tried) -> None:
                from quarry.indexer.lake import keeping
                from quarry.indexer.lake.adding import add_to_lake
                from quarry.indexer.lake.making import Lake
                from quarry.indexer.lake.publishing import publish
                from tests.indexer.lake.lakes import write_corpus

                opened, embedder, looks = Lake.open(str(lake)), WordEmbedder(), turn_back(behind)
                for step in range(3):
                    write_corpus(corpus, files=4, seed=10 * number + step)
                    os.utime(corpus / "000.md", (10**9 + 10 * number + step,) * 2)
                    add_to_lake(opened, [corpus], embedder)
                    publish(opened, embedder)
                    keeping.clean(opened, keep=1)
                before = keeping.status_of(opened).live
                keeping.roll_back(opened)
                keeping.clean(opened, keep=1)
                assert keeping.status_of(opened).live != before
                assert all(found is None for found in keeping.examine(opened))
                tell(["looks", looks()])

            code, told = forked(work)
            assert code == 0, f"a lake under a clock {behind} seconds behind"
            looked += int(told[-1][1])
    return {"fault": "a clock that goes back", "writer": "lake", "tried": tried, "looks": looked, "lost": 0}


def _once(kind: str, index: Path, number: int, behind: tuple[int, ...]) -> int:
    before = state(index, kind)

    def work(tell: Tell) -> None:
        if kind == "merge":
            keep_segments()
        ACTS[kind](index, number, lambda word: None)  # everything is imported, by the right clock
        looks = turn_back(behind)
        ACTS[kind](index, 100 + number, tell)
        tell(["looks", looks()])

    code, told = forked(work)
    assert code == 0, f"{kind} failed with a clock {behind} seconds behind"
    after = state(index, kind)
    acknowledged = {word for word in told if isinstance(word, str) and word != "begun"}
    if kind in ("feedback", "documents"):
        assert acknowledged | set(before) <= set(after) and len(after) == len(set(after))
    elif kind in ("build", "append", "delete", "upload"):
        texts = {text for _, text in map(tuple, after)}
        assert kind == "delete" or any(str(100 + number) in text for text in texts), (
            f"{kind}: what was added is not there"
        )
    return int(told[-1][1])


def of_files(folder: Path, seed: int = 0) -> dict[str, Any]:
    """Let times of files jump by decades between runs, back and forth: every change is read, and the newest generation answers."""
    index, texts, rng, jumps = folder / "clock", folder / "clock-texts", random.Random(seed), 30
    texts.mkdir()
    for number in range(jumps):
        path = texts / "a.txt"
        path.write_text(f"library version{number}", encoding="utf-8")
        moment = rng.randrange(1_000_000_000, 4_000_000_000)
        os.utime(path, (moment, moment))
        command = [sys.executable, "-m", "quarry", "index", str(texts), "--into", str(index), "--model", "none"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert [d.text for d in Index.open(index).chunks.documents()] == [f"library version{number}"]
    return {"fault": "the clock of files jumps", "tried": jumps, "lost": 0}
