"""The picture of a PDF's page with a passage marked, drawn in a process with limits."""

from base64 import b64decode

from quarry.app.documents.originals import NoOriginal, Original, read_original
from quarry.indexer.readers.base import ReadOptions, Unreadable
from quarry.indexer.readers.sandbox import Sandbox

_LIMITS = ReadOptions(parser_seconds=20.0, parser_bytes=2 << 30)
_WORKER = "quarry.app.documents.page_worker"


def is_pdf(original: Original) -> bool:
    """Whether the file is called a PDF."""
    return original.name.lower().endswith(".pdf")


def page_picture(original: Original, page: int, passage: str) -> bytes:
    """Return a PNG of a page of a PDF.

    Args:
        original: The file.
        page: From 1.
        passage: The text to mark, as it was read.

    Raises:
        NoOriginal: If the file is gone, or cannot be drawn within 20 s and 2 GB.
    """
    content = read_original(original)
    try:
        with Sandbox(_LIMITS, _WORKER) as worker:
            reply = worker.ask({"page": page, "passage": passage}, content, _LIMITS.parser_seconds)
    except Unreadable as err:
        raise NoOriginal(
            "app.no_picture",
            "the page cannot be shown: {reason}",
            expected="a PDF that can be drawn",
            do="Save the original file and open it yourself",
            reason=err.detail,
        ) from err
    return b64decode(reply["png"])
