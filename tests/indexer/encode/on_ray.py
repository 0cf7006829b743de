"""Encodes a corpus on a local Ray cluster of two machines, and kills one midway. Run in a process of its own:

    python -m tests.indexer.encode.on_ray CORPUS SHARDS MODEL

prints `started` when the cluster is up, then the report as JSON.
"""

import json
import sys
import threading
import time
from pathlib import Path

from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.encode.cluster import Cluster, ModelPlace, encode_on_ray
from quarry.indexer.encode.work import shard_settings
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.shards.folder import ShardFolder

DEVICE = "cpu:float32"


def main(corpus: Path, shards: Path, model: Path) -> None:
    from ray import init
    from ray.cluster_utils import Cluster as Machines

    machines = Machines(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = machines.add_node(num_cpus=1)
    init(address=machines.address, log_to_driver=False, logging_level="ERROR")
    print("started", flush=True)
    embedder = load_embedder(model, device=DEVICE)
    settings = shard_settings(embedder, str(model), ChunkSpec(64, 16), ReadOptions(), token_states=False)
    folder = ShardFolder.create(shards, settings)

    def pull_the_plug() -> None:
        while not any((shards / "vectors").glob("*.json")):
            time.sleep(0.01)
        machines.remove_node(second, allow_graceful=False)

    threading.Thread(target=pull_the_plug, daemon=True).start()
    place = ModelPlace(str(model), embedder.spec, DEVICE)
    report = encode_on_ray([corpus], folder, place, ReadOptions(), Cluster(machines.address, 2))
    print(json.dumps({"passages": report.passages, "encoded": report.encoded, "shards": report.shards}), flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
