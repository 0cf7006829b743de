"""Memory and time of what `quarry train` does with its rows before the first step: `python -m tests.benchmarks.train_memory ROWS FOLDER`.

ROWS pairs are written to FOLDER (of `tests.benchmarks.pairs.write`), looked through, numbered and planned into batches of 1,024; then the
first thousand batches are read back. The model's own memory comes on top.
"""

import json
import sys
from pathlib import Path
from time import perf_counter

from quarry.training.examples.row_files import RowFiles
from quarry.training.fit.rows.batches import plan_batches
from quarry.training.fit.rows.table import RowTable
from quarry.training.fit.spec import TrainSpec
from tests.benchmarks.encode_memory import memory
from tests.benchmarks.pairs import write

_READ = 1_000  # batches
_DIFFERENT = 100_000


def rows_file(folder: Path, count: int) -> Path:
    """Return a file of pairs in FlagEmbedding's form; it is made when it is not there, of 100,000 with a number before both texts."""
    rows, source = folder / f"rows-{count}.jsonl", folder / f"source-{count}.jsonl"
    if not rows.exists():
        write(source, min(count, _DIFFERENT))
        with source.open(encoding="utf-8") as read:
            pairs = [json.loads(line) for line in read]
        with rows.open("w", encoding="utf-8") as file:
            for number in range(count):
                again, pair = number // _DIFFERENT, pairs[number % _DIFFERENT]
                file.write(f'{{"query": "{again} {pair["question"]}", "pos": ["{again} {pair["answer"]}"]}}\n')
        source.unlink()
    return rows


def main() -> None:
    """Print memory and seconds after each step."""
    count, folder = int(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    path = rows_file(folder, count)
    began = perf_counter()

    def tell(what: str) -> None:
        print(f"{what}, {perf_counter() - began:.0f} s: {memory()}", flush=True)

    tell(f"{count:,} rows, {path.stat().st_size >> 20} MB")
    rows = RowFiles.open([path])
    tell("looked through")
    table = RowTable.of(rows)
    tell("numbered")
    plan = plan_batches(table, TrainSpec(batch_size=1024))
    tell(f"planned {len(plan.batches):,} steps")
    for batch in plan.batches[:_READ]:
        assert all(rows[draw.row].pos for draw in batch)
    tell("read back")


if __name__ == "__main__":
    main()
