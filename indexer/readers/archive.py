"""Looking into a zip-based file before any library opens it: no bombs, no escaping members, no entity declarations."""

import zipfile
import zlib
from pathlib import Path, PurePosixPath
from xml.parsers import expat

from quarry.indexer.messages import Message
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
        raise Unreadable("damaged", broken_archive(err)) from err


def broken_archive(err: Exception) -> Message:
    """Say that a zip cannot be opened."""
    return Message.of(
        "readers.broken_archive",
        "not a readable archive ({error})",
        expected="a complete file",
        do="Copy it again",
        error=str(err),
    )


def _check_sizes(members: list[zipfile.ZipInfo], options: ReadOptions) -> None:
    if any(member.flag_bits & 1 for member in members):
        found = Message.of(
            "readers.encrypted_members",
            "its members are encrypted",
            expected="an open file",
            do="Save it without a password",
        )
        raise Unreadable("encrypted", found)
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if ".." in name.parts or name.is_absolute():
            found = Message.of(
                "readers.member_outside",
                "member {member!r} points outside of it",
                expected="members inside of the archive",
                member=member.filename,
            )
            raise Unreadable("archive bomb", found)
        if member.file_size > max(_RATIO_MATTERS, _MAX_RATIO * member.compress_size):
            found = Message.of(
                "readers.member_ratio",
                "{member!r} unpacks to more than {ratio} times its size",
                member=member.filename,
                ratio=_MAX_RATIO,
            )
            raise Unreadable("archive bomb", found)
    unpacked = sum(member.file_size for member in members)
    if len(members) > _MAX_MEMBERS or unpacked > options.unpacked_bytes:
        found = Message.of(
            "readers.archive_size",
            "{members:,} members of {unpacked:,} bytes",
            expected="at most {most:,} and {limit:,}",
            do="Split it",
            members=len(members),
            unpacked=unpacked,
            most=_MAX_MEMBERS,
            limit=options.unpacked_bytes,
        )
        raise Unreadable("archive bomb", found)


def _check_rights(members: list[zipfile.ZipInfo]) -> None:
    if {"META-INF/rights.xml", "META-INF/sinf.xml"} & {member.filename for member in members}:
        found = Message.of(
            "readers.drm", "the book is locked by digital rights management", expected="a book without it"
        )
        raise Unreadable("encrypted", found)


def _check_prolog(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read an XML member up to its first element."""
    begun = False

    def refuse(*_: object) -> None:
        found = Message.of(
            "readers.doctype",
            "{member!r} has a document type declaration, which can hide entities",
            expected="none",
            member=member.filename,
        )
        raise Unreadable("archive bomb", found)

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
            except (expat.ExpatError, LookupError, ValueError):  # LookupError: an encoding that nobody knows
                return  # not all members matter; of those that do, the library will say so
            if not block:
                return
    if not begun and read >= _PROLOG:
        found = Message.of(
            "readers.no_element",
            "{member!r} has no element within its first {prolog:,} bytes",
            expected="XML",
            member=member.filename,
            prolog=_PROLOG,
        )
        raise Unreadable("archive bomb", found)
