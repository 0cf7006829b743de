"""The segments of a candidate: texts and terms of the live ones, which are the same files, with vectors of another model.

A file of a segment never changes, so a second name for it costs nothing (a hard link; a copy where the file system has none). Passages
that were removed from a segment stay in its texts and terms, and get no vectors.
"""

import os
import shutil
from contextlib import closing
from pathlib import Path

from quarry.indexer.build.encoding import encode_passages
from quarry.indexer.build.names import LEAST, store_names
from quarry.indexer.build.plan import Plan
from quarry.indexer.build.progress import Clock
from quarry.indexer.build.steps import Filled, store_vectors
from quarry.indexer.storage.layout import CHUNKS_NAME, CONTENTS_NAME, LEXICAL_NAME, VECTORS_NAME
from quarry.indexer.storage.segments import SegmentName, Segments
from quarry.indexer.storage.texts.generation_texts import GenerationTexts
from quarry.indexer.storage.texts.working_table import name_segment
from quarry.indexer.stores.exact.files import leave_ids
from quarry.indexer.stores.kept_vectors import KeptVectors


def share_segments(
    generation: Path, segments: Segments, plan: Plan, clock: Clock, *, with_tokens: bool
) -> tuple[Filled, list[SegmentName]]:
    """Make a segment beside each one that a generation in the making names, and name it instead.

    Args:
        generation: Its folder, where what is removed is written down already.
        segments: Those of the index.
        plan: What is built; the vectors are those of its embedder.
        clock: Receives progress.
        with_tokens: Whether token states are kept as well.

    Returns:
        How many passages were encoded, and the new segments in the order of the live ones.

    Raises:
        ValueError: Without an embedder.
    """
    if plan.embedder is None:
        raise ValueError("segments differ by their vectors; expected an embedder")
    contents, made = generation / CONTENTS_NAME, []
    with closing(GenerationTexts.open(contents)) as texts:
        live, passages = list(texts.segments()), texts.counts()[1]
        with KeptVectors(plan.index, plan.embedder.spec, passages) as kept:
            encoded = encode_passages(texts, plan.embedder, kept, clock, with_tokens=with_tokens)
            for each in live:
                folder = segments.begin()
                _link(segments.path(each.name), folder)
                with closing(GenerationTexts.open(contents, only=each.number)) as part:
                    store_vectors(part, folder, plan, kept, clock)
                    leave_ids(folder / VECTORS_NAME)
                    if passages >= LEAST:
                        store_names(part, folder, plan, kept, clock)
                made.append(segments.finish(folder, segments.header(each.name).passages))
    for each, segment in zip(live, made, strict=True):
        name_segment(generation, each.number, segment.name)
    return Filled(encoded), made


def _link(segment: Path, into: Path) -> None:
    """Give texts and terms of a segment a second place."""
    for path in [segment / CHUNKS_NAME, *(segment / LEXICAL_NAME).iterdir()]:
        target = into / path.relative_to(segment)
        target.parent.mkdir(exist_ok=True)
        try:
            os.link(path, target)
        except OSError:  # a file system without hard links, or a file that has as many as there may be
            shutil.copyfile(path, target)
