"""Train the arms of findings that are not trained yet, and print what they say."""

import argparse
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.findings.bench import Bench
from tests.benchmarks.findings.measuring import measure
from tests.benchmarks.findings.papers import FINDINGS


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.findings", description=__doc__)
    parser.add_argument("names", nargs="+", choices=list(FINDINGS), metavar="NAME", help=", ".join(FINDINGS))
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[4] / "shared" / "data")
    parser.add_argument("--into", type=Path, default=Path("findings"), help="folder that keeps bodies and measurements")
    parser.add_argument("--scale", type=float, default=1.0, help="times the rows: 16 for a GPU, below 1 for a trial")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--processes", type=int, default=1, help="arms that train beside each other")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no arm after them")
    asked = parser.parse_args()
    asked.into.mkdir(parents=True, exist_ok=True)
    bench = Bench(asked.data, asked.into, asked.scale, asked.device)
    replace(bench).prepare()  # another one, so that no process is sent the rows that it read
    print("\n".join(measure(asked.names, bench, processes=asked.processes, minutes=asked.minutes)), flush=True)


if __name__ == "__main__":
    main()
