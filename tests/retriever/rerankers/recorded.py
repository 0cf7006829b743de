"""An index with a tiny real cross-encoder that it records as its own."""

from pathlib import Path

from quarry.indexer.lake.relabel import with_reranker
from quarry.indexer.messages import Message
from quarry.indexer.models.digest import content_digest
from quarry.indexer.opened import Index
from quarry.indexer.storage.facts import RerankerFacts
from tests.retriever.rerankers.tiny_rerankers import make


def record_reranker(index: Path, kind: str) -> tuple[Path, RerankerFacts]:
    """Make a reranker in an index, promote it, and return its folder and what is recorded."""
    folder = make(index / "models" / "first", kind)
    facts = RerankerFacts(
        model="tests/own",
        digest=content_digest(folder.resolve()),
        folder="models/first",
        base="b",
        parent="000001",
        run="first",
        verdict="better",
        forced=False,
        promoted="2026-01-01T00:00:00+00:00",
    )
    with_reranker(
        index,
        facts,
        Message.of("tuning.reranker_promoted", "promoted the reranker"),
        expected=Index.open(index).manifest,
    )
    return folder, facts
