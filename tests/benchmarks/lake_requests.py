"""Requests to object storage that a lake makes: `python -m tests.benchmarks.lake_requests [--sizes 2000 20000]` (moto's S3, loopback).

For each size: short texts are added in shards, published, and searched by a reader that opens the lake; vectors cost nothing. Counted are the
requests that the server saw, by kind. The next reader on the same machine and its later questions are counted apart.
"""

import argparse
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
from moto.server import ThreadedMotoServer

from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.lake.adding import add_to_lake
from quarry.indexer.lake.making import make_lake, settings_for
from quarry.indexer.lake.publishing import publish
from quarry.indexer.readers.base import ReadOptions
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.benchmarks.lake import RandomEmbedder, short_files

QUESTIONS = 20
BUCKET = "quarry"
_LINE = re.compile(r'"?(?P<method>[A-Z]+) (?P<path>\S+)')


class Counting(logging.Handler):
    """Counts the requests that werkzeug logs."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.counts: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        found = _LINE.search(re.sub(r"\x1b\[[0-9;]*m", "", record.getMessage()).partition("] ")[2])
        if found:
            kind = "LIST" if found["method"] == "GET" and "list-type" in found["path"] else found["method"]
            self.counts[kind] += 1

    def taken(self) -> dict[str, int]:
        """Return the counts so far, and begin again."""
        counts, self.counts = self.counts, Counter()
        return {"all": counts.total(), **dict(sorted(counts.items()))}


@contextmanager
def storage() -> Iterator[Counting]:
    """Run the server, and count."""
    counting, log = Counting(), logging.getLogger("werkzeug")
    log.setLevel(logging.INFO)
    log.handlers, log.propagate = [counting], False
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=True)
    server.start()
    try:
        host, port = server.get_host_and_port()
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield counting
    finally:
        server.stop()


def counted(size: int, folder: Path, counting: Counting) -> Iterator[dict[str, object]]:
    """Yield the requests of each step at one size."""
    embedder = RandomEmbedder()
    corpus, place = short_files(folder / f"corpus-{size}", size), f"s3://{BUCKET}/lake-{size}"

    def row(step: str, **more: object) -> dict[str, object]:
        return {"passages": size, "step": step, **more, **counting.taken()}

    counting.taken()
    lake = make_lake(place, settings_for(embedder, "", ChunkSpec(), ReadOptions()))
    yield row("init")
    report = add_to_lake(lake, [corpus], embedder)
    yield row("add", shards=report.shards)
    add_to_lake(lake, [corpus], embedder)
    yield row("add again")
    publish(lake, embedder)
    yield row("publish")
    searcher = Searcher.open(place, embedder=embedder, rerank="none")
    yield row("open")
    questions = [f"{word} of the {word}" for word in ("library", "printer", "loan", "paper")] * (QUESTIONS // 4)
    for question in questions:
        searcher.search(question, 10, SearchOptions(route="hybrid"))
    yield row(f"{QUESTIONS} questions")
    Searcher.open(place, embedder=embedder, rerank="none")
    yield row("open again on this machine")


def main() -> None:
    """Print one JSON object for each step."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000, 20_000])
    given = parser.parse_args()
    with TemporaryDirectory() as folder, storage() as counting:
        os.environ["QUARRY_CACHE"] = f"{folder}/cache"
        for size in given.sizes:
            for row in counted(size, Path(folder), counting):
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
