"""Adding files and folders to a lake, one unit of files after another, in memory that does not grow with the corpus.

A unit (`quarry.indexer.encode.units`) becomes a shard. One that is complete is not read again, so the same command resumes, and several
machines may add different folders at once. When all shards of a folder are there, its listing names them; the next `quarry lake publish`
takes what the listings name.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.build.cutting.cutter import Cutter
from quarry.indexer.build.intake import storable
from quarry.indexer.build.progress import Clock, Observer, Unobserved
from quarry.indexer.build.roots import name_roots
from quarry.indexer.corpus.listing import Skipped, printable
from quarry.indexer.corpus.walk import ReadFile, RootReader
from quarry.indexer.embedder import Embedder
from quarry.indexer.encode.units import Unit, units_of
from quarry.indexer.errors import CorpusError, IndexFormatError
from quarry.indexer.lake.encoded import EncodedVectors, Made, encode
from quarry.indexer.lake.making import Lake
from quarry.indexer.lake.roots import RootListing, check_root
from quarry.indexer.lake.rows import (
    DocumentRows,
    batch_of,
    documents_schema,
    names_schema,
    passages_schema,
    rows_of,
    states_schema,
)
from quarry.indexer.lake.shard import LakePart, LakeShard, marker_name, read_marker, write_marker, write_part
from quarry.indexer.lake.tokens import projection_of
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.messages import Message
from quarry.indexer.readers.base import ReadOptions, Unreadable
from quarry.indexer.readers.sandbox import Sandbox
from quarry.indexer.records import Document
from quarry.indexer.stores.lake.layout import check_lake_model

_PASSAGES = 2_048  # of a part, after which it is encoded and written


@dataclass(slots=True)
class AddReport:
    """What was added.

    Attributes:
        shards: Of the folders.
        kept: Those of them that were complete before.
        documents: In the shards.
        passages: In them.
        encoded: Passages and titles that the model encoded now.
        taken: Those whose vectors came out of the shards of `quarry encode`.
        skipped: What was left out, and why.
        seconds: By phase.
    """

    shards: int = 0
    kept: int = 0
    documents: int = 0
    passages: int = 0
    encoded: int = 0
    taken: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def count(self, shard: LakeShard) -> None:
        """Count a shard."""
        self.shards += 1
        self.documents += shard.documents
        self.passages += shard.passages
        self.skipped.extend(shard.left_out())


def add_to_lake(
    lake: Lake,
    paths: Sequence[Path],
    embedder: Embedder,
    *,
    vectors: Path | None = None,
    read: ReadOptions = ReadOptions(),
    observer: Observer | None = None,
) -> AddReport:
    """Add files and folders; those that were added before are brought in step with what is there now.

    Args:
        lake: The lake.
        paths: Files and folders.
        embedder: The lake's model.
        vectors: Shards of `quarry encode` of the same files, whose vectors are taken; what they lack is encoded.
        read: How files are read.
        observer: Receives progress events.

    Returns:
        The counts.

    Raises:
        CorpusError: If a path does not exist, or nothing readable was found.
        IndexMismatchError: If the model is not the lake's, the shards were made otherwise, or another folder has the same name.
        ShardError: If a shard of `vectors` is damaged.
        IndexFormatError: If the storage does not answer.
    """
    check_lake_model(lake.objects.uri, lake.settings, embedder.spec.fingerprint)
    clock, report = Clock(observer or Unobserved()), AddReport()
    encoded = None if vectors is None else EncodedVectors.open(vectors, lake, embedder)
    with closing(_Maker(lake, embedder, read, clock, report)) as maker:
        for prefix, root in name_roots(paths, {}).items():
            check_root(lake.objects, prefix, root)
            keys = []
            for unit, vectors_of in _units(lake, prefix, root, read, encoded, report):
                report.count(maker.shard(unit, vectors_of))
                keys.append(unit.key)
            RootListing(name=prefix, path=str(root), shards=tuple(keys)).write(lake.objects)
    report.seconds = clock.finish()
    if not report.documents:
        raise _nothing(paths, report)
    return report


def _units(
    lake: Lake, prefix: str, root: Path, read: ReadOptions, encoded: "EncodedVectors | None", report: AddReport
) -> Iterator[tuple[Unit, Mapping[bytes, Made]]]:
    """Yield the units of a root, each with the vectors that were made for it elsewhere."""
    charset = read.charset or ""
    units = units_of(prefix, root, f"{lake.settings.identity}{charset}", report.skipped)
    if encoded is None:
        yield from ((unit, {}) for unit in units)
        return
    theirs = units_of(prefix, root, f"{encoded.folder.settings.cut_identity}{charset}", [])
    for unit in units:
        other = next(theirs, None)
        yield unit, {} if other is None else encoded.of(other)


class _Maker:
    """Makes shards out of units. `close` ends its processes."""

    def __init__(self, lake: Lake, embedder: Embedder, read: ReadOptions, clock: Clock, report: AddReport) -> None:
        settings = lake.settings
        spec = ChunkSpec(settings.chunking.max_tokens, settings.chunking.overlap_tokens)
        limits = ReadOptions(
            charset=read.charset, ocr=settings.reading.ocr, keep_repeated=settings.reading.keep_repeated
        )
        self._objects, self._embedder, self._clock, self._report = lake.objects, embedder, clock, report
        self._cutter = Cutter(spec, embedder.tokens, analyzer(settings.analyzer), limits)
        self._sandbox = Sandbox(limits)
        self._readers: dict[str, RootReader] = {}
        self._projection = projection_of(lake, embedder) if settings.token_states else None

    def close(self) -> None:
        """End the processes that files are read in."""
        self._sandbox.close()
        self._cutter.close()

    def shard(self, unit: Unit, known: Mapping[bytes, Made]) -> LakeShard:
        """Return the shard of a unit, made now unless it is complete."""
        before = self._complete(unit.key)
        if before is not None:
            self._report.kept += 1
            return before
        self._clock.phase("reading", None)
        skipped: list[Skipped] = []
        parts: list[LakePart] = []
        held: list[DocumentRows] = []
        documents = passages = 0
        for rows in self._documents(unit, skipped):
            held.append(rows)
            documents, passages = documents + 1, passages + len(rows.passages)
            if sum(len(one.passages) for one in held) >= _PASSAGES:
                parts.append(self._part(unit.key, held, known))
                held = []
        if held:
            parts.append(self._part(unit.key, held, known))
        left = tuple((each.source, each.reason, each.detail.as_json()) for each in skipped)
        made = LakeShard(key=unit.key, documents=documents, passages=passages, parts=tuple(parts), skipped=left)
        if write_marker(self._objects, made):
            return made
        return read_marker(self._objects, unit.key) or made  # another worker was first

    def _complete(self, key: str) -> LakeShard | None:
        """Return the shard of a key, if it is there with all of its files; a damaged marker is removed, to be made again."""
        try:
            found = read_marker(self._objects, key)
        except IndexFormatError:
            found = None
            self._objects.remove([marker_name(key)])
        if found is None:
            return None
        if all(self._objects.size(name) == fact.size for name, fact in found.files):
            return found
        self._objects.remove([marker_name(key)])
        return None

    def _documents(self, unit: Unit, skipped: list[Skipped]) -> Iterator[DocumentRows]:
        reader = self._readers.get(unit.prefix)
        if reader is None:
            reader = RootReader(unit.prefix, unit.root, lambda _path: None, self._cutter.limits, self._sandbox)
            self._readers = {unit.prefix: reader}
        for path in unit.files:
            match reader.read(path):
                case Skipped() as left:
                    skipped.append(left)
                case ReadFile(documents=documents, problems=problems):
                    skipped.extend(problems)
                    for document in documents:
                        yield from self._cut(document, printable(path.absolute()), skipped)

    def _cut(self, document: Document, file: str, skipped: list[Skipped]) -> Iterator[DocumentRows]:
        clean = storable(document)
        try:
            chunks, terms = self._cutter.cut(clean)
        except Unreadable as err:
            skipped.append(Skipped(clean.doc_id, err.reason, err.detail))
            return
        if chunks:
            yield rows_of(clean, file, chunks, terms)
            return
        nothing = Message.of(
            "build.nothing_to_search", "document {doc_id!r} has no text to search", doc_id=clean.doc_id
        )
        skipped.append(Skipped(file, "no text", nothing))

    def _part(self, key: str, held: Sequence[DocumentRows], known: Mapping[bytes, Made]) -> LakePart:
        """Encode what has no vector yet, and write the files."""
        passages = [row for one in held for row in one.passages]
        texts = {row["digest"]: text for one in held for row, text in zip(one.passages, one.texts, strict=True)}
        names = {digest: text for one in held for digest, text in one.names.items()}
        made = self._made(names, texts, known)
        dim = self._embedder.spec.dim
        stacked = np.array([made[row["digest"]].vector for row in passages], dtype=np.float32)
        titles = np.array([made[digest].vector for digest in names], dtype=np.float32).reshape(-1, dim)
        batches = {
            "passages": batch_of(passages, passages_schema(dim), stacked),
            "documents": batch_of([one.document for one in held], documents_schema()),
            "names": batch_of([{"id": digest} for digest in names], names_schema(dim), titles),
        }
        if self._projection is not None:
            batches["states"] = batch_of([made[digest].row(digest) for digest in texts], states_schema())
        part = write_part(self._objects, key, batches)
        self._clock.phase("reading", None)
        return part

    def _made(self, names: Mapping[str, str], texts: Mapping[str, str], known: Mapping[bytes, Made]) -> dict[str, Made]:
        """Return what was made of each text by its digest in hex: of passages with token states, where they are kept."""
        every = {**names, **texts}
        taken = {digest: known.get(bytes.fromhex(digest)) for digest in every}
        lacking = texts.keys() if self._projection is not None else ()
        found = {
            digest: one
            for digest, one in taken.items()
            if one is not None and (one.states is not None or digest not in lacking)
        }
        self._report.taken += len(found)
        absent = sorted(every.keys() - found.keys(), key=lambda digest: (-len(every[digest]), digest))
        self._report.encoded += len(absent)
        if absent:
            self._clock.phase("encoding", len(absent))
        for with_states in (True, False):
            part = [digest for digest in absent if (digest in lacking) is with_states]
            projection = self._projection if with_states else None
            made = encode(self._embedder, [every[one] for one in part], projection, self._clock.observer.advance)
            found.update(zip(part, made, strict=True))
        return found


def _nothing(paths: Sequence[Path], report: AddReport) -> CorpusError:
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
