"""Random keys and questions at every door of a real server: does an answer have a word of a document that its key does not open?

python -m tests.benchmarks.principals --pairs 100000
"""

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.app.server.principals_world import without_leaks, world

_PER_WORLD = 5_000


def main() -> None:
    """Ask in worlds of 40 documents and 8 keys; every second one hides documents without `allow`. Ends with an error at a leak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1000, help="Of the first world.")
    given = parser.parse_args()
    begun, asked, answers = time.monotonic(), 0, Counter[str]()
    while asked < given.pairs:
        seed, count = given.seed + asked // _PER_WORLD, min(_PER_WORLD, given.pairs - asked)
        with tempfile.TemporaryDirectory() as folder, world(Path(folder), seed, deny=bool(seed % 2)) as where:
            answers.update(without_leaks(where, random.Random(seed), count))
        asked += count
        print(f"{asked} pairs, no leak, {time.monotonic() - begun:.0f} s", flush=True)
    print(json.dumps({"pairs": asked, "leaks": 0, "answers": dict(answers.most_common())}))


if __name__ == "__main__":
    main()
