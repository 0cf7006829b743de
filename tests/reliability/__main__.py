"""Run with `python -m tests.reliability kills --each 200`, `damage --places 200` or `files --mutants 1000`."""

import argparse
import json
import math
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
ROOT = Path(__file__).resolve().parents[2]
SEEDS = ROOT / "demo_corpus" / "documents"


def main() -> int:
    """Run what was asked for; one line of JSON per kind."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability")
    commands = parser.add_subparsers(dest="command", required=True)
    kills = commands.add_parser("kills", help="writers killed with -9")
    kills.add_argument("--each", type=int, default=10)
    kills.add_argument("--only", nargs="*", default=[])
    kills.add_argument("--store", default="", help="exact, faiss or lance; by default as the size of the index has it")
    kills.add_argument("--processes", type=int, default=0, help="share the kills out among so many processes")
    kills.add_argument("--seconds", type=float, default=math.inf, help="end after so long, with what was done")
    kills.add_argument(
        "--out",
        type=Path,
        help="a file for the counts, written again after each share; a later run with it goes on from them",
    )
    kills.add_argument(
        "--folder", type=Path, help="where to work; by default a temporary folder, in memory where that is possible"
    )
    damage = commands.add_parser("damage", help="flipped bits, cut and exchanged files")
    damage.add_argument("--places", type=int, default=200)
    damage.add_argument("--only", nargs="*", default=[])
    files = commands.add_parser("files", help="mutants of files of every format")
    files.add_argument("--mutants", type=int, default=1000)
    files.add_argument("--seeds", type=Path, default=SEEDS)
    files.add_argument("--only", nargs="*", default=[])
    doors = commands.add_parser("doors", help="requests made up from the OpenAPI description")
    doors.add_argument("--cases", type=int, default=5000)
    doors.add_argument("--seconds", type=float, default=math.inf, help="end after so long, with what was done")
    doors.add_argument("--out", type=Path, help="a file for the counts; a later run with it goes on from them")
    faults = commands.add_parser("faults", help="full disks, two writers, unusual names, clocks, little memory")
    faults.add_argument("--only", nargs="*", default=[])
    faults.add_argument("--rounds", type=int, default=100, help="of two writers")
    for each in (kills, damage, files, doors, faults):
        each.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with TemporaryDirectory(dir=MEMORY) as folder:
        acts = {"kills": _kills, "damage": _damage, "files": _files, "doors": _doors, "faults": _faults}
        return acts[chosen.command](chosen, Path(folder))


def _kills(chosen: argparse.Namespace, folder: Path) -> int:
    from tests.reliability import kills, shares

    folder = chosen.folder or folder
    kinds = tuple(chosen.only) or shares.KINDS
    if chosen.processes:
        plan = shares.Plan(kinds, chosen.each, chosen.processes, chosen.seconds, chosen.seed, chosen.store)
        for row in shares.run(plan, folder, chosen.out):
            _say(row)
        return 0
    kills.STORE[0] = chosen.store
    for kind in kinds:
        if kind in kills.ACTS:
            rows = [kills.run(kind, folder, chosen.each, chosen.seed, chosen.seconds)]
        else:
            rows = shares.of_training(kind, folder, chosen.each, chosen.seed, chosen.seconds)
        for row in rows:
            _say(row)
    return 0


def _damage(chosen: argparse.Namespace, folder: Path) -> int:
    from tests.reliability import damage, subjects

    failed = False
    for name in chosen.only or subjects.SUBJECTS:
        found = damage.run(name, folder, chosen.places, chosen.seed)
        _say(found)
        failed = failed or bool(found["silent"])
    return int(failed)


def _files(chosen: argparse.Namespace, folder: Path) -> int:
    from tests.reliability import files

    seeds = [path for path in sorted(chosen.seeds.rglob("*")) if path.is_file()]
    seeds = [path for path in seeds if not chosen.only or path.suffix.lstrip(".") in chosen.only]
    found = files.run(folder, seeds, chosen.mutants, chosen.seed)
    for kind, each in found.items():
        _say({"format": kind, **each})
    return any(each["lost"] or each["garbage"] for each in found.values())


def _doors(chosen: argparse.Namespace, folder: Path) -> int:
    from tests.reliability import doors

    rows = []
    for row in doors.run(folder, chosen.cases, chosen.seed, chosen.seconds, chosen.out):
        _say(row)
        rows.append(row)
    _say({"asked": sum(row["asked"] for row in rows), "operations": len({row["operation"] for row in rows})})
    return int(any(row["wrong"] for row in rows))


def _faults(chosen: argparse.Namespace, folder: Path) -> int:
    from tests.reliability import faults

    for row in faults.run(folder, chosen.only, chosen.rounds, chosen.seed):
        _say(row)
    return 0


def _say(content: object) -> None:
    sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
