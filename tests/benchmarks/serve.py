"""Searches over HTTP, 32 clients against one at a time: `python -m tests.benchmarks.serve [--seconds 60] [--clients 32] [--index INDEX]`.

A real `quarry serve` process on the demo corpus (offline model, CPU, no reranker) is asked the questions of the demo corpus in
turn, English and Chinese: first by one client that waits for each answer, then by all of them, each for the given time. Printed
are p50, p95, throughput, errors, the mean size of the batches, the processor time of server and clients for an answer (which
says more than the wall time on a machine that is not quiet), and the resident memory of the server: before, after, and the peak.

`--rerank MODEL` compares searches that rerank instead. The server takes as many threads as the environment says
(OMP_NUM_THREADS), else all cores; the clients are of the standard library, because 32 of httpx cost as much as the server.
"""

import argparse
import http.client
import json
import os
import re
import threading
import time
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import httpx
import numpy as np

from quarry.demo_corpus import queries_path
from tests.app.server.serving import start
from tests.benchmarks.screenshots import demo_index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--rerank", default="none")
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="quarry-serve-") as folder:
        index = arguments.index or demo_index(Path(folder) / "index")
        threads = os.environ.get("OMP_NUM_THREADS", "")
        process, url, _ = start(index, "--device", "cpu", "--rerank", arguments.rerank, threads=threads)
        drain = threading.Thread(target=process.stderr.read, daemon=True)  # the log must not fill the pipe
        drain.start()
        try:
            load(url, arguments.clients, min(5.0, arguments.seconds))  # warm up, all threads of the server included
            early = resident(process.pid)
            alone = report("1 client", process.pid, url, 1, arguments.seconds)
            together = report(f"{arguments.clients} clients", process.pid, url, arguments.clients, arguments.seconds)
            late, peak = resident(process.pid), resident(process.pid, "VmHWM")
        finally:
            process.terminate()
            process.wait(30)
    print(
        f"throughput {together / alone:.2f} times that of one at a time; memory {early:.0f} MB at the start, "
        f"{late:.0f} MB at the end, {peak:.0f} MB at the peak"
    )
    print(f"exit status after SIGTERM: {process.returncode}")


def report(name: str, pid: int, url: str, clients: int, seconds: float) -> float:
    before, served, own = batches(url), processor(pid), time.process_time()
    times, errors, wall = load(url, clients, seconds)
    own, served, after = time.process_time() - own, processor(pid) - served, batches(url)
    mean = (after[0] - before[0]) / max(1, after[1] - before[1])
    p50, p95 = (float(np.percentile(times, share)) * 1000 for share in (50, 95))
    print(
        f"{name}: {len(times)} answers in {wall:.1f} s, {len(times) / wall:.1f}/s, p50 {p50:.0f} ms, p95 {p95:.0f} ms, "
        f"{errors} errors, {mean:.1f} queries a batch; processor {served * 1000 / len(times):.1f} ms an answer in the server, "
        f"{own * 1000 / len(times):.1f} ms in the clients",
        flush=True,
    )
    return len(times) / wall


def load(url: str, clients: int, seconds: float) -> tuple[list[float], int, float]:
    """Ask from several clients at once; returns the times of the full answers, the number of others, and the wall time."""
    rows = queries_path().read_text(encoding="utf-8").splitlines()
    bodies = [json.dumps({"query": json.loads(row)["text"], "k": 10}) for row in rows if row.strip()]
    times: list[float] = []
    errors = [0] * clients
    started = perf_counter()

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        for body in islice(cycle(bodies), number * 7, None):
            begun = perf_counter()
            if begun - started > seconds:
                break
            try:
                connection.request("POST", "/search", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                full = b'"degraded":[]' in answer.read() and answer.status == 200
            except (OSError, http.client.HTTPException):
                full = False
                connection.close()
            if full:
                times.append(perf_counter() - begun)
            else:
                errors[number] += 1
        connection.close()

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


def resident(pid: int, what: str = "VmRSS") -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+)", status)[1]) / 1024


def processor(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
