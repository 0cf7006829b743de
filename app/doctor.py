"""Checks of an index: each says what it saw, and for a failure the command that mends it. It never changes anything."""

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from quarry.indexer.errors import SearchError
from quarry.indexer.opened import Index
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest

Severity = Literal["ok", "warning", "failure"]
_FREE_DISK_FACTOR = 2.0  # a new generation is built beside the live one, so twice its size should be free
_SELF_SEARCHES = 20


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: its name, how bad it is, what was seen, and the command that mends it (empty when all is well)."""

    name: str
    severity: Severity
    message: str
    remedy: str = ""


def examine(root: Path) -> Iterator[CheckResult]:
    """Run all checks on an index folder; later checks are left out when an earlier failure makes them meaningless."""
    rebuild = f"quarry index PATH --into {root} --rebuild"
    rollback = f"quarry generations {root} --rollback"
    generations = Generations(root)
    try:
        pointer = generations.pointer()
        folder = generations.folder / pointer.generation
        manifest = Manifest.read(folder)
    except SearchError as err:
        yield CheckResult("manifest", "failure", str(err), _remedy_without_manifest(generations))
        return
    yield CheckResult(
        "manifest", "ok", f"generation {pointer.generation}, {manifest.documents} documents, made {manifest.created}"
    )
    damage = manifest.damage(folder, hashes=True)
    if damage:
        remedy = rollback if len(generations.finished()) > 1 else rebuild
        yield CheckResult("files", "failure", "; ".join(damage), remedy)
        return
    yield CheckResult("files", "ok", f"{len(manifest.files)} files match their recorded size and SHA-256")
    try:
        index = Index.open(root)
    except SearchError as err:
        yield CheckResult("open", "failure", str(err), rebuild)
        return
    yield _check_database(index, rebuild)
    yield from _check_counts(index, rebuild)
    yield _check_analyzer(index, f"quarry index PATH --into {root}")
    yield from _check_model(index, rebuild)
    yield from _check_reranker(index)
    yield _check_disk(root, manifest)
    leftovers = [path.name for path in generations.folder.glob(".*")]
    if leftovers:
        message = f"unfinished builds: {', '.join(leftovers)} (the next run removes them)"
        yield CheckResult("leftovers", "warning", message, f"quarry index PATH --into {root}")


def _remedy_without_manifest(generations: Generations) -> str:
    root = generations.root
    if not generations.exists():
        return f"quarry index PATH --into {root}"
    try:
        generations.previous()
    except SearchError:  # the pointer is damaged too, or there is nothing to go back to
        return f"quarry index PATH --into {root} --model auto --rebuild"
    return f"quarry generations {root} --rollback"


def _check_database(index: Index, remedy: str) -> CheckResult:
    path = index.chunks.path
    with sqlite3.connect(f"file:{path.absolute()}?mode=ro&immutable=1", uri=True) as db:
        verdict = db.execute("PRAGMA quick_check").fetchone()[0]
    if verdict != "ok":
        return CheckResult("texts", "failure", f"{path}: {verdict}", remedy)
    return CheckResult("texts", "ok", "the text database is sound")


def _check_counts(index: Index, remedy: str) -> Iterator[CheckResult]:
    documents, chunks = index.chunks.counts()
    counts = {"manifest": index.manifest.chunks, "texts": chunks, "lexical": len(index.lexical)}
    if index.vectors is not None:
        counts["vectors"] = len(index.vectors)
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    if len(set(counts.values())) != 1 or documents != index.manifest.documents:
        yield CheckResult("counts", "failure", f"passages differ: {listed}", remedy)
        return
    yield CheckResult("counts", "ok", f"{chunks} passages everywhere ({', '.join(counts)})")
    if index.vectors is None:
        return
    ids = set(index.chunks.digests()[0])
    strangers = ids.symmetric_difference(index.vectors.ids)
    if strangers:
        yield CheckResult(
            "agreement", "failure", f"{len(strangers)} passages are in the texts or the vectors only", remedy
        )
    else:
        yield CheckResult("agreement", "ok", "dense and lexical search hold the same passages")
    unindexed = int(index.vectors.details.get("unindexed", 0))
    if unindexed:
        yield CheckResult("unindexed", "warning", f"{unindexed} vectors are searched by scan", remedy)
    else:
        yield CheckResult("unindexed", "ok", "no vector is left out of the store's index")


def _check_analyzer(index: Index, remedy: str) -> CheckResult:
    recorded, now = index.manifest.lexical.identity, index.analyzer.name
    if recorded != now:
        message = f"terms were made by {recorded}, and {now} is installed: some words may not be found"
        return CheckResult("analyzer", "warning", message, remedy)
    return CheckResult("analyzer", "ok", f"terms were made by {recorded}, as installed")


def _check_model(index: Index, remedy: str) -> Iterator[CheckResult]:
    from quarry.indexer.models.encoder import TransformerEmbedder
    from quarry.retriever.stages.models import LazyEmbedder

    facts = index.manifest.embedder
    if facts is None:
        message = "no embedding model: BM25 only"
        yield CheckResult("model", "warning", message, remedy.replace("--rebuild", "--model auto --rebuild"))
        return
    supply = LazyEmbedder(index, None, "cpu")
    failure = supply.warm()
    if failure:
        yield CheckResult("model", "failure", str(failure), "quarry models")
        return
    embedder = supply.get()
    spec = embedder.spec
    numbers = f", computing in {embedder.precision} on the CPU" if isinstance(embedder, TransformerEmbedder) else ""
    severity: Severity = "warning" if spec.origin == "offline bundle" else "ok"
    yield CheckResult(
        "model", "ok",
        f"{spec.model} ({spec.origin}, revision {spec.revision[:12]}) loads and matches the index{numbers}",
    )  # fmt: skip
    if severity == "warning":
        for sentence in index.manifest.notes:
            yield CheckResult("model choice", "warning", sentence, "quarry models")
    if index.vectors is None:
        return
    rng = np.random.default_rng(0)
    ids, _ = index.chunks.digests()
    sample = [ids[row] for row in sorted(rng.choice(len(ids), size=min(_SELF_SEARCHES, len(ids)), replace=False))]
    vectors = embedder.embed_documents(index.chunks.texts(sample))
    found = index.vectors.search(vectors, 1)
    worst = min((hits[0].similarity for hits in found if hits), default=0.0)
    if worst < 0.98:  # stored and fresh embeddings of one text: 1 up to rounding and the store's compression
        yield CheckResult(
            "vectors", "failure", f"a stored passage finds itself with similarity {worst:.3f} only", remedy
        )
    else:
        yield CheckResult(
            "vectors", "ok", f"{len(sample)} sampled passages find themselves (similarity at least {worst:.3f})"
        )


def _check_reranker(index: Index) -> Iterator[CheckResult]:
    from quarry.retriever.stages.models import served_reranker

    facts = index.manifest.reranker
    if facts is None:
        return
    try:
        served_reranker(index.root, facts)
    except SearchError as err:
        yield CheckResult("reranker", "failure", str(err), f"quarry models rollback {index.root}")
        return
    yield CheckResult(
        "reranker", "ok", f"{facts.model} (run {facts.run}, revision {facts.digest[:12]}) is as it was recorded"
    )


def _check_disk(root: Path, manifest: Manifest) -> CheckResult:
    free = shutil.disk_usage(root).free
    size = sum(fact.size for fact in manifest.files.values())
    message = f"{free / 1e9:.1f} GB free, the live generation has {size / 1e6:.1f} MB"
    if free < size * _FREE_DISK_FACTOR:
        return CheckResult(
            "disk", "warning", f"{message}: too little to build the next one", f"quarry generations {root} --prune 1"
        )
    return CheckResult("disk", "ok", message)
