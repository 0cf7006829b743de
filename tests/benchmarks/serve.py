"""Searches over HTTP, 32 clients against one at a time: `python -m tests.benchmarks.serve [--seconds 60] [--clients 32] [--index INDEX]`.

A real `quarry serve` process on the demo corpus (offline model, CPU, no reranker) is asked the questions of the demo corpus in
turn, English and Chinese: first by one client that waits for each answer, then by all of them, each for the given time. Printed
are p50, p95, throughput, errors, the mean size of the batches, and the resident memory of the server (VmRSS) at both ends.
"""

import argparse
import json
import re
import threading
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import httpx
import numpy as np

from demo_corpus import queries_path
from tests.app.server.serving import start
from tests.benchmarks.screenshots import demo_index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--index", type=Path)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="quarry-serve-") as folder:
        index = arguments.index or demo_index(Path(folder) / "index")
        process, url, _ = start(index, "--device", "cpu")
        drain = threading.Thread(target=process.stderr.read, daemon=True)  # the log must not fill the pipe
        drain.start()
        try:
            load(url, 1, min(3.0, arguments.seconds))  # warm up
            early = resident(process.pid)
            alone = report("1 client", url, 1, arguments.seconds)
            together = report(f"{arguments.clients} clients", url, arguments.clients, arguments.seconds)
            late = resident(process.pid)
        finally:
            process.terminate()
            process.wait(30)
    print(f"throughput {together / alone:.2f} times that of one at a time; memory {early:.0f} MB, then {late:.0f} MB")
    print(f"exit status after SIGTERM: {process.returncode}")


def report(name: str, url: str, clients: int, seconds: float) -> float:
    before = batches(url)
    times, errors, wall = load(url, clients, seconds)
    after = batches(url)
    mean = (after[0] - before[0]) / max(1, after[1] - before[1])
    p50, p95 = (float(np.percentile(times, share)) * 1000 for share in (50, 95))
    print(
        f"{name}: {len(times)} answers in {wall:.1f} s, {len(times) / wall:.1f}/s, p50 {p50:.0f} ms, p95 {p95:.0f} ms, "
        f"{errors} errors, {mean:.1f} queries a batch",
        flush=True,
    )
    return len(times) / wall


def load(url: str, clients: int, seconds: float) -> tuple[list[float], int, float]:
    """Ask from several clients at once; returns the times of the full answers, the number of others, and the wall time."""
    rows = queries_path().read_text(encoding="utf-8").splitlines()
    questions = [json.loads(row)["text"] for row in rows if row.strip()]
    times: list[float] = []
    errors = [0] * clients
    started = perf_counter()

    def ask(number: int) -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            for question in islice(cycle(questions), number * 7, None):
                begun = perf_counter()
                if begun - started > seconds:
                    return
                answer = client.post("/search", json={"query": question, "k": 10})
                if answer.status_code == 200 and not answer.json()["degraded"]:
                    times.append(perf_counter() - begun)
                else:
                    errors[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, sum(errors), perf_counter() - started


def batches(url: str) -> tuple[float, float]:
    """The queries and the batches so far."""
    text = httpx.get(f"{url}/metrics").text
    return tuple(float(re.search(rf"^quarry_batch_size_{name} (\S+)", text, re.M)[1]) for name in ("sum", "count"))


def resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


if __name__ == "__main__":
    main()
