"""The parser process: reads one file per request. Run as `python -m quarry.indexer.readers.worker BYTES`.

It runs the libraries that could hang, crash or eat memory on a bad file.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.readers.registry import read_here
from quarry.indexer.readers.serving import serve


def answer(request: dict[str, Any], content: bytes) -> dict[str, Any]:
    """Read one file.

    Raises:
        Unreadable: With the reason.
    """
    path = Path(os.fsdecode(bytes.fromhex(request["path"])))
    reading = read_here(request["kind"], path, content, ReadOptions(**request.get("options", {})))
    extracts = [asdict(extract) for extract in reading.extracts]
    problems = [{"line": problem.line, "detail": problem.detail.as_json()} for problem in reading.problems]
    return {"reading": {"extracts": extracts, "problems": problems, "omitted": dict(reading.omitted)}}


if __name__ == "__main__":
    serve(answer)
