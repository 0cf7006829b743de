"""Checks of an index: each reports what it found and, for a failure, the command that fixes it. Read-only.

    files, database, counts, words, languages, disk    here
    encoder, reranker, what judgements taught          models
    judgements and waiting documents                   logs

The door is `examine`.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from quarry.app.doctor.logs import check_feedback, check_inbox
from quarry.app.doctor.models import check_model, check_query_shift, check_reranker, read_models_again
from quarry.app.finding import CheckResult, Severity
from quarry.indexer.errors import AccessError, SearchError
from quarry.indexer.lexical.choice import SAMPLE, suited_analyzer
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.readers.left_out import losses, told
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.layout import CONTENTS_NAME
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.space import Space
from quarry.indexer.storage.texts.contents import uri_of
from quarry.indexer.storage.texts.generation_texts import repeated_documents

__all__ = ["CheckResult", "Severity", "examine"]

# A new generation is built beside the live one, so twice its size should be free.
_FREE_DISK_FACTOR = 2.0


def examine(root: Path) -> Iterator[CheckResult]:
    """Run all checks on an index folder; a failure ends them when the later ones would be meaningless."""
    rebuild = f"quarry index PATH --into {root} --rebuild"
    generations = Generations(root)
    try:
        yield from _examine(root, generations, rebuild)
    except AccessError as err:
        yield CheckResult("access", "failure", err.message)


def _examine(root: Path, generations: Generations, rebuild: str) -> Iterator[CheckResult]:
    rollback = f"quarry generations {root} --rollback"
    try:
        pointer = generations.pointer()
        folder = generations.folder / pointer.generation
        manifest = Manifest.read(folder)
    except AccessError:
        raise
    except SearchError as err:
        yield CheckResult("manifest", "failure", err.message, _remedy_without_manifest(generations))
        return
    about = Message.of(
        "doctor.manifest",
        "generation {generation}, {count:document|documents}, created {created}",
        generation=pointer.generation,
        count=manifest.documents,
        created=manifest.created,
    )
    yield CheckResult("manifest", "ok", about)
    damage = manifest.damage(folder, hashes=True)
    if damage:
        remedy = rollback if _can_roll_back(generations) else rebuild
        yield CheckResult(
            "files",
            "failure",
            Message.of(
                "doctor.damaged", "files differ from their record: {damage}", damage=[each.message for each in damage]
            ),
            remedy,
        )
        return
    intact = Message.of(
        "doctor.files",
        "{count:file matches|files match} the recorded size and SHA-256",
        count=manifest.file_count(folder),
    )
    yield CheckResult("files", "ok", intact)
    try:
        index = Index.open(root)
    except AccessError:
        raise
    except SearchError as err:
        yield CheckResult("open", "failure", err.message, rebuild)
        return
    yield _check_database(index, rebuild)
    yield from _check_counts(index, rebuild)
    yield from _check_left_out(index, root)
    yield from check_feedback(index)
    yield from check_inbox(root)
    yield _check_analyzer(index, f"quarry index PATH --into {root}")
    yield _check_languages(index, root)
    read_models_again(index)
    yield from check_model(index, rebuild)
    yield from check_reranker(index)
    yield from check_query_shift(index)
    yield _check_disk(root, manifest)
    leftovers = [path.name for path in generations.folder.glob(".*")]
    if leftovers:
        message = Message.of(
            "doctor.leftovers", "unfinished builds: {names} (the next run removes them)", names=leftovers
        )
        yield CheckResult("leftovers", "warning", message, f"quarry index PATH --into {root}")


def _can_roll_back(generations: Generations) -> bool:
    """Whether there is a generation to go back to that does not share what is damaged."""
    try:
        folder = generations.folder / generations.previous()
        return not Manifest.read(folder).damage(folder, hashes=True)
    except SearchError:
        return False


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
    for path in index.chunks.databases():
        with closing(sqlite3.connect(uri_of(path, immutable=True), uri=True)) as db:
            verdict = db.execute("PRAGMA quick_check").fetchone()[0]
        if verdict != "ok":
            broken = Message.of(
                "doctor.texts_broken",
                "the text database {path} is damaged: {verdict}",
                path=str(path),
                verdict=str(verdict),
            )
            return CheckResult("texts", "failure", broken, remedy)
    return CheckResult("texts", "ok", Message.of("doctor.texts", "the text database is sound"))


def _check_counts(index: Index, remedy: str) -> Iterator[CheckResult]:
    documents, chunks = index.chunks.counts()
    counts = {"manifest": index.manifest.chunks, "texts": chunks, "lexical": len(index.lexical)}
    if index.vectors is not None:
        counts["vectors"] = len(index.vectors)
    repeated = index.chunks.repeated()
    if repeated:
        error = repeated_documents(index.folder / CONTENTS_NAME, repeated)
        yield CheckResult("counts", "failure", error.message, remedy)
        return
    if len(set(counts.values())) != 1 or documents != index.manifest.documents:
        listed = [f"{name} {count}" for name, count in counts.items()]
        differ = Message.of("doctor.counts_differ", "passage counts differ: {counts}", counts=listed)
        yield CheckResult("counts", "failure", differ, remedy)
        return
    agree = Message.of(
        "doctor.counts", "{count:passage|passages} in each of {places}", count=chunks, places=list(counts)
    )
    yield CheckResult("counts", "ok", agree)
    if index.vectors is None:
        return
    ids = set(index.chunks.digests()[0])
    strangers = ids.symmetric_difference(index.vectors.ids)
    if strangers:
        torn = Message.of(
            "doctor.torn",
            "{count:passage is|passages are} only in the texts or only in the vectors",
            count=len(strangers),
        )
        yield CheckResult("agreement", "failure", torn, remedy)
    else:
        whole = Message.of("doctor.agreement", "dense and lexical search contain the same passages")
        yield CheckResult("agreement", "ok", whole)
    details = index.vectors.details
    if "why" in details:
        yield CheckResult("store", "ok", Message.from_json(details["why"]))
    if "note" in details:
        yield CheckResult("store", "warning", Message.from_json(details["note"]))
    unindexed = int(details.get("unindexed", 0))
    if unindexed:
        scanned = Message.of(
            "doctor.unindexed", "{count:vector is|vectors are} not indexed and searched by scan", count=unindexed
        )
        yield CheckResult("unindexed", "warning", scanned, remedy)
    else:
        yield CheckResult("unindexed", "ok", Message.of("doctor.indexed", "the store's index covers every vector"))


def _check_left_out(index: Index, root: Path) -> Iterator[CheckResult]:
    """Say what readers left out of the documents; a warning when it is a loss."""
    counts = index.chunks.left_out()
    if not counts:
        return
    found = Message.of("doctor.left_out", "left out of the documents: {parts}", parts=[*told(counts)])
    lost = losses(counts)
    scans = {"scanned_pages", "garbled_pages"} & lost.keys()
    remedy = f"quarry index PATH --into {root} --ocr" if scans else ""
    yield CheckResult("left out", "warning" if lost else "ok", found, remedy)


def _check_analyzer(index: Index, remedy: str) -> CheckResult:
    recorded, now = index.manifest.lexical.identity, index.analyzer.name
    if recorded != now:
        message = Message.of(
            "doctor.other_analyzer",
            "the terms were made by {recorded}, but {now} is installed: some words may not be found",
            recorded=recorded,
            now=now,
        )
        return CheckResult("analyzer", "warning", message, remedy)
    same = Message.of("doctor.analyzer", "the terms were made by the installed {recorded}", recorded=recorded)
    return CheckResult("analyzer", "ok", same)


def _check_languages(index: Index, root: Path) -> CheckResult:
    """Compare the index's analyzer with the one that its passages would get today; one that was chosen by hand is left alone."""
    own = index.manifest.lexical
    choice = suited_analyzer(index.chunks.texts(index.chunks.lowest_digests(SAMPLE)))
    if own.languages and choice.analyzer != own.analyzer:
        changed = Message.of(
            "doctor.other_language",
            "words are cut by {own}, and {other} would suit the documents by now",
            own=own.analyzer,
            other=choice.analyzer,
        )
        return CheckResult(
            "languages", "warning", changed, f"quarry index PATH --into {root} --analyzer {choice.analyzer}"
        )
    return CheckResult("languages", "ok", Message.of("doctor.languages", "words are cut by {own}", own=own.analyzer))


def _check_disk(root: Path, manifest: Manifest) -> CheckResult:
    free = shutil.disk_usage(root).free
    size = manifest.bytes
    space = Message.of(
        "doctor.disk",
        "{free:.1f} GB free, the live generation has {size:.1f} MB",
        free=free / 1e9,
        size=size / 1e6,
    )
    if free < size * _FREE_DISK_FACTOR:
        full = Message.of("doctor.disk_full", "{space}: too little to build the next one", space=space)
        return CheckResult("disk", "warning", full, f"quarry generations {root} --keep 1")
    parts = Space.of(root, manifest)
    apart = Message.of(
        "doctor.disk_parts",
        "{space}: vectors {vectors:.1f}, texts {texts:.1f}, words {words:.1f}, titles {titles:.1f}",
        space=space,
        vectors=parts.vectors / 1e6,
        texts=parts.texts / 1e6,
        words=parts.words / 1e6,
        titles=parts.titles / 1e6,
    )
    return CheckResult("disk", "ok", apart)
