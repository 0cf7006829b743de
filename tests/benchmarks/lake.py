"""A lake against an index, at size, and in memory.

    python -m tests.benchmarks.lake answers CACHE              needs ../shared/data and the offline model
    python -m tests.benchmarks.lake size PASSAGES FOLDER       random vectors of 384 numbers, terms of real passages
    python -m tests.benchmarks.lake memory PASSAGES FOLDER [--of encode]   the highest memory of `add` or `encode`, with vectors that cost nothing

`answers` prints how far the first ten of a lake are those of an index of the same documents, and nDCG@10 of both. `size` writes shards,
publishes them, and asks 200 questions between two stored vectors with words of a passage; each row of output is one JSON object.
"""

import argparse
import json
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from statistics import fmean, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.build import build_index
from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.embedder import EmbedderSpec, Progress
from quarry.indexer.encode.work import EncodeReport, encode_corpus, shard_settings
from quarry.indexer.lake.adding import AddReport, add_to_lake
from quarry.indexer.lake.making import Lake, make_lake, settings_for
from quarry.indexer.lake.publishing import publish
from quarry.indexer.lake.roots import RootListing
from quarry.indexer.lake.rows import batch_of, documents_schema, names_schema, passages_schema, rows_of
from quarry.indexer.lake.shard import LakeShard, write_marker, write_part
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.models.token_spans import ScriptTokens
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.records import Chunk, Document
from quarry.indexer.shards.folder import ShardFolder
from quarry.indexer.stores.checks import tuning_queries
from quarry.retriever.evaluation.measures import ndcg
from quarry.retriever.ranking import Query
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.benchmarks.fusion_sets import DATA, SOURCES, _rows, judged_set
from tests.benchmarks.kept_vectors import KeptEmbedder, Vectors
from tests.memory import peak_mb

SETS = ("scifact-en", "sqlfaq-zh")
_DEPTH = 10
_SHARD = 20_000
_DIM = 384
_ASKED = 200


