"""Mutants of files of every format, read as a folder is read: each becomes a document or a counted skip within the limits."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, is_zipfile

from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.corpus.walk import ReadFile, read_corpus
from quarry.indexer.readers.base import ReadOptions

SECONDS = 20.0
LIMITS = ReadOptions(parser_seconds=SECONDS, parser_bytes=1 << 30)
_GARBAGE = 0.3  # share of replacement and control characters in a text that was indexed without a word


@dataclass
class Found:
    """What became of the mutants of one format."""

    mutants: int = 0
    read: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    garbage: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def mutant(content: bytes, rng: random.Random) -> bytes:
    """Change a file: flip bytes, cut it, repeat, remove, or move a part."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 3, 20])):
        if not data:
            break
        place, length = rng.randrange(len(data)), rng.choice([1, 4, 100, 4096])
        change = rng.randrange(7)
        if change == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif change == 1:
            data[place : place + length] = rng.randbytes(min(length, len(data) - place))
        elif change == 2:
            del data[place:]
        elif change == 3:
            del data[place : place + length]
        elif change == 4:
            data[place:place] = data[place : place + length] * rng.choice([2, 50])
        elif change == 5:
            data[place : place + 4] = b"\xff\xff\xff\x7f"
        else:
            data[place : place + length] = bytes(min(length, len(data) - place))
    return bytes(data)


def packed_mutant(content: bytes, rng: random.Random) -> bytes:
    """Change one member of an archive and pack it again, so that its parser sees the change; every fifth time the archive itself."""
    if not rng.randrange(5):
        return mutant(content, rng)
    out = BytesIO()
    with ZipFile(BytesIO(content)) as archive, ZipFile(out, "w", ZIP_DEFLATED) as changed:
        names = archive.namelist()
        chosen = rng.choice(names)
        for name in names:
            data = archive.read(name)
            changed.writestr(name, mutant(data, rng) if name == chosen else data)
    return out.getvalue()


def run(folder: Path, seeds: list[Path], mutants: int, seed: int = 0) -> dict[str, Any]:
    """Read mutants of each format in turn; returns the counts by format."""
    rng, found = random.Random(seed), dict[str, Found]()
    by_format: dict[str, list[Path]] = {}
    for path in seeds:
        by_format.setdefault(path.suffix.lower().lstrip("."), []).append(path)
    for kind, paths in sorted(by_format.items()):
        contents = [path.read_bytes() for path in paths]
        change = packed_mutant if is_zipfile(paths[0]) else mutant
        found[kind] = _read(folder / kind, kind, [change(rng.choice(contents), rng) for _ in range(mutants)])
    return {
        kind: {
            "mutants": each.mutants,
            "read": each.read,
            "skipped": dict(each.skipped),
            "slowest_s": round(each.slowest, 2),
            "garbage": each.garbage[:3],
            "lost": each.lost[:3],
        }
        for kind, each in found.items()
    }


def _read(folder: Path, kind: str, contents: list[bytes]) -> Found:
    found = Found(mutants=len(contents))
    folder.mkdir(parents=True)
    for number, content in enumerate(contents):
        (folder / f"{number:05}.{kind}").write_bytes(content)
    began, dealt_with = time.monotonic(), set[str]()
    for event in read_corpus({"m": folder}, options=LIMITS):
        found.slowest, began = max(found.slowest, time.monotonic() - began), time.monotonic()
        if isinstance(event, ReadFile):
            found.read += 1
            dealt_with.add(Path(event.file.path).name)
            for document in event.documents:
                strange = sum(c == "\ufffd" or (c < " " and c not in "\n\r\t\f") for c in document.text)
                if strange > _GARBAGE * max(1, len(document.text)) and not document.meta.get("damaged"):
                    found.garbage.append(event.file.path)
        elif isinstance(event, Skipped):
            found.skipped[event.reason] += 1
            dealt_with.add(Path(event.source).name.split(" ")[0])
    found.lost = sorted({path.name for path in folder.iterdir()} - dealt_with)
    return found
