"""What a build did, printed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from quarry.app.cli.console import out
from quarry.app.wiring import ChosenModel
from quarry.indexer.build import BuildReport
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.readers.left_out import told

_SHOWN_SKIPS = 10


def print_report(into: Path, report: BuildReport, chosen: ChosenModel) -> None:
    """Print what a build did."""
    if report.switched:
        out(f"{into}: {report.documents} documents, {report.chunks} passages, generation {report.generation}")
    else:
        out(
            f"{into}: nothing changed, {report.documents} documents, {report.chunks} passages, generation {report.generation}"
        )
    out(f"  {report.added} added, {report.changed} changed, {report.removed} removed, {report.unchanged} unchanged")
    if chosen.embedder is not None:
        spec = chosen.embedder.spec
        seconds = report.seconds.get("encoding", 0.0)
        speed = f", {report.encoded / seconds:.1f} passages/s" if report.encoded and seconds else ""
        out(f"  {spec.model} ({spec.origin}, {spec.dim} dimensions): {report.encoded} passages encoded{speed}")
        if report.taken:
            out(f"  {report.taken} vectors of passages and titles taken from shards")
    else:
        out("  no embedding model: BM25 only")
    if report.words is not None:
        out(f"  {report.words}")
    out("  " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.seconds.items()))
    if report.left_out:
        out("  left out of what was read: " + ", ".join(part.part("found") for part in told(report.left_out)))
    print_skipped(report.skipped)


def print_skipped(skipped: Sequence[Skipped]) -> None:
    """Print what was left out, by reason, and the first of it."""
    if not skipped:
        return
    counts = Counter(skip.reason for skip in skipped)
    out(f"  {len(skipped)} skipped: " + ", ".join(f"{count} {reason}" for reason, count in counts.most_common()))
    for skip in skipped[:_SHOWN_SKIPS]:
        out(f"    {skip.source}: {skip.reason}: {skip.detail}")
    if len(skipped) > _SHOWN_SKIPS:
        out(f"    ... and {len(skipped) - _SHOWN_SKIPS} more (--json lists all)")
