"""The files of a folder, in a fixed order, links once; and paths as text that is safe in ids and on screens. It reads no content."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from quarry.indexer.messages import Message
from quarry.indexer.readers.base import Reason

# Characters that stay as they are in document ids; controls, `%`, `#` and what is not UTF-8 are percent-encoded
_PLAIN = "/ !\"$&'()*+,-.:;<=>?@[\\]^_`{|}~"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was left out: printable path (with `:line` for a row), a countable reason, and a message."""

    source: str
    reason: Reason
    detail: Message


# What Quarry itself writes into an index folder, which may be the folder of the documents too
_DATABASES = ("feedback.sqlite", "inbox.sqlite")
_OF_AN_INDEX = frozenset(
    {
        *("quarry-index.json", "writer.lock", "inbox.lock", "skipped.json", "evidence.json"),
        *("keys.json", "keys.lock", "watch.json", "watch.lock"),
        *("generations", "segments", "embeddings", "evaluations", "tuning", "models", "benchmarks", "judged-by-users"),
        *(name + suffix for name in _DATABASES for suffix in ("", "-wal", "-shm")),
    }
)


def printable(path: Path | str) -> str:
    """Return a path as text that is safe in ids and on screens; `path_of` gives it back."""
    return "".join(_printable_character(character) for character in str(path))


def _printable_character(character: str) -> str:
    if character.isprintable() and character not in "%#" and not "\ud800" <= character <= "\udfff":
        return character
    return quote(os.fsencode(character), safe=_PLAIN.replace("%", "").replace("#", ""))


def path_of(text: str) -> Path:
    """Return the path that `printable` made a text of."""
    return Path(os.fsdecode(unquote_to_bytes(text)))


def list_files(root: Path, entering: Callable[[Path], None] = lambda _folder: None) -> Iterator[Path | Skipped]:
    """Walk a folder in a fixed order (by name, byte by byte); what is hidden and Quarry's own indexes are left out silently.

    Links are followed inside the root only. What has two names is read under its own name, once.

    Args:
        root: A folder, or a single file, which is given back.
        entering: Receives each folder before it is read.
    """
    try:
        mode = root.stat().st_mode
    except (OSError, ValueError) as err:
        yield Skipped(printable(root), "unreadable", unreadable(str(err)))
        return
    if not stat.S_ISDIR(mode):
        special = Skipped(printable(root), "not a regular file", _special())
        yield root if stat.S_ISREG(mode) else special
        return
    real_root = root.resolve()
    ours = _OF_AN_INDEX if _is_index(root) else frozenset()
    entered: set[tuple[int, int]] = set()
    waiting: list[tuple[Path, bool]] = [(root, True)]  # a stack, not recursion: folders can be nested very deeply
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield path
            continue
        try:
            facts = path.stat()
            entries = sorted(os.scandir(path), key=lambda entry: os.fsencode(entry.name), reverse=True)
        except OSError as err:
            yield Skipped(printable(path), "unreadable", unreadable(str(err.strerror)))
            continue
        if (facts.st_dev, facts.st_ino) in entered:
            second = Message.of("corpus.second_name", "a second name of a folder that was read", expected="one name")
            yield Skipped(printable(path), "link loop", second)
            continue
        entered.add((facts.st_dev, facts.st_ino))
        entering(path)
        for entry in entries:
            if not (_is_left_out(entry) or (path == root and entry.name in ours)):
                found = _entry(Path(entry.path), real_root)
                if isinstance(found, Skipped):
                    yield found
                else:
                    waiting.append((Path(entry.path), found))


def _is_left_out(entry: "os.DirEntry[str]") -> bool:
    """Hidden, or an index below its own documents: reading it would change it, and a watched one would never come to rest."""
    if entry.name.startswith((".", "~$")):
        return True
    return entry.is_dir(follow_symlinks=False) and _is_index(Path(entry.path))


def _is_index(folder: Path) -> bool:
    return (folder / "writer.lock").is_file() and (folder / "generations").is_dir()


def _entry(path: Path, real_root: Path) -> bool | Skipped:
    """Return whether an entry is a folder, or why it is neither that nor a file to read."""
    name = printable(path)
    try:
        if path.is_symlink():
            target = path.resolve(strict=True)
            if not target.is_relative_to(real_root):
                leaves = Message.of(
                    "corpus.link_leaves", "a link that leaves the folder", do="Index its target instead"
                )
                return Skipped(name, "not a regular file", leaves)
            inside = target.relative_to(real_root)
            if not any(part.startswith((".", "~$")) for part in inside.parts):
                return Skipped(name, "link loop", _other_name(inside, is_folder=target.is_dir()))
        mode = path.stat().st_mode
    except (OSError, RuntimeError) as err:
        reason: Reason = "link loop" if path.is_symlink() else "unreadable"
        broken = Message.of(
            "corpus.broken_link",
            "it cannot be followed ({error})",
            do="Fix or remove it",
            error=type(err).__name__,
        )
        return Skipped(name, reason, broken)
    if stat.S_ISDIR(mode):
        return True
    if stat.S_ISREG(mode):
        return False
    return Skipped(name, "not a regular file", _special())


def _other_name(inside: Path, *, is_folder: bool) -> Message:
    if is_folder:
        return Message.of(
            "corpus.other_name", "another name of {folder}/, which is read under its own", folder=printable(inside)
        )
    return Message.of(
        "corpus.other_file", "another name of {file}, which is read under its own", file=printable(inside)
    )


def _special() -> Message:
    return Message.of("corpus.special", "a device, socket or pipe", expected="a file")


def unreadable(error: str) -> Message:
    """Return that something cannot be read, and what to do."""
    return Message.of(
        "corpus.unreadable", "it cannot be read ({error})", do="Check that it exists and may be read", error=error
    )
