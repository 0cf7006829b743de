"""Results as files to download: JSON with everything, CSV for a spreadsheet."""

import csv
import io
from json import dumps

from quarry.retriever.results import Answer

COLUMNS = ("rank", "score", "stage", "title", "heading", "source", "page", "start", "end", "chunk_id", "text")
_FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "＝",
    "＋",
    "－",
    "＠",
)  # a spreadsheet in Chinese takes wide signs as well


def to_json(answer: Answer) -> bytes:
    """Return the whole answer with its explanation, UTF-8."""
    return dumps(answer.to_dict(), ensure_ascii=False, indent=1, default=str).encode("utf-8", "replace")


def to_csv(answer: Answer) -> bytes:
    """Return one line per result, UTF-8 with a byte order mark, without which spreadsheets guess another charset.

    Text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP, "CSV Injection").
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("query", *COLUMNS))
    for result in answer.results:
        cells = [answer.query.text, *(getattr(result, name) for name in COLUMNS)]
        writer.writerow(["" if cell is None else _harmless(cell) for cell in cells])
    return out.getvalue().encode("utf-8-sig", "replace")


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip(" ").startswith(_FORMULA) else cell
