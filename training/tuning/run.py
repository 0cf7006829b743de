"""The folder of one run of the loop: INDEX/tuning/NAME. Its files are complete, so an interrupted run resumes from them.

run.lock          held (flock) by the one process that works on the run; names its owner
plan.json         what was asked for
base.json         the model that is tuned
data/             train.jsonl, dev.jsonl (FlagEmbedding), held-out (BEIR), report.md, report.json; sealed by data/complete.json
finetune/         training/run_folder.py
trials/           saved evaluations: held-out queries, live and tuned
../.general/      saved evaluations of the general set, by model, for all runs of the index
judged.json       the report of a model that is about to be promoted
report.json       the verdict, written last
"""

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from quarry.indexer.errors import FeedbackError, IndexBusyError, IndexMismatchError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import write_atomic
from quarry.indexer.storage.files.locks import ProcessLock
from quarry.indexer.storage.manifest import Manifest

FOLDER = "tuning"
LOCK = "run.lock"
_PLAN, _BASE, _JUDGED, _REPORT, _SEAL = "plan.json", "base.json", "judged.json", "report.json", "complete.json"


class TuningRun:
    """One run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.finetune = folder / "finetune"
        self.trials = folder / "trials"
        self.general = folder.parent / ".general"
        self._lock: ProcessLock | None = None

    @classmethod
    def open(cls, index: Path, name: str | None, facts: Mapping[str, Any]) -> "TuningRun":
        """Begin a run, or resume one; no other process can until this one closes or forgets it.

        Args:
            index: The index folder.
            name: A plain name; None takes the time. The name of an existing run resumes it.
            facts: `TuningPlan.facts`.

        Raises:
            FeedbackError: If the name is not a plain one, or its run was asked for something else.
            IndexBusyError: If another process works on this run; the message names it.
        """
        run = cls._new(index) if name is None else cls(index / FOLDER / _plain(name))
        run.folder.mkdir(parents=True, exist_ok=True)
        run._lock = ProcessLock(run.folder / LOCK, partial(run._busy, index))
        run._ask(facts)
        return run

    def _busy(self, index: Path, owner: Message) -> IndexBusyError:
        return IndexBusyError(
            "tuning.run_busy",
            "run {run} of {index} is being worked on by {owner}",
            expected="no other process",
            do="Wait for it or stop it, or give another --run NAME",
            run=self.name,
            index=index,
            owner=owner,
        )

    def close(self) -> None:
        """Release the run, so that others can resume it."""
        if self._lock is not None:
            self._lock.release()

    @classmethod
    def _new(cls, index: Path) -> "TuningRun":
        """Make the folder of a run that is named by the time; a second one in the same second gets a number."""
        now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        for number in count(1):
            run = cls(index / FOLDER / (f"{now}-{number}" if number > 1 else now))
            try:
                run.folder.mkdir(parents=True)
            except FileExistsError:
                continue
            return run
        raise AssertionError

    def _ask(self, facts: Mapping[str, Any]) -> None:
        text = json.dumps(facts, ensure_ascii=False, indent=1, sort_keys=True)
        plan = self.folder / _PLAN
        if plan.is_file() and plan.read_text(encoding="utf-8") != text:
            before = json.loads(plan.read_text(encoding="utf-8"))
            differs = sorted(key for key, value in before.items() if facts.get(key) != value)
            raise FeedbackError(
                "tuning.other_settings",
                "run {run} was started with other settings ({differs} differ)",
                expected="the same to resume it",
                do="Give those, or another --run NAME",
                run=self.name,
                differs=differs or ["unknown"],
            )
        write_atomic(plan, text.encode())

    @property
    def name(self) -> str:
        """Its name."""
        return self.folder.name

    def asked_for(self) -> dict[str, Any]:
        """Return the facts of its plan; none where the plan is not here."""
        plan = self.folder / _PLAN
        return dict(json.loads(plan.read_text(encoding="utf-8"))) if plan.is_file() else {}

    def begin_data(self) -> bool:
        """Make room for the data and return True, or return False when they are there."""
        if (self.data / _SEAL).is_file():
            return False
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir()
        return True

    def seal_data(self, facts: Mapping[str, Any]) -> None:
        """Say that the data are whole."""
        write_atomic(self.data / _SEAL, json.dumps(facts, ensure_ascii=False, indent=1).encode())

    def data_facts(self) -> dict[str, Any]:
        """Return what `seal_data` was given."""
        facts: dict[str, Any] = json.loads((self.data / _SEAL).read_text(encoding="utf-8"))
        return facts

    def tunes(self, live: Manifest) -> None:
        """Note which model the run tunes, or check that it is still the one that answers.

        Raises:
            IndexMismatchError: If another one answers now, perhaps this run's own.
        """
        facts = live.embedder
        spec = facts.to_spec() if facts else None
        now = {"generation": live.generation, "model": spec.model, "revision": spec.revision} if spec else {}
        path = self.folder / _BASE
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else now
        own = next(
            (
                one
                for one in (live.lineage, live.reranker, live.second_stage, live.query_shift)
                if one is not None and one.run == self.name
            ),
            None,
        )
        if own is not None:
            self._settle(live)
            raise IndexMismatchError(
                "tuning.done",
                "run {run} is done: its model answers since {promoted}",
                expected="a run to resume",
                do="Begin another one, or take it back with `quarry models rollback INDEX`",
                run=self.name,
                promoted=own.promoted,
            )
        if any(before[key] != now[key] for key in ("model", "revision")):
            raise IndexMismatchError(
                "tuning.other_model",
                "run {run} tunes {before} ({before_revision}), and {now} ({now_revision}) answers now",
                expected="the same model",
                do="Begin a run under another name, or roll back",
                run=self.name,
                before=before["model"],
                before_revision=before["revision"][:12],
                now=now["model"],
                now_revision=now["revision"][:12],
            )
        write_atomic(path, json.dumps(before, ensure_ascii=False, indent=1).encode())

    def judged(self, report: Mapping[str, Any]) -> None:
        """Keep the report of a model that goes live now; after a crash it is the run's report if the switch was made."""
        write_atomic(self.folder / _JUDGED, json.dumps(report, ensure_ascii=False, indent=1).encode())

    def _settle(self, live: Manifest) -> None:
        path = self.folder / _JUDGED
        if path.is_file() and self.report() is None:
            self.finish({**json.loads(path.read_text(encoding="utf-8")), "generation": live.generation})

    def finish(self, report: Mapping[str, Any]) -> None:
        """Write the report."""
        write_atomic(self.folder / _REPORT, json.dumps(report, ensure_ascii=False, indent=1).encode())
        (self.folder / _JUDGED).unlink(missing_ok=True)

    def report(self) -> dict[str, Any] | None:
        """Return the report of a finished run, None before."""
        path = self.folder / _REPORT
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _plain(name: str) -> str:
    if not name or name.startswith(".") or not all(letter.isalnum() or letter in "-_." for letter in name):
        raise FeedbackError(
            "tuning.name",
            "the run's name is {name}",
            expected="letters, digits, - and _",
            do="Choose another",
            name=repr(name),
        )
    return name


def tuning_runs(index: Path) -> list[TuningRun]:
    """Return the runs of an index, oldest first."""
    folder = index / FOLDER
    found = [TuningRun(path.parent) for path in folder.glob(f"*/{_PLAN}")] if folder.is_dir() else []
    return sorted(found, key=lambda run: (run.folder / _PLAN).stat().st_mtime)
