"""Run with `python -m tests.reliability kills --each 200`, `damage --places 200` or `files --mutants 1000`."""

import argparse
import json
import os
import subprocess
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
    damage = commands.add_parser("damage", help="flipped bits, cut and exchanged files")
    damage.add_argument("--places", type=int, default=200)
    damage.add_argument("--store", default="exact")
    files = commands.add_parser("files", help="mutants of files of every format")
    files.add_argument("--mutants", type=int, default=1000)
    files.add_argument("--seeds", type=Path, default=SEEDS)
    files.add_argument("--only", nargs="*", default=[])
    for each in (kills, damage, files):
        each.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with TemporaryDirectory(dir=MEMORY) as folder:
        return {"kills": _kills, "damage": _damage, "files": _files}[chosen.command](chosen, Path(folder))


def _kills(chosen: argparse.Namespace, folder: Path) -> int:
    from tests.reliability import kills

    for kind in chosen.only or [*kills.ACTS, "promotion", "checkpoints"]:
        if kind in kills.ACTS:
            _say(kills.run(kind, folder, chosen.each, chosen.seed))
            continue
        command = [
            sys.executable,
            "-m",
            "tests.training.killing",
            kind,
            str(folder / kind),
            str(chosen.each),
            str(chosen.seed),
        ]
        (folder / kind).mkdir()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        _say({"kind": kind, **json.loads(done.stdout.splitlines()[-1])})
    return 0


def _damage(chosen: argparse.Namespace, folder: Path) -> int:
    from tests.reliability import damage

    found = damage.run(folder, chosen.places, chosen.store, chosen.seed)
    _say(found)
    return bool(found["silent"])


def _files(chosen: argparse.Namespace, folder: Path) -> int:
    from tests.reliability import files

    seeds = [path for path in sorted(chosen.seeds.rglob("*")) if path.is_file()]
    seeds = [path for path in seeds if not chosen.only or path.suffix.lstrip(".") in chosen.only]
    found = files.run(folder, seeds, chosen.mutants, chosen.seed)
    for kind, each in found.items():
        _say({"format": kind, **each})
    return any(each["lost"] or each["garbage"] for each in found.values())


def _say(content: object) -> None:
    sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
