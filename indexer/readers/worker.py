"""The parser process: reads one JSON request a line on stdin, answers with one JSON line on stdout.

It runs the libraries that could hang, crash or eat memory on a bad file. It holds a memory limit set at its start; its
parent holds the time limit and kills it. Run as `python -m quarry.indexer.readers.worker BYTES`.
"""

import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quarry.indexer.readers.base import Unreadable

_KINDS = {
    "pdf": ("quarry.indexer.readers.books", "read_pdf"),
    "epub": ("quarry.indexer.readers.books", "read_epub"),
    "msg": ("quarry.indexer.readers.books", "read_msg"),
    "docx": ("quarry.indexer.readers.office", "read_docx"),
    "pptx": ("quarry.indexer.readers.office", "read_pptx"),
    "xlsx": ("quarry.indexer.readers.office", "read_xlsx"),
    "xls": ("quarry.indexer.readers.office", "read_xls"),
}


def answer(kind: str, path: Path) -> dict[str, Any]:
    """Read one file; every failure becomes a reason."""
    from importlib import import_module

    module, name = _KINDS[kind]
    try:
        return {"reading": asdict(getattr(import_module(module), name)(path))}
    except Unreadable as err:
        return {"reason": err.reason, "detail": err.detail}
    except MemoryError:
        return {"reason": "memory limit", "detail": "reading it takes more memory than allowed"}
    except Exception as err:  # noqa: BLE001 (the border: a parser's failure is a counted reason with its type)
        return {"reason": "damaged", "detail": f"the parser failed with {type(err).__name__}: {err}"[:500]}


def main() -> None:
    """Serve until stdin closes."""
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not end up among the replies
    for line in sys.stdin:
        request = json.loads(line)
        path = Path(os.fsdecode(bytes.fromhex(request["path"])))
        replies.write(json.dumps(answer(request["kind"], path)) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
