"""Resident memory of a long encoding: `python -m tests.benchmarks.encode_memory [SLICES] [LAYERS] [kept]` (offline model).

Slices of 512 Chinese and English texts of log-normal length, longest first, as an index is built. Fewer LAYERS make it
faster; the buffers are of the same sizes. `kept` leaves freed memory with the C library, for comparison.
"""

import sys
from pathlib import Path
from time import perf_counter

import torch

from quarry.indexer.models import batching
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.offline_bundle import bundle_folder
from tests.benchmarks.encode import mixed_texts


def memory() -> str:
    """Return resident memory now and at its highest, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) >> 10 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return f"{found['VmRSS']} MB, highest {found['VmHWM']} MB"


def main() -> None:
    """Print the memory after every slice."""
    slices = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    layers = int(sys.argv[2]) if len(sys.argv) > 2 else 12
    torch.set_num_threads(1)
    if "kept" in sys.argv:
        batching._malloc_trim = lambda: None  # type: ignore[assignment]
    embedder = load_embedder(bundle_folder(), device="cpu")
    encoder = embedder._replicas[0].model
    encoder.layers = encoder.layers[:layers]
    print(f"loaded: {memory()}", flush=True)
    started = perf_counter()
    for number in range(slices):
        embedder.embed_documents(sorted(mixed_texts(512, number), key=len, reverse=True))
        seconds = perf_counter() - started
        print(f"slice {number + 1}, forward {embedder.forwards}, {seconds:.0f} s: {memory()}", flush=True)


if __name__ == "__main__":
    main()
