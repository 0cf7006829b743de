"""The folder of a training run: what was asked for, what came of it, and checkpoints that are complete or ignored.

config.json    settings, base model, digests, versions; written first and compared when a run resumes
log.jsonl      one line per step or evaluation
checkpoints/   checkpoint-STEP, each with `complete.json`, written last
best.safetensors, best.json    the weights with the best dev score so far
start/         the model that it begins with, where it had to be made
taught-*.jsonl the rows with a teacher's scores
model/         the finished model, moved here whole
result.json    written last of all
"""

import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from json import JSONDecodeError, dumps, loads
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from quarry.indexer.errors import SearchError, TrainingError
from quarry.indexer.storage.files.durable import sync_tree, write_atomic
from quarry.indexer.storage.files.sealing import FileFact, describe, differences, seal, unseal

START = "start"  # the model that a run begins with, where it had to be made of what was given (`quarry.training.fit.models.start`)
TAUGHT = "taught-"  # begins the name of the file with a teacher's scores (`quarry.training.fit.rows.teacher`)
_SEAL = "complete.json"
_PROJECT = "quarry-search"
_PACKAGES = ("torch", "transformers", "sentence-transformers", "peft", "accelerate", "datasets", "safetensors")
_COMPARED = ("what", "base", "rows_digest", "dev_digest", "spec", "processes")


def digest_of(content: Any) -> str:
    """Return 16 hex digits of a JSON-like value; equal content gives equal digits, whatever the order of keys."""
    return sha256(
        dumps(content, sort_keys=True, ensure_ascii=False, default=list).encode("utf-8", "replace")
    ).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Return the packages that decide what comes out, and the commit of this code when it runs from a checkout of Quarry."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    if commit := _commit(Path(__file__).resolve()):
        found["commit"] = commit
    return found


def _commit(file: Path) -> str:
    """Return the commit of Quarry's checkout that a file is tracked in; empty elsewhere, as in a venv inside another repository."""
    git = shutil.which("git")
    if git is None:
        return ""

    def asked(*arguments: str) -> list[str]:
        command = [git, "-C", str(file.parent), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (fixed arguments)
        return done.stdout.splitlines() if done.returncode == 0 else []

    top, *commit = asked("rev-parse", "--show-toplevel", "HEAD") or [""]
    try:
        project = tomllib.loads((Path(top) / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    ours = project == _PROJECT and asked("ls-files", "--error-unmatch", file.name)
    return commit[0] if ours and commit else ""


class RunFolder:
    """One run's folder. Only the first of several processes writes."""

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self.model = folder / "model"
        self.best_weights = folder / "best.safetensors"
        self._log = folder / "log.jsonl"
        self.writes = writes

    def begin(self, config: Mapping[str, Any]) -> None:
        """Write the configuration, or check that an earlier one in this folder is of the same run.

        Raises:
            TrainingError: If the folder holds another run, or something else, or cannot be written.
        """
        path = self.folder / "config.json"
        earlier = _read(path)
        # without a result or a checkpoint nothing is lost: the run may begin with other settings
        if earlier and (self.result() or self.last_checkpoint()):
            other = [name for name in _COMPARED if digest_of(earlier.get(name)) != digest_of(config.get(name))]
            if other:
                raise TrainingError(
                    "fit.other_run",
                    "{folder} holds a run with another {differs}",
                    expected="the same to resume it",
                    do="Choose another folder, or remove this one",
                    folder=self.folder,
                    differs=other,
                )
            return
        if not earlier and self.folder.is_dir() and any(not _belongs(child.name) for child in self.folder.iterdir()):
            raise TrainingError(
                "fit.not_empty",
                "{folder} is not empty and holds no run",
                expected="a new folder",
                do="Choose another",
                folder=self.folder,
            )
        if self.writes:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            write_atomic(path, dumps(config, ensure_ascii=False, indent=1).encode())

    def seal(self, checkpoint: Path) -> None:
        """Declare a checkpoint whole: its files are durable, their sizes and digests noted."""
        sync_tree(checkpoint)
        facts = describe(checkpoint, (path for path in checkpoint.iterdir() if path.is_file()))
        write_atomic(checkpoint / _SEAL, seal({name: fact.model_dump() for name, fact in facts.items()}))

    def last_checkpoint(self) -> Path | None:
        """Return the newest whole checkpoint; what a killed process left half written, and what was damaged since, is removed."""
        found = sorted(self.checkpoints.glob("checkpoint-*"), key=lambda path: -step_of(path))
        whole = [path for path in found if _is_whole(path)]
        for path in found if self.writes else ():
            if path not in whole:
                shutil.rmtree(path, ignore_errors=True)
        return whole[0] if whole else None

    def add(self, line: Mapping[str, Any]) -> None:
        """Append to the log."""
        if self.writes:
            with self._log.open("a", encoding="utf-8") as handle:
                handle.write(dumps(line, ensure_ascii=False) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        """Return the log; a line that was cut off by a crash is left out."""
        if not self._log.is_file():
            return []
        found = (_parsed(line) for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines())
        return [line for line in found if line]

    def forget_after(self, step: int) -> None:
        """Drop what was logged after a step, because those steps are run again."""
        if self.writes:
            kept = [line for line in self.lines() if int(line.get("step", 0)) <= step]
            write_atomic(self._log, "".join(dumps(line, ensure_ascii=False) + "\n" for line in kept).encode())

    def finish(self, result: Mapping[str, Any]) -> None:
        """Record that the run is done; its checkpoints are removed."""
        if self.writes:
            write_atomic(self.folder / "result.json", dumps(result, ensure_ascii=False, indent=1).encode())
            shutil.rmtree(self.checkpoints, ignore_errors=True)
            self.best_weights.unlink(missing_ok=True)

    def result(self) -> dict[str, Any]:
        """Return what `finish` wrote, empty when the run is not done."""
        return _read(self.folder / "result.json")


def _belongs(name: str) -> bool:
    """Tell whether a file is one that is made for a run before it begins."""
    return name == START or name.lstrip(".").startswith((TAUGHT, START))


def step_of(checkpoint: Path) -> int:
    """Return the step in a checkpoint's name."""
    return int(checkpoint.name.rpartition("-")[2])


def losses(lines: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """Return step and loss of the lines that have one."""
    return [(int(line["step"]), float(line["loss"])) for line in lines if "loss" in line]


def dev_scores(lines: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """Return step and dev score of the lines that have one."""
    return [(int(line["step"]), float(line["dev"])) for line in lines if "dev" in line]


def _is_whole(checkpoint: Path) -> bool:
    """Whether every file is as it was when the checkpoint was sealed; only sizes are known of those of versions before 0.3.0."""
    try:
        noted = unseal(checkpoint / _SEAL)
        sizes = {name: fact for name, fact in noted.items() if isinstance(fact, int)}
        facts = {name: FileFact.model_validate(fact) for name, fact in noted.items() if name not in sizes}
    except (FileNotFoundError, SearchError, ValidationError):
        return False
    files = ((checkpoint / name, size) for name, size in sizes.items())
    as_long = all(path.is_file() and os.path.getsize(path) == size for path, size in files)
    return bool(noted) and as_long and not differences(checkpoint, facts, hashes=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return {}


def _parsed(text: str) -> dict[str, Any]:
    try:
        content = loads(text)
    except JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}
