"""The readers of everyday formats take time in proportion to the file, whatever it holds."""

from contextlib import suppress
from pathlib import Path
from time import thread_time

import pytest

from quarry.indexer.build.cutting.table_heads import TableHeads
from quarry.indexer.readers.base import ReadOptions, Unreadable
from quarry.indexer.readers.pdf.plausible import is_garbage
from quarry.indexer.readers.pdf.text import joined_lines, without_running_heads
from quarry.indexer.readers.registry import read_here
from quarry.indexer.readers.repeated import repeated_lines, without_repeated

FILES = {
    "rtf braces": ("rtf", lambda n: b"{\\rtf1 " + b"{" * n),
    "rtf rows": ("rtf", lambda n: b"{\\rtf1 " + b"\\cell\\row x" * (n // 10)),
    "rtf hex": ("rtf", lambda n: b"{\\rtf1 " + b"\\'b2" * (n // 4)),
    "mbox lines": ("mbox", lambda n: b"From a 10:00\n\nx\n\nFrom " + b"a" * n),
    "mbox mails": ("mbox", lambda n: b"From a 10:00\nSubject: x\n\nx\n\n" * (n // 30)),
    "mail of parts": ("eml", lambda n: b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\nx\n" * (n // 7)),
    "mail of one header": ("eml", lambda n: b"Subject: " + b"=?utf-8?Q?a?= " * (n // 14) + b"\n\nx"),
    "subtitle tags": ("subtitles", lambda n: b"00:00:01,000 --> 00:00:02,000\n" + b"<a " * (n // 3)),
    "subtitle cues": ("subtitles", lambda n: b"00:00:01,000 --> 00:00:02,000\nx y\n\n" * (n // 38)),
    "rst rules": ("rst", lambda n: b"=\n" * (n // 2)),
    "tex braces": ("tex", lambda n: b"\\section{" + b"{}" * (n // 2)),
    "tex lines": ("tex", lambda n: b"\\section{a\n" * (n // 11)),
    "org stars": ("org", lambda n: b"*" * n),
    "notebook cells": ("notebook", lambda n: b'{"cells": [' + b'{"source": "x"},' * (n // 16) + b"{}]}"),
}
TEXTS = {
    "capitals": lambda n: "A" * n,
    "spaced letters": lambda n: "a " * (n // 2) + "bc",
    "spaces": lambda n: "一" + " " * n + "x",
    "bars": lambda n: " | " * (n // 3),
    "rows": lambda n: "a | b\n" * (n // 6),
    "numbers": lambda n: "1," * (n // 2) + "x | y\n" * 9,
    "lines": lambda n: "x\n" * (n // 2),
}


def seconds(work):
    best = float("inf")
    for _ in range(3):
        began = thread_time()
        work()
        best = min(best, thread_time() - began)
    return best


def read(kind, content):
    with suppress(Unreadable):
        read_here(kind, Path(f"a.{kind}"), content, ReadOptions())


@pytest.mark.parametrize("name", sorted(FILES))
def test_readers_are_linear(name):
    kind, make = FILES[name]
    first, second = (seconds(lambda size=size: read(kind, make(size))) for size in (4_000, 64_000))
    assert second < 80 * max(first, 0.001)


@pytest.mark.parametrize("name", sorted(TEXTS))
@pytest.mark.parametrize(
    "work",
    [
        is_garbage,
        joined_lines,
        lambda text: TableHeads(text, "docx").above(len(text) // 2, ""),
        lambda text: TableHeads(text, "csv").above(len(text) // 2, ""),
        lambda text: without_running_heads([text] * 4),
        lambda text: without_repeated(text, repeated_lines([text + str(n) for n in range(5)])),
    ],
)
def test_what_readers_do_with_text_is_linear(name, work):
    make = TEXTS[name]
    first, second = (seconds(lambda size=size: work(make(size))) for size in (4_000, 64_000))
    assert second < 80 * max(first, 0.001)
