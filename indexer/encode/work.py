"""One worker's share of a corpus: its units cut, and their shards encoded, one after another.

`share` says which: worker 3 of 8 takes the units 2, 10, 18 ... of the list that all workers see. Nothing else is agreed between them, so
they can be array jobs of Slurm, processes of xargs or terminals on several machines with one disk.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from quarry.indexer.build.checks import need_token_states
from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.build.cutting.cutter import Cutter
from quarry.indexer.build.progress import Clock, Observer, Unobserved
from quarry.indexer.build.roots import name_roots
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.embedder import Embedder, TokenSpans, heads_of
from quarry.indexer.encode.cut import UnitCutter, UnitRecord
from quarry.indexer.encode.encoding import ShardEncoder
from quarry.indexer.encode.units import Unit, units_of
from quarry.indexer.errors import CorpusError
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.messages import Message
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.shards.folder import ShardFolder, ShardSettings
from quarry.indexer.storage.facts import Chunking, EmbedderFacts, ReadingFacts

_SHARE = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Share:
    """Which units a worker takes: those whose number, divided by `of`, leaves `number - 1`.

    Attributes:
        number: From 1.
        of: How many workers there are.
    """

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ValueError(f"share is {self.number}/{self.of}; expected I/N with I from 1 to N, such as 3/8")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `I/N`.

        Raises:
            ValueError: If it is something else.

        Example:
            >>> from quarry.indexer.encode.work import Share
            >>> Share.parse("3/8")
            Share(number=3, of=8)
        """
        found = _SHARE.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"share is {text!r}; expected I/N with I from 1 to N, such as 3/8")
        return cls(int(found[1]), int(found[2]))

    def of_units(self, units: Iterator[Unit]) -> Iterator[Unit]:
        """Yield the units that this worker takes."""
        return (unit for place, unit in enumerate(units) if place % self.of == self.number - 1)


@dataclass(slots=True)
class EncodeReport:
    """What a worker did.

    Attributes:
        units: Groups of files that it took.
        documents: In them.
        passages: In them.
        encoded: Passages and titles that were encoded now.
        shards: Of its units.
        kept: Those of them that were complete before.
        skipped: What was left out, and why.
        seconds: By phase.
    """

    units: int = 0
    documents: int = 0
    passages: int = 0
    encoded: int = 0
    shards: int = 0
    kept: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def count(self, record: UnitRecord) -> None:
        """Count a unit that was cut."""
        self.units += 1
        self.documents += record.documents
        self.passages += record.passages
        self.shards += len(record.shards)
        self.skipped.extend(record.left_out())


def shard_settings(
    embedder: Embedder, folder: str, chunking: ChunkSpec, read: ReadOptions, *, token_states: bool
) -> ShardSettings:
    """Return what all shards of one run have in common.

    Args:
        embedder: The model.
        folder: Where it was loaded from.
        chunking: Length and overlap of passages.
        read: How files are read.
        token_states: Whether token states are kept.

    Raises:
        ModelError: If token states are asked for and the model gives none.
    """
    if token_states:
        need_token_states(embedder)
    return ShardSettings(
        embedder=EmbedderFacts.of(embedder.spec, folder),
        chunking=Chunking(
            max_tokens=chunking.max_tokens, overlap_tokens=chunking.overlap_tokens, tokenizer=embedder.tokens.name
        ),
        reading=ReadingFacts(ocr=bool(read.ocr), keep_repeated=bool(read.keep_repeated)),
        token_states=token_states,
        heads=heads_of(embedder) if token_states else "",
    )


def cutter_of(settings: ShardSettings, tokens: TokenSpans, read: ReadOptions) -> Cutter:
    """Return what cuts documents as the settings say. Terms are made when an index is built; the quickest analyzer does here."""
    spec = ChunkSpec(settings.chunking.max_tokens, settings.chunking.overlap_tokens)
    return Cutter(spec, tokens, analyzer("bigram"), read)


def units_below(
    paths: Sequence[Path], settings: ShardSettings, read: ReadOptions, skipped: list[Skipped]
) -> Iterator[Unit]:
    """List the units of files and folders, in an order that every worker sees.

    Raises:
        CorpusError: If a path does not exist.
    """
    for prefix, root in name_roots(paths, {}).items():
        yield from units_of(prefix, root, f"{settings.cut_identity}{read.charset or ''}", skipped)


def encode_corpus(
    paths: Sequence[Path],
    folder: ShardFolder,
    embedder: Embedder,
    read: ReadOptions = ReadOptions(),
    share: Share = Share(),
    observer: Observer | None = None,
) -> EncodeReport:
    """Encode a worker's share of files and folders. What is complete is not done again.

    Args:
        paths: Files and folders.
        folder: Where the shards go.
        embedder: The folder's model.
        read: How files are read.
        share: Which units this worker takes.
        observer: Receives progress events.

    Returns:
        The counts.

    Raises:
        CorpusError: If a path does not exist, or nothing readable was found.
        ShardError: If passages that wait are damaged.

    Example:
        >>> from quarry.indexer.encode.work import encode_corpus, shard_settings
        >>> settings = shard_settings(embedder, "", ChunkSpec(), ReadOptions(), token_states=False)  # doctest: +SKIP
        >>> folder = ShardFolder.create(Path("shards"), settings)  # doctest: +SKIP
        >>> encode_corpus([Path("documents")], folder, embedder, share=Share(1, 2)).units  # doctest: +SKIP
        1
    """
    report, clock = EncodeReport(), Clock(observer or Unobserved())
    encoder = ShardEncoder(folder, embedder)
    with closing(UnitCutter(folder, cutter_of(folder.settings, embedder.tokens, read))) as cutter:
        for unit in share.of_units(units_below(paths, folder.settings, read, report.skipped)):
            clock.phase("reading", None)
            record = cutter.cut(unit)
            report.count(record)
            clock.phase("encoding", None)
            for name, (kind, _) in record.shards.items():
                encoded = encoder.encode(name, kind, clock.observer.advance)
                report.encoded += encoded
                report.kept += not encoded
    report.seconds = clock.finish()
    if not report.documents and share.of == 1:
        raise _nothing(paths, report)
    return report


def _nothing(paths: Sequence[Path], report: EncodeReport) -> CorpusError:
    skips = [
        Message.of("build.skips", "{count} {reason}", count=count, reason=reason)
        for reason, count in sorted(Counter(each.reason for each in report.skipped).items())
    ]
    return CorpusError(
        "shards.nothing_found",
        "no readable document was found below {paths} ({skips})",
        expected="at least one",
        do="Check the paths",
        paths=", ".join(map(str, paths)),
        skips=skips or Message.of("build.no_files", "no files"),
    )
