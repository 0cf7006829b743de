"""The training of a tuning run in several processes of this machine: torchrun works on a job that is written into the run's folder.

Everything else of the run (data, merging, encoding, verdict) stays in the process that began it. Each process runs
`python -m quarry.training.tuning.processes JOB`. `batch_size` is shared among them, so a step is the one that a single process makes.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from quarry.indexer.errors import SearchError, SettingsError, TrainingError
from quarry.indexer.storage.files.durable import write_atomic
from quarry.retriever.ranking import Query
from quarry.training.examples.row_files import RowFiles
from quarry.training.examples.rows import TrainingRow, write_training_rows
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.fit.run import TrainedModel, finished
from quarry.training.fit.spec import TrainSpec

_ROWS, _JOB, _FAULT, _LOG = "rows.jsonl", "job.json", "fault.txt", "processes.log"
_PATIENCE = 90  # seconds for a checkpoint after Ctrl-C


@dataclass(frozen=True, slots=True)
class Job:
    """What the processes train.

    Attributes:
        model: Folder of the model to begin with.
        spec: How, with the batch of all processes together.
        out: The folder of the training run.
        device: Where models run.
    """

    model: Path
    spec: TrainSpec
    out: Path
    device: str


def finetune_in_processes(job: Job, rows: Sequence[TrainingRow], dev: DevSet, count: int) -> TrainedModel:
    """Train in several processes, or resume; see `quarry.training.fit.embedder.finetune`.

    Args:
        job: What is trained.
        rows: What to learn from.
        dev: Held-out queries that choose the checkpoint; the first process scores them for all.
        count: How many processes.

    Raises:
        SettingsError: If the batch cannot be shared out.
        TrainingError: If a process fails; its sentence is told.
    """
    if job.spec.batch_size % count:
        raise SettingsError(
            "tuning.batch_of_processes",
            "a batch of {batch} rows cannot be shared out to {count} processes",
            expected="a multiple of their number",
            do="Give another --batch-size",
            batch=job.spec.batch_size,
            count=count,
        )
    place = job.out.parent / "processes"
    place.mkdir(parents=True, exist_ok=True)
    (place / _FAULT).unlink(missing_ok=True)
    write_training_rows(place / _ROWS, rows)
    own = job.spec.model_copy(update={"batch_size": job.spec.batch_size // count})
    content = {
        "model": str(job.model),
        "spec": own.model_dump(mode="json"),
        "out": str(job.out),
        "device": job.device,
        "dev": asdict(dev),
    }
    write_atomic(place / _JOB, json.dumps(content, ensure_ascii=False).encode())
    code = _launched(place, count)
    if code or not (job.out / "result.json").is_file():
        fault = place / _FAULT
        raise TrainingError(
            "tuning.processes",
            "training in {count} processes ended ({why})",
            expected="a trained model",
            do="Give the same command again with --run to resume; {log} has their output",
            count=count,
            why=fault.read_text(encoding="utf-8") if fault.is_file() else f"exit code {code}",
            log=place / _LOG,
        )
    return finished(job.out)


def _launched(place: Path, count: int) -> int:
    """Run torchrun on the job, and return its exit code; Ctrl-C waits for the checkpoint."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    command += ["-m", "quarry.training.tuning.processes", str(place / _JOB)]
    with (place / _LOG).open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 (our own module)
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait(_PATIENCE)
            raise


def work(job: Path) -> int:
    """Train, as one of the processes that torchrun started; return its exit code.

    Args:
        job: The file that `finetune_in_processes` wrote.
    """
    from quarry.training.fit.embedder import finetune

    content = json.loads(job.read_text(encoding="utf-8"))
    told = content["dev"]
    queries = tuple(Query(**each) for each in told["queries"])
    dev = DevSet(queries, told["passages"], told["qrels"], told["prompts"], told["hard"])
    rows = list(RowFiles.open([job.parent / _ROWS], strict=True))
    try:
        finetune(
            Path(content["model"]),
            rows,
            TrainSpec.model_validate(content["spec"]),
            Path(content["out"]),
            dev=dev,
            device=content["device"],
        )
    except SearchError as err:
        if os.environ.get("RANK", "0") == "0" or not (job.parent / _FAULT).is_file():
            write_atomic(job.parent / _FAULT, str(err).encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1])))
