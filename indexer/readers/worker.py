"""The parser process: reads one file per request. Run as `python -m quarry.indexer.readers.worker BYTES`.

It runs the libraries that could hang, crash or eat memory on a bad file.
"""

import os
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from quarry.indexer.readers.base import Reading, ReadOptions
from quarry.indexer.readers.serving import serve

_BOOKS = "quarry.indexer.readers.books"
_OFFICE = "quarry.indexer.readers.office.slides"
_SHEETS = "quarry.indexer.readers.office.sheets"
_WORD = "quarry.indexer.readers.office.word"
_FROM_PATH = {
    "pdf": ("quarry.indexer.readers.pdf", "read_pdf"),
    "epub": (_BOOKS, "read_epub"),
    "msg": (_BOOKS, "read_msg"),
    "docx": (_WORD, "read_docx"),
    "pptx": (_OFFICE, "read_pptx"),
    "xlsx": (_SHEETS, "read_xlsx"),
    "xls": (_SHEETS, "read_xls"),
}


def answer(request: dict[str, Any], content: bytes) -> dict[str, Any]:
    """Read one file.

    Raises:
        Unreadable: With the reason.
    """
    path = Path(os.fsdecode(bytes.fromhex(request["path"])))
    reading = _read(request["kind"], path, content, request.get("charset"))
    extracts = [asdict(extract) for extract in reading.extracts]
    problems = [{"line": problem.line, "detail": problem.detail.as_json()} for problem in reading.problems]
    return {"reading": {"extracts": extracts, "problems": problems, "omitted": dict(reading.omitted)}}


def _read(kind: str, path: Path, content: bytes, charset: str | None) -> Reading:
    if kind in _FROM_PATH:
        module, name = _FROM_PATH[kind]
        reading: Reading = getattr(import_module(module), name)(path)
        return reading
    from quarry.indexer.readers.formats import TEXT_READERS

    return TEXT_READERS[kind](path, content, ReadOptions(charset=charset))


if __name__ == "__main__":
    serve(answer)
