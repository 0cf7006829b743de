"""Forks that are killed with -9: before the n-th change that they make below a folder, or at a random moment.

`test_survival` and `tests.reliability` run this in a process of its own that never searches and never trains itself, so that it
may fork:

    python -m tests.training.killing promotion|checkpoints FOLDER KILLS [SEED [SECONDS]]
"""

import json
import math
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

Tell = Callable[[Any], None]
_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link"}
_WRITES = os.O_WRONLY | os.O_RDWR


def forked(work: Callable[[Tell], None], *, after: float | None = None) -> tuple[int, list[Any]]:
    """Run work in a fork; returns its exit code (-9 when killed) and what it told. `after`: seconds from its first word."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read)
            work(lambda said: (os.write(write, json.dumps(said).encode() + b"\n"), None)[1])
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as words:
        said = [words.readline()]
        if after is not None:
            time.sleep(after)
            os.kill(child, signal.SIGKILL)
        said += words.readlines()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), [json.loads(line) for line in said if line.endswith(b"\n")]


def die_before(change: int | None, folder: Path) -> Callable[[], int]:
    """Kill this process before its n-th change below a folder, from 0; returns what tells how many there were."""
    return changes_below(folder, lambda number: os.kill(os.getpid(), signal.SIGKILL) if number == change else None)


def changes_below(folder: Path, before: Callable[[int], object]) -> Callable[[], int]:
    """Call `before` with the number of each change below a folder, before it is made; returns what tells how many there were."""
    seen, below = [0], str(folder)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            counts = (isinstance(mode, str) and set(mode) & set("wax+")) or (mode is None and flags & _WRITES)
        elif event in _CHANGES:
            path, counts = arguments[0], True
        else:
            return
        name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if counts and (name.startswith(below) or not os.path.isabs(name)):  # a tree is removed by names in its folders
            seen[0] += 1
            before(seen[0] - 1)

    sys.addaudithook(hook)
    return lambda: seen[0]


class Reader:
    """A forked process that looks again and again until it is stopped; `look` tells whether that was a whole round."""

    def __init__(self, look: Callable[[], bool]) -> None:
        self._read, write = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            code = 1
            try:
                self._look_always(look, write)
                code = 0
            finally:
                if code:
                    traceback.print_exc()
                os._exit(code)
        os.close(write)
        assert os.read(self._read, 100).startswith(b"reading")

    @staticmethod
    def _look_always(look: Callable[[], bool], write: int) -> None:
        stopped: list[int] = []
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
        os.write(write, b"reading\n")
        rounds = 0
        while not stopped:
            rounds += look()
        os.write(write, f"{rounds}\n".encode())

    def stop(self) -> int:
        """Return how many rounds it made.

        Raises:
            AssertionError: If it met an error, or found what must not be.
        """
        os.kill(self._child, signal.SIGTERM)
        words = b""
        while part := os.read(self._read, 100):
            words += part
        os.close(self._read)
        _, status = os.waitpid(self._child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, "the reader met an error"
        return int(words.split()[-1])


def promotion(folder: Path, kills: int, seed: int = 0, seconds: float = math.inf) -> dict[str, Any]:
    """Promote, roll back and index until promotions and rollbacks were killed so often; all is as before or as it was to become."""
    from quarry.indexer.build import build_candidate, index_documents
    from quarry.indexer.build.plan import BuildOptions
    from quarry.indexer.opened import Index
    from quarry.indexer.records import Document
    from quarry.indexer.storage.generations import Generations
    from quarry.training.tuning.history import history
    from quarry.training.tuning.promotion import lineage_of, promote, roll_back
    from tests.fakes import WordEmbedder

    index, rng = folder / "index", random.Random(seed)
    texts = [Document("a", "续借图书两次"), Document("b", "renew a book")]
    index_documents(index, texts, WordEmbedder("base"), BuildOptions(analyzer="bigram"))

    def load(facts: Any) -> WordEmbedder:
        return WordEmbedder(facts.to_spec().revision)

    def act(kind: str, number: int) -> None:
        live = Index.open(index).manifest
        if kind == "promote":
            name = build_candidate(index, WordEmbedder(f"m{number}")).generation
            numbers = {"threshold": float(number)}
            promote(index, name, lineage_of(live, f"run{number}", f"v{number}", forced=False, calibration=numbers))
        elif kind == "back":
            roll_back(index, load)
        else:
            index_documents(index, [Document("c", f"version{number} 第{number}版")], load(live.embedder))

    def whole() -> tuple[Any, list[str]]:
        opened = Index.open(index)
        assert opened.manifest.embedder is not None and opened.vectors is not None
        spec, lineage, chain = opened.manifest.embedder.to_spec(), opened.manifest.lineage, []
        while lineage is not None:
            number = lineage.run.removeprefix("run")
            assert (str(lineage.verdict), lineage.calibration) == (f"v{number}", {"threshold": float(number)})
            chain.append(f"m{number}")
            lineage = lineage.before
        assert spec.revision == (chain[0] if chain else "base"), "the lineage is of another model"
        hits = opened.vectors.search(WordEmbedder(spec.revision).embed_queries(["renew a book"]), 1)[0]
        assert hits[0].similarity > 0.999, "the vectors are of another model"
        assert opened.lexical.search(opened.analyzer.tokens("续借"), 1)[0].chunk_id.startswith("a#")
        return opened, chain

    def look(tell: Tell) -> None:
        opened, chain = whole()
        pointer, spec = Generations(index).pointer(), opened.manifest.embedder.to_spec()
        assert pointer.history[-1].generation == pointer.generation == opened.manifest.generation
        steps = history(index)
        assert [step.live for step in steps] == [False] * (len(steps) - 1) + [True]
        assert steps[-1].revision == spec.revision
        texts = sorted(document.text for document in opened.chunks.documents())
        tell({"chain": chain, "texts": texts, "switches": [(s.generation, str(s.reason)) for s in pointer.history]})

    def state() -> dict[str, Any]:
        code, (found, *_) = forked(look)
        assert code == 0
        return dict(found)

    most = {"promote": 60, "back": 6, "documents": 60}  # changes of each at first; then as many as were counted
    killed, finished, before = dict.fromkeys(most, 0), dict.fromkeys(most, 0), state()
    reader, until = Reader(lambda: bool(whole())), time.monotonic() + seconds
    for number in range(10_000):
        enough = min(killed["promote"], killed["back"]) >= kills and all(finished.values())  # each was also let through
        if enough or time.monotonic() > until:
            break
        short = [kind for kind in ("promote", "back") if killed[kind] < kills] or ["promote", "back"]
        kind = rng.choice([*short, *short, "documents"])
        change: int | None = rng.choice(
            [rng.randrange(most[kind]), rng.randrange(max(0, most[kind] - 6), most[kind] + 1)]
        )
        if kind == "back" and not before["chain"]:  # nothing to go back from: a promotion is let through
            kind, change = "promote", None
        elif not finished[kind]:  # the first of each is let through, to see how much it changes
            change = None

        def work(tell: Tell, kind: str = kind, number: int = number, change: int | None = change) -> None:
            changes = die_before(change, index)
            act(kind, number)
            tell(changes())

        code, told = forked(work)
        after = state()
        told_before, told_after = before["switches"], after["switches"]
        assert told_after == told_before or told_after[:-1] == told_before[-49:], (
            f"{kind} {number}: the history changed"
        )
        if code == 0:
            most[kind] = max(6, told[0])
            finished[kind] += 1
            assert told_after != told_before
        else:
            assert code == -9, f"{kind} {number} ended by itself"
            killed[kind] += 1
        if told_after == told_before:
            assert after == before, f"{kind} {number}: something else changed than the pointer"
        elif kind == "promote":
            assert after["chain"] == [f"m{number}", *before["chain"]]
        elif kind == "back":
            assert after["chain"] == before["chain"][1:]
        else:
            assert after["chain"] == before["chain"] and f"version{number} 第{number}版" in after["texts"]
        before = after
    return {"kills": killed, "finished": finished, "changes": most, "reader": reader.stop()}


def checkpoints(folder: Path, kills: int, seed: int = 0, seconds: float = math.inf) -> dict[str, Any]:
    """Train with a checkpoint after each step, killed in saving; every step must give the weights of a run left alone."""
    from safetensors.torch import load_file

    import quarry.training.fit.run as training_run
    from quarry.training.fit.embedder import _EmbedderTrainee
    from quarry.training.fit.models.trainable import open_trainable
    from quarry.training.fit.models.weights import trainable_weights
    from quarry.training.fit.rows.table import RowTable
    from quarry.training.fit.run import Start, run_training
    from quarry.training.fit.run_folder import RunFolder, step_of
    from quarry.training.fit.spec import TrainSpec
    from tests.training.tiny_model import tiny_model, topic_rows

    training_run.versions = dict  # type: ignore[assignment]  # git is not asked two hundred times
    base, rows, rng = tiny_model(folder / "base"), RowTable.of(topic_rows(96)), random.Random(seed)
    spec = TrainSpec(epochs=100, batch_size=16, learning_rate=1e-3, warmup=0.0, checkpoint_steps=1)
    alone = spec.model_copy(update={"checkpoint_steps": 0})
    subject = _EmbedderTrainee(open_trainable(base, spec, device="cpu"), rows, spec)

    def train(tell: Tell, spec: TrainSpec, out: Path, last: int) -> None:
        def observe(progress: Any) -> None:
            weights = sorted(trainable_weights(subject.model).items())
            tell([progress.step, sha256(b"".join(weight.numpy().tobytes() for _, weight in weights)).hexdigest()])
            if progress.step == last:
                os._exit(0)

        run_training(Start(base, "cpu", lambda _: subject), rows, spec, out, dev=None, observer=observe)

    enough = min(590, 2 * kills + 20)
    code, reference = forked(lambda tell: train(tell, alone, folder / "alone", enough))
    assert code == 0
    weights_of = dict(reference)
    out, saving, most, done, furthest = folder / "run", 0.05, 20, 0, 0

    def newest() -> bool:
        """Tell whether there is a whole checkpoint to resume from; its weights are those of its step."""
        try:
            found = RunFolder(out, writes=False).last_checkpoint()
            if found is None:
                return False
            saved = sorted(load_file(found / "trained.safetensors").items())
        except FileNotFoundError:  # the oldest is removed when a newer one is whole
            return False
        digest = sha256(b"".join(weight.numpy().tobytes() for _, weight in saved)).hexdigest()
        assert digest == weights_of[step_of(found)], f"{found} has other weights"
        return True

    reader, until = Reader(newest), time.monotonic() + seconds
    for number in range(4 * kills):
        if done == kills or furthest + 4 > enough or time.monotonic() > until:
            break
        sealed = [step_of(path.parent) for path in out.glob("checkpoints/*/complete.json")]
        change = rng.randrange(2 * most) if number % 2 else None

        def work(tell: Tell, change: int | None = change) -> None:
            if change is not None:
                die_before(change, out / "checkpoints")
            train(tell, spec, out, enough)

        code, told = forked(work, after=None if number % 2 else rng.random() * 2 * saving)
        assert code == -9, f"round {number} ended by itself"
        done += 1
        if told:
            assert told[0][0] == max(sealed, default=0) + 1, (
                f"round {number} began at {told[0][0]}, sealed were {sealed}"
            )
            furthest = max(furthest, told[-1][0])
        assert all(weights_of[step] == found for step, found in told), f"round {number}: other weights"
    return {"kills": done, "steps": furthest, "reader": reader.stop()}


if __name__ == "__main__":
    what = {"promotion": promotion, "checkpoints": checkpoints}[sys.argv[1]]
    print(json.dumps(what(Path(sys.argv[2]), *map(int, sys.argv[3:5]), *map(float, sys.argv[5:]))))
