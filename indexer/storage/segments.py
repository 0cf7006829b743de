"""Segments: immutable folders with the texts, vectors and terms of some passages, which generations name and share.

    INDEX/segments/1f6c0a94e6a2b7d3/   named by the SHA-256 of its header, so equal ones have equal names wherever they were built
        segment.json                   the header: size and SHA-256 of every file; sealed, written last
        chunks.sqlite  vectors/  names/  lexical/
    INDEX/segments/.new/               one in the making; a crash leaves it, the next build removes it

What is removed from a segment stands in the generations that name it (`quarry.indexer.storage.texts.contents`), never in the segment.
"""

import re
import shutil
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import accessible, sync_folder, sync_tree, write_atomic
from quarry.indexer.storage.files.sealing import (
    Damage,
    FileFacts,
    check_header,
    describe,
    differences,
    seal,
    unseal,
    wrong_fields,
)

# texts may be compressed since 2; since 3 the terms of passages are in the postings only, and digests are bytes; since 4 texts refer
# to ids by number (`quarry.indexer.storage.texts.finished`)
FORMAT = 4
_READABLE = (1, 2, 3, FORMAT)
SEGMENTS_NAME = "segments"
HEADER_NAME = "segment.json"
_NEW = ".new"
_NAME_DIGITS = 16
PLAIN_NAME = re.compile(r"[0-9a-f]{16}")  # of a segment; anything else may lead out of the index


class SegmentName(BaseModel):
    """How a generation names a segment.

    Attributes:
        name: Its folder below INDEX/segments.
        sha256: Of its header, in hex.
        passages: How many it holds, removed ones included.
        bytes: The size of all of its files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=rf"^{PLAIN_NAME.pattern}$")
    sha256: str
    passages: int = Field(ge=0)
    bytes: int = Field(ge=0)


class Header(BaseModel):
    """The content of `segment.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: int = FORMAT
    passages: int
    files: FileFacts

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a header.

        Raises:
            FileNotFoundError: If there is none.
            IndexFormatError: If it is damaged, or of a newer format.
        """
        content = unseal(path)
        check_header(content, path, _READABLE)
        try:
            return cls.model_validate(content)
        except ValidationError as err:
            raise wrong_fields(path, err) from err


class Segments:
    """The segments of one index folder."""

    def __init__(self, root: Path) -> None:
        self.folder = root / SEGMENTS_NAME

    def path(self, name: str) -> Path:
        """Return the folder of a segment."""
        return self.folder / name

    def header(self, name: str) -> Header:
        """Read the header of a segment. Raises as `Header.read`."""
        return Header.read(self.path(name) / HEADER_NAME)

    def begin(self) -> Path:
        """Make an empty folder for a new segment; what a crashed build left is removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        building = self.folder / _NEW
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        return building

    def finish(self, building: Path, passages: int) -> SegmentName:
        """Seal a built segment: sizes and digests, fsync, rename to the name that follows from its content."""
        files = describe(building, (path for path in building.rglob("*") if path.is_file()))
        content = seal(Header(passages=passages, files=files).model_dump(mode="json"))
        write_atomic(building / HEADER_NAME, content)
        sync_tree(building)
        digest = sha256(content).hexdigest()
        size = sum(fact.size for fact in files.values())
        segment = SegmentName(name=digest[:_NAME_DIGITS], sha256=digest, passages=passages, bytes=size)
        target = self.path(segment.name)
        if target.is_dir() and not self.damage(segment, hashes=True):  # the same content again: readers keep theirs
            shutil.rmtree(building)
            return segment
        shutil.rmtree(target, ignore_errors=True)
        building.rename(target)
        sync_folder(self.folder)
        return segment

    def prune(self, named: Collection[str]) -> list[str]:
        """Remove segments that no generation names, and what a crashed build left; return their names."""
        if not self.folder.is_dir():
            return []
        gone = sorted(path.name for path in self.folder.iterdir() if path.name not in named)
        for name in gone:
            shutil.rmtree(self.path(name), ignore_errors=True)
        return gone

    def file_count(self, segment: SegmentName) -> int:
        """Return how many files a segment has, its header included. Raises IndexFormatError when that is damaged."""
        return 1 + len(self.files(segment))

    def files(self, segment: SegmentName) -> FileFacts:
        """Return what the header of a segment says of its files. Raises IndexFormatError when that is damaged."""
        return Header.read(self.path(segment.name) / HEADER_NAME).files

    def damage(self, segment: SegmentName, *, hashes: bool) -> list[Damage]:
        """List what differs between a segment's files and their records; sizes are compared always, digests when asked for."""
        path = self.path(segment.name) / HEADER_NAME
        with accessible():
            header = path.read_bytes() if path.is_file() else None
        if header is None:
            return [Damage(path, Message.of("storage.file_missing", "{path} is missing", path=str(path)))]
        if sha256(header).hexdigest() != segment.sha256:
            changed = Message.of("storage.file_digest", "{path} does not match its recorded SHA-256", path=str(path))
            return [Damage(path, changed)]
        return differences(path.parent, Header.read(path).files, hashes=hashes)
