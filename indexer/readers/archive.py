"""Looking into a zip-based file before any library opens it: no bombs, no escaping members, no entity declarations."""

import zipfile
import zlib
from pathlib import Path, PurePosixPath
from xml.parsers import expat

from quarry.indexer.readers.base import ReadOptions, Unreadable

_MAX_MEMBERS = 20_000
_MAX_RATIO = 1000
_RATIO_MATTERS = 1 << 20  # bytes; small members compress well without harm
_PROLOG = 1 << 16  # bytes within which the first element of an XML member must begin
ZIP_ERRORS = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError, zlib.error)


def check_archive(path: Path, kind: str, options: ReadOptions) -> None:
    """Refuse a zip that is damaged, encrypted, unpacks too large, has members outside of itself, or declares entities.

    Args:
        path: The file.
        kind: Its format; office formats may hold no document type declaration, so none of theirs may.
        options: For the largest content allowed.

    Raises:
        Unreadable: With the reason.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_sizes(members, options)
            if kind == "epub":
                _check_rights(members)
            else:
                for member in members:
                    if member.filename.endswith((".xml", ".rels")):
                        _check_prolog(archive, member)
    except ZIP_ERRORS as err:
        raise Unreadable("damaged", f"not a readable archive ({err}); expected a whole file. Copy it again") from err


def _check_sizes(members: list[zipfile.ZipInfo], options: ReadOptions) -> None:
    if any(member.flag_bits & 1 for member in members):
        raise Unreadable("encrypted", "its members are encrypted; expected an open file. Save it without a password")
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if ".." in name.parts or name.is_absolute():
            raise Unreadable("archive bomb", f"member {member.filename!r} points outside of it; expected none that do")
        if member.file_size > max(_RATIO_MATTERS, _MAX_RATIO * member.compress_size):
            raise Unreadable("archive bomb", f"{member.filename!r} unpacks to more than {_MAX_RATIO} times its size")
    unpacked = sum(member.file_size for member in members)
    if len(members) > _MAX_MEMBERS or unpacked > options.unpacked_bytes:
        found = f"{len(members)} members of {unpacked} bytes"
        limits = f"{_MAX_MEMBERS} and {options.unpacked_bytes}"
        raise Unreadable("archive bomb", f"{found}; expected at most {limits}. Split it")


def _check_rights(members: list[zipfile.ZipInfo]) -> None:
    if {"META-INF/rights.xml", "META-INF/sinf.xml"} & {member.filename for member in members}:
        raise Unreadable("encrypted", "the book is locked by digital rights management; expected an open one")


def _check_prolog(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read an XML member up to its first element."""
    begun = False

    def refuse(*_: object) -> None:
        raise Unreadable("archive bomb", f"{member.filename!r} has a document type, where entities hide; expected none")

    def begin(*_: object) -> None:
        nonlocal begun
        begun = True

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = begin
    read = 0
    with archive.open(member) as stream:
        while not begun and read < min(_PROLOG, member.file_size):
            block = stream.read(1024)
            read += len(block)
            try:
                parser.Parse(block, not block)
            except expat.ExpatError:
                return  # not all members matter; of those that do, the library will say so
            if not block:
                return
    if not begun and read >= _PROLOG:
        raise Unreadable("archive bomb", f"{member.filename!r} begins with {_PROLOG} bytes of nothing; expected XML")