class RandomEmbedder:
    """A fixed random direction for each text."""

    def __init__(self) -> None:
        self.spec = EmbedderSpec("benchmarks/random", "1", _DIM, 512, "mean")
        self.tokens = ScriptTokens()

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit row per text."""
        rows = [
            np.random.default_rng(int.from_bytes(sha256(text.encode()).digest()[:8])).standard_normal(_DIM)
            for text in texts
        ]
        return unit(np.array(rows, dtype=np.float32).reshape(-1, _DIM))

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> NDArray[np.float32]:
        """Return one unit row per text."""
        if progress is not None:
            progress(len(texts))
        return self.embed_queries(texts)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def answers(cache: Path) -> Iterator[dict[str, object]]:
    """Compare a lake with an index on two judged sets."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for name in SETS:
        judged = judged_set(name, SOURCES[name])
        embedder = KeptEmbedder(Vectors("offline", cache))
        with TemporaryDirectory() as folder:
            root = Path(folder)
            corpus = root / "corpus"
            corpus.mkdir()
            rows = [json.dumps({"_id": i, "title": title, "text": text}) for i, title, text in judged.documents]
            (corpus / "corpus.jsonl").write_text("\n".join(rows), "utf-8")
            build_index(root / "index", [corpus], embedder, BuildOptions(rerank_vectors=False))
            lake = make_lake(root / "lake", settings_for(embedder, "", ChunkSpec(), ReadOptions()))
            add_to_lake(lake, [corpus], embedder)
            publish(lake, embedder, index_from=min(500, len(judged.documents) // 2))
            one, other = (Searcher.open(root / each, embedder=embedder, rerank="none") for each in ("index", "lake"))
            queries = [Query(key, text) for key, text in judged.queries.items()]
            row: dict[str, object] = {"set": name, "documents": len(judged.documents), "questions": len(queries)}
            for route in ("dense", "bm25", "hybrid"):
                options = SearchOptions(route=route, dense_budget_ms=1e7)  # all questions at once
                mine, theirs = (searcher.rank(queries, _DEPTH, options) for searcher in (one, other))
                assert not any(ranking.degraded for ranking in (*mine, *theirs))
                found = [[[hit.chunk_id for hit in ranking.hits] for ranking in each] for each in (mine, theirs)]
                row[f"{route} overlap@10"] = round(fmean(overlap(*pair) for pair in zip(*found, strict=True)), 4)
                for kind, lists in zip(("index", "lake"), found, strict=True):
                    documents = [list(dict.fromkeys(i.rpartition("#")[0] for i in ids)) for ids in lists]
                    gains = [
                        ndcg(ids, judged.qrels[query.query_id], _DEPTH)
                        for ids, query in zip(documents, queries, strict=True)
                    ]
                    row[f"{route} nDCG@10 {kind}"] = round(fmean(gains), 4)
            row["recall@10"] = other.index.manifest.store.details["recall@10"]
            yield row


def overlap(mine: Sequence[str], theirs: Sequence[str]) -> float:
    """Return the share of one list that is in the other, in [0, 1]."""
    return len(set(mine) & set(theirs)) / max(1, len(mine))


def size(passages: int, folder: Path) -> Iterator[dict[str, object]]:
    """Publish and search a lake of random vectors."""
    embedder = RandomEmbedder()
    shutil.rmtree(folder / "lake", ignore_errors=True)
    lake = make_lake(folder / "lake", settings_for(embedder, "", ChunkSpec(), ReadOptions()))
    started = perf_counter()
    _write_shards(lake, passages)
    yield {"passages": passages, "shards written in": round(perf_counter() - started), "highest MB": peak_mb()}
    started = perf_counter()
    report = publish(lake, embedder)
    yield {
        "published in": round(perf_counter() - started),
        "highest MB": peak_mb(),
        "index": report.index,
        "recall@10": report.recall,
        "partitions": report.probes,
        "candidates per hit": report.refine,
        "seconds": {name: round(value) for name, value in report.seconds.items()},
    }
    yield from _searched(folder / "lake")


def _searched(place: Path) -> Iterator[dict[str, object]]:
    embedder = RandomEmbedder()
    index = Searcher.open(place, embedder=embedder, rerank="none").index
    store = index.vectors
    rows = np.linspace(1, len(store) - 2, 2 * _ASKED, dtype=np.int64)
    queries = tuning_queries(store.vectors_of(rows), _ASKED)
    terms = [text.split(" ") for text in _terms()[:_ASKED]]
    rng = random.Random(1)
    spent: dict[str, list[float]] = {"dense": [], "bm25": []}
    shared = []
    for query, words in zip(queries, terms, strict=True):
        started = perf_counter()
        near = store.search(query[np.newaxis], _DEPTH)[0]
        spent["dense"].append(perf_counter() - started)
        asked = rng.sample(words, min(5, len(words)))
        started = perf_counter()
        index.lexical.search(asked, _DEPTH)
        spent["bm25"].append(perf_counter() - started)
        if len(shared) < 50:
            shared.append(overlap([one.chunk_id for one in store.exact(query, _DEPTH)], [one.chunk_id for one in near]))
    for name, seconds in spent.items():
        cuts = quantiles(seconds, n=20)
        yield {"route": name, "p50 ms": round(cuts[9] * 1000, 1), "p95 ms": round(cuts[18] * 1000, 1)}
    yield {"recall@10 of other questions": round(fmean(shared), 4), "highest MB": peak_mb()}


def _terms() -> list[str]:
    """Return the terms of real passages of both languages, joined by spaces."""
    made = analyzer("jieba")
    texts = [row["text"] for name in SETS for row in _rows(DATA / name / "corpus.jsonl")]
    texts = sorted(texts, key=lambda text: sha256(text.encode()).digest())[:3_000]
    return [" ".join(made.tokens(text[:600])) for text in texts]


def _write_shards(lake: Lake, passages: int) -> None:
    """Write shards of one-passage documents whose terms are drawn from those of real passages."""
    known, rng, keys = [text.split(" ") for text in _terms()], random.Random(0), []
    numbers = np.random.default_rng(0)
    for first in range(0, passages, _SHARD):
        count = min(_SHARD, passages - first)
        rows = []
        for number in range(first, first + count):
            words = rng.sample(words, len(words) // 2) if len(words := known[rng.randrange(len(known))]) > 8 else words
            doc_id, text = f"d{number}", " ".join(words)
            document = Document(doc_id, text, "", {"source": f"f{number % 1000}", "kind": str(number % 7)})
            chunk = Chunk(f"{doc_id}#0-{len(text)}", doc_id, text, 0, len(text), "")
            rows.append(rows_of(document, f"f{number % 1000}", [chunk], [words]))
        key = f"{first:032x}"
        vectors = unit(numbers.standard_normal((count, _DIM), dtype=np.float32))
        part = write_part(
            lake.objects,
            key,
            {
                "passages": batch_of([one.passages[0] for one in rows], passages_schema(_DIM), vectors),
                "documents": batch_of([one.document for one in rows], documents_schema()),
                "names": batch_of([], names_schema(_DIM), np.zeros((0, _DIM), np.float32)),
            },
        )
        write_marker(lake.objects, LakeShard(key=key, documents=count, passages=count, parts=(part,)))
        keys.append(key)
    RootListing(name="random", path="", shards=tuple(keys)).write(lake.objects)


def short_files(corpus: Path, passages: int) -> Path:
    """Write so many short texts, fifty in a file, unless they are there; return the folder."""
    if not corpus.is_dir():
        words = [text.split(" ") for text in _terms()]
        rng = random.Random(0)
        for first in range(0, passages, 50):
            path = corpus / f"{first // 5000:04}" / f"{first:07}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = (
                json.dumps({"_id": str(row), "text": " ".join(rng.choices(rng.choice(words), k=40))})
                for row in range(first, first + 50)
            )
            path.write_text("\n".join(rows), "utf-8")
    return corpus


def memory(passages: int, folder: Path, what: str = "add") -> Iterator[dict[str, object]]:
    """Encode a corpus of so many short texts into shards, or add it to a lake, and print the highest memory."""
    corpus, embedder = short_files(folder / f"corpus-{passages}", passages), RandomEmbedder()
    for name in ("lake", "shards"):
        shutil.rmtree(folder / name, ignore_errors=True)
    before, started = peak_mb(), perf_counter()
    report: AddReport | EncodeReport
    if what == "add":
        lake = make_lake(folder / "lake", settings_for(embedder, "", ChunkSpec(), ReadOptions()))
        report = add_to_lake(lake, [corpus], embedder)
    else:
        settings = shard_settings(embedder, "", ChunkSpec(), ReadOptions(), token_states=False)
        report = encode_corpus([corpus], ShardFolder.create(folder / "shards", settings), embedder)
    yield {
        "what": what,
        "passages": report.passages,
        "before MB": before,
        "highest MB": peak_mb(),
        "seconds": round(perf_counter() - started),
    }


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("answers").add_argument("cache", type=Path)
    for name in ("size", "memory"):
        kind = kinds.add_parser(name)
        kind.add_argument("passages", type=int)
        kind.add_argument("folder", type=Path)
    kinds.choices["memory"].add_argument("--of", choices=("add", "encode"), default="add")
    given = parser.parse_args()
    if given.kind == "answers":
        rows = answers(given.cache)
    else:
        given.folder.mkdir(parents=True, exist_ok=True)
        by_size = given.kind == "size"
        rows = size(given.passages, given.folder) if by_size else memory(given.passages, given.folder, given.of)
    for row in rows:
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
