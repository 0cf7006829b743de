"""One file through the readers, as a build reads it."""

from pathlib import Path

from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.corpus.walk import ReadFile, read_corpus
from quarry.indexer.records import Document


def read(path: Path) -> ReadFile | Skipped:
    """Return what comes out of a file."""
    (event,) = read_corpus({"a": path})
    assert isinstance(event, ReadFile | Skipped)
    return event


def document(path: Path) -> Document:
    """Return the document of a file that has one."""
    event = read(path)
    assert isinstance(event, ReadFile), event
    (only,) = event.documents
    return only


def line(path: Path, start: str) -> str:
    """Return the first line of a file's text that holds `start`."""
    return next(one for one in document(path).text.split("\n") if start in one)
