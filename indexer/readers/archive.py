"""Looking into a zip-based file before any library opens it: no bombs, no escaping members."""

import zipfile
from pathlib import Path

from indexer.readers.base import ReadOptions, Unreadable

_MAX_MEMBERS = 20_000
_MAX_RATIO = 1000
_RATIO_MATTERS = 1 << 20  # bytes; small members compress well without harm


def check_archive(path: Path, options: ReadOptions) -> None:
    """Refuse a zip that is damaged, encrypted, unpacks too large, or has members outside of itself.

    Raises:
        Unreadable: With the reason.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as err:
        raise Unreadable("damaged", f"not a readable archive ({err}); expected a whole file. Copy it again") from err
    if any(member.flag_bits & 1 for member in members):
        raise Unreadable("encrypted", "its members are encrypted; expected an open file. Save it without a password")
    if any(".." in Path(member.filename).parts or member.filename.startswith("/") for member in members):
        raise Unreadable("archive bomb", "it has members that point outside of it; expected an ordinary file")
    unpacked = sum(member.file_size for member in members)
    if len(members) > _MAX_MEMBERS or unpacked > options.unpacked_bytes:
        raise Unreadable(
            "archive bomb",
            f"{len(members)} members of {unpacked} bytes; expected at most {_MAX_MEMBERS} and {options.unpacked_bytes}",
        )
    for member in members:
        if member.file_size > _RATIO_MATTERS and member.file_size > _MAX_RATIO * max(1, member.compress_size):
            raise Unreadable("archive bomb", f"{member.filename!r} unpacks to more than {_MAX_RATIO} times its size")
