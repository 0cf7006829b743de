"""The texts of a generation as somebody may see them: those that are hidden count as removed, in memory.

A generation leaves out what was removed from its segments, in texts, vectors and terms alike. So what somebody may not see is
written down as removed in a copy of `contents.sqlite` that is never stored, and everything that reads a generation, statistics of terms
included, is as if these documents had never been indexed. A file that holds hidden documents beside others, such as one of JSON lines,
is not there: its content and its size would tell of them.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from quarry.indexer.corpus.walk import SourceFile
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.principals import Principals
from quarry.indexer.storage.layout import CONTENTS_NAME
from quarry.indexer.storage.texts.contents import attach_segments, create_views, with_removals
from quarry.indexer.storage.texts.generation_texts import GenerationTexts
from quarry.indexer.storage.texts.packing import read_meta
from quarry.indexer.storage.texts.removals import Removals
from quarry.indexer.storage.texts.segment_texts import SegmentTexts


class SeenTexts(GenerationTexts):
    """The texts that somebody may see."""

    _hiding: frozenset[str] = frozenset()

    def hide_files(self, paths: frozenset[str]) -> None:
        """Say which files hold documents that are hidden."""
        self._hiding = paths

    def file(self, path: str) -> SourceFile | None:
        """Return what the last run recorded about a file; None for one that holds hidden documents."""
        return None if path in self._hiding else super().file(path)


def open_seen(generation: Path, principals: Principals) -> SeenTexts:
    """Open the texts of a generation that somebody may see.

    Args:
        generation: The generation's folder.
        principals: Who asks.

    Raises:
        IndexFormatError: If a database is missing or damaged, or the generation is of an older format.
    """
    path = generation / CONTENTS_NAME
    if not path.is_file():
        raise IndexFormatError(
            "storage.too_old_to_hide",
            "{path} is of a format in which documents cannot be hidden from anybody",
            expected="an index of this version",
            do="Update it with `quarry index PATH --into INDEX`",
            path=generation,
        )
    with closing(GenerationTexts.open(path)) as whole:
        labels = whole.labels()
        hidden = {label.doc_id: label.file for label in labels if not principals.may_see(read_meta(label.meta))}
        db = sqlite3.connect("file::memory:", uri=True, isolation_level=None, check_same_thread=False)
        whole.copy_contents(db)
    segments = attach_segments(db, generation)
    db.execute("BEGIN")
    _remove(db, generation, segments, hidden)
    segments = with_removals(db, segments)
    create_views(db, segments)
    if hidden:
        _remove_files(db, segments)
        segments = with_removals(db, segments)
        create_views(db, segments)
    db.execute("COMMIT")
    seen = SeenTexts(db, path, segments)
    seen.hide_files(frozenset(hidden.values()))
    return seen


def _remove(db: sqlite3.Connection, generation: Path, segments: list[SegmentTexts], hidden: Iterable[str]) -> None:
    removals = Removals(db, generation)
    for doc_id in hidden:
        for segment in segments:
            removals.document(segment, doc_id)
    removals.settle()


def _remove_files(db: sqlite3.Connection, segments: list[SegmentTexts]) -> None:
    """Hide the files of which no document is left, and the folders of which no file is."""
    for segment in segments:
        db.execute(
            f"""INSERT OR IGNORE INTO main.removed_files SELECT ?, f.path FROM temp.{segment.view("files")} f
                WHERE f.path NOT IN (SELECT file FROM documents)""",  # noqa: S608 (fixed names)
            (segment.number,),
        )
    db.execute(
        """DELETE FROM main.roots WHERE prefix NOT IN
           (SELECT f.root FROM files f WHERE f.path IN (SELECT file FROM documents))"""
    )
