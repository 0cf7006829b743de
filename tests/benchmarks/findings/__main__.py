"""Train the arms of a finding that are not trained yet, and print what they say."""

import argparse
import json
from pathlib import Path
from time import perf_counter

from tests.benchmarks.findings.bench import Bench
from tests.benchmarks.findings.finding import SEEDS, Finding, as_json, from_json, report
from tests.benchmarks.findings.papers import FINDINGS


def measure(finding: Finding, name: str, bench: Bench, *, minutes: float = float("inf")) -> list[str]:
    """Return the report of a finding, or how far it is after so many minutes; what is measured is kept in the folder."""
    started, kept = perf_counter(), bench.work / f"{name}.json"
    cells: dict[str, dict[str, object]] = json.loads(kept.read_text()) if kept.exists() else {}
    for seed in SEEDS:
        for arm, run in finding.arms.items():
            own = cells.setdefault(arm, {})
            if str(seed) in own:
                continue
            if perf_counter() - started > 60 * minutes:
                done = sum(map(len, cells.values()))
                return [f"{name}: {done} of {len(SEEDS) * len(finding.arms)} runs; give the command again"]
            began = perf_counter()
            scores = run(bench, seed)
            own[str(seed)] = as_json(scores)
            kept.write_text(json.dumps(cells))
            means = ", ".join(f"{measure} {values.mean():.4f}" for measure, values in scores.items())
            print(f"{name}, {arm}, seed {seed}: {means} ({perf_counter() - began:.0f} s)", flush=True)
    measured = {arm: [from_json(cells[arm][str(seed)]) for seed in SEEDS] for arm in finding.arms}  # type: ignore[arg-type]
    return report(finding, measured)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.findings", description=__doc__)
    parser.add_argument("names", nargs="+", choices=list(FINDINGS), metavar="NAME", help=", ".join(FINDINGS))
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[4] / "shared" / "data")
    parser.add_argument("--into", type=Path, default=Path("findings"), help="folder that keeps bodies and measurements")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows, for a trial")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after the run in which they are over")
    asked = parser.parse_args()
    asked.into.mkdir(parents=True, exist_ok=True)
    bench, started = Bench(asked.data, asked.into, asked.scale), perf_counter()
    for name in asked.names:
        left = asked.minutes - (perf_counter() - started) / 60
        print("\n".join(measure(FINDINGS[name], name, bench, minutes=left)), flush=True)


if __name__ == "__main__":
    main()
