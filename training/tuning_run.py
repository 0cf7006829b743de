"""The folder of one run of the loop: INDEX/tuning/NAME. What is in it is whole, so an interrupted run goes on from it.

plan.json         what was asked for
data/             train.jsonl, dev.jsonl (FlagEmbedding), held-out (BEIR), report.md, report.json; sealed by data/complete.json
finetune/         training/run_folder.py
trials/           saved evaluations: held-out queries, live and tuned
../.general/      saved evaluations of the general set, by model, for all runs of the index
report.json       the verdict, written last
"""

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from indexer.durable import write_atomic
from indexer.errors import FeedbackError

FOLDER = "tuning"
_PLAN, _REPORT, _SEAL = "plan.json", "report.json", "complete.json"


class TuningRun:
    """One run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.finetune = folder / "finetune"
        self.trials = folder / "trials"
        self.general = folder.parent / ".general"

    @classmethod
    def open(cls, index: Path, name: str | None, facts: Mapping[str, Any]) -> "TuningRun":
        """Begin a run, or go on with one.

        Args:
            index: The index folder.
            name: A plain name; None takes the time. The name of a run that is there goes on with it.
            facts: `TuningPlan.facts`.

        Raises:
            FeedbackError: If the name is not a plain one, or its run was asked for something else.
        """
        chosen = name or datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        if not chosen or chosen.startswith(".") or not all(letter.isalnum() or letter in "-_." for letter in chosen):
            raise FeedbackError(f"the run's name is {chosen!r}; expected letters, digits, - and _. Choose another")
        run = cls(index / FOLDER / chosen)
        run.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(facts, ensure_ascii=False, indent=1, sort_keys=True)
        plan = run.folder / _PLAN
        if plan.is_file() and plan.read_text(encoding="utf-8") != text:
            differs = sorted(
                key for key, value in json.loads(plan.read_text(encoding="utf-8")).items() if facts.get(key) != value
            )
            raise FeedbackError(
                f"run {chosen} was started with other settings ({', '.join(differs) or 'unknown'} differ); expected the same to go "
                "on. Give those, or another --run NAME"
            )
        write_atomic(plan, text.encode())
        return run

    @property
    def name(self) -> str:
        """Its name."""
        return self.folder.name

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

    def finish(self, report: Mapping[str, Any]) -> None:
        """Write the report."""
        write_atomic(self.folder / _REPORT, json.dumps(report, ensure_ascii=False, indent=1).encode())

    def report(self) -> dict[str, Any] | None:
        """Return the report of a finished run, None before."""
        path = self.folder / _REPORT
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def tuning_runs(index: Path) -> list[TuningRun]:
    """Return the runs of an index, oldest first."""
    folder = index / FOLDER
    found = [TuningRun(path.parent) for path in folder.glob(f"*/{_PLAN}")] if folder.is_dir() else []
    return sorted(found, key=lambda run: (run.folder / _PLAN).stat().st_mtime)
