"""Which files the last runs skipped, and why: kept beside the generations, so that every surface can show them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quarry.indexer.corpus.listing import Skipped, printable
from quarry.indexer.corpus.places import as_written
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import write_atomic

_NAME = "skipped.json"
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file or row that is not in the index.

    Attributes:
        source: Its path, with `:line` for a row.
        reason: One of `quarry.indexer.readers.base.Reason`.
        detail: What was found, and what to do.
    """

    source: str
    reason: str
    detail: Message


def remember_skips(index: Path, paths: Sequence[Path], skipped: Sequence[Skipped]) -> None:
    """Keep what a run skipped; entries of earlier runs over other paths stay.

    Args:
        index: The index folder.
        paths: What the run read.
        skipped: What it skipped.
    """
    read = [printable(as_written(path)) for path in paths]
    earlier = [skip for skip in list_skips(index) if not any(_is_below(skip.source, path) for path in read)]
    kept = [*earlier, *(SkippedFile(skip.source, skip.reason, skip.detail) for skip in skipped)][:_MOST]
    content = [{"source": skip.source, "reason": skip.reason, "detail": skip.detail.as_json()} for skip in kept]
    if kept or (index / _NAME).exists():
        write_atomic(index / _NAME, json.dumps(content, ensure_ascii=False).encode())


def list_skips(index: Path) -> tuple[SkippedFile, ...]:
    """Return what the last runs skipped; nothing for an index of an earlier version."""
    try:
        content = json.loads((index / _NAME).read_bytes())
        return tuple(
            SkippedFile(str(entry["source"]), str(entry["reason"]), Message.from_json(entry["detail"]))
            for entry in content
        )
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError):  # a note that can be lost: the next run writes it anew
        return ()


def _is_below(source: str, path: str) -> bool:
    return source == path or source.startswith((f"{path}/", f"{path}:", f"{path}\\"))
